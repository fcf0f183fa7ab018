"""The ledger of a load test: which readings were sent, and which the platform acknowledged.

Two bytes a reading: tens of millions fit in memory, so nothing is ever spilled or sampled.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be stored, as far as answers tell: from `…_min` up to `…_max`.

    The two differ by what was sent without an answer, which may have arrived or not.

    Attributes:
        sent: Readings sent, copies included.
        acknowledged: Readings whose batch was acknowledged, copies included.
        stored_min: Different readings of known meters that were acknowledged.
        stored_max: The same, of those sent.
        quarantined_min: Readings of unknown meters that were acknowledged, copies included.
        quarantined_max: The same, of those sent.
    """

    sent: int
    acknowledged: int
    stored_min: int
    stored_max: int
    quarantined_min: int
    quarantined_max: int


class Ledger:
    """Counts of sendings and acknowledgements by (meter, slot), and the sum of values by meter.

    Safe for several threads.

    Args:
        meters: Size of the fleet.
        slots: Intervals a run may send.
    """

    def __init__(self, meters: int, slots: int) -> None:
        self._sent = np.zeros((meters, slots), dtype=np.uint8)
        self._acknowledged = np.zeros((meters, slots), dtype=np.uint8)
        self._value_sum = np.zeros(meters, dtype=np.int64)
        self._lock = threading.Lock()

    def add_sent(self, meter: Int64s, slot: Int64s) -> None:
        """Note that readings are on their way; before they are, never after."""
        with self._lock:
            np.add.at(self._sent, (meter, slot), 1)

    def take_back(self, meter: Int64s, slot: Int64s) -> None:
        """Forget sendings that a server refused with a reason: they are certainly not stored."""
        with self._lock:
            np.subtract.at(self._sent, (meter, slot), 1)

    def add_acknowledged(self, meter: Int64s, slot: Int64s, value: Int64s) -> None:
        """Note that the platform has taken readings in."""
        with self._lock:
            first = self._acknowledged[meter, slot] == 0
            np.add.at(self._acknowledged, (meter, slot), 1)
            np.add.at(self._value_sum, meter[first], value[first])

    def expected(self, known: Bools) -> Expected:
        """What a store must hold.

        Args:
            known: Which meters are registered, shape (meters,).
        """
        sent, acknowledged = self._sent, self._acknowledged
        return Expected(
            sent=int(sent.sum(dtype=np.int64)),
            acknowledged=int(acknowledged.sum(dtype=np.int64)),
            stored_min=int(np.count_nonzero(acknowledged[known])),
            stored_max=int(np.count_nonzero(sent[known])),
            quarantined_min=int(acknowledged[~known].sum(dtype=np.int64)),
            quarantined_max=int(sent[~known].sum(dtype=np.int64)),
        )

    def acknowledged_slots(self, meter: int) -> Int64s:
        """Slots of a meter that were acknowledged, ascending."""
        return np.flatnonzero(self._acknowledged[meter]).astype(np.int64)

    def sent_slots(self, meter: int) -> Int64s:
        """Slots of a meter that were sent, answered or not, ascending."""
        return np.flatnonzero(self._sent[meter]).astype(np.int64)

    def value_sum(self, meter: int) -> int:
        """Sum of a meter's different acknowledged values, least digits."""
        return int(self._value_sum[meter])
