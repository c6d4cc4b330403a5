"""Every sentence of the interface has its Chinese."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest

ROOT = Path(__file__).parents[1]
CATALOGUE = ROOT / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
PLACE = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")
HTML = re.compile(r"</?\w+")


@pytest.fixture(scope="module")
def chinese() -> polib.POFile:
    return polib.pofile(str(CATALOGUE))


def sentences(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) or [entry.msgstr]


def test_nothing_is_untranslated_or_unsure(chinese):
    assert [entry.msgid for entry in chinese if entry.fuzzy or not all(sentences(entry))] == []


def test_translations_have_the_places_of_what_they_translate(chinese):
    for entry in chinese:
        wanted = set(PLACE.findall(entry.msgid_plural or entry.msgid))
        for sentence in sentences(entry):
            assert set(PLACE.findall(sentence)) == wanted, entry.msgid


def test_translations_bring_no_markup_of_their_own(chinese):
    for entry in chinese:
        for sentence in sentences(entry):
            assert sorted(HTML.findall(sentence)) == sorted(HTML.findall(entry.msgid)), entry.msgid


def test_what_is_compiled_is_what_was_translated(chinese):
    compiled = polib.mofile(str(CATALOGUE.with_suffix(".mo")))

    assert {e.msgid: sentences(e) for e in compiled} == {e.msgid: sentences(e) for e in chinese}


@pytest.mark.skipif(not shutil.which("xgettext"), reason="needs the package gettext")
def test_the_catalogue_holds_exactly_the_sentences_of_the_interface(chinese, tmp_path):
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in files.splitlines():
        if name.endswith((".py", ".html", ".po")) and not name.startswith("tests/"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    command = ["-m", "django", "makemessages", "--locale", "zh_Hans", "--no-location", "--no-obsolete"]
    subprocess.run(
        [sys.executable, *command], cwd=tmp_path, check=True, capture_output=True, env={"PATH": os.environ["PATH"]}
    )
    found = polib.pofile(str(tmp_path / CATALOGUE.relative_to(ROOT)))

    assert {entry.msgid for entry in found} == {entry.msgid for entry in chinese}
