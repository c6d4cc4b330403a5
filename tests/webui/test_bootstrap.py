"""A fresh clone prepares itself once, with pip or uv, or says in a sentence why not."""

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 120
BARE_PATH = "/usr/bin:/bin"

# Small stand-ins with the names that the bootstrap calls: what they print shows that they were reached.
DJANGO = {
    "django/__init__.py": "",
    "django/core/__init__.py": "",
    "django/core/exceptions.py": "class ImproperlyConfigured(Exception): pass",
    "django/core/management.py": "def execute_from_command_line(argv): print('django', *argv[1:])",
}
NEWER = "def execute_from_command_line(argv): print('newer django')"
PYTEST = {"pytest.py": "def main(arguments): print('pytest', *arguments); return 7"}


def wheel(folder: Path, name: str, files: dict[str, str]) -> str:
    """Make a wheel; returns its line for a lock file."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = {
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{name}-1.0.dist-info/RECORD"
    contents = {**files, **about}
    lines = [f"{inside},sha256={digest(text)},{len(text)}" for inside, text in contents.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in contents.items():
            archive.writestr(inside, text)
        archive.writestr(record, "\n".join([*lines, f"{record},,"]) + "\n")
    return f"{name} @ {path.as_uri()} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def clone(tmp_path) -> Path:
    """A clone with two tiny lock files."""
    clone = tmp_path / "a clone"
    (clone / "webui").mkdir(parents=True)
    for name in ("manage.py", "webui/__init__.py", "webui/bootstrap.py"):
        shutil.copy(ROOT / name, clone / name)
    django, tests = wheel(tmp_path, "django", DJANGO), wheel(tmp_path, "pytest", PYTEST)
    (clone / "requirements.lock").write_text(django)
    (clone / "requirements-test.lock").write_text(django + tests)
    return clone


UV = """\
#!{python}
import re, sys, zipfile
from pathlib import Path

assert sys.argv[1:5] == ["pip", "install", "--quiet", "--python"], sys.argv
assert "--require-hashes" in sys.argv
packages = next(Path(sys.argv[5]).parent.parent.glob("lib/python{version}/site-packages"))
for wheel in re.findall("@ file://([^ ]+)", Path(sys.argv[-1]).read_text()):
    zipfile.ZipFile(wheel.replace("%20", " ")).extractall(packages)
"""


@pytest.fixture
def uv(tmp_path) -> str:
    """A PATH with a stand-in for uv that only unpacks: these tests are not about installers."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return program(tmp_path / "bin", "uv", UV.format(python=outer_python(), version=version))


def program(folder: Path, name: str, text: str) -> str:
    """Write a program of that name; returns the PATH that finds it first."""
    folder.mkdir()
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return f"{folder}:{BARE_PATH}"


def outer_python() -> str:
    return str(Path(sys.executable).resolve())


def manage(clone: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py as a newcomer does: with a bare environment and the Python outside every .venv."""
    return subprocess.run(
        [outer_python(), str(clone / "manage.py"), *arguments],
        env={"PATH": BARE_PATH, "HOME": str(clone.parent / "home"), **environment},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_bare_python_prepares_itself_with_pip_and_runs_the_command(clone):
    done = manage(clone, "up", "--bind", "127.0.0.1:1")

    assert done.stdout == "django up --bind 127.0.0.1:1\n"
    assert done.returncode == 0


def test_pip_takes_over_where_uv_fails(clone, tmp_path):
    done = manage(clone, "up", PATH=program(tmp_path / "bin", "uv", "#!/bin/sh\nexit 2\n"))

    assert done.stdout == "django up\n"
    assert "trying pip" in done.stderr


def test_nothing_runs_until_the_files_are_the_locked_ones(clone, tmp_path):
    locked = tmp_path / "django-1.0-py3-none-any.whl"
    good = locked.read_bytes()
    wheel(tmp_path, "django", {**DJANGO, "django/evil.py": ""})
    refused = manage(clone, "up")
    locked.write_bytes(good)

    done = manage(clone, "up")

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "Preparing .venv failed" in refused.stderr
    assert done.stdout == "django up\n"


def test_uv_installs_where_there_is_one(clone, uv):
    done = manage(clone, "up", PATH=uv)

    assert done.stdout == "django up\n"
    assert not list(clone.glob(".venv/lib/*/site-packages/pip"))


def test_a_later_start_installs_nothing(clone, uv):
    manage(clone, "up", PATH=uv)

    done = manage(clone, "up")

    assert (done.stdout, done.stderr) == ("django up\n", "")


def test_a_changed_lock_is_installed(clone, uv, tmp_path):
    manage(clone, "up", PATH=uv)
    (tmp_path / "newer").mkdir()
    lock = wheel(tmp_path / "newer", "newer", {"django/core/management.py": NEWER})
    (clone / "requirements.lock").write_text(lock)

    assert manage(clone, "up", PATH=uv).stdout == "newer django\n"


def test_the_test_command_installs_its_own_lock_and_passes_the_exit_code_on(clone, uv):
    done = manage(clone, "test", "-k", "tea", PATH=uv)

    assert done.stdout == "pytest -k tea\n"
    assert done.returncode == 7


def test_an_environment_of_another_python_is_made_anew(clone, uv):
    (clone / ".venv" / "lib" / "python3.1" / "site-packages").mkdir(parents=True)
    (clone / ".venv" / "bin").mkdir()
    (clone / ".venv" / "bin" / "python").symlink_to("/nonexistent/python3.1")

    assert manage(clone, "up", PATH=uv).stdout == "django up\n"
    assert not (clone / ".venv" / "lib" / "python3.1").exists()


def test_two_first_starts_at_once_both_succeed(clone, uv):
    command = [outer_python(), str(clone / "manage.py"), "up"]
    both = [subprocess.Popen(command, env={"PATH": uv}, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    assert [process.communicate(timeout=PATIENCE)[0] for process in both] == ["django up\n"] * 2


def test_a_python_without_ensurepip_is_told_the_name_of_the_package(clone, tmp_path):
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking" / "ensurepip.py").write_text("raise ImportError")

    done = manage(clone, "up", PYTHONPATH=str(tmp_path / "lacking"))

    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("version", [(2, 7), (3, 6), (3, 10)])
def test_an_old_python_is_refused_before_anything_is_imported(version):
    source = (ROOT / "manage.py").read_text()
    pretending = f"import sys; sys.version_info = {version}; sys.path.clear(); exec({source!r})"

    done = subprocess.run([sys.executable, "-c", pretending], capture_output=True, text=True, check=False)

    assert done.stderr == f"Teahouse needs Python 3.11 or later, and this is Python {version[0]}.{version[1]}.\n"


def test_a_place_that_cannot_be_written_is_named(clone):
    (clone / ".venv").write_text("a file where the directory should be")

    done = manage(clone, "up")

    assert done.stderr == f"Cannot write to {clone}/.venv: File exists.\n"
