"""Readings of a planned fleet in any window of time, as they would be delivered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.kit.errors import Fault, InvalidInputError
from services.metering.batch import RECORD_READINGS_MAX, ChannelRef, Origin, ReadingBatch
from services.metering.simulator.fleet import FleetPlan, PlantedFault
from services.metering.simulator.rows import TracedRow, is_plain, plain_blocks, rows_of
from services.metering.simulator.weather import DAY_MS

#: Readings one call gives at most, about 2 GiB with its temporaries; `batches` has no such end.
READINGS_MAX = 20_000_000
#: What `batches` computes at once.
_CHUNK_READINGS = 2_000_000

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings in the order of their delivery; all columns have shape (n,).

    Attributes:
        due_ms: When each is delivered, int64, ascending.
        at_ms: Their instants, int64.
        meter: Index into the plan's meters, int32.
        channel: Number of the channel in the meter's product, int32.
        value: In least digits of the channel, int64.
        truth: The planted faults that touch the window.
    """

    due_ms: Int64s
    at_ms: Int64s
    meter: Int32s
    channel: Int32s
    value: Int64s
    truth: tuple[PlantedFault, ...]

    def __len__(self) -> int:
        return len(self.at_ms)


class Simulation:
    """A fleet in motion. Its answers depend on the plan alone, never on what was asked before.

    Args:
        plan: The fleet.
    """

    def __init__(self, plan: FleetPlan) -> None:
        self.plan = plan
        self._rows = rows_of(plan)
        self._places = {(row.meter, row.channel.number): row for row in self._rows}
        self._meter = np.array([row.meter for row in self._rows], dtype=np.int32)
        self._number = np.array([row.channel.number for row in self._rows], dtype=np.int32)
        refs = [ChannelRef(r.channel.obis, r.channel.unit, r.channel.scaler) for r in self._rows]
        self._refs = tuple(dict.fromkeys(refs))
        place = {ref: number for number, ref in enumerate(self._refs)}
        self._ref = np.array([place[ref] for ref in refs], dtype=np.int32)
        self._names = tuple(meter.identifier for meter in plan.meters)
        self._plain = plain_blocks(plan, [row for row in self._rows if is_plain(plan, row)])
        self._traced = [TracedRow(plan, row) for row in self._rows if not is_plain(plan, row)]
        self._per_day = sum(86_400 / row.channel.interval_s for row in self._rows)

    def readings(self, from_ms: int, until_ms: int) -> Readings:
        """The readings delivered in [from_ms, until_ms).

        Neighbouring windows put together give the readings of the whole window, in the same order.

        Raises:
            InvalidInputError: The window begins before the fleet, ends before it begins, or holds
                more than `READINGS_MAX` readings.
        """
        due_ms, at_ms, row, value = self._columns(from_ms, until_ms)
        truth = self.plan.truth(from_ms, until_ms)
        return Readings(due_ms, at_ms, self._meter[row], self._number[row], value, truth)

    def batches(
        self, from_ms: int, until_ms: int, readings_max: int = RECORD_READINGS_MAX
    ) -> Iterator[ReadingBatch]:
        """The same readings as batches ready to send, computed some days at a time.

        Raises:
            InvalidInputError: The window begins before the fleet.
        """
        chunk_ms = DAY_MS * max(1, int(_CHUNK_READINGS / self._per_day))
        for begin_ms in range(from_ms, until_ms, chunk_ms):
            _, at_ms, row, value = self._columns(begin_ms, min(begin_ms + chunk_ms, until_ms))
            meter, ref = self._meter[row], self._ref[row]
            whole = ReadingBatch(self._names, self._refs, meter, ref, at_ms, value)
            for first in range(0, len(whole), readings_max):
                origin = Origin(batch_id=f"{self.plan.name}:{self.plan.seed}:{begin_ms}:{first}")
                yield replace(whole.take(slice(first, first + readings_max)), origin=origin)

    def register_at(self, meter: int, channel: int, at_ms: int) -> int | None:
        """What the dial of a channel shows at an instant, delivered or not, in least digits.

        Args:
            meter: Index into the plan's meters.
            channel: Number of the channel in its product.
            at_ms: An instant of the channel's readings, from the meter's first to its last.

        Returns:
            The register, or None for a channel that is not simulated.
        """
        row = self._places.get((meter, channel))
        if row is None:
            return None
        if is_plain(self.plan, row) and at_ms == self.plan.start_ms:
            return row.first_register
        return TracedRow(self.plan, row).register_at(at_ms)

    def _columns(self, from_ms: int, until_ms: int) -> tuple[Int64s, Int64s, Int64s, Int64s]:
        """Due, instant, row and value of the readings of a window, in order of delivery."""
        self._check(from_ms, until_ms)
        parts = [block.delivered(from_ms, until_ms) for block in self._plain]
        parts += [row.delivered(from_ms, until_ms) for row in self._traced]
        due_ms = np.concatenate([part.due_ms for part in parts])
        row = np.concatenate([part.row for part in parts])
        # One integer orders by delivery, then row; equal ones of a row keep their order.
        order = np.argsort((due_ms - from_ms) * len(self._rows) + row, kind="stable")
        at_ms = np.concatenate([part.at_ms for part in parts])
        value = np.concatenate([part.value for part in parts])
        return due_ms[order], at_ms[order], row[order], value[order]

    def _check(self, from_ms: int, until_ms: int) -> None:
        if not self.plan.start_ms <= from_ms <= until_ms:
            text = f"[{from_ms}, {until_ms}) must follow the fleet's start {self.plan.start_ms}"
            raise InvalidInputError(text, faults=[Fault("from_ms", "simulation.window", text)])
        expected = self._per_day * (until_ms - from_ms) / DAY_MS
        if expected > READINGS_MAX:
            text = f"about {expected:.0f} readings; at most {READINGS_MAX}: use batches()"
            raise InvalidInputError(text, faults=[Fault("until_ms", "simulation.size", text)])


def simulate(plan: FleetPlan, from_ms: int, until_ms: int) -> Readings:
    """The readings of a fleet delivered in [from_ms, until_ms), with the truth about its faults.

    Raises:
        InvalidInputError: See `Simulation.readings`.
    """
    return Simulation(plan).readings(from_ms, until_ms)


class Live:
    """A fleet that goes on: what became due since it was last asked, each reading once.

    Args:
        plan: The fleet.
        from_ms: Where the history that was already delivered ends.
    """

    def __init__(self, plan: FleetPlan, from_ms: int) -> None:
        self._simulation = Simulation(plan)
        self._position_ms = from_ms

    def due(self, until_ms: int) -> list[ReadingBatch]:
        """The batches due since the last call and before `until_ms`; none if time stood still."""
        from_ms, self._position_ms = self._position_ms, max(until_ms, self._position_ms)
        return list(self._simulation.batches(from_ms, self._position_ms))
