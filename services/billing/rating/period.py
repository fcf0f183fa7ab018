"""Billing periods: local days, the months they touch, and how much of a month they are."""

from __future__ import annotations

import calendar
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from services.billing.rating.tariff import Per, Proration


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """Local days from `from_date` to `to_date`, the end not included."""

    from_date: date
    to_date: date

    def __post_init__(self) -> None:
        assert self.from_date < self.to_date, "a period has one day or more"

    @property
    def days(self) -> int:
        """How many local days it has."""
        return (self.to_date - self.from_date).days

    def months(self) -> Iterator[tuple[int, int]]:
        """For each calendar month it touches: days of the period in it, days it has."""
        day = self.from_date
        while day < self.to_date:
            length = calendar.monthrange(day.year, day.month)[1]
            after = min(day.replace(day=1) + timedelta(length), self.to_date)
            yield (after - day).days, length
            day = after

    def times(self, per: Per, proration: Proration) -> Fraction:
        """How often a price or limit stated per month, day or period holds in this period.

        A whole month counts 1; a month in part counts its share of days, or 1 without proration.
        """
        if per is Per.PERIOD:
            return Fraction(1)
        if per is Per.DAY:
            return Fraction(self.days)
        if proration is Proration.NONE:
            return Fraction(sum(1 for _ in self.months()))
        return sum((Fraction(part, whole) for part, whole in self.months()), Fraction(0))

    def in_words(self, per: Per, proration: Proration) -> str:
        """How `times` came about, for a customer; empty where there is nothing to say."""
        if per is not Per.MONTH or proration is Proration.NONE:
            return ""
        parts = [f"{part} of {whole} days" for part, whole in self.months() if part != whole]
        return " and ".join(parts)


def cut(from_date: date, to_date: date, at: Iterable[date] = ()) -> list[Period]:
    """Cut a stretch of days into periods at every first of a month and at given days."""
    if from_date >= to_date:
        return []
    edges = {from_date, to_date}
    edges.update(day for day in at if from_date < day < to_date)
    day = from_date
    while (day := (day.replace(day=1) + timedelta(32)).replace(day=1)) < to_date:
        edges.add(day)
    ordered = sorted(edges)
    return [Period(*pair) for pair in itertools.pairwise(ordered)]
