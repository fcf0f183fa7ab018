"""All detectors of one tenant in one partition: readings in, findings out, state in columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from services.alerts.detectors import flow, register, rules, state
from services.alerts.detectors.findings import CHANNEL_BITS, Finding, Int64s, Readings, split_key
from services.alerts.detectors.offline import Watch
from services.alerts.detectors.segments import Segments, high_before, segments_of
from services.alerts.meters import MeterFacts, unknown_meter
from services.kit.errors import Fault
from services.metering import quality

#: A meter nobody heard of for an hour on the doors' clock is missed once it is overdue.
QUIET_MS = 3_600_000

#: Gives the facts of those of the meters that are known.
Catalogue = Callable[[Sequence[int]], Mapping[int, MeterFacts]]
_REJECT = np.uint32(quality.REJECT_MASK)


class Detectors:
    """State and rules; `observe` is the hot path, about half a microsecond a reading."""

    def __init__(self, catalogue: Catalogue, quiet_ms: int = QUIET_MS) -> None:
        self._catalogue = catalogue
        self._channels = state.Index()
        self._meters = state.Index()
        self._channel_state = state.empty(state.ChannelState, 0)
        self._meter_state = state.empty(state.MeterState, 0)
        self._limits = rules.LimitColumns.empty(0)
        self._offline_ms = np.zeros(0, dtype=np.int64)
        self._meter_row = np.zeros(0, dtype=np.int32)
        self._scratch = np.zeros(0, dtype=np.int32)
        self._watch = Watch(quiet_ms)
        self.late_n = 0

    @property
    def watermark_ms(self) -> int:
        """Newest event time seen."""
        return self._watch.watermark_ms

    @property
    def received_ms(self) -> int:
        """Newest instant at which a door took in what was seen."""
        return self._watch.received_ms

    def __len__(self) -> int:
        return len(self._channels)

    def observe(self, readings: Readings, received_ms: int) -> list[Finding]:
        """Take in a batch; each channel's readings are in order of time, late ones are counted.

        Args:
            readings: Readings in the order they arrived.
            received_ms: When a door took them in.

        Raises:
            StateFullError: More channels than one partition may hold.
        """
        rejected = (readings.flags & _REJECT) != 0
        if rejected.any():
            readings = readings.take(~rejected)
        if not len(readings):
            return []
        key = (readings.meter_id << CHANNEL_BITS) | readings.channel
        first, length = segments_of(key)
        rows = self._rows(key[first])
        order = None
        if not self._each_once(rows):
            rows = np.repeat(rows, length)
            order = np.argsort(rows, kind="stable")
            first, length = segments_of(rows[order])
            rows = rows[order[first]]
        segments = Segments(rows, first, length)
        findings = self._offline(readings, order, segments, received_ms)
        if order is not None:
            readings = readings.take(order)
        findings += self._observe_ordered(readings, segments)
        return findings

    def _each_once(self, rows: Int64s) -> bool:
        """Whether no row is there twice: then the batch is in order as it is."""
        positions = np.arange(len(rows))
        self._scratch[rows] = positions
        return bool((self._scratch[rows] == positions).all())

    def _observe_ordered(self, readings: Readings, segments: Segments) -> list[Finding]:
        columns, limits = self._channel_state, self._limits
        high = high_before(readings.at_ms, columns.last_at[segments.row], segments)
        in_time = readings.at_ms > high
        if not in_time.all():
            # A reading that came late was not there when it could have mattered; what its hour
            # held is already within the step that spanned it.
            self.late_n += int(len(in_time) - np.count_nonzero(in_time))
            readings, segments = readings.take(in_time), segments.keep(in_time)
            if not len(readings):
                return []
        columns.last_at[segments.row] = readings.at_ms[segments.last]
        usable = register.on_curve(readings.flags)
        ordered = register.Ordered(
            segments, readings.at_ms, readings.value, readings.curve, readings.flags, usable
        )
        findings = register.observe(ordered, self._channels.keys, columns, limits)
        at, curve = readings.at_ms, readings.curve
        if not usable.all():
            segments, at, curve = segments.keep(usable), at[usable], curve[usable]
        if len(at):
            curve = self._as_register(curve, segments)
            steps = flow.steps_of(segments, at, curve, columns)
            if steps is not None:
                findings += flow.observe(steps, self._channels.keys, columns, limits)
        return findings

    def _as_register(self, curve: Int64s, segments: Segments) -> Int64s:
        """Interval channels carry use, not registers: their sum serves as one."""
        row = segments.row
        interval = self._limits.kind[row] == rules.KIND_INTERVAL
        if not interval.any():
            return curve
        total = np.cumsum(curve)
        before = total[segments.first] - curve[segments.first]
        total = total + segments.expand(self._channel_state.total[row] - before)
        self._channel_state.total[row[interval]] = total[segments.last[interval]]
        result: Int64s = np.where(segments.expand(interval), total, curve)
        return result

    def _offline(
        self, readings: Readings, order: Int64s | None, segments: Segments, received_ms: int
    ) -> list[Finding]:
        """Silence is judged by meter: the same segments serve where each has one channel."""
        rows = self._meter_row[segments.row].astype(np.int64)
        first, length = segments.first, segments.length
        if order is None:
            order = np.arange(len(readings))
        if not self._each_once(rows):
            by_arrival = np.empty(len(order), dtype=np.int64)
            by_arrival[order] = np.repeat(rows, length)
            order = np.argsort(by_arrival, kind="stable")
            first, length = segments_of(by_arrival[order])
            rows = by_arrival[order[first]]
        return self._watch.observe(
            readings.at_ms,
            order,
            Segments(rows, first, length),
            received_ms,
            self._meters.keys,
            self._offline_ms[: len(self._meters)],
            self._meter_state,
        )

    def advance(self, watermark_ms: int, received_ms: int) -> list[Finding]:
        """Take over how far the tenant has come elsewhere; may find meters that are silent."""
        if not len(self._meters):
            return []
        return self._watch.advance(
            watermark_ms,
            received_ms,
            self._meters.keys,
            self._offline_ms[: len(self._meters)],
            self._meter_state,
        )

    def _rows(self, keys: Int64s) -> Int64s:
        rows = self._channels.find(keys)
        unknown = rows < 0
        if unknown.any():
            old = len(self._channels)
            new = np.unique(keys[unknown])
            meters = np.unique(new >> CHANNEL_BITS)
            # Asked before anything changes: if the answer fails, the batch can be given again.
            known = self._catalogue(meters.tolist())
            self._meters.add(meters[self._meters.find(meters) < 0])
            self._channels.add(new)
            self._grow()
            self._describe(meters, np.arange(old, len(self._channels)), known)
            rows = self._channels.find(keys)
        return rows

    def _grow(self) -> None:
        channels, meters = len(self._channels), len(self._meters)
        if channels > len(self._channel_state.last_at):
            n = state.capacity_for(channels)
            state.resize(self._channel_state, state.empty(state.ChannelState, n))
            state.resize(self._limits, rules.LimitColumns.empty(n))
        if meters > len(self._meter_state.last_at):
            n = state.capacity_for(meters)
            state.resize(self._meter_state, state.empty(state.MeterState, n))
            self._offline_ms = np.resize(self._offline_ms, n)
        self._meter_row = self._meters.find(self._channels.keys >> CHANNEL_BITS).astype(np.int32)
        self._scratch = np.zeros(max(channels, meters), dtype=np.int32)

    def _describe(self, meters: Int64s, rows: Int64s, known: Mapping[int, MeterFacts]) -> None:
        """Fill in the thresholds of some meters and of those rows of channels."""
        meter_rows = self._meters.find(meters).tolist()
        for meter_id, meter_row in zip(meters.tolist(), meter_rows, strict=True):
            facts = known.get(meter_id) or unknown_meter(meter_id)
            self._offline_ms[meter_row] = rules.offline_ms(facts)
        table = []
        for key in self._channels.keys[rows].tolist():
            meter_id, channel = split_key(key)
            facts = known.get(meter_id) or unknown_meter(meter_id)
            table.append(rules.limits_of(facts, channel))
        for column, limits in zip(
            state.columns_of(self._limits).values(), np.array(table).T, strict=True
        ):
            column[rows] = limits
        self._watch.look_again()

    def refresh(self, changed: Iterable[int] | None) -> None:
        """The registry changed these meters, or all (None): choose their thresholds anew."""
        meters = self._meters.keys
        if changed is not None:
            meters = np.array(sorted(set(changed)), dtype=np.int64)
            meters = meters[self._meters.find(meters) >= 0]
        if len(meters):
            rows = np.flatnonzero(np.isin(self._channels.keys >> CHANNEL_BITS, meters))
            self._describe(meters, rows, self._catalogue(meters.tolist()))

    def snapshot(self) -> bytes:
        """The whole state; thresholds are not part of it, they follow from the registry."""
        channels, meters = len(self._channels), len(self._meters)
        columns = {"channel.keys": self._channels.keys, "meter.keys": self._meters.keys}
        for name, column in state.columns_of(self._channel_state).items():
            columns[f"channel.{name}"] = column[:channels]
        for name, column in state.columns_of(self._meter_state).items():
            columns[f"meter.{name}"] = column[:meters]
        clocks = [self._watch.watermark_ms, self._watch.received_ms]
        return state.to_bytes(columns | {"clocks": np.array(clocks, dtype=np.int64)})

    @classmethod
    def restore(cls, data: bytes, catalogue: Catalogue, quiet_ms: int = QUIET_MS) -> Detectors:
        """Detectors that go on where a snapshot was taken.

        Raises:
            SnapshotError: The bytes are not a snapshot of this version.
        """
        columns = state.from_bytes(data)
        self = cls(catalogue, quiet_ms)
        try:
            self._channels.load(columns["channel.keys"])
            self._meters.load(columns["meter.keys"])
            self._grow()
            for prefix, kept in (("channel", self._channel_state), ("meter", self._meter_state)):
                for name, column in state.columns_of(kept).items():
                    saved = columns[f"{prefix}.{name}"]
                    column[: len(saved)] = saved
            self._watch.watermark_ms, self._watch.received_ms = columns["clocks"].tolist()
        except (KeyError, ValueError) as error:
            fault = Fault("columns", "snapshot.columns", str(error))
            raise state.SnapshotError("a column is missing", faults=[fault]) from error
        self.refresh(None)
        return self
