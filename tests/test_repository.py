"""What the repository says about itself is true: documents, locks, images, translations."""

import ast
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
README = (ROOT / "README.md").read_text()
LOCKS = {
    "requirements.lock": [],
    "requirements-test.lock": ["test"],
    "requirements-check.lock": ["test", "check"],
}


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


# Settings


def settings_read() -> set[str]:
    """The names in ``env.text("NAME", ...)`` and its siblings."""
    calls = [node for node in ast.walk(ast.parse(text_of("webui/settings.py"))) if isinstance(node, ast.Call)]
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "env"
    }


def settings_documented() -> set[str]:
    return set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE))


def test_the_readme_lists_exactly_the_settings_that_are_read():
    assert settings_documented() == settings_read()


def test_settings_stay_on_one_page():
    assert len(text_of("webui/settings.py").splitlines()) <= 150


def test_only_env_reads_the_portal_s_settings_from_the_environment():
    names = "|".join(settings_read())
    strays = [
        path
        for folder in ("webui", "chat", "models_admin")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "env.py" and re.search(rf"(environ|getenv)\W+(get\W+)?({names})\b", path.read_text())
    ]

    assert strays == []


# Commands


@pytest.mark.parametrize("command", sorted(set(re.findall(r"manage\.py (\w+)", README))))
def test_every_command_in_the_readme_exists(command):
    assert command in {*get_commands(), "test"}


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make (\w+)`", README + text_of("docs/architecture.md")))))
def test_every_make_target_in_the_documents_exists(target):
    assert re.search(rf"^{target}:", text_of("Makefile"), re.MULTILINE)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:docs|webui|chat|tests)/[\w./-]*\w/?)`", README))))
def test_every_file_in_the_readme_exists(path):
    assert (ROOT / path).exists()


def test_the_ci_script_can_run():
    assert os.access(ROOT / ".ci/run", os.X_OK)
    subprocess.run(["bash", "-n", ".ci/run"], cwd=ROOT, check=True)


def test_the_changelog_begins_with_this_version():
    assert re.search(r"^## (\S+)", text_of("CHANGELOG.md"), re.MULTILINE)[1] == PROJECT["project"]["version"]


# Locks


def locked(name: str) -> dict[str, str]:
    """Package -> version."""
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text_of(name), re.MULTILINE))


def wanted(groups: list[str]) -> list[Requirement]:
    named = [PROJECT["dependency-groups"][group] for group in groups]
    return [Requirement(line) for lines in [PROJECT["project"]["dependencies"], *named] for line in lines]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_has_what_the_project_asks_for(name):
    versions = locked(name)

    stale = [str(asked) for asked in wanted(LOCKS[name]) if versions.get(canonical(asked.name)) not in asked.specifier]

    assert stale == []


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_file_has_a_hash(name):
    entries = re.split(r"\n(?=\S)", text_of(name).split("make lock\n")[1].strip())

    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_place_to_get_packages_from(name):
    assert re.findall(r"^--\S+|https?://\S+", text_of(name), re.MULTILINE) == []


def test_the_locks_agree_with_each_other():
    small, middle, large = (locked(name).items() for name in LOCKS)

    assert small <= middle <= large


# What is written down


@pytest.mark.parametrize("pattern", [r"pypi\.org", r"/work/", r"files\.pythonhosted", r"/root/\.pyenv"])
def test_no_file_names_somebody_s_machine_or_a_registry(pattern):
    ours = [path for path in tracked_files() if path.suffix in {".py", ".md", ".toml", ".yml", ".lock", ".html", ""}]

    assert [path for path in ours if path != Path(__file__) and re.search(pattern, path.read_text())] == []


def test_every_line_on_security_is_held_by_a_test_that_names_it():
    promised = re.findall(r"^\| (S\d\d) \|", text_of("docs/security.md"), re.MULTILINE)
    docstrings = [
        ast.get_docstring(node) or ""
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert promised == sorted({row for text in docstrings for row in re.findall(r"\bS\d\d\b", text)})


# Images


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_every_service_ends_in_order_and_comes_back(service):
    assert COMPOSE["services"][service]["init"] is True
    assert COMPOSE["services"][service]["restart"] == "unless-stopped"


def test_the_portal_starts_when_what_it_needs_is_healthy():
    needs = COMPOSE["services"]["web"]["depends_on"]

    assert {name: need["condition"] for name, need in needs.items()} == {
        "db": "service_healthy",
        "ollama": "service_healthy",
    }
    assert all("healthcheck" in COMPOSE["services"][name] for name in needs)
    assert "HEALTHCHECK" in text_of("Dockerfile")


def test_the_compose_file_gives_the_portal_longer_than_its_drain():
    assert int(COMPOSE["services"]["web"]["stop_grace_period"].removesuffix("s")) > 12


def test_the_compose_file_holds_no_secret():
    given = [
        (name, value)
        for service in COMPOSE["services"].values()
        for name, value in (service.get("environment") or {}).items()
        if re.search("PASSWORD|SECRET|TOKEN|KEY", name)
    ]

    assert [name for name, value in given if value and not value.startswith("${")] == []


def test_the_compose_file_speaks_of_settings_that_exist():
    environment = set(COMPOSE["services"]["web"]["environment"])

    assert environment <= settings_read()


def test_the_database_s_volume_is_where_its_image_wants_it():
    assert COMPOSE["services"]["db"]["volumes"] == ["database:/var/lib/postgresql"]


def test_every_variable_of_the_compose_file_is_in_the_example_or_has_a_default():
    asked = re.findall(r"\$\{(\w+)(:-)?", text_of("docker-compose.yml"))
    example = set(re.findall(r"^#?([A-Z_]+)=", text_of(".env.example"), re.MULTILINE))

    assert {name for name, default in asked if not default} <= example


def test_the_example_environment_holds_no_secret():
    assert re.findall(r"^#?(\w*(?:PASSWORD|SECRET)\w*)=.+", text_of(".env.example"), re.MULTILINE) == []


def test_the_image_is_made_of_files_that_are_sent_to_its_build():
    copied = {
        source.split("/")[0]
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text_of("Dockerfile"), re.MULTILINE)
        for source in line.split()
    }
    sent = {line[1:] for line in text_of(".dockerignore").splitlines() if line.startswith("!")}

    assert copied == sent
    assert [name for name in copied if not (ROOT / name).exists()] == []
