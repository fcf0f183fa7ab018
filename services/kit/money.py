"""Exact decimals for money and billed quantities: no float ever, rounding always stated."""

from __future__ import annotations

from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_DOWN,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    ROUND_UP,
    Decimal,
    localcontext,
)
from enum import StrEnum
from fractions import Fraction


class Rounding(StrEnum):
    """How a tariff rounds; the names are Python's, without the prefix."""

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    HALF_DOWN = "half_down"
    UP = "up"
    DOWN = "down"
    CEILING = "ceiling"
    FLOOR = "floor"


_MODES = {
    Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.HALF_EVEN: ROUND_HALF_EVEN,
    Rounding.HALF_DOWN: ROUND_HALF_DOWN,
    Rounding.UP: ROUND_UP,
    Rounding.DOWN: ROUND_DOWN,
    Rounding.CEILING: ROUND_CEILING,
    Rounding.FLOOR: ROUND_FLOOR,
}


def round_exact(value: Fraction, digits: int, mode: Rounding) -> Decimal:
    """Round an exact fraction once to `digits` decimals.

    Prorated limits such as 31/30 have no finite decimal, so amounts stay fractions until here.
    """
    scaled = value * Fraction(10) ** digits
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    # Three digits of remainder decide every mode once the last of them is sticky. The context is as
    # wide as the number: the default one would round it to 28 digits first.
    thousandths = whole * 1000 + _sticky(rest, scaled.denominator)
    with localcontext() as context:
        context.prec = len(str(thousandths)) + 1
        units = int(Decimal(f"{thousandths}E-3").quantize(Decimal(1), rounding=_MODES[mode]))
    return scaled_to_decimal(units, -digits)


def _sticky(rest: int, denominator: int) -> int:
    """The remainder in thousandths, never put onto 0 or 500 unless it is exactly there."""
    thousandths, more = divmod(rest * 1000, denominator)
    if more and thousandths in (0, 500):
        return thousandths + 1
    return thousandths


def scaled_to_decimal(value: int, scaler: int) -> Decimal:
    """`value × 10^scaler` as an exact decimal."""
    return Decimal(f"{value}E{scaler}")  # the constructor never rounds, scaleb does


def decimal_to_text(value: Decimal) -> str:
    """A decimal as plain digits, never in scientific notation."""
    return format(value, "f")
