"""Holds the house rules over every file of the repository."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.tidy import rules, sources
from tests.tidy.sources import Source

Rule = Callable[[Source], list[str]]


def ids(rule: Rule) -> str:
    """Name of a rule in the report."""
    return rule.__name__


@pytest.mark.parametrize("rule", rules.PYTHON_RULES, ids=ids)
def test_python(rule: Rule) -> None:
    """Every Python file of ours keeps the rule; all findings are listed at once."""
    findings = [finding for source in sources.python() for finding in rule(source)]
    assert not findings, f"{rule.__doc__}\n" + "\n".join(findings)


@pytest.mark.parametrize("rule", rules.TEXT_RULES, ids=ids)
def test_every_text_file(rule: Rule) -> None:
    """Every text file of ours keeps the rule, documents and manifests too."""
    findings = [finding for source in sources.texts() for finding in rule(source)]
    assert not findings, f"{rule.__doc__}\n" + "\n".join(findings)


def test_there_is_something_to_hold() -> None:
    """The rules do see the services: an empty list of files would pass every rule."""
    paths = {source.path for source in sources.python()}
    assert "services/kit/clock.py" in paths
    assert len(paths) > 50
