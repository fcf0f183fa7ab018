"""The continuous register as a curve: exact integer values at any instant between two readings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]
# A remainder below dt times a time below dt stays within int64 up to this dt (35 days).
_DT_EXACT_MS = 3_037_000_499


class Curve:
    """One channel's continuous register, drawn straight between usable readings.

    Values are whole least digits, rounded down, so the use between two instants is never negative
    and the uses of adjoining periods sum to the use of the whole, to the digit.
    """

    __slots__ = ("_at_ms", "_curve")

    def __init__(self, at_ms: Int64s, curve: Int64s) -> None:
        """Make a curve from its points.

        Args:
            at_ms: Instants, strictly increasing, int64, shape (n,); n may be 0.
            curve: The continuous register in least digits, never falling, int64, shape (n,).

        Raises:
            ValueError: Instants do not increase, or the curve falls.
        """
        if (np.diff(at_ms) <= 0).any() or (np.diff(curve) < 0).any():
            raise ValueError("A curve's instants must increase and its values must not fall")
        self._at_ms = np.asarray(at_ms, dtype=np.int64)
        self._curve = np.asarray(curve, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._at_ms)

    def known(self, instants_ms: Int64s) -> Bools:
        """Which instants lie between the first and the last reading, both included."""
        if not len(self):
            return np.zeros(np.shape(instants_ms), dtype=bool)
        known: Bools = (instants_ms >= self._at_ms[0]) & (instants_ms <= self._at_ms[-1])
        return known

    def at(self, instants_ms: Int64s) -> Int64s:
        """The register at some instants, in least digits, int64, shape of `instants_ms`.

        Between two readings: c0 + floor((c1 - c0)(t - t0) / (t1 - t0)). Before the first and after
        the last it stands still; `known` tells which those are. Without readings all are 0.
        """
        instants_ms = np.asarray(instants_ms, dtype=np.int64)
        if len(self) < 2:
            return np.full(instants_ms.shape, self._curve[0] if len(self) else 0, dtype=np.int64)
        instants_ms = np.clip(instants_ms, self._at_ms[0], self._at_ms[-1])
        left = np.searchsorted(self._at_ms, instants_ms, side="right") - 1
        left = np.minimum(left, len(self) - 2)
        base = self._curve[left]
        return base + _share(
            self._curve[left + 1] - base,
            instants_ms - self._at_ms[left],
            self._at_ms[left + 1] - self._at_ms[left],
        )

    def use(self, edges_ms: Int64s) -> Int64s:
        """The use between neighbouring instants, least digits, int64, shape (n - 1,)."""
        return np.diff(self.at(edges_ms))

    def use_known(self, edges_ms: Int64s) -> Bools:
        """Which of the periods of `use` lie wholly between readings, shape (n - 1,)."""
        known = self.known(edges_ms)
        both: Bools = known[1:] & known[:-1]
        return both


def _share(rise: Int64s, elapsed_ms: Int64s, dt_ms: Int64s) -> Int64s:
    """floor(rise x elapsed / dt) without overflow: rise = whole x dt + rest, each taken alone."""
    whole, rest = np.divmod(rise, dt_ms)
    share = whole * elapsed_ms
    short = dt_ms <= _DT_EXACT_MS
    if short.all():
        return share + rest * elapsed_ms // dt_ms
    fraction = np.where(short, rest, 0) * np.where(short, elapsed_ms, 0) // dt_ms
    long = ~short
    # Gaps over 35 days are few: Python's integers have no bound.
    fraction[long] = rest[long].astype(object) * elapsed_ms[long].astype(object) // dt_ms[long]
    return share + fraction
