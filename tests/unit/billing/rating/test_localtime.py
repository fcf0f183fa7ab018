"""Local days and hours on the line of instants."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.billing.rating.localtime import interval_boundaries, midnight_ms, to_local_ms
from services.billing.rating.parse import parse
from tests.unit.billing.documents import THREE_RATES, electricity

ZONES = ["Europe/Madrid", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]


#: Clocks change at exactly these instants; a millisecond before they have not.
CHANGES_MS = [1_774_746_000_000, 1_792_890_000_000]


@example(zone="Europe/Madrid", at_ms=[c - before for c in CHANGES_MS for before in (0, 1)])
@given(
    zone=st.sampled_from(ZONES),
    at_ms=st.lists(st.integers(0, 4_000_000_000_000), min_size=1, max_size=20),
)
def test_the_local_clock_is_the_libraries(zone: str, at_ms: list[int]) -> None:
    """Offsets found once per month agree with zoneinfo asked for every instant."""
    local = to_local_ms(np.array(at_ms, dtype=np.int64), zone)
    for instant, found in zip(at_ms, local.tolist(), strict=True):
        moment = datetime.fromtimestamp(instant // 1000, UTC).astimezone(ZoneInfo(zone))
        seconds = int(moment.replace(tzinfo=UTC).timestamp())
        assert found == seconds * 1000 + instant % 1000


@pytest.mark.parametrize(
    ("zone", "day", "intervals"),
    [
        ("Europe/Madrid", date(2026, 3, 29), 46),
        ("Europe/Madrid", date(2026, 10, 25), 50),
        ("Australia/Lord_Howe", date(2026, 4, 5), 49),
    ],
)
def test_days_of_a_clock_change_have_their_hours(zone: str, day: date, intervals: int) -> None:
    """23, 25 and 24.5 hours, in half hours."""
    lines = parse(electricity([THREE_RATES], calendar={"holidays_country": "ES"})).time_of_use
    boundaries = interval_boundaries(day, date.fromordinal(day.toordinal() + 1), zone, lines)
    assert len(boundaries) - 1 == intervals


def test_a_midnight_that_is_skipped_is_the_first_instant_of_the_day() -> None:
    """In Beirut 28 March 2021 began at 01:00; no hour is billed twice or lost."""
    instant = midnight_ms(date(2021, 3, 28), "Asia/Beirut")
    assert datetime.fromtimestamp(instant / 1000, UTC) == datetime(2021, 3, 27, 22, tzinfo=UTC)
