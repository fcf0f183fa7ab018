"""What tariff lines are multiplied with: a total, and use by the interval where hours matter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from services.billing.rating.localtime import rate_positions
from services.billing.rating.tariff import Tariff, TimeOfUseLine
from services.kit.errors import InvalidInputError
from services.metering import units

#: Digits a quantity is shown with where it does not end, or a prorated limit cuts it.
SHOWN_DIGITS = 6

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class IntervalSeries:
    """Use in consecutive intervals.

    Attributes:
        boundaries_ms: Rising instants in ms since the epoch, int64, shape (n + 1,).
        quantity: Use between boundary i and i + 1 in `10^scaler unit`, int64, shape (n,).
        unit: Unit of the quantity.
        scaler: Power of ten of its least digit.

    Raises:
        InvalidInputError: The columns do not fit together, or the instants do not rise.
    """

    boundaries_ms: Int64s
    quantity: Int64s
    unit: str
    scaler: int

    def __post_init__(self) -> None:
        if len(self.boundaries_ms) != len(self.quantity) + 1 or not len(self.quantity):
            raise InvalidInputError(
                f"{len(self.boundaries_ms)} boundaries do not fit {len(self.quantity)} intervals",
                code="usage.columns",
            )
        if (np.diff(self.boundaries_ms) <= 0).any():
            raise InvalidInputError("boundaries must rise", code="usage.not_rising")

    @property
    def total(self) -> int:
        """Sum of all intervals in least digits; Python's integers do not overflow."""
        return sum(self.quantity.tolist())


@dataclass(frozen=True, slots=True, eq=False)
class Determinants:
    """The quantities of one bill, as measured.

    Attributes:
        quantity: Use of the whole period in `10^scaler unit`.
        unit: Unit of the quantity.
        scaler: Power of ten of its least digit.
        series: The same use by the interval; None where no line asks for it.
    """

    quantity: int
    unit: str
    scaler: int
    series: IntervalSeries | None = None

    @classmethod
    def of_series(cls, series: IntervalSeries) -> Determinants:
        """The determinants of a series: its sum, and itself."""
        return cls(series.total, series.unit, series.scaler, series)

    @classmethod
    def of_decimal(cls, quantity: Decimal, unit: str) -> Determinants:
        """The determinants of a quantity that is known as a decimal."""
        exponent = quantity.as_tuple().exponent
        assert isinstance(exponent, int), "a quantity is a finite number"
        return cls(int(Fraction(quantity) / Fraction(10) ** exponent), unit, exponent)

    def total_in(self, tariff: Tariff) -> Fraction:
        """The whole quantity in the tariff's unit, exact.

        Raises:
            InvalidInputError: The unit does not measure what the tariff prices.
        """
        return self.quantity * _factor(self.unit, self.scaler, tariff)

    def by_rate(
        self, tariff: Tariff, line: TimeOfUseLine, holidays: frozenset[date]
    ) -> dict[int, tuple[Fraction, int]]:
        """Use and number of intervals for each rate of a time-of-use line that occurs.

        Raises:
            InvalidInputError: No series, one that is too coarse, or one of another sum.
        """
        series = self.series
        if series is None:
            raise InvalidInputError(
                f"line {line.id!r} needs use by the interval", code="usage.no_series"
            )
        scale = _factor(series.unit, series.scaler, tariff)
        if series.total * scale != self.total_in(tariff):
            raise InvalidInputError("the intervals do not add up to the quantity", code="usage.sum")
        positions = rate_positions(line, series.boundaries_ms, tariff.time_zone, holidays)
        return {
            position: (
                sum(series.quantity[positions == position].tolist()) * scale,
                int((positions == position).sum()),
            )
            for position in np.unique(positions).tolist()
        }


def _factor(unit: str, scaler: int, tariff: Tariff) -> Fraction:
    factor = units.factor(unit, scaler, tariff.unit, 0)
    if factor is None:
        raise InvalidInputError(f"{unit} cannot be billed in {tariff.unit}", code="usage.unit")
    return factor


def exact_decimal(value: Fraction) -> Decimal | None:
    """A fraction as a decimal of the same value, or None where it does not end."""
    twos = (value.denominator & -value.denominator).bit_length() - 1
    rest, fives = value.denominator >> twos, 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return None
    digits = max(twos, fives)
    with localcontext(prec=100):
        return Decimal(value.numerator * 10**digits // value.denominator).scaleb(-digits)


def shown(value: Fraction, digits: int = SHOWN_DIGITS) -> Decimal:
    """A quantity as a bill shows it: exact where it ends, else cut to `digits` decimals."""
    exact = exact_decimal(value)
    if exact is not None and -int(exact.as_tuple().exponent) <= max(digits, 9):
        return exact
    with localcontext(prec=100, rounding=ROUND_HALF_EVEN):
        return (Decimal(value.numerator) / value.denominator).quantize(Decimal(1).scaleb(-digits))
