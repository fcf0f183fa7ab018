"""What a scenario sends: which readings stand in which batch, and when it is due.

The fleet's meters are cut into parts; batch n carries part `n % parts` of interval `n // parts`,
with copies of some readings of the interval before and the late ones of some intervals ago.
Everything follows from the scenario's seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtest.scenario import Scenario
from services.metering.batch import ChannelRef, Origin, ReadingBatch, to_bytes
from services.metering.simulator.uniform import STEP_MAX, UniformLoad

MAKER = "Loadtest"
CHANNEL = ChannelRef("8-0:1.0.0", "m3", -3)
_STREAM_UNKNOWN, _STREAM_LATE, _STREAM_DUPLICATED = 1, 2, 3

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A batch to send; columns of shape (n,), int64.

    Attributes:
        number: Position in the schedule.
        meter: Numbers of meters.
        slot: Numbers of intervals.
        value: Registers in least digits.
        payload: The serialised `ReadingBatch`.
    """

    number: int
    meter: Int64s
    slot: Int64s
    value: Int64s
    payload: bytes


class Traffic:
    """The readings of one run.

    Args:
        scenario: What to send.
        run_id: Part of every serial number, so that runs do not meet; letters and digits.
        now_ms: The last interval ends before this, so that no reading lies in the future.
    """

    def __init__(self, scenario: Scenario, run_id: str, now_ms: int) -> None:
        self.scenario = scenario
        self._load = UniformLoad(scenario.seed)
        self._run_id = run_id
        interval_ms = scenario.interval_s * 1000
        self.first_at_ms = (now_ms // interval_ms - scenario.slots) * interval_ms
        self.serials = [f"{run_id}-{n:07d}" for n in range(scenario.meters)]
        meters = np.arange(scenario.meters)
        #: Which meters are registered, shape (meters,).
        self.known: Bools = ~self._load.chosen(meters, 0, _STREAM_UNKNOWN, scenario.share_unknown)
        self._names = [f"{MAKER}:{serial}" for serial in self.serials]

    @property
    def product(self) -> dict[str, Any]:
        """The product model the fleet is registered under."""
        interval_s = self.scenario.interval_s
        return {
            "code": f"loadtest-{interval_s}s",
            "maker": MAKER,
            "name": f"Load test register, every {interval_s} s",
            "commodity": "water",
            "channels": [
                {
                    "number": 1,
                    "obis": CHANNEL.obis,
                    "unit": CHANNEL.unit,
                    "scaler": CHANNEL.scaler,
                    "kind": "register",
                    "digits": 12,
                    "interval_s": interval_s,
                    # The load rises by less than two steps an interval.
                    "rate_max_per_h": -(-2 * STEP_MAX * 3600 // interval_s),
                    "reverse_max": 0,
                }
            ],
        }

    def due_s(self, number: int) -> float:
        """When batch `number` is to be sent, in seconds from the start."""
        one = self.scenario
        return number * one.meters / (one.parts * one.rate_per_s)

    def stream(self, number: int) -> int:
        """Which stream carries a batch: always the same for the same meters."""
        return number % self.scenario.parts % self.scenario.streams

    def at_ms(self, slot: Int64s) -> Int64s:
        """Instants of intervals, shape (n,)."""
        instants: Int64s = self.first_at_ms + slot * (self.scenario.interval_s * 1000)
        return instants

    def values(self, meter: Int64s, slot: Int64s) -> Int64s:
        """Registers of meters at intervals, least digits, shape (n,)."""
        return self._load.values(meter, slot)

    def batch(self, number: int) -> Outgoing:
        """The batch at a position of the schedule."""
        slot, part = divmod(number, self.scenario.parts)
        begin = part * self.scenario.batch_readings
        meters = np.arange(begin, min(begin + self.scenario.batch_readings, self.scenario.meters))
        groups = [
            (slot, ~self._late(meters, slot)),
            (slot - 1, self._duplicated(meters, slot - 1)),
            (slot - self.scenario.late_slots, self._late(meters, slot - self.scenario.late_slots)),
        ]
        chosen = [(meters[mask], number) for number, mask in groups if number >= 0]
        meter = np.concatenate([own for own, _ in chosen])
        slots = np.concatenate([np.full(len(own), number) for own, number in chosen])
        value = self.values(meter, slots)
        batch = ReadingBatch(
            meters=tuple(self._names[begin : begin + len(meters)]),
            channels=(CHANNEL,),
            meter=(meter - begin).astype(np.int32),
            channel=np.zeros(len(meter), dtype=np.int32),
            at_ms=self.at_ms(slots),
            value=value,
            origin=Origin(batch_id=f"{self._run_id}-{number}"),
        )
        return Outgoing(number, meter, slots, value, to_bytes(batch))

    def _late(self, meter: Int64s, slot: int) -> Bools:
        return self._load.chosen(meter, max(slot, 0), _STREAM_LATE, self.scenario.share_late)

    def _duplicated(self, meter: Int64s, slot: int) -> Bools:
        """Copies: of readings that were in time, of meters that are known."""
        share = self.scenario.share_duplicated
        chosen = self._load.chosen(meter, max(slot, 0), _STREAM_DUPLICATED, share)
        return chosen & ~self._late(meter, slot) & self.known[meter]
