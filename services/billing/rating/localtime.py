"""Local days and hours on the line of instants: computed once per zone and month, not per meter.

All arrays of instants are int64 milliseconds since the epoch.
"""

from __future__ import annotations

import functools
import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import holidays
import numpy as np
from numpy.typing import NDArray

from services.billing.rating.coverage import SLOT_MINUTES, slot_table
from services.billing.rating.period import Period
from services.billing.rating.tariff import HOLIDAY, HolidayCalendar, TimeOfUseLine
from services.kit.clock import to_datetime, to_ms
from services.kit.errors import InvalidInputError

DAY_MS = 86_400_000
SLOT_MS = SLOT_MINUTES * 60_000
#: Months of one zone, and of one line and boundaries, that are kept; 8 KiB each.
CACHE_MONTHS_MAX = 512

Int64s = NDArray[np.int64]
Int8s = NDArray[np.int8]


def midnight_ms(day: date, zone: str) -> int:
    """The instant a local day begins; where its midnight is skipped, the first instant after."""
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)))


def local_date(at_ms: int, zone: str) -> date:
    """The local day an instant lies in."""
    return to_datetime(at_ms).astimezone(ZoneInfo(zone)).date()


@functools.lru_cache(maxsize=CACHE_MONTHS_MAX)
def holidays_in(calendar: HolidayCalendar, period: Period) -> frozenset[date]:
    """The public holidays in a period; an input of the bill, so that it can be computed again."""
    days = set(calendar.dates)
    if calendar.country is not None:
        years = range(period.from_date.year, period.to_date.year + 1)
        days.update(holidays.country_holidays(calendar.country, years=years))
    return frozenset(day for day in days if period.from_date <= day < period.to_date)


def _offset_ms(at_ms: int, zone: ZoneInfo) -> int:
    offset = to_datetime(at_ms).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(milliseconds=1)


@functools.lru_cache(maxsize=CACHE_MONTHS_MAX)
def _offsets(zone_name: str, year: int, month: int) -> tuple[Int64s, Int64s]:
    """The zone's offsets in a UTC month: instants each begins at, and the offset from there."""
    zone = ZoneInfo(zone_name)
    begin_ms = to_ms(datetime(year, month, 1, tzinfo=UTC))
    end_ms = to_ms(datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC))
    starts, offsets = [begin_ms], [_offset_ms(begin_ms, zone)]
    # A zone changes its offset at most once a day; within that day the instant is bisected.
    for day_ms in range(begin_ms, end_ms, DAY_MS):
        low, high = day_ms, min(day_ms + DAY_MS, end_ms - 1)
        if _offset_ms(high, zone) != offsets[-1]:
            while high - low > 1:
                middle = (low + high) // 2
                if _offset_ms(middle, zone) == offsets[-1]:
                    low = middle
                else:
                    high = middle
            starts.append(high)
            offsets.append(_offset_ms(high, zone))
    return np.array(starts, dtype=np.int64), np.array(offsets, dtype=np.int64)


def to_local_ms(at_ms: Int64s, zone: str) -> Int64s:
    """The local clock at each instant, as ms of a day count without offset, shape of `at_ms`."""
    local = np.empty_like(at_ms)
    months = at_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    for number in np.unique(months).tolist():
        rows = months == number
        starts, offsets = _offsets(zone, 1970 + number // 12, number % 12 + 1)
        local[rows] = at_ms[rows] + offsets[np.searchsorted(starts, at_ms[rows], "right") - 1]
    return local


def resolution_ms(lines: tuple[TimeOfUseLine, ...]) -> int:
    """The longest interval on which every period of the lines begins and ends, at most an hour."""
    minutes = [m for line in lines for p in line.periods for m in (p.from_minute, p.to_minute)]
    return math.gcd(60, *minutes) * 60_000


@functools.lru_cache(maxsize=CACHE_MONTHS_MAX)
def interval_boundaries(
    from_date: date, to_date: date, zone: str, lines: tuple[TimeOfUseLine, ...]
) -> Int64s:
    """Boundaries from one local midnight to another, fine enough for time-of-use lines.

    A day on which clocks change has 23 or 25 hours of them.

    Returns:
        Rising instants, int64, shape (n + 1,), read-only.
    """
    begin_ms, end_ms = midnight_ms(from_date, zone), midnight_ms(to_date, zone)
    step_ms = resolution_ms(lines)
    # Where clocks change by half an hour, steps of an hour would miss the hours behind the change.
    hours = np.arange(begin_ms, end_ms, 3_600_000, dtype=np.int64)
    offsets = to_local_ms(hours, zone) - hours
    step_ms = math.gcd(step_ms, *(offsets - offsets[0]).tolist())
    boundaries = np.append(np.arange(begin_ms, end_ms, step_ms, dtype=np.int64), end_ms)
    boundaries.flags.writeable = False
    return boundaries


def rate_positions(
    line: TimeOfUseLine, boundaries_ms: Int64s, zone: str, free_days: frozenset[date]
) -> Int8s:
    """Which of the line's rates holds in each interval.

    Args:
        line: Its periods cover every quarter of an hour once.
        boundaries_ms: Rising instants, shape (n + 1,).
        zone: The tariff's zone: its periods stay on the local clock.
        free_days: Local days of the kind `holiday`.

    Returns:
        Positions in `coverage.rate_names(line)`, int8, shape (n,).

    Raises:
        InvalidInputError: An interval lies across the boundary of two periods.
    """
    return _rate_positions(line, boundaries_ms.tobytes(), zone, free_days)


@functools.lru_cache(maxsize=CACHE_MONTHS_MAX)
def _rate_positions(
    line: TimeOfUseLine, boundaries: bytes, zone: str, free_days: frozenset[date]
) -> Int8s:
    boundaries_ms = np.frombuffer(boundaries, dtype=np.int64)
    starts_ms, lengths_ms = boundaries_ms[:-1], np.diff(boundaries_ms)
    local_ms = to_local_ms(starts_ms, zone)
    step_ms = resolution_ms((line,))
    across = local_ms // step_ms != (local_ms + lengths_ms - 1) // step_ms
    if across.any():
        at_ms = int(starts_ms[np.flatnonzero(across)[0]])
        raise InvalidInputError(
            f"the interval from {to_datetime(at_ms).isoformat()} is longer than the periods of "
            f"line {line.id!r} allow: they need intervals of {step_ms // 60_000} min",
            code="usage.too_coarse",
        )
    days = local_ms // DAY_MS
    months = local_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64) % 12
    kinds = (days + 3) % 7  # day 0, 1970-01-01, was a Thursday
    kinds[np.isin(days, [(day - date(1970, 1, 1)).days for day in free_days])] = HOLIDAY
    positions = slot_table(line)[months, kinds, local_ms % DAY_MS // SLOT_MS]
    positions.flags.writeable = False
    return positions
