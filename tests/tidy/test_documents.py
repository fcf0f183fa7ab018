"""Documents say what the code says: settings, error codes, promises and links."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from services.cli.main import app
from tests.tidy import documents, sources
from tests.tidy.sources import ROOT

MADE = "run `python -m tests.tidy.documents` and look at the difference"
PAGES = [source.path for source in sources.texts() if source.path.endswith(".md")]


@pytest.mark.parametrize(
    ("place", "table"),
    [
        (documents.SETTINGS, documents.settings_table),
        (documents.ERRORS, documents.errors_table),
        (documents.FAULTS, documents.faults_table),
    ],
    ids=["settings", "errors", "faults"],
)
def test_tables_are_up_to_date(place: tuple[str, str], table: object) -> None:
    """The table in the document is the one the code makes."""
    assert callable(table)
    assert documents.block(*place) == table(), MADE


def test_every_setting_is_explained() -> None:
    """Each setting has a sentence of its own in its class."""
    bare = [
        f"{kind.__name__}.{name}"
        for kind in documents.settings_classes()
        for name, info in kind.model_fields.items()
        if name in kind.__annotations__ and not info.description
    ]
    assert not bare


def test_codes_are_unique() -> None:
    """One code is one meaning: it stands at one class, or goes with one HTTP status."""
    by_code = defaultdict(list)
    for entry in documents.error_codes():
        by_code[entry.code].append(entry)
    classes = {kind.where for kind in documents.error_classes().values()}
    faults = []
    for code, entries in by_code.items():
        owners = [entry.where for entry in entries if entry.where in classes]
        if len(owners) > 1:
            faults.append(f"{code} belongs to several classes: {owners}")
        if len({entry.status for entry in entries}) > 1:
            faults.append(f"{code} has several statuses: {[e.where for e in entries]}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("code", sorted({entry.code for entry in documents.error_codes()}))
def test_codes_have_the_form_of_codes(code: str) -> None:
    """Codes are lower-case words joined by dots and underscores: stable and greppable."""
    assert re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)*", code)


@pytest.mark.parametrize("path", PAGES)
def test_links_lead_somewhere(path: str) -> None:
    """Each relative link and picture of a page is a file of this repository."""
    text = (ROOT / path).read_text()
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)|src(?:set)?=\"([^\"]+)\"", text)
    missing = [
        target
        for target in (a or b for a, b in targets)
        if "://" not in target and not ((ROOT / path).parent / target).exists()
    ]
    assert not missing


@pytest.mark.parametrize("path", PAGES)
def test_files_named_in_pages_exist(path: str) -> None:
    """A file or test a page names in code type is there: promises do not outlive their proofs."""
    text = (ROOT / path).read_text()
    named = re.findall(
        r"`((?:services|tests|docs|deploy|loadtest|proto)/[\w./-]+\.(?:py|md|yaml|json|proto))"
        r"(?:::(\w+))?`",
        text,
    )
    missing = [
        f"{file}::{test}" if test else file
        for file, test in named
        if not (ROOT / file).exists() or (test and f"def {test}(" not in (ROOT / file).read_text())
    ]
    assert not missing


@pytest.mark.parametrize("path", PAGES)
def test_commands_named_in_pages_exist(path: str) -> None:
    """A command a page tells a reader to type is one: of the command line, or of the Makefile."""
    text = (ROOT / path).read_text()
    commands = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    commands |= {str(group.name) for group in app.registered_groups}
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    typed = re.findall(r"(?m)(?:`|^)(?:[A-Z_]+=\S+ )*(meterfleet|make) ([a-z][a-z-]*)", text)
    known = {"meterfleet": commands, "make": targets}
    assert [f"{tool} {word}" for tool, word in typed if word not in known[tool]] == []
