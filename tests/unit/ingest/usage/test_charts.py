"""Readings as people look at them: rows, thinned curves, marks, use between points."""

from __future__ import annotations

import numpy as np
import pytest

from services.ingest.store.register_events import StoredEvent
from services.ingest.usage.charts import chart, offsets, reading_rows
from services.ingest.usage.domain import Series
from services.metering.products import Channel, ChannelKind
from services.metering.quality import Rule

WATER = Channel(1, "8-0:1.0.0", "m3", -3, ChannelKind.REGISTER, 6, 3600, 3750, 500)
ENERGY = Channel(1, "1-0:1.9.0", "kWh", -3, ChannelKind.INTERVAL, 9, 3600, 10**6, 0)
ROLLOVER = StoredEvent(1, 1, 3000, "rollover", 1_000_000, 999_990, 5)


def series(
    values: list[int], flags: dict[int, int] | None = None, steps: tuple[StoredEvent, ...] = ()
) -> Series:
    """Readings every second from 0."""
    count = len(values)
    marks = [(flags or {}).get(n, 0) for n in range(count)]
    return Series(
        np.arange(count, dtype=np.int64) * 1000,
        np.array(values, dtype=np.int64),
        np.array(marks, dtype=np.uint32),
        np.zeros(count, dtype=np.int64),
        steps,
    )


def test_a_step_counts_from_its_instant_on() -> None:
    """What is added to the register is the sum of the steps up to each instant."""
    assert offsets([ROLLOVER], np.array([2999, 3000, 9000])).tolist() == [0, 10**6, 10**6]
    assert offsets([], np.array([1])).tolist() == [0]


def test_rows_show_value_register_and_rules() -> None:
    """The dial's value and the continuous register stand side by side, in the channel's unit."""
    columns = {
        "read_at": np.array([2000, 3000]),
        "value": np.array([999_990, 5]),
        "flags": np.array([0, int(Rule.V20_PHYSICAL_LIMIT)]),
    }
    first, second = reading_rows(columns, [ROLLOVER], WATER)
    assert (first["value"], first["register"], first["usable"]) == ("999.990", "999.990", True)
    assert (second["value"], second["register"], second["usable"]) == ("0.005", "1000.005", False)
    assert second["rules"] == ["V20_PHYSICAL_LIMIT"]
    assert second["at"] == "1970-01-01T00:00:03Z"


@pytest.mark.parametrize("points", [2, 7, 100, 1000])
def test_thinning_keeps_the_newest_and_the_sum(points: int) -> None:
    """At most so many points, the newest among them, and use sums to the register's difference."""
    got = chart(series([3 * n for n in range(500)]), WATER, 0, 10**9, points)
    assert len(got["at_ms"]) <= points
    assert got["at_ms"][-1] == 499_000
    assert got["use"][0] is None
    assert sum(got["use"][1:]) == got["register"][-1] - got["register"][0]


def test_marked_readings_are_always_there() -> None:
    """A reading that failed is shown however thin the curve, and has no use."""
    failed = int(Rule.V20_PHYSICAL_LIMIT)
    got = chart(series([n if n != 123 else 10**5 for n in range(500)], {123: failed}), WATER, 0,
                10**9, 10)  # fmt: skip
    place = got["at_ms"].index(123_000)
    assert (got["flags"][place], got["use"][place]) == (failed, None)
    assert sum(use for use in got["use"] if use) == got["register"][-1] - got["register"][0]


def test_a_little_under_the_curve_stands_at_its_level() -> None:
    """Backflow within its bound leaves the curve flat, so use is never negative."""
    got = chart(series([10, 20, 18, 25], {2: int(Rule.BELOW_MARK)}), WATER, 0, 10**9, 100)
    assert got["register"] == [10, 20, 20, 25]
    assert got["use"] == [None, 10, 0, 5]


def test_a_rollover_is_no_use() -> None:
    """Across a step the curve goes on, and the step is told."""
    got = chart(series([999_970, 999_980, 999_990, 5], steps=(ROLLOVER,)), WATER, 0, 10**9, 100)
    assert got["use"] == [None, 10, 10, 15]
    assert got["events"] == [{"at_ms": 3000, "kind": "rollover", "offset": 1_000_000}]


def test_intervals_are_their_own_use() -> None:
    """A channel that counts by the interval shows each value as use."""
    got = chart(series([5, 6, 7], {1: int(Rule.V17_NEGATIVE)}), ENERGY, 0, 10**9, 100)
    assert got["use"] == [5, None, 7]


def test_neighbours_outside_are_not_shown() -> None:
    """Readings loaded beyond the asked time only help to find the level."""
    got = chart(series([1, 2, 3, 4]), WATER, 1000, 2000, 100)
    assert got["at_ms"] == [1000, 2000]


def test_nothing_is_an_empty_chart() -> None:
    """Without readings all columns are empty, unit and scaler are there."""
    for nothing in (None, series([])):
        got = chart(nothing, WATER, 0, 1, 10)
        assert (got["at_ms"], got["use"], got["unit"], got["scaler"]) == ([], [], "m3", -3)
