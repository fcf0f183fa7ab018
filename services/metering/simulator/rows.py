"""Rows of a simulation, one for each channel of each meter, and the readings they give.

Rows without faults are computed together; the few with a fault or a part of a life one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.metering.products import Channel, ChannelKind
from services.metering.simulator.counter import hashed
from services.metering.simulator.curves import ROWS_MAX, Curve, UseCurves, shifted, with_fault
from services.metering.simulator.fleet import (
    DEVICE_KINDS,
    FaultKind,
    FleetPlan,
    PlantedFault,
    VirtualMeter,
    least_digits,
    role,
)
from services.metering.simulator.shapes import Homes, Role
from services.metering.simulator.weather import City

_STREAM_DELAY = 103

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Row:
    """One channel of one meter.

    Attributes:
        number: Position among the rows of the simulation.
        meter: Index into the plan's meters.
        channel: What it measures.
        role: What of the household that is.
        first_register: Register when the meter was installed, least digits.
        delay_ms: From reading to sending.
        faults: The planted faults that concern it.
    """

    number: int
    meter: int
    channel: Channel
    role: Role
    first_register: int
    delay_ms: int
    faults: tuple[PlantedFault, ...]

    @property
    def span(self) -> int:
        """Values on the dial."""
        return int(10**self.channel.digits)


@dataclass(frozen=True, slots=True)
class Delivered:
    """Readings of some rows, not yet in order; columns of shape (n,), int64."""

    due_ms: Int64s
    at_ms: Int64s
    row: Int64s
    value: Int64s


def rows_of(plan: FleetPlan) -> list[Row]:
    """The rows of a plan, in the order of meters and channels."""
    faults: dict[str, list[PlantedFault]] = defaultdict(list)
    for fault in plan.faults:
        faults[fault.meter].append(fault)
    keys = np.array([plan.supplies[meter.supply].key for meter in plan.meters], dtype=np.int64)
    delays_s = hashed(keys, _STREAM_DELAY) % np.uint64(plan.send_spread_s + 1)
    rows: list[Row] = []
    for index, (meter, delay_s) in enumerate(zip(plan.meters, delays_s.tolist(), strict=True)):
        planted = faults.get(meter.identifier, ())
        for channel, register in zip(meter.product.channels, meter.first_register, strict=True):
            kind = role(channel)
            if kind is not None:
                own = tuple(f for f in planted if kind is Role.USE or f.kind in DEVICE_KINDS)
                row = Row(len(rows), index, channel, kind, register, delay_s * 1000, own)
                rows.append(row)
    return rows


def use_curves(plan: FleetPlan, rows: Sequence[Row]) -> UseCurves:
    """The curves of rows that share commodity, role and interval."""
    first = rows[0]
    homes = [plan.supplies[plan.meters[row.meter].supply] for row in rows]

    def column(values: list[float]) -> NDArray[np.float64]:
        return np.array(values, dtype=np.float64)[:, None]

    return UseCurves(
        City(plan.seed, plan.time_zone),
        (plan.meters[first.meter].product.commodity, first.role),
        first.channel.interval_s,
        Homes(
            key=np.array([home.key for home in homes], dtype=np.uint64)[:, None],
            persons=column([home.persons for home in homes]),
            area_m2=column([home.area_m2 for home in homes]),
            pv_kw=column([home.pv_kw for home in homes]),
            cooled=column([home.cooled for home in homes]),
        ),
        column([float(least_digits(row.channel)) for row in rows]),
        plan.start_ms,
    )


def is_plain(plan: FleetPlan, row: Row) -> bool:
    """Whether a row can be computed with others: no fault, and there from the start for good."""
    meter = plan.meters[row.meter]
    return not row.faults and meter.first_ms == plan.start_ms and meter.last_ms is None


class PlainRows:
    """Rows without a fault that share commodity, role, kind and interval, `ROWS_MAX` at most."""

    def __init__(self, plan: FleetPlan, rows: Sequence[Row]) -> None:
        self._curves = use_curves(plan, rows)
        self._start_ms = plan.start_ms
        self._is_register = rows[0].channel.kind is ChannelKind.REGISTER
        self._number = np.array([row.number for row in rows], dtype=np.int64)[:, None]
        self._first = np.array([row.first_register for row in rows], dtype=np.int64)[:, None]
        self._span = np.array([row.span for row in rows], dtype=np.int64)[:, None]
        self._delay_ms = np.array([row.delay_ms for row in rows], dtype=np.int64)[:, None]
        self._delay_ms_max = int(self._delay_ms.max())

    def delivered(self, from_ms: int, until_ms: int) -> Delivered:
        """The readings due in [from_ms, until_ms)."""
        begin_ms = max(from_ms - self._delay_ms_max, self._start_ms)
        if self._is_register:
            at_ms, use = self._curves.window(begin_ms, until_ms)
            value = (use + self._first) % self._span
        else:
            # An interval's use needs the curve at its beginning too.
            begin_ms = max(begin_ms - self._curves.step_ms, self._start_ms)
            at_ms, use = self._curves.window(begin_ms, until_ms)
            at_ms, value = at_ms[1:], np.diff(use, axis=1)
        due_ms = at_ms + self._delay_ms
        kept = (due_ms >= from_ms) & (due_ms < until_ms)
        return Delivered(
            due_ms[kept],
            np.broadcast_to(at_ms, kept.shape)[kept],
            np.broadcast_to(self._number, kept.shape)[kept],
            value[kept],
        )


def plain_blocks(plan: FleetPlan, rows: Sequence[Row]) -> list[PlainRows]:
    """Rows without a fault in blocks that are computed together."""
    alike: dict[tuple[str, Role, ChannelKind, int], list[Row]] = defaultdict(list)
    for row in rows:
        commodity = plan.meters[row.meter].product.commodity
        alike[commodity, row.role, row.channel.kind, row.channel.interval_s].append(row)
    return [
        PlainRows(plan, members[first : first + ROWS_MAX])
        for members in alike.values()
        for first in range(0, len(members), ROWS_MAX)
    ]


class TracedRow:
    """A row with faults or a part of a life.

    Attributes:
        curve: Its register before the dial wraps it, without wild reads.
    """

    def __init__(self, plan: FleetPlan, row: Row) -> None:
        self._row = row
        self._meter: VirtualMeter = plan.meters[row.meter]
        use = use_curves(plan, [row])
        self._step_ms = use.step_ms
        curve: Curve = shifted(lambda at: use.at(at)[0], self._meter.first_ms, row.first_register)
        for fault in row.faults:
            curve = with_fault(curve, fault, self._step_ms)
        self.curve = curve
        waits = (FaultKind.LATE, FaultKind.DUPLICATES)
        self._wait_ms_max = row.delay_ms + 1000 * sum(
            fault.magnitude for fault in row.faults if fault.kind in waits
        )

    def register_at(self, at_ms: int) -> int:
        """What the dial shows, least digits."""
        return int(self.curve(np.array([at_ms], dtype=np.int64))[0]) % self._row.span

    def delivered(self, from_ms: int, until_ms: int) -> Delivered:
        """The readings due in [from_ms, until_ms), second copies included."""
        at_ms = self._instants(max(from_ms - self._wait_ms_max, self._meter.first_ms), until_ms)
        due_ms = at_ms + self._row.delay_ms
        for fault in self._of(FaultKind.LATE):
            due_ms = due_ms + self._inside(fault, at_ms) * (fault.magnitude * 1000)
        for fault in self._of(FaultKind.DUPLICATES):
            again = self._inside(fault, at_ms)
            due_ms = np.concatenate([due_ms, due_ms[again] + fault.magnitude * 1000])
            at_ms = np.concatenate([at_ms, at_ms[again]])
        kept = (due_ms >= from_ms) & (due_ms < until_ms)
        for fault in self._of(FaultKind.OFFLINE):
            kept &= ~self._inside(fault, at_ms)
        due_ms, at_ms = due_ms[kept], at_ms[kept]
        number = np.full(len(at_ms), self._row.number, dtype=np.int64)
        return Delivered(due_ms, at_ms, number, self._values(at_ms))

    def _of(self, kind: FaultKind) -> list[PlantedFault]:
        return [fault for fault in self._row.faults if fault.kind is kind]

    def _inside(self, fault: PlantedFault, at_ms: Int64s) -> Bools:
        return (at_ms >= fault.start_ms) & (at_ms < fault.until_ms)

    def _instants(self, from_ms: int, until_ms: int) -> Int64s:
        until_ms = min(until_ms, self._meter.until_ms)
        first, last = -(-from_ms // self._step_ms), -(-until_ms // self._step_ms)
        return np.arange(first, last, dtype=np.int64) * self._step_ms

    def _values(self, at_ms: Int64s) -> Int64s:
        if not len(at_ms):
            return at_ms
        if self._row.channel.kind is ChannelKind.INTERVAL:
            began = self.curve(np.maximum(at_ms - self._step_ms, self._meter.first_ms))
            return self.curve(at_ms) - began
        value = self.curve(at_ms)
        for fault in self._of(FaultKind.WILD):
            value = value + (at_ms == fault.start_ms) * fault.magnitude
        return value % self._row.span
