"""Wall times to instants, clock changes included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.metering.walltime import to_utc_ms

MADRID = "Europe/Madrid"


def wall(*texts: str) -> np.ndarray:
    """Wall times in ms as if they were UTC."""
    return np.array(
        [round(datetime.fromisoformat(t + "+00:00").timestamp() * 1000) for t in texts],
        dtype=np.int64,
    )


def utc(*texts: str) -> list[int]:
    """Instants in ms."""
    return wall(*texts).tolist()


def one_series(count: int) -> np.ndarray:
    """All rows belong to one series."""
    return np.zeros(count, dtype=np.int32)


@pytest.mark.parametrize(
    "zone", [MADRID, "Asia/Shanghai", "America/St_Johns", "Australia/Lord_Howe"]
)
@given(at=st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)))
def test_agrees_with_zoneinfo_outside_of_changes(zone: str, at: datetime) -> None:
    """Any wall time that is not doubled or missing becomes the instant zoneinfo gives."""
    at = at.replace(microsecond=0)
    folds = {at.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1)}
    if len(folds) > 1:
        return
    (offset,) = folds
    expected = round((at.replace(tzinfo=UTC) - (offset or timedelta())).timestamp() * 1000)
    got, never = to_utc_ms(wall(at.isoformat()), zone, one_series(1))
    assert not never.any()
    assert got.tolist() == [expected]


def test_the_missing_hour_of_spring_is_a_fault() -> None:
    """02:30 on the day the clock is put forward never was; 01:59 and 03:00 were."""
    got, never = to_utc_ms(
        wall("2026-03-29T01:59:59", "2026-03-29T02:30:00", "2026-03-29T03:00:00"),
        MADRID,
        one_series(3),
    )
    assert never.tolist() == [False, True, False]
    assert [got[0], got[2]] == utc("2026-03-29T00:59:59", "2026-03-29T01:00:00")


def test_the_doubled_hour_in_order_of_arrival() -> None:
    """Once the clock jumped back, what follows in that hour is winter time."""
    got, _ = to_utc_ms(
        wall(*(f"2026-10-25T{t}" for t in ("01:30:00", "02:10:00", "02:40:00", "02:10:05",
                                           "02:40:05", "03:10:00"))),
        MADRID,
        one_series(6),
    )  # fmt: skip
    assert got.tolist() == utc(
        *(f"2026-10-{t}" for t in ("24T23:30:00", "25T00:10:00", "25T00:40:00", "25T01:10:05",
                                   "25T01:40:05", "25T02:10:00"))
    )  # fmt: skip


def test_the_doubled_hour_in_a_sorted_file() -> None:
    """Where equal wall times stand side by side, the first is summer time, the second winter."""
    got, _ = to_utc_ms(
        wall("2026-10-25T02:10:00", "2026-10-25T02:10:00", "2026-10-25T02:40:00",
             "2026-10-25T02:40:00"),
        MADRID,
        one_series(4),
    )  # fmt: skip
    assert got.tolist() == utc(
        "2026-10-25T00:10:00", "2026-10-25T01:10:00", "2026-10-25T00:40:00", "2026-10-25T01:40:00"
    )


def test_each_meter_has_its_own_clock_change() -> None:
    """A jump back in one series says nothing of another."""
    got, _ = to_utc_ms(wall("2026-10-25T02:40:00", "2026-10-25T02:10:00"), MADRID, np.array([1, 2]))
    assert got.tolist() == utc("2026-10-25T00:40:00", "2026-10-25T00:10:00")


def test_nothing_gives_nothing() -> None:
    """An empty column stays empty."""
    got, never = to_utc_ms(np.zeros(0, dtype=np.int64), MADRID, one_series(0))
    assert len(got) == len(never) == 0
