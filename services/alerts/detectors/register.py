"""Rules about readings off the curve: running backwards, and wild single reads.

Such readings are rare, so this is a plain state machine over them and over the readings that end
their runs; all other readings only move the mark, in columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.alerts.detectors import rules
from services.alerts.detectors.findings import (
    DAY_MS,
    HOUR_MS,
    NEVER_MS,
    Bools,
    Ended,
    Finding,
    Int64s,
    Raised,
    split_key,
)
from services.alerts.detectors.segments import Segments
from services.alerts.detectors.state import ChannelState
from services.alerts.domain import Kind
from services.metering import quality
from services.metering.quality import Rule

BACK_MASK = np.uint32(Rule.BELOW_MARK | Rule.V17_NEGATIVE)
WILD_MASK = np.uint32(Rule.V17_NEGATIVE | Rule.V18_DIAL | Rule.V20_PHYSICAL_LIMIT)
BELOW_MASK = np.uint32(Rule.BELOW_MARK)


def on_curve(flags: quality.Flags) -> Bools:
    """Which readings the register itself shows as the curve, shape of `flags`.

    A reading below the mark is billed as flat, but says nothing of whether anything flows.
    """
    result: Bools = quality.usable(flags) & ((flags & BELOW_MASK) == 0)
    return result


@dataclass(frozen=True, slots=True)
class Ordered:
    """Readings in order of channel and time, none of them late.

    Attributes:
        segments: Which reading belongs to which channel.
        at: Instants, ms, int64, shape (n,).
        value: Registers as read, digits, int64, shape (n,).
        curve: Continuous registers, digits, int64, shape (n,).
        flags: Quality bits, uint32, shape (n,).
        usable: Which readings are `on_curve`, bool, shape (n,).
    """

    segments: Segments
    at: Int64s
    value: Int64s
    curve: Int64s
    flags: quality.Flags
    usable: Bools


def observe(
    readings: Ordered,
    keys: Int64s,
    state: ChannelState,
    limits: rules.LimitColumns,
) -> list[Finding]:
    """Run the rules and move the marks; arguments as in `flow.observe`."""
    segments, usable = readings.segments, readings.usable
    carried = state.odd_n[segments.row] > 0
    findings: list[Finding] = []
    if carried.any() or not usable.all():
        after_odd = segments.before(~usable, carried)
        of = segments.expand(np.arange(len(segments.row)))
        machine: _Machine | None = None
        for i in np.flatnonzero(~usable | after_odd).tolist():
            segment = int(of[i])
            row = int(segments.row[segment])
            if machine is None or machine.row != row:
                machine = _Machine(row, int(keys[row]), state, limits)
            if i > segments.first[segment] and usable[i - 1]:
                machine.mark(readings, i - 1)
            findings += machine.take(readings, i)
    kept = segments.keep(usable)
    rows = kept.row
    if len(rows):
        last = kept.last if usable.all() else np.flatnonzero(usable)[kept.last]
        state.mark_at[rows] = readings.at[last]
        state.mark_value[rows] = readings.value[last]
        state.mark_offset[rows] = readings.curve[last] - readings.value[last]
    return findings


class _Machine:
    """One channel's run of odd readings; it works on the columns themselves."""

    def __init__(
        self,
        row: int,
        key: int,
        state: ChannelState,
        limits: rules.LimitColumns,
    ) -> None:
        self.row = row
        self._meter_id, self._channel = split_key(key)
        self._state = state
        self._reverse_min = int(limits.reverse_min[row])
        self._rate_max = int(limits.rate_max[row])

    def mark(self, readings: Ordered, i: int) -> None:
        """Reading i is usable: later ones are compared with it."""
        state, row = self._state, self.row
        state.mark_at[row] = readings.at[i]
        state.mark_value[row] = readings.value[i]
        state.mark_offset[row] = readings.curve[i] - readings.value[i]

    def take(self, readings: Ordered, i: int) -> list[Finding]:
        """Reading i is odd, or the first usable one after odd ones."""
        at, value = int(readings.at[i]), int(readings.value[i])
        if readings.usable[i]:
            return self._back_on_curve(at, int(readings.curve[i]) - value, value)
        flags, state, row = readings.flags[i], self._state, self.row
        state.odd_n[row] += 1
        findings: list[Finding] = []
        if flags & BACK_MASK:
            if not state.back_n[row]:
                state.back_at[row] = at
            state.back_n[row] += 1
            findings += self._reverse(at, value)
        else:
            state.back_n[row] = 0
        if flags & WILD_MASK and not flags & BELOW_MASK:
            if not state.wild_n[row]:
                state.wild_at[row], state.wild_value[row] = at, value
            state.wild_n[row] += 1
            if state.wild_n[row] == rules.BAD_READINGS_OPEN:
                findings += self._bad(at)
        return findings

    def _reverse(self, at: int, value: int) -> list[Finding]:
        """Going back by more than jitter for two readings, no faster than a flow could."""
        state, row = self._state, self.row
        back = int(state.mark_value[row]) - value
        time = at - int(state.mark_at[row])
        if (
            state.mark_at[row] == NEVER_MS
            or state.reverse[row]
            or state.back_n[row] < rules.REVERSE_READINGS
            or back <= self._reverse_min
            or back * HOUR_MS > self._rate_max * time
        ):
            return []
        state.reverse[row] = 1
        facts = self._facts(at, value) | {
            "threshold": self._reverse_min,
            "readings_n": int(state.back_n[row]),
        }
        started = int(state.back_at[row])
        return [Raised(Kind.REVERSE, self._meter_id, self._channel, started, at, facts)]

    def _bad(self, at: int) -> list[Finding]:
        """One alert a day at the most, and none for a register that runs backwards."""
        state, row = self._state, self.row
        started = int(state.wild_at[row])
        day = started // DAY_MS
        known = state.mark_at[row] != NEVER_MS
        if not known or state.bad[row] or state.reverse[row] or state.bad_day[row] == day:
            return []
        state.bad[row], state.bad_day[row] = 1, day
        facts = self._facts(at, int(state.wild_value[row])) | {
            "readings_n": int(state.wild_n[row]),
            "wild_ms": started,
        }
        return [Raised(Kind.BAD_READ, self._meter_id, self._channel, started, at, facts)]

    def _back_on_curve(self, at: int, offset: int, value: int) -> list[Finding]:
        """A usable reading: the run is over; was it a wild read that returned, or a step?"""
        state, row = self._state, self.row
        findings: list[Finding] = []
        if state.wild_n[row] and offset == state.mark_offset[row]:
            findings += self._bad(at)
        for kind, column in ((Kind.REVERSE, state.reverse), (Kind.BAD_READ, state.bad)):
            if column[row]:
                facts = {"at_ms": at, "value": value}
                findings.append(Ended(kind, self._meter_id, self._channel, at, facts))
                column[row] = 0
        for count in (state.odd_n, state.back_n, state.wild_n):
            count[row] = 0
        return findings

    def _facts(self, at: int, value: int) -> dict[str, int]:
        state, row = self._state, self.row
        return {
            "mark_ms": int(state.mark_at[row]),
            "mark_value": int(state.mark_value[row]),
            "at_ms": at,
            "value": value,
        }
