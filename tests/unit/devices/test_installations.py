"""Calendars of installations, against a slow and obvious one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.devices.domain.installations import (
    INSTALLATIONS_MAX,
    Calendar,
    NewInstallation,
    Surroundings,
    Target,
    check_installations,
)
from services.devices.domain.intake import Intake, read
from services.devices.domain.life_cycle import MeterState

SPANS = st.tuples(st.integers(0, 30), st.one_of(st.none(), st.integers(1, 12))).map(
    lambda pair: (pair[0], None if pair[1] is None else pair[0] + pair[1])
)
DAY_MS = 86_400_000


def _days(span: tuple[int, int | None]) -> set[int]:
    return set(range(span[0], 60 if span[1] is None else span[1]))


@given(st.lists(SPANS, max_size=20))
def test_a_calendar_takes_what_is_free(spans: list[tuple[int, int | None]]) -> None:
    """A span is taken exactly if none of its instants is taken already."""
    calendar, taken = Calendar(), set[int]()
    for span in spans:
        free = not taken & _days(span)
        assert calendar.take(*span) is free
        if free:
            taken |= _days(span)


def test_a_calendar_starts_from_what_is_stored() -> None:
    """Stored spans may come in any order; touching spans do not overlap."""
    calendar = Calendar([(20, None), (5, 10)])
    assert len(calendar) == 2
    assert not calendar.take(9, 11)
    assert not calendar.take(30, 40)
    assert calendar.take(10, 20)
    assert calendar.take(0, 5)


def _check(items: list[dict[str, str]], meters: Calendar) -> Intake[NewInstallation]:
    intake = read({"installations": items}, "installations", NewInstallation)
    around = Surroundings(
        meters={"m": Target(1, "water")},
        service_points={"p": Target(2, "water")},
        states={1: MeterState.IN_STOCK},
        meter_calendars={1: meters},
        point_calendars={2: Calendar()},
    )
    check_installations(intake, around, now_ms=20_000 * DAY_MS)
    return intake


def test_a_meter_has_a_bounded_history() -> None:
    """Beyond INSTALLATIONS_MAX a meter's event might not fit a record of the log."""
    full = Calendar((day * DAY_MS, (day + 1) * DAY_MS) for day in range(INSTALLATIONS_MAX))
    item = {"meter": "m", "service_point": "p", "from": "2020-01-01T00:00:00Z"}
    intake = _check([item], full)
    assert [fault.code for fault in intake.faults] == ["installation.too_many"]


def test_a_day_ahead_is_the_limit() -> None:
    """Instants up to a day after now are taken, for clocks and zones differ; later ones not."""
    item = {"meter": "m", "service_point": "p"}
    assert not _check([item | {"from": "2024-10-05T00:00:00Z"}], Calendar()).faults
    faults = _check([item | {"from": "2024-10-05T00:00:00.001Z"}], Calendar()).faults
    assert [fault.code for fault in faults] == ["installation.ahead"]
