"""Python imports this first when its directory is in PYTHONPATH: clocks are then wrong by the seconds in a file."""

import datetime
import os
import time
from pathlib import Path

FILE = Path(os.environ["MOVED_CLOCK"])
true_time, true_time_ns, true_datetime = time.time, time.time_ns, datetime.datetime


def offset() -> float:
    return float(FILE.read_text())


class AnyDatetime(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, true_datetime)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, true_datetime)


class MovedDatetime(true_datetime, metaclass=AnyDatetime):
    """What it makes are ordinary moments."""

    def __new__(cls, *args, **kwargs):
        return true_datetime(*args, **kwargs)

    @classmethod
    def now(cls, tz=None):
        return true_datetime.now(tz) + datetime.timedelta(seconds=offset())

    @classmethod
    def utcnow(cls):
        return true_datetime.utcnow() + datetime.timedelta(seconds=offset())


time.time = lambda: true_time() + offset()
time.time_ns = lambda: true_time_ns() + int(offset() * 1e9)
datetime.datetime = MovedDatetime
