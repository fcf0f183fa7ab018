"""Randomness as a function of counters: the same key gives the same number, in any order.

A generator that is drawn from in sequence would make a meter's values depend on the meters and the
days drawn before it. A hash of (seed, supply, day, slot) does not: any window of any fleet can be
computed alone and in parallel. The mixing function is the finaliser of SplitMix64 (Steele, Lea and
Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

UInt64s = NDArray[np.uint64]
Floats = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def _mix(value: UInt64s) -> UInt64s:
    value ^= value >> np.uint64(30)
    value *= _FIRST
    value ^= value >> np.uint64(27)
    value *= _SECOND
    value ^= value >> np.uint64(31)
    return value


def hashed(*parts: Any) -> UInt64s:
    """64 well-mixed bits for each combination of `parts`.

    Args:
        parts: Integers or integer arrays that broadcast against one another; at least one
            dimension remains.

    Returns:
        uint64 in the broadcast shape, at least one-dimensional.
    """
    with np.errstate(over="ignore"):
        result = np.zeros(1, dtype=np.uint64)
        for part in parts:
            counter = np.asarray(part)
            if counter.dtype != np.uint64:
                counter = counter.astype(np.int64).astype(np.uint64)
            result = _mix(result + (counter + np.uint64(1)) * _GOLDEN)
    return result


def uniform(bits: UInt64s) -> Floats:
    """Numbers in [0, 1) from the upper 53 bits, shape of `bits`."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def bell(bits: UInt64s) -> Floats:
    """Bell-shaped numbers of mean 0 and deviation 1 within ±3.47, shape of `bits`.

    The sum of four 16-bit uniforms (Irwin-Hall), which needs no logarithm; its bounded tails keep
    households plausible.
    """
    low = np.uint64(0xFFFF)
    total = np.zeros(bits.shape, dtype=np.float64)
    for shift in (0, 16, 32, 48):
        total += (bits >> np.uint64(shift)) & low
    centred: Floats = (total / 65_535 - 2.0) * np.sqrt(3.0)
    return centred
