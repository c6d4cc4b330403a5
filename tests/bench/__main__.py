"""``make bench``: measures, prints a table and writes it into docs/benchmarks.md.

``python -m tests.bench --only streams100 --rounds 1 --dry`` prints a part of it and writes nothing.
"""

import argparse
import asyncio
import os
import platform
import re
import subprocess
from collections.abc import Awaitable, Callable
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median

from tests.bench import browser, measure
from tests.bench.measure import Row
from tests.bench.stage import ROOT, Stage, stage

DOCUMENT = ROOT / "docs" / "benchmarks.md"
TABLE = re.compile(r"(?<=<!-- measured -->\n).*(?=<!-- end -->)", re.DOTALL)

Measurement = Callable[[Stage], Awaitable[list[Row]]]
MEASUREMENTS: dict[str, Measurement] = {
    "idle": measure.idle,
    "streams100": partial(measure.streams, count=100, first=40, p99=120, cpu=110, memory=200),
    "streams200": partial(measure.streams, count=200, p99=200),
    "streams10": partial(measure.streams, count=10),
    "streams500": partial(measure.streams, count=500, p99=300, memory=300),
    "enter": measure.enter,
    "stops": measure.stops,
    "gateway": measure.gateway,
    "person": browser.one_person,
    "long": measure.long_answers,
    "smooth": browser.long_answers,
    "rude": measure.rude_peers,
}


def main() -> None:
    asked = _asked()
    text = "\n".join(_of_server(server, asked) for server in asked.server.split(","))
    print(text)
    if not asked.dry:
        DOCUMENT.write_text(TABLE.sub(lambda _: f"{_where()}\n\n{text}\n", DOCUMENT.read_text()))


def _asked() -> argparse.Namespace:
    options = argparse.ArgumentParser()
    options.add_argument("--only", default=",".join(MEASUREMENTS), help="names, separated by commas")
    options.add_argument("--server", default="daphne,uvicorn")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--dry", action="store_true", help="write nothing")
    return options.parse_args()


def _of_server(server: str, asked: argparse.Namespace) -> str:
    """The table of one server: each row's median over the rounds."""
    rows: dict[str, list[Row]] = {}
    for name in asked.only.split(","):
        for _ in range(asked.rounds):
            with stage(server) as set_up:
                for row in asyncio.run(MEASUREMENTS[name](set_up)):
                    rows.setdefault(row.what, []).append(row)
    head = f"### {server}\n\n| what | unit | host read directly | portal | at most |\n|---|---|---:|---:|---:|"
    return "\n".join([head, *map(_line, rows.values())]) + "\n"


def _line(rounds: list[Row]) -> str:
    direct = [row.direct for row in rounds if row.direct is not None]
    most = [row.most for row in rounds if row.most is not None]
    figures = [_spread(direct), _spread([row.portal for row in rounds]), _number(median(most)) if most else ""]
    return f"| {rounds[0].what} | {rounds[0].unit} | {' | '.join(figures)} |"


def _spread(values: list[float]) -> str:
    if len(values) < 2:
        return "".join(map(_number, values))
    return f"{_number(median(values))} ({_number(min(values))}–{_number(max(values))})"


def _number(value: float) -> str:
    """Three digits say enough."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _where() -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    memory = int(re.search(r"\d+", Path("/proc/meminfo").read_text())[0]) // 1024**2
    return (
        f"Commit {commit.stdout.strip()}, {date.today()}: {os.cpu_count()} cores, {memory} GB, "
        f"{platform.system()}, Python {platform.python_version()}. Median (least–most) of the rounds."
    )


if __name__ == "__main__":
    main()
