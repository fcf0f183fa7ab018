"""What a register can do: its dial, the fastest it may turn, how far it may slip back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.kit.errors import Fault, InvalidInputError

HOUR_MS = 3_600_000
#: A reading's instant is only known to the tolerance of the meter's clock (V02, 3 min). Without it,
#: two readings stamped with the same second would fail over a single litre.
CLOCK_TOLERANCE_MS = 180_000
#: More readings than this to believe a new level would leave a channel in doubt for days.
CONFIRM_MAX = 8
SPAN_MAX = 10**15
RATE_MAX_PER_H = 10**12
# rate x dt is kept under this, so that int64 never overflows.
_PRODUCT_MAX = 2**62

Int64s = NDArray[np.int64]
Rows = NDArray[np.intp] | Int64s | NDArray[np.int32] | slice


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """Limits of one channel, all in its least digit.

    Attributes:
        span: Values on the dial, 10^digits.
        rate_max_per_h: Physical limit per hour, with its tolerance already inside (V20).
        reverse_max: Backward movement taken for backflow or jitter. It is also the most that a
            single wild reading can bring forward in time, so keep it small.
        confirm: Consecutive readings that make a new level believed.
        dt_max_ms: Beyond this time the limit stops growing, in ms. A rise of more than half the
            dial cannot be told from a fall, so no time allows one.

    Raises:
        InvalidInputError: Something is out of range; every fault is listed.
    """

    span: int
    rate_max_per_h: int
    reverse_max: int
    confirm: int = 3
    dt_max_ms: int = field(init=False)

    def __post_init__(self) -> None:
        bounds = {
            "span": (self.span, 10, SPAN_MAX),
            "rate_max_per_h": (self.rate_max_per_h, 0, RATE_MAX_PER_H),
            "reverse_max": (self.reverse_max, 0, self.span // 4),
            "confirm": (self.confirm, 1, CONFIRM_MAX),
        }
        faults = [
            Fault(name, "range", f"{value} is not within {low}…{high}")
            for name, (value, low, high) in bounds.items()
            if not low <= value <= high
        ]
        if faults:
            raise InvalidInputError("The limits of a register are out of range", faults=faults)
        rise_max = min(self.span // 2, _PRODUCT_MAX // HOUR_MS)
        dt_max_ms = rise_max * HOUR_MS // max(self.rate_max_per_h, 1)
        object.__setattr__(self, "dt_max_ms", dt_max_ms)

    def rise_max(self, dt_ms: int) -> int:
        """The most the register can rise within `dt_ms` >= 0, in least digits (V20).

        rate x (dt + clock tolerance), rounded up, and one digit because a reading is cut off.
        """
        dt_ms = min(dt_ms + CLOCK_TOLERANCE_MS, self.dt_max_ms)
        return -(-self.rate_max_per_h * dt_ms // HOUR_MS) + 1


@dataclass(slots=True)
class LimitColumns:
    """Limits of many channels; row i belongs to row i of a `ChainState`.

    Attributes:
        cells: span, rate_max_per_h, reverse_max, confirm and dt_max_ms of each channel as in
            `ChannelLimits`, int64, shape (n, 5); the properties are views of its columns.
    """

    cells: Int64s

    @classmethod
    def of(cls, limits: Sequence[ChannelLimits]) -> LimitColumns:
        """Columns from one `ChannelLimits` per channel."""
        rows = [
            (one.span, one.rate_max_per_h, one.reverse_max, one.confirm, one.dt_max_ms)
            for one in limits
        ]
        return cls(np.array(rows, dtype=np.int64).reshape(len(rows), 5))

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def span(self) -> Int64s:
        """Values on the dial, shape (n,), least digits."""
        return self.cells[:, 0]

    @property
    def rate_max_per_h(self) -> Int64s:
        """Physical limit, shape (n,), least digits per hour."""
        return self.cells[:, 1]

    @property
    def confirm(self) -> Int64s:
        """Readings that make a level believed, shape (n,)."""
        return self.cells[:, 3]

    @property
    def dt_max_ms(self) -> Int64s:
        """See `ChannelLimits.dt_max_ms`, shape (n,)."""
        return self.cells[:, 4]

    def take(self, rows: Rows) -> LimitColumns:
        """A copy of some channels, in the order of `rows`."""
        return LimitColumns(np.array(self.cells[rows]))

    def put(self, rows: Rows, other: LimitColumns) -> None:
        """Overwrite the limits at `rows` with those of `other`, when the registry changed them."""
        self.cells[rows] = other.cells

    def resize(self, n: int) -> None:
        """Change the number of channels; new ones have no limits until `put` gives them some."""
        grown = np.zeros((n, 5), dtype=np.int64)
        kept = min(n, len(self))
        grown[:kept] = self.cells[:kept]
        self.cells = grown

    def one(self, row: int) -> ChannelLimits:
        """The limits of one channel."""
        return _limits_of(*self.cells[row, :4].tolist())


@lru_cache(maxsize=1_024)
def _limits_of(span: int, rate_max_per_h: int, reverse_max: int, confirm: int) -> ChannelLimits:
    """A fleet has few different limits, and checking them takes longer than judging a reading."""
    return ChannelLimits(span, rate_max_per_h, reverse_max, confirm)
