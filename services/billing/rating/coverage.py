"""Which time-of-use period holds at each quarter of an hour, and whether each has exactly one."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from services.billing.rating.tariff import DAY_KINDS, TimeOfUseLine, TimeOfUsePeriod

SLOT_MINUTES = 15
SLOTS = 24 * 60 // SLOT_MINUTES
#: Tables kept; a table has 9 KiB.
TABLES_MAX = 256


def rate_names(line: TimeOfUseLine) -> tuple[str, ...]:
    """The names of a line's periods, each once, in the order they first stand."""
    return tuple(dict.fromkeys(period.name for period in line.periods))


@functools.lru_cache(maxsize=TABLES_MAX)
def slot_table(line: TimeOfUseLine) -> NDArray[np.int8]:
    """Position in `rate_names` for each local quarter of an hour.

    Returns:
        int8, shape (12 months, 8 day kinds, 96 quarters of an hour).
    """
    names = rate_names(line)
    table = np.full((12, len(DAY_KINDS), SLOTS), -1, dtype=np.int8)
    for period in line.periods:
        table[_where(period)] = names.index(period.name)
    return table


def _where(period: TimeOfUsePeriod) -> tuple[NDArray[np.intp], ...]:
    slots = range(period.from_minute // SLOT_MINUTES, period.to_minute // SLOT_MINUTES)
    return np.ix_([month - 1 for month in period.months], period.day_kinds, list(slots))


def problems(
    periods: Sequence[TimeOfUsePeriod], day_kinds: Sequence[str] = DAY_KINDS
) -> list[tuple[str, str]]:
    """Every stretch of a day that no period covers, or more than one.

    Months with the same stretch of the same day kind are named together.

    Args:
        periods: Of one line.
        day_kinds: Those that must be covered: a tariff without holidays has none of that kind.

    Returns:
        (code, sentence) for each.
    """
    count = np.zeros((12, len(DAY_KINDS), SLOTS), dtype=np.int16)
    for period in periods:
        count[_where(period)] += 1
    found: dict[tuple[str, int, int, int], list[int]] = {}
    for month in range(12):
        for kind in range(len(day_kinds)):
            for state, first, end in _stretches(count[month, kind]):
                found.setdefault((state, kind, first, end), []).append(month + 1)
    texts = {"uncovered": "is in no period", "overlap": "is in more than one period"}
    return [
        (
            state,
            f"{DAY_KINDS[kind]} {_clock(first)}–{_clock(end)} in months {_listed(months)} "
            + texts[state],
        )
        for (state, kind, first, end), months in found.items()
    ]


def _stretches(count: NDArray[np.int16]) -> list[tuple[str, int, int]]:
    found = []
    first = 0
    for state, group in groupby(np.sign(count - 1).tolist()):
        end = first + len(list(group))
        if state:
            found.append(("uncovered" if state < 0 else "overlap", first, end))
        first = end
    return found


def _listed(months: list[int]) -> str:
    return ", ".join(map(str, months))


def _clock(slot: int) -> str:
    return f"{slot * SLOT_MINUTES // 60:02d}:{slot * SLOT_MINUTES % 60:02d}"
