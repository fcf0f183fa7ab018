"""Parts of a whole as segments of a bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: Commodities in the order people know them; others follow by name.
_ORDER = ("water", "gas", "electricity", "heat")


@dataclass(frozen=True, slots=True)
class Share:
    """A segment of a bar.

    Attributes:
        name: What it stands for.
        count: How many.
        start_percent: Where the segment begins.
        percent: How wide it is.
    """

    name: str
    count: int
    start_percent: float
    percent: float


def shares(counts: Any) -> list[Share]:
    """Counts by name as segments that fill a bar, commodities in their usual order."""
    if not isinstance(counts, dict):
        return []
    rank = {name: i for i, name in enumerate(_ORDER)}
    ordered = sorted(counts.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0]))
    whole = sum(count for _, count in ordered) or 1
    found, before = [], 0
    for name, count in ordered:
        found.append(Share(name, count, 100 * before / whole, 100 * count / whole))
        before += count
    return found
