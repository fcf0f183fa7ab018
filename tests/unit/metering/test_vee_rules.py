"""The rules without history: for each a vector that just passes and one that just fails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.metering.quality import Rule
from services.metering.vee.rules import (
    ANCIENT_MS,
    FUTURE_TOLERANCE_MS,
    check_alignment,
    check_instant,
    check_interval_value,
    deduplicate,
)

NOW_MS = 1_700_000_000_000
V04, V17, V20, V24 = (
    int(rule)
    for rule in (
        Rule.V04_INTERVAL,
        Rule.V17_NEGATIVE,
        Rule.V20_PHYSICAL_LIMIT,
        Rule.V24_INSTANT,
    )
)


def column(*values):
    """Integers as a column."""
    return np.array(values, dtype=np.int64)


def test_instants_just_pass_and_just_fail():
    """V24: five minutes ahead is a clock, a millisecond more is the future; so at the year 2000."""
    ahead = NOW_MS + FUTURE_TOLERANCE_MS
    at_ms = column(ahead, ahead + 1, ANCIENT_MS, ANCIENT_MS - 1)
    assert check_instant(at_ms, NOW_MS).tolist() == [0, V24, 0, V24]


def test_a_meter_cannot_have_been_read_before_it_was_installed():
    """V24: from the instant of installation on, each meter by its own."""
    at_ms = column(NOW_MS, NOW_MS - 1, NOW_MS - 1)
    installed = column(NOW_MS, NOW_MS, NOW_MS - 1)
    assert check_instant(at_ms, NOW_MS, installed).tolist() == [0, V24, 0]


def test_intervals_end_on_multiples_of_their_length():
    """V04: in UTC, whatever the clocks on the wall do; channels without interval pass."""
    quarter = NOW_MS // 900_000 * 900_000
    at_ms = column(quarter, quarter + 1, quarter - 1, quarter + 300_000)
    assert check_alignment(at_ms, 900).tolist() == [0, V04, V04, V04]
    assert check_alignment(at_ms, np.array([900, 0, 0, 300])).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(("value", "flags"), [(0, 0), (-1, V17), (938, 0), (939, V20)])
def test_interval_values_just_pass_and_just_fail(value, flags):
    """V17 and V20: from nought to 3,750 an hour in a quarter of an hour, 937.5 rounded up."""
    assert check_interval_value(column(value), 900, 3_750).tolist() == [flags]


def test_the_physical_limit_of_large_intervals_does_not_overflow():
    """V20: the largest rate over a month of seconds stays within int64."""
    value = column(10**12 * 744, 10**12 * 744 + 1)
    assert check_interval_value(value, 744 * 3_600, 10**12).tolist() == [0, V20]


def decide(*rows):
    """What becomes of (channel, instant, value, rank) rows, a word for each."""
    done = deduplicate(*(np.array(part, dtype=np.int64) for part in zip(*rows, strict=True)))
    return [
        "keep" if k else "dup" if d else "conflict"
        for k, d in zip(done.keep, done.duplicate, strict=True)
    ]


def test_the_same_reading_again_is_a_duplicate():
    """V05: same channel, instant and value; the first stands."""
    assert decide((1, 10, 5, 0), (1, 10, 5, 0), (1, 11, 5, 0), (2, 10, 5, 0)) == [
        "keep",
        "dup",
        "keep",
        "keep",
    ]


def test_another_value_is_a_conflict_and_the_source_decides():
    """V05: the higher rank stands, on equal rank the smaller value."""
    assert decide((1, 10, 5, 0), (1, 10, 4, 1)) == ["conflict", "keep"]
    assert decide((1, 10, 5, 1), (1, 10, 4, 0)) == ["keep", "conflict"]
    assert decide((1, 10, 5, 1), (1, 10, 4, 1)) == ["conflict", "keep"]
    assert decide((1, 10, 5, 1), (1, 10, 5, 0), (1, 10, 6, 1)) == ["keep", "dup", "conflict"]


def test_ordered_readings_without_doubles_all_stand():
    """The usual batch takes the short way."""
    assert decide((1, 10, 5, 0), (1, 11, 4, 0), (2, 9, 4, 0)) == ["keep"] * 3
    empty = np.zeros(0, dtype=np.int64)
    assert len(deduplicate(empty, empty, empty, empty).keep) == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2), st.integers(0, 2)),
        min_size=1,
        max_size=20,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_what_stands_depends_neither_on_order_nor_on_batches(rows, random):
    """Rows shuffled, or decided in two parts and then together: the same value stands per key."""

    def standing(rows):
        done = deduplicate(*(np.array(part, dtype=np.int64) for part in zip(*rows, strict=True)))
        assert (done.keep.astype(int) + done.duplicate + done.conflict == 1).all()
        return [row for row, kept in zip(rows, done.keep, strict=True) if kept]

    at_once = {row[:2]: row[2] for row in standing(rows)}
    shuffled = random.sample(rows, len(rows))
    assert {row[:2]: row[2] for row in standing(shuffled)} == at_once
    cut = random.randrange(len(rows) + 1)
    parts = [standing(part) for part in (rows[:cut], rows[cut:]) if part]
    together = standing([row for part in parts for row in part])
    assert {row[:2]: row[2] for row in together} == at_once
    assert len(together) == len(at_once)
