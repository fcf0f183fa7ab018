"""Clock: exact conversions between milliseconds, datetimes and RFC 3339, and a clock to move."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.clock import (
    FixedClock,
    SystemClock,
    from_rfc3339,
    to_datetime,
    to_ms,
    to_rfc3339,
)

YEAR_1_MS = -62_135_596_800_000
YEAR_9999_MS = 253_402_300_799_999
instants = st.integers(YEAR_1_MS, YEAR_9999_MS)


@given(instants)
def test_text_there_and_back(at_ms: int) -> None:
    """Every millisecond of the years 1 to 9999 survives RFC 3339."""
    assert from_rfc3339(to_rfc3339(at_ms)) == at_ms


@given(instants)
def test_datetime_there_and_back(at_ms: int) -> None:
    """Every millisecond of the years 1 to 9999 survives a datetime."""
    assert to_ms(to_datetime(at_ms)) == at_ms


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_711_846_800_001, "2024-03-31T01:00:00.001Z"),
        (YEAR_9999_MS, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_text_in_utc(at_ms: int, text: str) -> None:
    """Instants are written in UTC, with milliseconds only where there are any."""
    assert to_rfc3339(at_ms) == text


def test_offsets_are_honoured() -> None:
    """The same instant written with another offset is the same number."""
    assert from_rfc3339("2024-03-31T03:00:00+02:00") == from_rfc3339("2024-03-31T01:00:00Z")


@pytest.mark.parametrize("text", ["2024-03-31T03:00:00", "2024-03-31", "yesterday", ""])
def test_a_text_that_is_no_instant_is_refused(text: str) -> None:
    """A local time or no time at all is an error, never a guess."""
    with pytest.raises(ValueError, match=r"."):
        from_rfc3339(text)


def test_part_of_a_millisecond_is_cut() -> None:
    """Finer parts are cut off, so that an instant never moves into the next interval."""
    moment = datetime(2024, 1, 1, 0, 59, 59, 999_999, tzinfo=UTC)
    assert to_rfc3339(to_ms(moment)) == "2024-01-01T00:59:59.999Z"
    assert to_ms(moment.astimezone(timezone(timedelta(hours=9)))) == to_ms(moment)


def test_system_clock_is_the_machines() -> None:
    """The system clock tells the machine's time and never runs backwards."""
    clock = SystemClock()
    before = time.time_ns() // 1_000_000
    first_s, now_ms, second_s = clock.monotonic_s(), clock.now_ms(), clock.monotonic_s()
    assert before <= now_ms <= time.time_ns() // 1_000_000
    assert second_s >= first_s


def test_fixed_clock_moves_only_when_told() -> None:
    """Sleeping is the one thing that moves a fixed clock, at once and exactly."""
    clock = FixedClock(1000)
    assert (clock.now_ms(), clock.now_ms()) == (1000, 1000)
    clock.sleep(2.5)
    assert (clock.now_ms(), clock.monotonic_s()) == (3500, 3.5)
