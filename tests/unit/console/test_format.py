"""Numbers, money and instants as people read them."""

from __future__ import annotations

import pytest

from services.console import format as fmt
from services.kit.clock import from_rfc3339

NBSP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234567, "1,234,567"),
        ("1234.50", "1,234.50"),
        ("-0.007", "−0.007"),
        ("1E+3", "1,000"),
        ("99999999999999999999.123456789", "99,999,999,999,999,999,999.123456789"),
        (None, "–"),
        ("NaN", "–"),
        ("many", "–"),
        (True, "–"),
    ],
)
def test_numbers_keep_every_digit(value: object, shown: str) -> None:
    """Thousands are separated, decimals are neither lost nor rounded, nonsense is a dash."""
    assert fmt.number(value) == shown


def test_quantities_have_their_unit() -> None:
    """A quantity is never without its unit, and a pure number has none."""
    assert fmt.quantity("12.5", "m3") == f"12.5{NBSP}m³"
    assert fmt.quantity(31, "1") == "31"
    assert fmt.quantity(None, "m3") == "–"


@pytest.mark.parametrize(
    ("at", "zone", "shown"),
    [
        ("2026-06-14T12:05:00Z", "Europe/Berlin", "14 Jun 2026, 14:05 CEST"),
        ("2026-01-14T12:05:00Z", "Europe/Berlin", "14 Jan 2026, 13:05 CET"),
        ("2026-10-25T00:30:00Z", "Europe/Berlin", "25 Oct 2026, 02:30 CEST"),
        ("2026-10-25T01:30:00Z", "Europe/Berlin", "25 Oct 2026, 02:30 CET"),
        ("2026-06-14T12:05:09Z", None, "14 Jun 2026, 12:05:09 UTC"),
        (from_rfc3339("2026-06-14T12:05:00Z"), "Mars/Olympus", "14 Jun 2026, 12:05 UTC"),
        ("yesterday", None, "–"),
        ("2026-06-14T12:05:00", None, "–"),
        (None, None, "–"),
    ],
)
def test_instants_say_their_zone(at: object, zone: str | None, shown: str) -> None:
    """Local time with its abbreviation, so that the hour that comes twice can be told apart."""
    assert fmt.instant(at, zone).striptags() == shown


def test_foreign_zone_names_cannot_leave_their_attribute() -> None:
    """A zone name nobody knows is not printed at all."""
    assert "<b>" not in fmt.instant("2026-06-14T12:05:00Z", '"><b>')


def test_spans_and_ages() -> None:
    """Durations stand in one unit that fits."""
    assert [fmt.span(s) for s in (900, 3600, 86_400, 90, 0)] == [
        f"15{NBSP}min",
        f"1{NBSP}h",
        f"1{NBSP}d",
        f"90{NBSP}s",
        "–",
    ]
    assert [fmt.ago(0, s * 1000) for s in (5, 300, 7300, 200_000)] == [
        "just now",
        f"5{NBSP}min ago",
        f"2{NBSP}h ago",
        f"2{NBSP}d ago",
    ]
    assert fmt.ago(1000, 0) == "in the future"


def test_periods_end_on_their_last_day() -> None:
    """A period up to 1 June, not included, is printed as ending on 31 May."""
    assert fmt.day("2026-05-01") == "1 May 2026"
    assert fmt.last_day("2026-06-01") == "31 May 2026"
    assert fmt.last_day(None) == "–"


def test_zone_labels_tell_the_offset() -> None:
    """A zone is named with its present offset."""
    now_ms = from_rfc3339("2026-06-14T12:05:00Z")
    assert fmt.zone_label("Asia/Kolkata", now_ms) == "Asia/Kolkata (UTC+05:30)"
    assert fmt.zone_label("", now_ms) == "UTC"
