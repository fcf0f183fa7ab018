"""What the chain remembers of each channel: 104 bytes a channel at the usual width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Stands where there is no instant. Differences to real instants stay within int64.
NEVER_MS = -(2**62)
#: `doubt` holds the number of suspects, and this if the next reading re-bases the register.
REBASE = 1 << 8

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp] | NDArray[np.int64] | NDArray[np.int32] | slice


@dataclass(slots=True)
class ChainState:
    """State of the chains of n channels; row i is channel i.

    A channel's state is a function of its readings up to `last_at_ms`, in order of time. With
    w = `confirm_max` the cells of a row are w instants and then w values of the last good readings,
    newest first, the offset, the last instant, and the doubt. A row together, because a batch
    touches few channels of many and each column apart would be a miss of the processor's cache.

    Attributes:
        cells: int64, shape (n, 2 w + 3); the properties are views of its columns.
        pending: Suspects, oldest first: w - 1 instants, then w - 1 values; int64, shape
            (n, 2 w - 2).
    """

    cells: Int64s
    pending: Int64s

    @classmethod
    def empty(cls, n: int, confirm_max: int = 3) -> ChainState:
        """`n` channels without a reading; `confirm_max` is the largest `confirm` among them."""
        state = cls(
            cells=np.zeros((n, 2 * confirm_max + 3), dtype=np.int64),
            pending=np.zeros((n, 2 * confirm_max - 2), dtype=np.int64),
        )
        state.good_at_ms[:] = NEVER_MS
        state.last_at_ms[:] = NEVER_MS
        return state

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def confirm_max(self) -> int:
        """The largest `confirm` a channel may have."""
        return int(self.cells.shape[1] - 3) // 2

    @property
    def good_at_ms(self) -> Int64s:
        """Instants of the last good readings, newest first, or `NEVER_MS`; shape (n, w)."""
        return self.cells[:, : self.confirm_max]

    @property
    def good_value(self) -> Int64s:
        """Their register values in least digits, shape (n, w); under the mark, the mark's."""
        return self.cells[:, self.confirm_max : 2 * self.confirm_max]

    @property
    def mark_at_ms(self) -> Int64s:
        """Instants of the last good readings, shape (n,)."""
        return self.cells[:, 0]

    @property
    def mark(self) -> Int64s:
        """The last good register values, least digits, shape (n,)."""
        return self.cells[:, self.confirm_max]

    @property
    def offset(self) -> Int64s:
        """Curve minus register at the mark, least digits, shape (n,)."""
        return self.cells[:, -3]

    @property
    def last_at_ms(self) -> Int64s:
        """Instants of the last readings of any quality, or `NEVER_MS`; shape (n,)."""
        return self.cells[:, -2]

    @property
    def doubt(self) -> Int64s:
        """0 where the next reading is simply compared with the mark, shape (n,); see `REBASE`."""
        return self.cells[:, -1]

    @property
    def pending_n(self) -> Int64s:
        """How many suspects wait for a decision, a copy of shape (n,)."""
        return self.doubt % REBASE

    @property
    def initialised(self) -> Bools:
        """Which channels have had a good reading, a copy of shape (n,)."""
        initialised: Bools = self.mark_at_ms != NEVER_MS
        return initialised

    @property
    def curve(self) -> Int64s:
        """The continuous register at the marks, least digits, a copy of shape (n,)."""
        return self.mark + self.offset

    def take(self, rows: Rows) -> ChainState:
        """A copy of some channels, in the order of `rows`."""
        return ChainState(np.array(self.cells[rows]), np.array(self.pending[rows]))

    def put(self, rows: Rows, other: ChainState) -> None:
        """Overwrite the channels at `rows` with those of `other`, which has the same width."""
        self.cells[rows] = other.cells
        self.pending[rows] = other.pending

    def resize(self, n: int) -> None:
        """Change the number of channels: new ones are empty, those beyond `n` are forgotten."""
        grown = ChainState.empty(n, self.confirm_max)
        kept = slice(min(n, len(self)))
        grown.put(kept, self.take(kept))
        self.cells, self.pending = grown.cells, grown.pending


def settled_state(
    at_ms: Sequence[int] | Int64s,
    value: Sequence[int] | Int64s,
    offset: int,
    confirm_max: int = 3,
) -> ChainState:
    """The state of one channel right after a good reading with no suspect before it.

    Args:
        at_ms: Instants of the last good readings under the same offset, oldest first; only the
            last `confirm_max` count, fewer only if there are no more.
        value: Their register values, least digits; of one under the mark, the mark's.
        offset: Curve minus register at the last of them.
        confirm_max: As in `ChainState.empty`.

    Raises:
        ValueError: There is no reading.
    """
    state = ChainState.empty(1, confirm_max)
    newest_at = np.asarray(at_ms, dtype=np.int64)[::-1][:confirm_max]
    newest_value = np.asarray(value, dtype=np.int64)[::-1][:confirm_max]
    if not len(newest_at):
        raise ValueError("A settled state needs at least one good reading")
    state.good_at_ms[0, : len(newest_at)] = newest_at
    state.good_value[0, : len(newest_value)] = newest_value
    state.offset[0] = offset
    state.last_at_ms[0] = newest_at[0]
    return state
