"""Uniform load: registers of very many meters that grow without any realistic course.

For load tests, where the arithmetic of a household would cost the sender more than the store. A
register is the meter's offset, plus a step of its own for each interval, plus a jitter smaller than
the step: it rises strictly, so that no two readings of a meter look alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.metering.simulator.counter import UInt64s, hashed

#: Steps are 1 to this many least digits; products must allow it in an interval.
STEP_MAX = 64
#: Meters begin with up to this many least digits.
OFFSET_MAX = 1_000_000

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class UniformLoad:
    """A fleet for load.

    Attributes:
        seed: Decides every value.
    """

    seed: int

    def values(self, meter: Int64s, slot: Int64s | int) -> Int64s:
        """Registers of meters at their slots, in least digits.

        Args:
            meter: Numbers of meters, shape (n,).
            slot: Numbers of intervals from 0, shape (n,) or one for all.

        Returns:
            int64, shape (n,); strictly rising in `slot`.
        """
        trait = self._bits(meter, 0)
        step = (trait >> np.uint64(32)) % np.uint64(STEP_MAX) + np.uint64(1)
        jitter = (self._bits(meter, np.asarray(slot) + 1) >> np.uint64(32)) % step
        offset = (trait & np.uint64(0xFFFFFFFF)) % np.uint64(OFFSET_MAX)
        register = offset + step * np.asarray(slot).astype(np.uint64) + jitter
        return register.astype(np.int64)

    def chosen(self, meter: Int64s, slot: Int64s | int, stream: int, share: float) -> Bools:
        """A share of readings, chosen at random but the same whenever asked; shape (n,).

        Args:
            meter: Numbers of meters, shape (n,).
            slot: Numbers of intervals, shape (n,) or one for all.
            stream: Different streams choose independently.
            share: 0 chooses none, 1 all.
        """
        bits = self._bits(meter, np.asarray(slot) + (stream + 1) * (1 << 40))
        return (bits >> np.uint64(11)) < np.uint64(int(share * 2**53))

    def _bits(self, meter: Int64s, counter: Int64s | int) -> UInt64s:
        return hashed(self.seed, meter, counter)
