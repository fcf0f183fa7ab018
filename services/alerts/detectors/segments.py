"""Scans over many channels at once: a sorted array is cut into one segment a channel.

Each scan takes what a channel carried over from the batch before (`carry`, one entry a segment), so
that the result of a stream does not depend on where it was cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.alerts.detectors.findings import Bools, Int64s

ScalarT = TypeVar("ScalarT", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Segments:
    """Which elements belong to which row of the state.

    Attributes:
        row: Row of each segment in the state, each once, int64, shape (m,).
        first: Index of each segment's first element, int64, shape (m,).
        length: Elements of each segment, at least 1, int64, shape (m,).
    """

    row: Int64s
    first: Int64s
    length: Int64s

    @property
    def last(self) -> Int64s:
        """Index of each segment's last element, shape (m,)."""
        return self.first + self.length - 1

    @property
    def single(self) -> bool:
        """Whether each segment has one element: then carries are all there is to know."""
        return len(self.row) == self.size

    @property
    def size(self) -> int:
        """Elements of all segments."""
        return int(self.first[-1] + self.length[-1]) if len(self.first) else 0

    def expand(self, column: NDArray[ScalarT]) -> NDArray[ScalarT]:
        """One entry a segment becomes one an element."""
        return column if len(column) == self.size else np.repeat(column, self.length)

    def before(self, values: NDArray[ScalarT], carry: NDArray[ScalarT]) -> NDArray[ScalarT]:
        """The value before each element: its neighbour's, or the carry at a segment's beginning."""
        if self.single:
            return carry
        result = np.empty_like(values)
        result[1:] = values[:-1]
        result[self.first] = carry
        return result

    def since(self, mark: Bools) -> tuple[NDArray[np.intp], Bools]:
        """For each element the latest marked one of its segment, and whether there is any."""
        if self.single:
            return np.arange(len(mark)), mark
        start = _latest(mark)
        return start, mark[start] & (start >= self.expand(self.first))

    def pick(self, mask: Bools) -> Segments:
        """The segments where `mask`, one entry a segment, is set."""
        length = self.length[mask]
        return Segments(self.row[mask], np.cumsum(length) - length, length)

    def any(self, mask: Bools) -> Bools:
        """Whether a segment has an element where `mask` is set, one entry a segment."""
        if self.single:
            return mask
        result: Bools = np.logical_or.reduceat(mask, self.first)
        return result

    def keep(self, mask: Bools) -> Segments:
        """The segments of the elements where `mask` is set; those without any are left out."""
        if mask.all():
            return self
        if self.single:
            row = self.row[mask]
            return Segments(row, np.arange(len(row)), np.ones(len(row), dtype=np.int64))
        length = np.add.reduceat(mask, self.first, dtype=np.int64)
        some = length > 0
        length = length[some]
        return Segments(self.row[some], np.cumsum(length) - length, length)


def segments_of(sorted_keys: Int64s) -> tuple[Int64s, Int64s]:
    """First index and length of each stretch of equal keys."""
    first = np.flatnonzero(np.concatenate(([True], sorted_keys[1:] != sorted_keys[:-1])))
    return first, np.diff(first, append=len(sorted_keys))


def high_before(values: Int64s, carry: Int64s, segments: Segments) -> Int64s:
    """The highest of the carry and all values before each element of its segment.

    Values and carries of one batch may lie 2^62 / m apart at the most; instants do.
    """
    neighbour = segments.before(values, carry)
    if segments.single or not (values < neighbour).any():
        return neighbour
    # Lifting each segment above the one before it makes one running maximum serve all of them.
    low = min(int(values.min()), int(neighbour[neighbour > -(2**61)].min(initial=2**61)))
    lifted = np.maximum(neighbour - low, 0)
    span = int(lifted.max()) + 1
    lift = segments.expand(np.arange(len(segments.row), dtype=np.int64) * span)
    high: Int64s = np.maximum.accumulate(lifted + lift) - lift + low
    # Where nothing was known before, it stays unknown and is not the lowest instant of the batch.
    result: Int64s = np.where(neighbour > -(2**61), high, neighbour)
    return result


def runs(add: Int64s, clear: Bools, carry: Int64s, segments: Segments) -> Int64s:
    """What was added up since the last clearing, after each element.

    Args:
        add: What each element adds; its entry counts for nothing where it clears.
        clear: Which elements set the sum back to nothing.
        carry: The sum before each segment.
        segments: Which element belongs to which channel.
    """
    add = np.where(clear, 0, add)
    if segments.single:
        return np.where(clear, 0, carry + add)
    total = np.cumsum(add)
    first = segments.first
    base = total.copy()
    base[first] = np.where(clear[first], total[first], total[first] - add[first] - carry)
    mark = clear.copy()
    mark[first] = True
    result: Int64s = total - base[_latest(mark)]
    return result


def _latest(mark: Bools) -> NDArray[np.intp]:
    """Index of the latest marked element up to each one; 0 before the first mark."""
    result: NDArray[np.intp] = np.maximum.accumulate(np.where(mark, np.arange(len(mark)), 0))
    return result


def extremes(ufunc: Any, values: Int64s, start: NDArray[np.intp], last: Int64s) -> Int64s:
    """`ufunc` (np.minimum or np.maximum) over the slices `start … last`, which do not overlap."""
    bounds = np.stack([start, last + 1], axis=1).ravel()
    padded = np.append(values, values[-1:])
    result: Int64s = ufunc.reduceat(padded, bounds)[::2]
    return result
