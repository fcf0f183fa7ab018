"""Rules that need no history: instants, alignment, interval values, and one reading per instant.

Each gives uint32 flags (`quality.Rule`), parallel to its columns, to be or-ed together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.metering.quality import Rule

#: How far ahead of its receipt a reading may be stamped (V24).
FUTURE_TOLERANCE_MS = 300_000
#: 2000-01-01T00:00:00Z. Before it, a clock was never set (V24).
ANCIENT_MS = 946_684_800_000

Int64s = NDArray[np.int64]
Ints = NDArray[np.int64] | NDArray[np.int32]
Bools = NDArray[np.bool_]
Flags = NDArray[np.uint32]


def check_instant(
    at_ms: Int64s, received_at_ms: Int64s | int, installed_from_ms: Int64s | int = ANCIENT_MS
) -> Flags:
    """V24: instants in the future, before the year 2000 or before the meter was installed.

    Args:
        at_ms: Instants of the readings, int64, shape (n,).
        received_at_ms: When they were received, int64, one or shape (n,).
        installed_from_ms: From when their meter has been in place, int64, one or shape (n,).
    """
    future = at_ms > received_at_ms + FUTURE_TOLERANCE_MS
    ancient = (at_ms < ANCIENT_MS) | (at_ms < installed_from_ms)
    return _flags(future | ancient, Rule.V24_INSTANT)


def check_alignment(at_ms: Int64s, interval_s: Ints | int) -> Flags:
    """V04: an interval ends on a whole multiple of its length since the epoch, in UTC.

    Args:
        at_ms: Ends of the intervals, int64, shape (n,).
        interval_s: Length of an interval in seconds, one or shape (n,); 0 for channels that have
            no interval, which pass.
    """
    length_ms = np.asarray(interval_s, dtype=np.int64) * 1_000
    off = (at_ms % np.maximum(length_ms, 1)) != 0
    return _flags(off & (length_ms > 0), Rule.V04_INTERVAL)


def check_interval_value(
    value: Int64s, interval_s: Ints | int, rate_max_per_h: Int64s | int
) -> Flags:
    """V17 and V20 for interval channels: 0 <= use <= rate x length, rounded up to a digit.

    Args:
        value: Use in each interval in least digits, int64, shape (n,).
        interval_s: Length of an interval in seconds, one or shape (n,).
        rate_max_per_h: Physical limit, tolerance inside, least digits per hour, at most 10^12; one
            or shape (n,).
    """
    use_max = -(-np.asarray(rate_max_per_h, dtype=np.int64) * interval_s // 3_600)
    return _flags(value < 0, Rule.V17_NEGATIVE) | _flags(value > use_max, Rule.V20_PHYSICAL_LIMIT)


def _flags(hit: Bools, rule: Rule) -> Flags:
    return np.where(hit, np.uint32(rule), np.uint32(0))


@dataclass(frozen=True, slots=True)
class Deduplicated:
    """What `deduplicate` decided; each row is in exactly one of three masks of shape (n,).

    Attributes:
        keep: The one row of each channel and instant that stands.
        duplicate: Says what the kept row says; to be dropped and counted.
        conflict: Says something else; to be kept as a revision (V05).
    """

    keep: Bools
    duplicate: Bools
    conflict: Bools


def deduplicate(channel: Ints, at_ms: Int64s, value: Int64s, rank: Ints) -> Deduplicated:
    """V05: one reading for each channel and instant, whatever the order of the rows.

    The higher rank stands, on equal rank the smaller value (in doubt for the customer). That is a
    total order, so rows may be compared in any grouping, stored ones among new ones, and the same
    stands in the end.

    Args:
        channel: Channel of each row, shape (n,).
        at_ms: Its instant, int64, shape (n,).
        value: Its value in least digits, int64, shape (n,).
        rank: Precedence of its source, shape (n,).
    """
    keep = np.ones(len(at_ms), dtype=bool)
    duplicate = np.zeros(len(at_ms), dtype=bool)
    rows = _doubled(channel, at_ms)
    if len(rows):
        order = rows[
            np.lexsort((value[rows], -rank[rows].astype(np.int64), at_ms[rows], channel[rows]))
        ]
        first = np.ones(len(order), dtype=bool)
        first[1:] = (np.diff(channel[order]) != 0) | (np.diff(at_ms[order]) != 0)
        winner = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
        keep[order] = first
        duplicate[order] = ~first & (value[order] == value[winner])
    return Deduplicated(keep, duplicate, ~keep & ~duplicate)


def _doubled(channel: Ints, at_ms: Int64s) -> NDArray[np.intp]:
    """Rows that share channel and instant with another, by ascending row."""
    ordered = (channel[1:] > channel[:-1]) | (
        (channel[1:] == channel[:-1]) & (at_ms[1:] > at_ms[:-1])
    )
    if ordered.all():
        return np.zeros(0, dtype=np.intp)
    order = np.lexsort((at_ms, channel))
    same = (np.diff(channel[order]) == 0) & (np.diff(at_ms[order]) == 0)
    shared = np.zeros(len(order), dtype=bool)
    shared[1:] |= same
    shared[:-1] |= same
    return np.sort(order[shared])
