"""Templates' helpers: links, data for scripts, parts of a whole, and colours people can read."""

from __future__ import annotations

import json
import re

import pytest

from services.console.render import STATIC, data_json, link, short
from services.console.shares import shares

_TEXT_ON_BACK = (
    ("text", "surface"), ("text", "back"), ("muted", "surface"), ("muted", "back"),
    ("muted", "raised"), ("accent", "surface"), ("accent", "back"), ("accent-text", "accent"),
    ("good", "good-back"), ("warn", "warn-back"), ("bad", "bad-back"), ("note", "note-back"),
    ("text", "plain-back"), ("muted", "plain-back"), ("warn", "surface"), ("text", "bad-back"),
    ("muted", "bad-back"), ("warn", "bad-back"),
)  # fmt: skip
_MARKS_ON_SURFACE = ("water", "gas", "electricity", "heat", "register", "bad", "warn", "focus")


def tokens(scheme: str) -> dict[str, str]:
    """Colour tokens of the sheet in a scheme."""
    sheet = (STATIC / "console.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)[:2]
    found = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", light))
    return found | (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+);", dark)) if scheme == "dark" else {}
    )


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours (WCAG 2.2, relative luminance)."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_read(scheme: str) -> None:
    """Text has a contrast of 4.5, marks and focus of 3 (WCAG 2.2 AA), in light and dark."""
    colours = tokens(scheme)
    weak = [
        (front, back)
        for front, back in _TEXT_ON_BACK
        if contrast(colours[front], colours[back]) < 4.5
    ]
    weak += [
        (mark, "surface")
        for mark in _MARKS_ON_SURFACE
        if contrast(colours[mark], colours["surface"]) < 3
    ]
    assert weak == []


def test_data_for_scripts_cannot_close_its_element() -> None:
    """Nothing in chart data ends the element it stands in, and it is the same JSON."""
    value = {"text": "</script><!-- & \u2028"}
    text = str(data_json(value))
    assert "<" not in text
    assert json.loads(text) == value


def test_links_leave_out_what_is_empty() -> None:
    """Addresses carry the filters that are set, escaped."""
    assert link("/meters", q="a b&c", zone="", page_token=None) == "/meters?q=a+b%26c"
    assert link("/meters") == "/meters"


def test_short_digests() -> None:
    """A long digest shows its beginning, a short one all of it."""
    assert short("ab" * 32) == "abababababab…"
    assert short("abc") == "abc"


def test_shares_fill_the_bar() -> None:
    """Commodities stand in their usual order and their segments fill the whole."""
    found = shares({"heat": 1, "water": 2, "other": 1})
    assert [(s.name, s.start_percent, s.percent) for s in found] == [
        ("water", 0, 50),
        ("heat", 50, 25),
        ("other", 75, 25),
    ]
    assert shares(None) == []
    assert [s.percent for s in shares({"water": 0})] == [0]
