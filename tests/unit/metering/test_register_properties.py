"""Promises of the register that must hold for any readings.

Goal: the final result is a function of the set of readings and known events; the curve never falls;
a single wild reading never changes a bill. Method: series drawn from a seed, most of them full of
trouble (wild values, jumps, resets, backflow, rollovers, garbage, outages, a second register), with
values small enough for coincidences; every promise is checked against `replay`, reading by reading.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.metering.quality import followed, usable
from services.metering.register import (
    CHANGED_ROW,
    ChainState,
    ChannelLimits,
    Curve,
    KnownEvent,
    LimitColumns,
    advance,
    curve_points,
    rejoin_row,
    replay,
    restart_point,
)

HOUR_MS = 3_600_000
T0_MS = 1_700_000_000_000
seeds = st.integers(0, 2**63)


def fast(examples):
    """A bounded number of examples, the same in every run."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


def troubled_limits(rng):
    """Limits of small dials, where coincidences happen."""
    span = 10 ** int(rng.integers(3, 7))
    rate = int(rng.integers(0, span // 5))
    return ChannelLimits(span, rate, int(rng.integers(0, span // 40)), int(rng.integers(1, 4)))


def troubled_series(rng, limits, n):
    """Instants and values of a register to which everything happens."""
    dt = rng.choice(
        [1_000, 900_000, HOUR_MS, 24 * HOUR_MS, 900 * HOUR_MS], n, p=[0.1, 0.4, 0.4, 0.08, 0.02]
    )
    at_ms = T0_MS + np.cumsum(dt)
    value = np.zeros(n, dtype=np.int64)
    register = int(rng.integers(0, limits.span))
    foreign = int(rng.integers(0, limits.span))
    trouble = rng.choice([0.02, 0.2, 0.5])
    for i in range(n):
        step = limits.rise_max(int(dt[i]))
        register += int(rng.integers(0, step + 1) * rng.choice([0, 0.1, 1.0]))
        kind = rng.integers(0, 8) if rng.random() < trouble else 99
        if kind == 0:
            register = int(rng.integers(0, limits.span))
        elif kind == 1:
            register += step + int(rng.integers(0, 3))
        elif kind == 2:
            register -= int(rng.integers(0, limits.reverse_max + 2))
        register %= limits.span
        value[i] = register
        if kind == 3:
            value[i] = rng.integers(-2, limits.span + 2)
        elif kind == 4:
            value[i] = foreign
        elif kind == 5:
            value[i] = min(register + int(rng.integers(0, step + 2)), limits.span)
        elif kind == 6:
            value[i] = rng.choice([0, limits.span - 1, limits.span * 19 // 20])
    return at_ms, value


def troubled_events(rng, limits, at_ms):
    """Up to two things the registry knows, at readings or between them."""
    events = []
    instants = rng.choice(at_ms, min(len(at_ms), int(rng.integers(0, 3))), replace=False)
    for at in instants.tolist():
        first, last = (
            None if rng.random() < 0.4 else int(rng.integers(0, limits.span)) for _ in range(2)
        )
        event_at = at - int(rng.choice([0, 500]))
        events.append(KnownEvent(0, event_at, "exchange", from_value=last, to_value=first))
    return events


class Store:
    """One channel's stored rows and events, fed in any order as the pipeline does it."""

    def __init__(self, limits, known, window):
        self.limits, self.known, self.window = limits, known, window
        self.rows = {}
        self.events = {}
        self.state = ChainState.empty(1)

    def arrive(self, readings):
        late = [at for at in readings if at <= self.state.last_at_ms[0]]
        todo = dict(readings)
        if late:
            restart = self.restart(min(late))
            self.state = restart.state
            self.events = {k: e for k, e in self.events.items() if e.at_ms <= restart.at_ms}
            todo |= {at: row[0] for at, row in self.rows.items() if at > restart.at_ms}
        at_ms = np.array(sorted(todo), dtype=np.int64)
        value = np.array([todo[at] for at in at_ms.tolist()], dtype=np.int64)
        zeros = np.zeros(len(at_ms), dtype=np.int32)
        limits = LimitColumns.of([self.limits])
        result = advance(self.state, limits, zeros, at_ms, value, self.known)
        for row in zip(at_ms.tolist(), value.tolist(), result.flags, result.curve, strict=True):
            self.rows[row[0]] = row[1:]
        for change in result.amended:
            old = self.rows[change.at_ms]
            self.rows[change.at_ms] = (old[0], change.flags, change.curve)
        self.events |= {(event.at_ms, event.kind): event for event in result.events}

    def restart(self, late_at_ms):
        length = self.window
        while True:
            at_ms, value, flags, _ = self.columns(before=late_at_ms, length=length)
            restart = restart_point(
                late_at_ms,
                at_ms,
                value,
                flags,
                list(self.events.values()),
                whole=len(at_ms) < length,
            )
            if restart is not None:
                return restart
            length *= 2

    def columns(self, before=2**62, length=10**9):
        ats = [at for at in sorted(self.rows) if at < before][-length:]
        rows = [self.rows[at] for at in ats]
        return (
            np.array(ats, dtype=np.int64),
            np.array([row[0] for row in rows], dtype=np.int64),
            np.array([row[1] for row in rows], dtype=np.uint32),
            np.array([row[2] for row in rows], dtype=np.int64),
        )


@given(seeds)
@fast(200)
def test_any_split_into_batches_equals_the_reference(seed):
    """Channels together, cut into batches anywhere: the same decisions, events and state."""
    rng = np.random.default_rng(seed)
    n_channels = int(rng.integers(1, 5))
    limits = [troubled_limits(rng) for _ in range(n_channels)]
    series = [troubled_series(rng, one, int(rng.integers(1, 60))) for one in limits]
    known = [troubled_events(rng, one, at) for one, (at, _) in zip(limits, series, strict=True)]
    flat_known = [
        KnownEvent(c, e.at_ms, e.kind, e.from_value, e.to_value)
        for c, events in enumerate(known)
        for e in events
    ]
    channel = np.concatenate([np.full(len(s[0]), c) for c, s in enumerate(series)])
    at_ms = np.concatenate([s[0] for s in series])
    value = np.concatenate([s[1] for s in series])
    last = int(at_ms.max())
    cuts = [0, *sorted(rng.integers(T0_MS, last, int(rng.integers(0, 12))).tolist()), last]
    state, columns = ChainState.empty(n_channels), LimitColumns.of(limits)
    final, events = {}, []
    for low, high in pairwise(cuts):
        rows = (at_ms > low) & (at_ms <= high)
        batch = channel[rows].astype(np.int32), at_ms[rows], value[rows]
        result = advance(state, columns, *batch, flat_known)
        ends = zip(batch[0].tolist(), batch[1].tolist(), result.flags, result.curve, strict=True)
        final |= {(c, at): (flags, curve) for c, at, flags, curve in ends}
        final |= {(a.channel, a.at_ms): (a.flags, a.curve) for a in result.amended}
        events += result.events
    for c, (ats, values) in enumerate(series):
        reference, expected = replay(limits[c], ats, values, known[c])
        got = [final[c, at] for at in ats.tolist()]
        assert [flags for flags, _ in got] == expected.flags.tolist()
        assert [curve for _, curve in got] == expected.curve.tolist()
        np.testing.assert_array_equal(state.cells[c], reference.cells[0])
        np.testing.assert_array_equal(state.pending[c], reference.pending[0])
        mine = [(e.at_ms, e.kind, e.offset_delta, e.curve) for e in events if e.channel == c]
        assert mine == [(e.at_ms, e.kind, e.offset_delta, e.curve) for e in expected.events]


@given(seeds)
@fast(250)
def test_any_order_of_arrival_equals_the_reference(seed):
    """In any order, in any batches, some again: the store ends up as if all came at once."""
    rng = np.random.default_rng(seed)
    limits = troubled_limits(rng)
    at_ms, value = troubled_series(rng, limits, int(rng.integers(2, 70)))
    known = troubled_events(rng, limits, at_ms)
    # From nearly in order to no order at all.
    disorder = rng.choice([1, 5, 1_000])
    order = np.argsort(np.arange(len(at_ms)) + rng.random(len(at_ms)) * disorder)
    order = np.concatenate([order, rng.choice(order, 3)])
    store = Store(limits, known, window=int(rng.choice([3, 10, 10_000])))
    for part in np.array_split(order, int(rng.integers(1, 10))):
        store.arrive({int(at_ms[i]): int(value[i]) for i in part})
    reference, expected = replay(limits, at_ms, value, known)
    _, _, flags, curve = store.columns()
    assert flags.tolist() == expected.flags.tolist()
    assert curve.tolist() == expected.curve.tolist()
    assert sorted(store.events.values(), key=lambda e: e.at_ms) == expected.events
    np.testing.assert_array_equal(store.state.cells, reference.cells)
    np.testing.assert_array_equal(store.state.pending, reference.pending)


@given(seeds)
@fast(200)
def test_where_a_chain_rejoins_nothing_later_changes(seed):
    """After a late or changed reading, the old decisions stand from the rejoining row on."""
    rng = np.random.default_rng(seed)
    limits = troubled_limits(rng)
    at_ms, value = troubled_series(rng, limits, 80)
    place = int(rng.integers(1, 20))
    old_value = value.copy()
    old_value[place] = (value[place] + rng.integers(1, limits.span)) % limits.span
    _, old = replay(limits, at_ms, old_value)
    _, new = replay(limits, at_ms, value)
    read = int(rng.integers(place + 1, 81))
    marked = old.flags[:read].copy()
    marked[place] = CHANGED_ROW
    row = rejoin_row(marked, old.curve[:read], new.flags[:read], new.curve[:read])
    if row is not None:
        assert row > place
        np.testing.assert_array_equal(old.flags[row:], new.flags[row:])
        np.testing.assert_array_equal(old.curve[row:], new.curve[row:])


@given(seeds)
@fast(200)
def test_the_curve_never_falls_and_use_is_never_negative(seed):
    """Whatever arrives, no customer is ever credited by the register, and no use is double."""
    rng = np.random.default_rng(seed)
    limits = troubled_limits(rng)
    at_ms, value = troubled_series(rng, limits, int(rng.integers(1, 80)))
    known = troubled_events(rng, limits, at_ms)
    _, result = replay(limits, at_ms, value, known)
    points = result.curve[result.usable]
    assert (np.diff(points) >= 0).all()
    ats, curves = curve_points(at_ms, value, result.flags, result.events)
    shared = np.isin(ats, at_ms[result.usable])
    np.testing.assert_array_equal(curves[shared], points)
    if len(ats):
        edges = np.sort(rng.integers(T0_MS, int(at_ms[-1]) + HOUR_MS, 20))
        curve = Curve(ats, curves)
        use = curve.use(edges)
        assert (use >= 0).all()
        assert use.sum() == curve.at(edges[-1:])[0] - curve.at(edges[:1])[0]
    np.testing.assert_array_equal(followed(result.flags), usable(result.flags))


@given(seeds)
@fast(100)
def test_use_is_never_more_than_possible(seed):
    """Between any two points of the curve there is no more use than the connection lets through."""
    rng = np.random.default_rng(seed)
    limits = troubled_limits(rng)
    at_ms, value = troubled_series(rng, limits, 60)
    _, result = replay(limits, at_ms, value)
    ats, curves = at_ms[result.usable], result.curve[result.usable]
    for i in range(len(ats) - 1):
        assert curves[i + 1] - curves[i] <= limits.rise_max(int(ats[i + 1] - ats[i]))


def honest_series(rng, limits, n):
    """Hourly readings of a calm register that uses up to a tenth of what is possible."""
    use = rng.integers(0, limits.rate_max_per_h // 10, n)
    use[-12:] = limits.rate_max_per_h // 12
    start = int(rng.integers(0, limits.span // 2))
    at_ms = T0_MS + HOUR_MS * np.arange(n, dtype=np.int64)
    return at_ms, start + np.cumsum(use)


def calm_limits(rng):
    """Limits of a household's water meter, with a short dial or a long one."""
    rate = int(rng.choice([1_000, 3_750]))
    return ChannelLimits(int(rng.choice([10**5, 10**9])), rate, rate // 20)


@given(seeds)
@fast(300)
def test_a_single_wild_reading_never_changes_the_use(seed):
    """One reading replaced by any value, possible or not, near the dial's end or not."""
    rng = np.random.default_rng(seed)
    limits = calm_limits(rng)
    at_ms, true_curve = honest_series(rng, limits, 40)
    if rng.random() < 0.4:
        true_curve += limits.span - true_curve[20] + int(rng.integers(-500, 500))
    value = true_curve % limits.span
    wild = int(rng.integers(1, 24))
    near = int(value[wild] + rng.integers(-2, 3) * limits.rate_max_per_h + rng.integers(-99, 99))
    anywhere = int(rng.integers(-5, limits.span + 5))
    value[wild] = rng.choice([near, anywhere, 0, limits.span - 1])
    state, result = replay(limits, at_ms, value)
    assert result.curve[-1] - result.curve[0] == true_curve[-1] - true_curve[0]
    assert [event.kind for event in result.events if event.kind != "rollover"] == []
    assert state.pending_n[0] == 0


@given(seeds)
@fast(100)
def test_two_wild_readings_on_one_level_never_change_the_use(seed):
    """Fewer than `confirm` readings that agree with one another move nothing either."""
    rng = np.random.default_rng(seed)
    limits = calm_limits(rng)
    at_ms, true_curve = honest_series(rng, limits, 40)
    value = true_curve % (2**40)
    limits = ChannelLimits(10**12, limits.rate_max_per_h, limits.reverse_max)
    wild = int(rng.integers(2, 24))
    level = int(value[wild] + rng.integers(-20, 20) * limits.rate_max_per_h // 7)
    value[wild : wild + 2] = max(level, 0)
    _, result = replay(limits, at_ms, value)
    assert result.curve[-1] - result.curve[0] == true_curve[-1] - true_curve[0]
    assert result.events == []


@given(seeds)
@fast(60)
def test_a_foreign_register_between_the_readings_never_changes_the_use(seed):
    """Two registers on one channel, interleaved for hours: all of the foreign one fails."""
    rng = np.random.default_rng(seed)
    limits = ChannelLimits(10**9, 3_750, 200)
    at_ms, true_curve = honest_series(rng, limits, 40)
    value = true_curve % 10**9
    begin, count = int(rng.integers(1, 10)), int(rng.integers(1, 20))
    sign = int(rng.choice([-1, 1])) if value[0] > 10**6 else 1
    foreign_at = at_ms[begin : begin + count] + int(rng.integers(1, HOUR_MS))
    foreign = value[begin : begin + count] + sign * 248_000
    order = np.argsort(np.concatenate([at_ms, foreign_at]))
    _, result = replay(
        limits,
        np.concatenate([at_ms, foreign_at])[order],
        np.concatenate([value, foreign])[order],
    )
    assert result.curve[-1] - result.curve[0] == true_curve[-1] - true_curve[0]
    np.testing.assert_array_equal(result.usable, order < len(at_ms))


@given(seeds)
@fast(60)
def test_an_unexplained_jump_is_never_billed(seed):
    """Up or down, for good: the use is the true one less the use across the jump."""
    rng = np.random.default_rng(seed)
    limits = ChannelLimits(10**7, 1_000, 50)
    at_ms, use_curve = honest_series(rng, limits, 40)
    register = 4_000_000 + use_curve - use_curve[0]
    jump = int(rng.integers(1, 30))
    size = limits.rise_max(HOUR_MS) + 1 + int(rng.integers(0, 10**6))
    size = size if rng.random() < 0.5 else -size - 5_000
    value = register.copy()
    value[jump:] += size
    # A silence after the jump must not make it possible.
    at_ms[jump + 1 :] += int(rng.choice([0, 200])) * HOUR_MS
    _, result = replay(limits, at_ms, value)
    assert [e.kind for e in result.events] == ["step_up" if size > 0 else "step_down"]
    expected = register[-1] - register[0] - (register[jump] - register[jump - 1])
    assert result.curve[-1] - result.curve[0] == expected


@given(seeds)
@fast(60)
def test_an_exchange_read_on_both_sides_loses_nothing(seed):
    """With the old register's last and the new one's first value the use is exact."""
    rng = np.random.default_rng(seed)
    limits = ChannelLimits(10**7, 1_000, 50)
    at_ms, true_curve = honest_series(rng, limits, 40)
    true_curve = true_curve - true_curve[0] + 5_000_000
    place = int(rng.integers(1, 40))
    at = int(at_ms[place]) - int(rng.integers(0, HOUR_MS))
    last = int(Curve(at_ms, true_curve).at(np.array([at]))[0])
    first = int(rng.integers(0, 10**6))
    value = true_curve.copy()
    value[place:] += first - last
    known = [KnownEvent(0, at, "exchange", from_value=last, to_value=first)]
    _, result = replay(limits, at_ms, value, known)
    assert result.usable.all()
    assert result.curve.tolist() == true_curve.tolist()


def exact_at(at_ms, curve, instant):
    """The definition of the curve in Python's integers."""
    if instant <= at_ms[0]:
        return curve[0]
    if instant >= at_ms[-1]:
        return curve[-1]
    i = max(j for j, at in enumerate(at_ms) if at <= instant)
    dt = at_ms[i + 1] - at_ms[i]
    return curve[i] + (curve[i + 1] - curve[i]) * (instant - at_ms[i]) // dt


@given(
    st.lists(st.integers(1, 10**12), min_size=1, max_size=8),
    st.lists(st.integers(0, 10**17), min_size=8, max_size=8),
    st.lists(st.floats(-0.1, 1.1), min_size=1, max_size=8),
)
@fast(200)
def test_the_curve_is_exact_at_any_instant(dt_ms, rises, where):
    """Gaps of decades and curves of 10^17 neither overflow nor lose a digit."""
    at_ms = np.cumsum(np.array(dt_ms, dtype=np.int64))
    curve = np.cumsum(np.array(rises[: len(dt_ms)], dtype=np.int64))
    span = int(at_ms[-1] - at_ms[0])
    instants = np.array([int(at_ms[0]) + int(w * span) for w in where], dtype=np.int64)
    made = Curve(at_ms, curve)
    expected = [exact_at(at_ms.tolist(), curve.tolist(), t) for t in instants.tolist()]
    assert made.at(instants).tolist() == expected
    inside = [at_ms[0] <= t <= at_ms[-1] for t in instants]
    assert made.known(instants).tolist() == inside
