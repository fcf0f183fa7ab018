"""The rules of the chain, one by one: for each a vector that just passes and one that just fails.

Goal: every branch of the decision has a small series whose outcome a person can check by hand.
Method: hourly readings of a register of 6 digits that may turn 1,000 an hour; `allowed` is the most
it may rise within an hour, clock tolerance and last digit included.
"""

from __future__ import annotations

import numpy as np
import pytest

from services.kit.errors import InvalidInputError
from services.metering.quality import (
    BELOW_MARK,
    CONFIRMED_LATER,
    PENDING,
    Outcome,
    Rule,
    outcome,
    usable,
)
from services.metering.register import (
    ChainState,
    ChannelLimits,
    KnownEvent,
    LimitColumns,
    advance,
    replay,
)

HOUR_MS = 3_600_000
T0_MS = 1_700_000_000_000
LIMITS = ChannelLimits(span=10**6, rate_max_per_h=1_000, reverse_max=50)
ALLOWED = LIMITS.rise_max(HOUR_MS)
V17, V18, V20 = int(Rule.V17_NEGATIVE), int(Rule.V18_DIAL), int(Rule.V20_PHYSICAL_LIMIT)


def judge(values, known=(), limits=LIMITS, hours=None):
    """Replay a series, hourly unless told, and check that `advance` says the same."""
    hours = range(len(values)) if hours is None else hours
    at_ms = np.array([T0_MS + int(hour * HOUR_MS) for hour in hours], dtype=np.int64)
    value = np.array(values, dtype=np.int64)
    state, result = replay(limits, at_ms, value, known)
    fast_state = ChainState.empty(1)
    fast = advance(
        fast_state, LimitColumns.of([limits]), np.zeros(len(value), np.int32), at_ms, value, known
    )
    np.testing.assert_array_equal(fast.flags, result.flags)
    np.testing.assert_array_equal(fast.curve, result.curve)
    np.testing.assert_array_equal(fast_state.cells, state.cells)
    np.testing.assert_array_equal(fast_state.pending, state.pending)
    assert fast.events == result.events
    return result


def kinds(result):
    """Kind and offset of each event found."""
    return [(event.kind, event.offset_delta) for event in result.events]


def test_allowed_rise_is_rate_times_time_rounded_up_and_one_digit():
    """1,000 an hour over 63 minutes is 1,050; a part of a digit counts as one."""
    assert ALLOWED == 1_051
    assert LIMITS.rise_max(HOUR_MS + 1) == 1_052
    assert LIMITS.rise_max(0) == 51


def test_allowed_rise_stops_at_half_the_dial():
    """After years of silence a rise of half the dial still cannot be told from a fall."""
    assert LIMITS.rise_max(10**12) == 500_001


def test_physical_limit_just_passes():
    """V20: a rise of exactly what is possible is good."""
    result = judge([1_000, 1_000 + ALLOWED])
    assert result.flags.tolist() == [0, 0]


def test_physical_limit_just_fails():
    """V20: one digit more is a suspect, and fails when the register goes on without it."""
    result = judge([1_000, 1_001 + ALLOWED])
    assert result.flags.tolist() == [0, PENDING | V20]
    assert outcome(result.flags).tolist() == [Outcome.PASS, Outcome.PENDING]
    result = judge([1_000, 1_001 + ALLOWED, 1_010])
    assert result.flags.tolist() == [0, V20, 0]
    assert result.curve.tolist() == [1_000, 1_000, 1_010]


def test_below_mark_just_passes_and_keeps_the_curve_flat():
    """V17 as a warning: as far back as allowed is read as the mark, until the register passes."""
    result = judge([1_000, 950, 999, 1_000, 1_005])
    assert result.flags.tolist() == [0, BELOW_MARK, BELOW_MARK, 0, 0]
    assert result.curve.tolist() == [1_000, 1_000, 1_000, 1_000, 1_005]
    assert usable(result.flags).all()
    assert outcome(result.flags).tolist() == [0, Outcome.WARN, Outcome.WARN, 0, 0]


def test_below_mark_just_fails():
    """V17: one digit further back is a suspect, and fails when the register goes on above."""
    result = judge([1_000, 949, 1_001])
    assert result.flags.tolist() == [0, V17, 0]
    assert result.events == []


def test_backflow_across_zero_is_below_the_mark():
    """A new meter that runs backwards from 0 shows 999,9xx: no jump of a whole dial."""
    result = judge([10, 999_995, 20])
    assert result.flags.tolist() == [0, BELOW_MARK, 0]
    assert result.curve.tolist() == [10, 10, 20]


@pytest.mark.parametrize("value", [-1, 10**6])
def test_dial_fails_outside(value):
    """V18: a value with a sign or too many digits fails at once and starts nothing."""
    result = judge([value, 500, value, 510])
    assert result.flags.tolist() == [V18, 0, V18, 0]
    assert result.curve.tolist() == [0, 500, 500, 510]


@pytest.mark.parametrize("value", [0, 10**6 - 1])
def test_dial_passes_inside(value):
    """V18: the first and the last value of the dial are values."""
    assert judge([value]).flags.tolist() == [0]


def test_rollover_counts_the_use_across_it():
    """V18: past the end of the dial the curve goes on; three readings make it believed."""
    result = judge([999_900, 100, 150, 200, 260])
    assert result.flags.tolist() == [0, CONFIRMED_LATER, CONFIRMED_LATER, 0, 0]
    assert kinds(result) == [("rollover", 10**6)]
    assert result.curve.tolist() == [999_900, 1_000_100, 1_000_150, 1_000_200, 1_000_260]


@pytest.mark.parametrize(
    ("mark", "value", "kind"),
    [
        (900_001, 99_999, "rollover"),
        (900_000, 99_999, "step_down"),
        (900_001, 100_000, "step_down"),
    ],
)
def test_rollover_needs_the_last_and_the_first_tenth_of_the_dial(mark, value, kind):
    """V18: on the edge of either tenth it is no rollover any more, so its use is not counted."""
    result = judge([mark, value, value, value], hours=[0, 400, 401, 402])
    assert kinds(result)[0][0] == kind


def test_rollover_just_within_the_physical_limit():
    """V18 with V20: what is possible in an hour rolls over, one more is an unexplained step."""
    passing = ALLOWED - 100
    assert kinds(judge([999_900, passing, passing, passing])) == [("rollover", 10**6)]
    failing = passing + 1
    assert kinds(judge([999_900, failing, failing, failing])) == [("step_down", 999_900 - failing)]


def test_one_wild_low_reading_at_the_end_of_the_dial_is_no_rollover():
    """It could have rolled over, but the register shows again that it did not."""
    result = judge([999_900, 3, 999_950, 999_960])
    assert result.flags.tolist() == [0, V17, 0, 0]
    assert result.events == []


def test_permanent_jump_is_a_step_without_use():
    """What nobody can explain is not billed; from the jump on the use counts."""
    result = judge([1_000, 500_000, 500_010, 500_030, 500_060])
    assert result.flags.tolist() == [0, CONFIRMED_LATER, CONFIRMED_LATER, 0, 0]
    assert kinds(result) == [("step_up", -499_000)]
    assert result.curve.tolist() == [1_000, 1_000, 1_010, 1_030, 1_060]


def test_reset_is_a_step_down_without_use():
    """A register that begins again at 0 costs nobody anything."""
    result = judge([500_000, 0, 5, 9, 12])
    assert kinds(result) == [("step_down", 500_000)]
    assert result.curve.tolist() == [500_000, 500_000, 500_005, 500_009, 500_012]


def test_two_suspects_are_not_enough():
    """One fewer than `confirm` decides nothing, and the register's return fails both."""
    assert judge([1_000, 500_000, 500_010]).flags.tolist() == [0, PENDING | V20, PENDING | V20]
    result = judge([1_000, 500_000, 500_010, 1_020])
    assert result.flags.tolist() == [0, V20, V20, 0]


def test_waiting_does_not_make_a_jump_possible():
    """After an outage the rise since the mark would be possible; the suspect says it was not."""
    result = judge([1_000, 50_000, 50_010, 50_020, 50_030], hours=[0, 1, 200, 201, 202])
    assert kinds(result) == [("step_up", -49_000)]
    assert result.curve.tolist()[-1] == 1_030


def test_interleaved_registers_fail_all_of_the_foreign_one():
    """A B A B …: the register goes on under them, so every B fails and A's use is exact."""
    result = judge([1_000, 300_000, 1_010, 300_020, 1_020, 300_040, 1_030], hours=np.arange(7) / 2)
    assert result.flags.tolist() == [0, V20, 0, V20, 0, V20, 0]
    assert result.events == []
    assert result.curve.tolist()[-1] == 1_030


def test_two_foreign_registers_fail_each_other():
    """B C B C …: as long as two contend for the place of a silent register, neither has it."""
    result = judge([1_000, 300_000, 700_000, 300_010, 700_010, 300_020])
    assert result.flags.tolist() == [0, V20, V20, V20, V20, PENDING | V20]
    assert result.events == []


def test_a_run_that_breaks_begins_anew_with_the_reading_that_broke_it():
    """B C C C: the single B fails, C is believed."""
    result = judge([1_000, 300_000, 700_000, 700_010, 700_020])
    assert result.flags.tolist() == [0, V20, CONFIRMED_LATER, CONFIRMED_LATER, 0]
    assert kinds(result) == [("step_up", -699_000)]


def test_wild_readings_that_were_possible_are_outvoted():
    """Two wild readings under the limit fail once three later ones fit what was before them."""
    result = judge([1_000, 1_900, 1_850, 1_010, 1_020, 1_030])
    assert result.flags.tolist() == [0, V17, V17, CONFIRMED_LATER, CONFIRMED_LATER, 0]
    assert result.events == []
    assert result.curve.tolist() == [1_000, 1_000, 1_000, 1_010, 1_020, 1_030]


def test_confirm_readings_are_not_outvoted():
    """Three readings on the higher level stand; the fall after them is a step."""
    result = judge([1_000, 1_900, 1_910, 1_920, 1_010, 1_020, 1_030])
    assert kinds(result) == [("step_down", 910)]
    assert result.curve.tolist()[-1] == 1_940


def test_no_more_readings_are_outvoted_than_a_level_needs():
    """With `confirm` 2 two readings on the higher level stand, although three are remembered."""
    limits = ChannelLimits(10**6, 1_000, 50, confirm=2)
    result = judge([1_000, 1_900, 1_910, 1_010, 1_020], limits=limits)
    assert kinds(result) == [("step_down", 900)]


def test_a_reading_a_little_under_the_mark_fails_the_suspects():
    """It shows that the old register lives, as a good reading would."""
    result = judge([1_000, 300_000, 300_010, 990, 300_020, 1_005])
    assert result.flags.tolist() == [0, V20, V20, BELOW_MARK, V20, 0]


def test_confirm_of_one_believes_at_once():
    """With `confirm` 1 there is no pending reading."""
    limits = ChannelLimits(10**6, 1_000, 50, confirm=1)
    result = judge([1_000, 500_000, 500_010, 7], limits=limits)
    assert result.flags.tolist() == [0, 0, 0, 0]
    assert [kind for kind, _ in kinds(result)] == ["step_up", "step_down"]


def test_exchange_with_both_registers_read_counts_up_to_the_last_value():
    """The old meter's last value and the new one's first are known: no use is lost."""
    known = [KnownEvent(0, T0_MS + 3 * HOUR_MS // 2, "exchange", from_value=1_015, to_value=7)]
    result = judge([1_000, 1_010, 9, 20], known)
    assert result.flags.tolist() == [0, 0, 0, 0]
    assert kinds(result) == [("exchange", 1_008)]
    assert result.curve.tolist() == [1_000, 1_010, 1_017, 1_028]
    assert result.events[0].curve == 1_015


def test_exchange_with_nothing_read_counts_nothing_between():
    """Neither register was read: the first reading of the new one continues the curve flat."""
    known = [KnownEvent(0, T0_MS + 3 * HOUR_MS // 2, "exchange")]
    result = judge([1_000, 1_010, 900_000, 900_020], known)
    assert result.curve.tolist() == [1_000, 1_010, 1_010, 1_030]
    assert [kind for kind, _ in kinds(result)] == ["exchange", "rebase"]
    assert sum(delta for _, delta in kinds(result)) == 1_010 - 900_000


@pytest.mark.parametrize(("last", "counted"), [(1_000 + ALLOWED, ALLOWED), (1_001 + ALLOWED, 0)])
def test_last_value_of_an_exchanged_register_must_be_possible(last, counted):
    """V20 holds for what a fitter wrote down, too: an impossible last value counts no use."""
    known = [KnownEvent(0, T0_MS + HOUR_MS, "exchange", from_value=last, to_value=0)]
    result = judge([1_000, 0, 5], known)
    assert result.curve.tolist() == [1_000, 1_000 + counted, 1_005 + counted]


def test_exchange_after_the_dial_passed_its_end():
    """The last value lies beyond the end of the dial: the use across it counts."""
    known = [KnownEvent(0, T0_MS + HOUR_MS, "exchange", from_value=50, to_value=0)]
    assert judge([999_950, 0, 5], known).curve.tolist() == [999_950, 1_000_050, 1_000_055]


def test_suspects_before_an_exchange_fail():
    """Their register is gone and can confirm nothing."""
    known = [KnownEvent(0, T0_MS + 2 * HOUR_MS, "reset", to_value=0)]
    result = judge([1_000, 500_000, 0, 5], known)
    assert result.flags.tolist() == [0, V20, 0, 0]


def test_events_before_the_first_reading_do_nothing():
    """There is no curve yet that would have to be continued."""
    known = [KnownEvent(0, T0_MS - HOUR_MS, "exchange", to_value=7)]
    result = judge([1_000, 1_010], known)
    assert result.events == []
    assert result.curve.tolist() == [1_000, 1_010]


def test_limits_report_all_faults_at_once():
    """A wrong limit is refused where it is made, each fault by name."""
    with pytest.raises(InvalidInputError) as caught:
        ChannelLimits(span=5, rate_max_per_h=-1, reverse_max=10, confirm=0)
    faulty = [fault.where for fault in caught.value.faults]
    assert faulty == ["span", "rate_max_per_h", "reverse_max", "confirm"]


@pytest.mark.parametrize(
    ("channel", "at"), [([1, 0], [1, 2]), ([0, 0], [2, 2]), ([0, 0], [2, 1]), ([0], [0])]
)
def test_readings_out_of_order_are_refused_and_change_nothing(channel, at):
    """The chain's promises hold for readings in order only; late ones go by `restart_point`."""
    limits = LimitColumns.of([LIMITS, LIMITS])
    state = ChainState.empty(2)
    advance(state, limits, np.array([0]), np.array([T0_MS]), np.array([5]))
    before = state.take(slice(None))
    at_ms = T0_MS + HOUR_MS * np.array(at, dtype=np.int64)
    with pytest.raises(ValueError, match=r"sorted|later"):
        advance(state, limits, np.array(channel, np.int32), at_ms, np.full(len(at), 5))
    np.testing.assert_array_equal(state.cells, before.cells)


def test_channels_without_limits_are_refused():
    """A channel the registry has not described yet must not be judged by chance."""
    limits = LimitColumns.of([LIMITS])
    limits.resize(2)
    with pytest.raises(ValueError, match="limits"):
        advance(ChainState.empty(2), limits, np.array([1]), np.array([T0_MS]), np.array([5]))


def test_state_grows_shrinks_and_moves_rows():
    """What a worker does when channels come and go keeps each channel's own memory."""
    limits = LimitColumns.of([LIMITS] * 3)
    state = ChainState.empty(2)
    advance(state, limits, np.array([0, 1]), np.full(2, T0_MS), np.array([10, 20]))
    state.resize(3)
    assert state.initialised.tolist() == [True, True, False]
    state.put(np.array([2]), state.take(np.array([1])))
    assert state.mark.tolist() == [10, 20, 20]
    assert state.curve.tolist() == [10, 20, 20]
    state.resize(1)
    assert len(state) == 1
    assert state.pending_n.tolist() == [0]


def test_an_empty_batch_is_no_work():
    """A flush without readings of registers gives an empty result."""
    none = np.zeros(0, dtype=np.int64)
    result = advance(ChainState.empty(1), LimitColumns.of([LIMITS]), none, none, none)
    assert len(result.flags) == len(result.curve) == len(result.usable) == 0
