"""Not reporting: a meter silent for longer than it may be.

Time is event time. `watermark` is the newest reading of the tenant in this partition; a meter is
overdue when the watermark has passed its last reading by more than its limit. A load of history
moves the watermark far ahead of the meters that are still to come, so a meter is also given `quiet`
time on the doors' clock: only if no door took in anything of it for that long is it missed. Both
clocks come with the readings; only where all of them were taken in does the doors' clock go on.

The verdict is reached reading by reading in order of arrival, so that the cut into batches does not
matter: an alert starts at last reading + limit, is raised by the reading that moved the watermark
there (or by the meter's own next reading, which shows the gap, or by the first look at a stream
that rests) and is ended by that next reading.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.alerts.detectors.findings import NEVER_MS, Ended, Finding, Int64s, Raised
from services.alerts.detectors.segments import Segments, high_before
from services.alerts.detectors.state import MeterState
from services.alerts.domain import Kind

_FAR_MS = 2**61
#: Instead of a quiet time: the readings come in order of event time, the watermark decides alone.
IN_ORDER = -1


@dataclass(slots=True)
class Watch:
    """The two clocks of a tenant's stream, and when it is worth looking at all meters.

    Attributes:
        quiet_ms: How long no door must have heard of a meter that is overdue, or IN_ORDER.
        watermark_ms: Newest event time seen.
        received_ms: Newest instant a door took something in.
        due_ms: No meter can become overdue before the watermark passes this.
        due_received_ms: None that is overdue has been quiet for long enough before this.
    """

    quiet_ms: int
    watermark_ms: int = NEVER_MS
    received_ms: int = NEVER_MS
    due_ms: int = -_FAR_MS
    due_received_ms: int = -_FAR_MS

    def look_again(self) -> None:
        """Limits changed or meters came in: look at all of them with the next batch."""
        self.due_ms = self.due_received_ms = -_FAR_MS

    def observe(
        self,
        at: Int64s,
        order: Int64s,
        segments: Segments,
        received_ms: int,
        meter_id: Int64s,
        limit_ms: Int64s,
        state: MeterState,
    ) -> list[Finding]:
        """Take in a batch and sweep.

        Args:
            at: Instants in order of arrival, ms, shape (n,), n > 0.
            order: Positions in `at` sorted by meter, in order of arrival within it, shape (n,).
            segments: Stretches of `order` of one meter each; rows of `state`.
            received_ms: When a door took the batch in.
            meter_id: Meter of each row.
            limit_ms: How long each row's meter may be silent.
            state: The meters' state.
        """
        self.received_ms = max(self.received_ms, received_ms)
        mark = np.maximum(np.maximum.accumulate(at), self.watermark_ms)
        verdict = _Verdict(self, mark, meter_id, limit_ms, state)
        findings = verdict.meters_of(at[order], order, segments)
        row = segments.row
        due = state.last_at[row] + limit_ms[row]
        self.watermark_ms = int(mark[-1])
        ahead = due[due >= self.watermark_ms]
        self.due_ms = min(self.due_ms, int(ahead.min(initial=_FAR_MS)))
        if len(ahead) < len(due):
            self.due_received_ms = min(self.due_received_ms, self.received_ms + self.quiet_ms)
        if self.watermark_ms > self.due_ms or self.received_ms > self.due_received_ms:
            findings += verdict.sweep()
        return findings

    def advance(
        self,
        watermark_ms: int,
        received_ms: int,
        meter_id: Int64s,
        limit_ms: Int64s,
        state: MeterState,
    ) -> list[Finding]:
        """Take over how far the tenant's other partitions have come, and sweep."""
        self.watermark_ms = max(self.watermark_ms, watermark_ms)
        self.received_ms = max(self.received_ms, received_ms)
        mark = np.array([self.watermark_ms], dtype=np.int64)
        return _Verdict(self, mark, meter_id, limit_ms, state).sweep()


@dataclass(slots=True)
class _Verdict:
    """One batch judged: `mark` is the watermark after each of its readings."""

    watch: Watch
    mark: Int64s
    meter_id: Int64s
    limit_ms: Int64s
    state: MeterState

    def meters_of(self, at: Int64s, order: Int64s, segments: Segments) -> list[Finding]:
        """The meters that have readings in the batch; brings their state up to date."""
        state, watch, row, first = self.state, self.watch, segments.row, segments.first
        carry = state.last_at[row]
        known = carry != NEVER_MS
        due = carry + self.limit_ms[row]
        # Before a meter's first reading came, had the reading before it moved the clock too far?
        arrival = order[first]
        mark_before = np.where(arrival > 0, self.mark[arrival - 1], watch.watermark_ms)
        quiet = watch.received_ms > state.received_at[row] + watch.quiet_ms
        was_open = state.offline[row] != 0
        overdue = known & ~was_open & quiet & (mark_before > due)
        high = high_before(at, carry, segments)
        advances = at > high
        unknown = ~known
        gap = advances & (at - high > segments.expand(self.limit_ms[row]))
        gap[first[unknown]] = False

        findings: list[Finding] = []
        last = segments.last
        is_open = was_open | overdue
        if is_open.any() or gap.any():
            eventful = is_open | segments.any(gap)
            for k in np.flatnonzero(eventful).tolist():
                span = slice(int(first[k]), int(last[k]) + 1)
                findings += self._meter(
                    int(row[k]),
                    bool(was_open[k]),
                    bool(overdue[k]),
                    at[span],
                    high[span],
                    advances[span],
                    gap[span],
                )
        state.last_at[row] = np.maximum(high[last], at[last])
        state.received_at[row] = watch.received_ms
        if is_open.any():
            state.offline[row] = is_open & ~segments.any(advances)
        return findings

    def _meter(
        self,
        row: int,
        was_open: bool,
        overdue: bool,
        at: Int64s,
        high: Int64s,
        advances: np.ndarray,
        gap: np.ndarray,
    ) -> list[Finding]:
        """One meter with something to tell: what was open ends, each gap begins and ends."""
        findings: list[Finding] = []
        if overdue:
            findings.append(self._raised(row, self._crossing(int(high[0]), row)))
        pending = was_open or overdue
        for i in np.flatnonzero(gap | advances if pending else gap).tolist():
            last_ms, at_ms = int(high[i]), int(at[i])
            started_ms = last_ms + int(self.limit_ms[row])
            if not pending and not gap[i]:
                continue
            if not pending:
                in_order = self.watch.quiet_ms == IN_ORDER
                known_ms = self._crossing(last_ms, row) if in_order else at_ms
                findings.append(self._raised(row, known_ms, last_ms))
            facts = {"last_ms": last_ms, "at_ms": at_ms}
            ended_ms = max(at_ms, started_ms)
            findings.append(Ended(Kind.OFFLINE, int(self.meter_id[row]), 0, ended_ms, facts))
            pending = False
        return findings

    def sweep(self) -> list[Finding]:
        """All meters: raise those that are overdue and quiet, note when the next may be."""
        watch, state = self.watch, self.state
        n = len(self.meter_id)
        due = state.last_at[:n] + self.limit_ms[:n]
        waiting = (state.offline[:n] == 0) & (state.last_at[:n] != NEVER_MS)
        overdue = waiting & (watch.watermark_ms > due)
        quiet_at = state.received_at[:n] + watch.quiet_ms
        missed = overdue & (watch.received_ms > quiet_at)
        findings: list[Finding] = []
        for row in np.flatnonzero(missed).tolist():
            findings.append(self._raised(row, self._crossing(int(state.last_at[row]), row)))
            state.offline[row] = 1
        watch.due_ms = int(due[waiting & ~overdue].min(initial=_FAR_MS))
        watch.due_received_ms = int(quiet_at[overdue & ~missed].min(initial=_FAR_MS))
        return findings

    def _crossing(self, last_ms: int, row: int) -> int:
        """The watermark at which the meter became overdue, as far as this batch shows it."""
        due = last_ms + int(self.limit_ms[row])
        place = int(np.searchsorted(self.mark, due, side="right"))
        return int(self.mark[min(place, len(self.mark) - 1)])

    def _raised(self, row: int, detected_ms: int, last_ms: int | None = None) -> Raised:
        last_ms = int(self.state.last_at[row]) if last_ms is None else last_ms
        limit_ms = int(self.limit_ms[row])
        facts = {"last_ms": last_ms, "threshold_ms": limit_ms, "at_ms": detected_ms}
        started_ms = last_ms + limit_ms
        return Raised(Kind.OFFLINE, int(self.meter_id[row]), 0, started_ms, detected_ms, facts)
