"""Makes ``.venv`` from the locked requirements and runs the command inside it.

Runs before anything is installed, so it uses the standard library alone.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"

SERVE_LOCK = ROOT / "requirements.lock"
TEST_LOCK = ROOT / "requirements-test.lock"

MISCONFIGURED = 78  # as sysexits.h calls it, and `serve`


class CannotPrepare(Exception):
    """One sentence for the person who typed the command."""


def main(arguments: list[str]) -> None:
    """Run a command of the portal; does not return where it has to start Python anew inside ``.venv``."""
    try:
        if Path(sys.prefix) != VENV:
            enter(arguments)
        elif arguments[:1] == ["test"]:
            sys.exit(run_tests(arguments[1:]))
        else:
            run_django(arguments)
    except CannotPrepare as error:
        sys.exit(str(error))


def enter(arguments: list[str]) -> None:
    """Prepare ``.venv`` as far as needed, and become this command in it."""
    prepare(TEST_LOCK if arguments[:1] == ["test"] else SERVE_LOCK)
    sys.stdout.flush()
    python = str(VENV / "bin" / "python")
    os.execv(python, [python, str(ROOT / "manage.py"), *arguments])  # noqa: S606 -- our own program


def prepare(lock: Path) -> None:
    """Make sure that ``.venv`` holds what the lock file names; costs a file's hash when it does already."""
    if is_prepared(lock):
        return
    with alone():
        if is_prepared(lock):
            return
        say(f"Preparing .venv from {lock.name}: once, and for the first time up to a minute ...")
        install(lock)
        stamp_of(lock).write_text(state_of(lock))


def is_prepared(lock: Path) -> bool:
    stamp = stamp_of(lock)
    return stamp.exists() and stamp.read_text() == state_of(lock)


def stamp_of(lock: Path) -> Path:
    return VENV / f"{lock.stem}.installed"


def state_of(lock: Path) -> str:
    """What was installed for whom: another lock, or another Python, needs another environment."""
    return f"{sys.version_info[0]}.{sys.version_info[1]} {hashlib.sha256(lock.read_bytes()).hexdigest()}"


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Two commands started at once on a fresh clone must not install into each other's work."""
    try:
        VENV.mkdir(exist_ok=True)
        lock = os.open(str(VENV / "preparing.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise CannotPrepare(f"Cannot write to {VENV}: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def make_environment(*, with_pip: bool) -> None:
    """Create ``.venv`` for the running Python, or make it anew when it was made for another one."""
    if works_with_this_python() and (has_pip() or not with_pip):
        return
    if with_pip:
        refuse_missing_ensurepip()
    clear_environment()
    run([sys.executable, "-m", "venv", *([] if with_pip else ["--without-pip"]), str(VENV)])


def refuse_missing_ensurepip() -> None:
    try:
        import ensurepip  # noqa: F401, PLC0415 -- Debian packs it apart from Python
        import venv  # noqa: F401, PLC0415
    except ImportError as error:
        raise CannotPrepare(
            "This Python cannot make virtual environments: install the package python3-venv "
            "(on Debian or Ubuntu: apt-get install python3-venv), then start the same command again."
        ) from error


def works_with_this_python() -> bool:
    python = VENV / "bin" / "python"
    return python.exists() and site_packages().exists()


def has_pip() -> bool:
    return (site_packages() / "pip").exists()


def site_packages() -> Path:
    return VENV / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def clear_environment() -> None:
    """Everything but the lock that we hold."""
    for entry in VENV.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != "preparing.lock":
            entry.unlink()


def install(lock: Path) -> None:
    """By uv where there is one, which is several times quicker; else, or where it fails, by pip."""
    locked = ["--require-hashes", "--only-binary", ":all:", "-r", str(lock)]
    python = str(VENV / "bin" / "python")
    if uv := shutil.which("uv"):
        make_environment(with_pip=False)
        try:
            run([uv, "pip", "install", "--quiet", "--python", python, *locked])
        except CannotPrepare as error:
            say(f"{error}; trying pip.")
        else:
            return
    make_environment(with_pip=True)
    run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", *locked])


def run(command: list[str]) -> None:
    """Raises CannotPrepare; what the program had to say is on the screen already."""
    # The system's certificates count for uv as they do for pip: a company may have its own.
    environment = {"UV_SYSTEM_CERTS": "true", **os.environ, "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run(command, check=False, env=environment, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise CannotPrepare(f"Preparing .venv failed at: {' '.join(command)}")


def say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()


def run_tests(arguments: list[str]) -> int:
    """pytest's exit code."""
    try:
        import pytest  # noqa: PLC0415 -- not part of the portal's own requirements
    except ImportError as error:
        raise CannotPrepare("The test requirements are missing: start `python3 manage.py test`.") from error
    os.chdir(ROOT)
    return int(pytest.main(arguments))


def run_django(arguments: list[str]) -> None:
    """What is wrong with a setting is said in a sentence, and by the same exit code as other misconfigurations."""
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415 -- needs .venv
    from django.core.management import execute_from_command_line  # noqa: PLC0415

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webui.settings")
    try:
        execute_from_command_line(["manage.py", *arguments])
    except ImproperlyConfigured as error:
        say(str(error))
        sys.exit(MISCONFIGURED)


if __name__ == "__main__":
    # Prepares only: for images and for maintainers, who name the lock file they need.
    try:
        prepare(ROOT / sys.argv[1] if sys.argv[1:] else SERVE_LOCK)
    except CannotPrepare as error:
        sys.exit(str(error))
