"""Where a chain starts and stops again, on series small enough to see it."""

from __future__ import annotations

import numpy as np

from services.metering.quality import BELOW_MARK, CONFIRMED_LATER, Rule
from services.metering.register import (
    CHANGED_ROW,
    NEVER_MS,
    RegisterEvent,
    rejoin_row,
    restart_point,
)

V20 = int(Rule.V20_PHYSICAL_LIMIT)


def restart(late_at_ms, values, flags, events=(), *, whole=True):
    """`restart_point` on rows at the instants 0, 1, 2 and so on."""
    return restart_point(
        late_at_ms,
        np.arange(len(values), dtype=np.int64),
        np.array(values, dtype=np.int64),
        np.array(flags, dtype=np.uint32),
        events,
        whole=whole,
    )


def test_the_last_settled_reading_before_the_late_one():
    """A failed reading is no place to start, nor one only later readings confirmed."""
    values, flags = [10, 11, 999, 12, 13], [0, 0, V20, CONFIRMED_LATER, 0]
    assert restart(5, values, flags).at_ms == 4
    assert restart(4, values, flags).at_ms == 1
    state = restart(4, values, flags).state
    assert state.good_value[0].tolist() == [11, 10, 0]
    assert state.good_at_ms[0].tolist() == [1, 0, NEVER_MS]
    assert state.last_at_ms.tolist() == [1]


def test_before_everything_the_chain_starts_from_nothing():
    """The first reading of all may be the late one."""
    found = restart(0, [10, 11], [0, 0])
    assert found.at_ms == NEVER_MS
    assert not found.state.initialised[0]


def test_offset_and_memory_come_from_the_events():
    """After a step the chain remembers nothing from before it."""
    events = [
        RegisterEvent(0, 2, "step_up", -80, 11, 91, 11),
        RegisterEvent(0, 9, "reset", 7, 1, 2, 3),
    ]
    state = restart(4, [10, 11, 91, 92], [0, 0, 0, 0], events).state
    assert state.offset.tolist() == [-80]
    assert state.good_value[0].tolist() == [92, 91, 0]


def test_the_first_value_of_an_exchanged_register_is_remembered():
    """It stands in the chain like a reading, at the instant of the exchange."""
    events = [RegisterEvent(0, 2, "exchange", 8, 12, 4, 12)]
    state = restart(3, [10, 11, 5], [0, 0, 0], events).state
    assert state.good_value[0].tolist() == [5, 4, 0]
    assert state.good_at_ms[0].tolist() == [2, 2, NEVER_MS]


def test_a_reading_under_the_mark_is_remembered_as_the_mark():
    """But it is no place to start, for its own value does not tell the mark."""
    values, flags = [10, 12, 11, 11, 13], [0, 0, BELOW_MARK, BELOW_MARK, 0]
    assert restart(4, values, flags).at_ms == 1
    assert restart(5, values, flags).state.good_value[0].tolist() == [13, 12, 12]


def test_a_window_that_is_too_short_says_so():
    """Fewer readings than the chain remembers, or a mark that lies before the window."""
    assert restart(2, [10, 11], [0, 0], whole=False) is None
    assert restart(2, [10, 11], [V20, V20], whole=False) is None
    assert restart(3, [10, 11, 12], [0, 0, 0], whole=False) is not None
    assert restart(3, [10, 11, 12], [BELOW_MARK, 0, 0], whole=False) is None
    events = [RegisterEvent(0, 0, "step_up", -80, 11, 91, 11)]
    assert restart(2, [91, 92], [0, 0], events, whole=False) is not None


def rejoin(old_flags, new_flags, old_curve, new_curve):
    """`rejoin_row` on lists."""
    return rejoin_row(
        np.array(old_flags, dtype=np.uint32),
        np.array(old_curve, dtype=np.int64),
        np.array(new_flags, dtype=np.uint32),
        np.array(new_curve, dtype=np.int64),
    )


def test_chains_rejoin_after_as_many_equal_settled_rows_as_they_remember():
    """Three rows alike after the changed one; fewer, and a later outvoting could still differ."""
    assert rejoin([CHANGED_ROW, 0, 0, 0, 0], [0] * 5, [1] * 5, [1] * 5) == 3
    assert rejoin([0, 0, 0, CHANGED_ROW, 0, 0], [0] * 6, [1] * 6, [1] * 6) is None
    assert rejoin([CHANGED_ROW, 0, V20, 0, 0, 0], [0, 0, V20, 0, 0, 0], [1] * 6, [1] * 6) == 5
    assert rejoin([CHANGED_ROW, 0, 0, 0, 0], [0] * 5, [1, 1, 2, 3, 4], [1, 1, 9, 9, 9]) is None
    assert rejoin([CHANGED_ROW], [0], [1], [1]) is None
