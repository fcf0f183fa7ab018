"""Rules about flow: continuous flow (leak), high flow (burst), no flow (stuck).

They work on hour points, the first usable reading of each hour, and on the steps between them. A
step is still, moving or says nothing; a rule adds up the time of the steps that speak for it since
the last one that spoke against. So each rule is a sum in the state and a comparison, and the same
stream gives the same alerts however it is cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from services.alerts.detectors import rules
from services.alerts.detectors.findings import (
    HOUR_MS,
    NEVER_MS,
    Bools,
    Ended,
    Finding,
    Int64s,
    Raised,
    split_key,
)
from services.alerts.detectors.segments import Segments, extremes, runs
from services.alerts.detectors.state import ChannelState
from services.alerts.domain import Kind

#: Bounds that keep products of a step's use and time within int64: 2^31 digits, 24 days.
_USE_MAX = 2**31
_STEP_MS_MAX = 2**31


@dataclass(frozen=True, slots=True)
class Steps:
    """Hour points of many channels and the steps that led to them; all int64 of shape (n,).

    Attributes:
        segments: Which point belongs to which channel.
        at: Instants of the points, ms.
        curve: Continuous registers, digits.
        before_at: Instants of the points before, NEVER_MS for a channel's first.
        before_curve: Their registers.
        time: Length of the step, ms, bounded.
        use: Movement in the step, digits, bounded.
        rate: Thousandths of a digit per hour.
        hours: Whole hours of the step, rounded, at least 1.
        fresh: The point is a channel's first.
    """

    segments: Segments
    at: Int64s
    curve: Int64s
    before_at: Int64s
    before_curve: Int64s
    time: Int64s
    use: Int64s
    rate: Int64s
    hours: Int64s
    fresh: Bools

    def take(self, channels: Bools) -> Steps:
        """The steps of the segments where `channels` is set."""
        rows = self.segments.expand(channels)
        return Steps(
            self.segments.pick(channels),
            self.at[rows],
            self.curve[rows],
            self.before_at[rows],
            self.before_curve[rows],
            self.time[rows],
            self.use[rows],
            self.rate[rows],
            self.hours[rows],
            self.fresh[rows],
        )


def steps_of(segments: Segments, at: Int64s, curve: Int64s, state: ChannelState) -> Steps | None:
    """The hour points among usable readings, or None if there are none."""
    hour = at // HOUR_MS
    is_point = hour > segments.before(hour, state.point_at[segments.row] // HOUR_MS)
    if not is_point.any():
        return None
    if not is_point.all():
        segments, at, curve = segments.keep(is_point), at[is_point], curve[is_point]
    before_at = segments.before(at, state.point_at[segments.row])
    before_curve = segments.before(curve, state.point_curve[segments.row])
    time = np.minimum(at - before_at, _STEP_MS_MAX)
    use = np.clip(curve - before_curve, 0, _USE_MAX)
    return Steps(
        segments=segments,
        at=at,
        curve=curve,
        before_at=before_at,
        before_curve=before_curve,
        time=time,
        use=use,
        rate=use * (HOUR_MS * 1000) // time,
        hours=np.maximum((time + HOUR_MS // 2) // HOUR_MS, 1),
        fresh=before_at == NEVER_MS,
    )


def observe(
    steps: Steps, keys: Int64s, state: ChannelState, limits: rules.LimitColumns
) -> list[Finding]:
    """Run the flow rules over the steps and bring the state up to their last points.

    Args:
        steps: Points and steps.
        keys: Key of each row of the state.
        state: The channels' state.
        limits: Their thresholds.
    """
    findings = [
        *_Rule(Kind.LEAK, steps, keys).leak(state, limits),
        *_Rule(Kind.BURST, steps, keys).burst(state, limits),
        *_Rule(Kind.STUCK, steps, keys).stuck(state, limits),
    ]
    row, last = steps.segments.row, steps.segments.last
    state.point_at[row] = steps.at[last]
    state.point_curve[row] = steps.curve[last]
    return findings


@dataclass(frozen=True, slots=True)
class _Held:
    """A rule about something that lasts; shape (n,) each, an entry a step.

    Attributes:
        counts: The step's time speaks for the cause; no step that clears does.
        clear: The step speaks against it.
        limit: Counted time from which the cause is raised, ms.
        threshold: What a step was compared with, digits per hour; for the evidence.
        ufunc: np.minimum or np.maximum: which rate of the run is worth telling.
        no_rate: Its neutral value.
    """

    counts: Bools
    clear: Bools
    limit: Int64s
    threshold: Int64s
    ufunc: Any
    no_rate: int

    def take(self, rows: Bools) -> _Held:
        """The entries where `rows` is set."""
        return replace(
            self,
            counts=self.counts[rows],
            clear=self.clear[rows],
            limit=self.limit[rows],
            threshold=self.threshold[rows],
        )


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule over one batch of steps."""

    kind: Kind
    steps: Steps
    keys: Int64s

    def leak(self, state: ChannelState, limits: rules.LimitColumns) -> list[Finding]:
        """Use in every hour for `leak_ms`; an hour without clears, a gap says nothing."""
        steps, expand = self.steps, self.steps.segments.expand
        row = steps.segments.row
        minimum = expand(limits.leak_min[row])
        moving = steps.use >= minimum * steps.hours
        clear = ~moving & (steps.time >= rules.STEP_MIN_MS)
        clear |= (steps.time > rules.GAP_MAX_MS) | steps.fresh
        counts = moving & (steps.time <= rules.STEP_MAX_MS) & ~clear
        limit = expand(limits.leak_ms[row])
        held = _Held(counts, clear, limit, minimum, np.minimum, np.iinfo(np.int64).max)
        return self._held(held, state, ("leak_ms", "leak_at", "leak_curve", "leak_rate", "leak"))

    def burst(self, state: ChannelState, limits: rules.LimitColumns) -> list[Finding]:
        """A rate above `burst_min` for two hours; the rate counts over the time that passed."""
        steps, expand = self.steps, self.steps.segments.expand
        minimum = expand(limits.burst_min[steps.segments.row])
        high = (steps.rate > minimum * 1000) & ~steps.fresh
        clear = (~high & (steps.time >= rules.STEP_MIN_MS)) | steps.fresh
        limit = np.full(len(minimum), rules.BURST_MS, dtype=np.int64)
        held = _Held(high, clear, limit, minimum, np.maximum, 0)
        names = ("burst_ms", "burst_at", "burst_curve", "burst_rate", "burst")
        return self._held(held, state, names)

    def _held(
        self, held: _Held, state: ChannelState, names: tuple[str, str, str, str, str]
    ) -> list[Finding]:
        """Raise where counted time since the last clearing reaches the limit, end where it clears.

        Args:
            held: What counts, what clears, and the limits.
            state: The channels' state.
            names: Columns of time, instant and register at the beginning, rate, and raised.
        """
        segments = self.steps.segments
        time, *others = (getattr(state, name) for name in names)
        active = segments.any(held.counts) | (time[segments.row] > 0)
        if not active.any():
            return []
        # Few channels have anything to say about bursts; picking few out of many pays.
        if 2 * np.count_nonzero(active) < len(active):
            chosen = _Rule(self.kind, self.steps.take(active), self.keys)
            return chosen._held_active(held.take(segments.expand(active)), time, *others)
        return self._held_active(held, time, *others)

    def _held_active(
        self,
        held: _Held,
        time: Int64s,
        began_at: Int64s,
        began_curve: Int64s,
        extreme: Int64s,
        is_open: Int64s,
    ) -> list[Finding]:
        steps, segments, clear = self.steps, self.steps.segments, held.clear
        row, first, last = segments.row, segments.first, segments.last
        # What is raised stays raised and what is not must still be, even if thresholds changed.
        carry, bound = time[row], held.limit[first]
        carry = np.where(is_open[row] != 0, np.maximum(carry, bound), np.minimum(carry, bound - 1))
        run = runs(np.where(held.counts, steps.time, 0), clear, carry, segments)
        before = segments.before(run, carry)
        begins = held.counts & (before == 0)
        start, own = segments.since(begins)
        rate = np.where(held.counts, steps.rate, held.no_rate)
        rate[first] = np.where(begins[first], rate[first], held.ufunc(rate[first], extreme[row]))

        def beginning(i: int, r: int) -> tuple[int, int]:
            if own[i]:
                return int(steps.before_at[start[i]]), int(steps.before_curve[start[i]])
            return int(began_at[r]), int(began_curve[r])

        findings: list[Finding] = []
        raised = (run >= held.limit) & (before < held.limit)
        ended = clear & (before >= held.limit)
        for i in np.flatnonzero(raised | ended).tolist():
            k = self._segment(i)
            r = int(row[k])
            if raised[i]:
                from_i = int(start[i]) if own[i] else int(first[k])
                worst = int(held.ufunc.reduce(rate[from_i : i + 1]))
                findings.append(self._run_raised(i, r, beginning(i, r), worst, held))
            else:
                carried = i == first[k]
                began = int(began_curve[r]) if carried else beginning(i - 1, r)[1]
                facts = {"used": int(steps.before_curve[i]) - began, "at_ms": int(steps.at[i])}
                findings.append(self._ended(r, facts))

        tail, own_tail = start[last], own[last]
        time[row] = run[last]
        is_open[row] = run[last] >= held.limit[last]
        began_at[row[own_tail]] = steps.before_at[tail[own_tail]]
        began_curve[row[own_tail]] = steps.before_curve[tail[own_tail]]
        extreme[row] = extremes(held.ufunc, rate, np.where(own_tail, tail, first), last)
        return findings

    def _run_raised(
        self, i: int, row: int, beginning: tuple[int, int], worst: int, held: _Held
    ) -> Raised:
        steps = self.steps
        facts = {
            "from_ms": beginning[0],
            "from_curve": beginning[1],
            "before_ms": int(steps.before_at[i]),
            "before_curve": int(steps.before_curve[i]),
            "at_ms": int(steps.at[i]),
            "curve": int(steps.curve[i]),
            "rate_milli": worst,
            "threshold": int(held.threshold[i]),
            "threshold_ms": int(held.limit[i]),
        }
        return self._raised(row, beginning[0], facts["at_ms"], facts)

    def stuck(self, state: ChannelState, limits: rules.LimitColumns) -> list[Finding]:
        """No movement for `stuck_ms` and for twice the longest pause the meter has ever made."""
        steps, segments = self.steps, self.steps.segments
        row, first, last = segments.row, segments.first, segments.last
        moved = (steps.curve != steps.before_curve) | steps.fresh
        carried_at, carried_longest = state.still_at[row], state.dry_max[row]
        start, own = segments.since(moved)
        still_at = np.where(own, steps.at[start], segments.expand(carried_at))

        # A pause is over at the step that moved: its length is up to the point before.
        pause = steps.before_at - segments.before(still_at, carried_at)
        pause[steps.fresh] = 0
        longest = _longest(np.where(moved, pause, 0), carried_longest, segments)
        # Until the pause is over, `longest` holds those before it.
        longest_before = segments.before(longest, carried_longest)
        least = segments.expand(limits.stuck_ms[row])
        limit = np.maximum(least, np.minimum(2 * longest_before, rules.TIME_OFF_MS))
        before = pause >= limit
        open_carried = state.stuck[row] != 0
        if open_carried.any():
            # What is raised stays raised until it moves, even if thresholds changed since.
            first_run = ~segments.before(own, np.zeros(len(row), dtype=bool))
            before |= first_run & segments.expand(open_carried)
        before[first] = open_carried
        now = ~moved & (before | (steps.at - still_at >= limit))
        findings = self._stuck_findings(now & ~before, moved & before, still_at, pause, limit)
        state.still_at[row] = still_at[last]
        longer = longest[last] > carried_longest
        state.dry_max[row[longer]] = longest[last][longer]
        state.stuck[row] = now[last]
        return findings

    def _stuck_findings(
        self, raised: Bools, ended: Bools, still_at: Int64s, pause: Int64s, limit: Int64s
    ) -> list[Finding]:
        steps = self.steps
        findings: list[Finding] = []
        for i in np.flatnonzero(raised | ended).tolist():
            row = int(steps.segments.row[self._segment(i)])
            if ended[i]:
                facts = {"still_ms": int(pause[i]), "at_ms": int(steps.at[i])}
                findings.append(self._ended(row, facts))
                continue
            facts = {
                "from_ms": int(still_at[i]),
                "at_ms": int(steps.at[i]),
                "curve": int(steps.curve[i]),
                "from_curve": int(steps.curve[i]),
                "threshold_ms": int(limit[i]),
            }
            findings.append(self._raised(row, facts["from_ms"], facts["at_ms"], facts))
        return findings

    def _segment(self, element: int) -> int:
        return int(np.searchsorted(self.steps.segments.first, element, side="right")) - 1

    def _raised(self, row: int, started_ms: int, at_ms: int, facts: dict[str, int]) -> Raised:
        meter_id, channel = split_key(int(self.keys[row]))
        return Raised(self.kind, meter_id, channel, started_ms, at_ms, facts)

    def _ended(self, row: int, facts: dict[str, int]) -> Ended:
        meter_id, channel = split_key(int(self.keys[row]))
        return Ended(self.kind, meter_id, channel, facts["at_ms"], facts)


def _longest(pause: Int64s, carry: Int64s, segments: Segments) -> Int64s:
    """The longest of the carry and all pauses up to each element of its segment, ms."""
    start = pause.copy()
    start[segments.first] = np.maximum(start[segments.first], carry)
    if segments.single:
        return start
    lift = segments.expand(np.arange(len(segments.row), dtype=np.int64) * (int(start.max()) + 1))
    result: Int64s = np.maximum.accumulate(start + lift) - lift
    return result
