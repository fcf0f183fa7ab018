"""Wall times without a zone, as many files have them, to instants: in columns, clock changes right.

In autumn an hour stands twice on the clock. Which of the two a wall time means is decided by the
order of the rows of its series: the first time a wall time appears it is summer time, the second
time winter time; and once the clock jumps back within that hour, what follows is winter time. In
spring an hour is missing: a wall time in it never was, and is a fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of a zone's offset from UTC, in ms."""

    at_ms: int
    before_ms: int
    after_ms: int


def offset_ms(zone: ZoneInfo, at_ms: int) -> int:
    """Offset from UTC at an instant, in ms."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    delta = moment.utcoffset() or timedelta()
    return round(delta.total_seconds() * 1000)


def transitions(zone: ZoneInfo, from_ms: int, to_ms: int) -> list[Transition]:
    """Changes of a zone's offset between two instants, found to the second by halving days."""
    found = []
    low, low_offset = from_ms, offset_ms(zone, from_ms)
    while low < to_ms:
        high = min(low + _DAY_MS, to_ms)
        high_offset = offset_ms(zone, high)
        if high_offset != low_offset:
            found.append(_halve(zone, low, high, low_offset, high_offset))
        low, low_offset = high, high_offset
    return found


def _halve(zone: ZoneInfo, low: int, high: int, before: int, after: int) -> Transition:
    while high - low > 1000:
        middle = (low + high) // 2000 * 1000
        if middle <= low:
            break
        if offset_ms(zone, middle) == before:
            low = middle
        else:
            high = middle
    return Transition(high, before, after)


def to_utc_ms(wall_ms: Int64s, zone_name: str, series: NDArray[np.integer]) -> tuple[Int64s, Bools]:
    """Instants of wall times.

    Args:
        wall_ms: Wall times as if they were UTC, in ms, int64, shape (n,), in the order of the file.
        zone_name: IANA name of the zone whose clock they were read from.
        series: Which series (meter) each belongs to, shape (n,).

    Returns:
        Instants in ms, int64, and which wall times never were (their instant is of no use),
        both shape (n,).
    """
    zone = ZoneInfo(zone_name)
    if not len(wall_ms):
        return wall_ms.astype(np.int64), np.zeros(0, dtype=bool)
    changes = transitions(zone, int(wall_ms.min()) - 2 * _DAY_MS, int(wall_ms.max()) + 2 * _DAY_MS)
    first = offset_ms(zone, int(wall_ms.min()) - 2 * _DAY_MS)
    # Walls before a change's earlier edge have the offset before it, from its later edge on after.
    edges = np.array([c.at_ms + max(c.before_ms, c.after_ms) for c in changes], dtype=np.int64)
    offsets = np.array([first, *(c.after_ms for c in changes)], dtype=np.int64)
    shift = offsets[np.searchsorted(edges, wall_ms, side="right")]
    never = np.zeros(len(wall_ms), dtype=bool)
    for change in changes:
        low = change.at_ms + min(change.before_ms, change.after_ms)
        high = change.at_ms + max(change.before_ms, change.after_ms)
        hour = np.flatnonzero((wall_ms >= low) & (wall_ms < high))
        if change.after_ms > change.before_ms:
            never[hour] = True
        elif len(hour):
            winter = _second_time(wall_ms[hour], series[hour])
            shift[hour] = np.where(winter, change.after_ms, change.before_ms)
    return wall_ms - shift, never


def _second_time(wall_ms: Int64s, series: NDArray[np.integer]) -> Bools:
    """Which wall times within the doubled hour are the second; a few rows a year, so a loop."""
    winter = np.zeros(len(wall_ms), dtype=bool)
    seen: set[tuple[int, int]] = set()
    last: dict[int, int] = {}
    back: set[int] = set()
    for number, (wall, owner) in enumerate(zip(wall_ms.tolist(), series.tolist(), strict=True)):
        if wall < last.get(owner, wall):
            back.add(owner)
        winter[number] = owner in back or (owner, wall) in seen
        seen.add((owner, wall))
        last[owner] = wall
    return winter
