"""Rating: a tariff version times quantities is a bill. Pure, exact, each line with its reason.

Amounts are fractions until they are rounded once, by the mode the tariff names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

from services.billing.rating.charges import Charge, block, fixed, share, time_of_use
from services.billing.rating.determinants import Determinants
from services.billing.rating.period import Period
from services.billing.rating.tariff import (
    BlockLine,
    FixedLine,
    Line,
    PercentageLine,
    RoundPer,
    Tariff,
    TaxLine,
    TimeOfUseLine,
)
from services.kit.errors import InvalidInputError
from services.kit.money import decimal_to_text, round_exact

#: Part of every bill's inputs: raise it when the same inputs give another bill.
ENGINE_VERSION = "1"
ROUNDING_ID = "rounding"


@dataclass(frozen=True, slots=True)
class Context:
    """What rating needs beside tariff and quantities.

    Attributes:
        holidays: Local days of the kind `holiday` in the period.
        quantity_note: A sentence put behind the reason of every line that bills a quantity.
    """

    holidays: frozenset[date] = frozenset()
    quantity_note: str = ""


@dataclass(frozen=True, slots=True)
class RatedLine:
    """One line of a bill.

    Attributes:
        id: The tariff line's id, with the block or rate behind a point.
        tariff_line: The tariff line's id, or `rounding`.
        kind: The tariff line's kind, or `rounding`.
        text: What the customer reads.
        quantity: What the price is multiplied with, in `unit`.
        unit: Unit of the quantity.
        price: Money per unit; for percentages, the share: quantity × price is the amount.
        amount: Rounded to the currency's digits.
        exact: The amount before rounding.
        because: Why, in a sentence with the numbers.
        determinants: What the quantity was taken from, by name.
    """

    id: str
    tariff_line: str
    kind: str
    text: str
    quantity: Decimal
    unit: str
    price: Decimal
    amount: Decimal
    exact: Fraction
    because: str
    determinants: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The line as it stands in documents; decimals are texts."""
        return {
            "id": self.id,
            "text": self.text,
            "quantity": decimal_to_text(self.quantity),
            "unit": self.unit,
            "price": decimal_to_text(self.price),
            "amount": decimal_to_text(self.amount),
            "because": self.because,
            "determinants": list(self.determinants),
        }


@dataclass(frozen=True, slots=True)
class RatedBill:
    """A bill before it has a number; its lines' amounts always add up to the total."""

    lines: tuple[RatedLine, ...]
    total: Decimal
    currency: str


def rate(
    tariff: Tariff,
    determinants: Determinants,
    period: Period,
    context: Context | None = None,
) -> RatedBill:
    """Rate one period of one service point.

    Args:
        tariff: The version in force.
        determinants: The quantities of exactly this period.
        period: Local days in the tariff's zone.
        context: Holidays and remarks.

    Raises:
        InvalidInputError: Quantities that do not fit the tariff, or that are negative: whether a
            reverse flow is credited is not for rating to guess.
    """
    context = context or Context()
    if determinants.quantity < 0:
        raise InvalidInputError("the quantity is negative", code="usage.negative")
    lines: list[RatedLine] = []
    for line in tariff.lines:
        charges = _charges(tariff, line, determinants, period, context, lines)
        lines += [_rounded(tariff, line, charge, context) for charge in charges]
    amounts = sum((line.amount for line in lines), Decimal(0))
    if tariff.rounding.per is RoundPer.TOTAL:
        exact = sum((line.exact for line in lines), Fraction(0))
        total = round_exact(exact, tariff.currency_digits, tariff.rounding.mode)
        if total != amounts:
            lines.append(_difference(tariff, total - amounts))
        amounts = total
    total = amounts + Decimal(0).scaleb(-tariff.currency_digits)
    return RatedBill(tuple(lines), total, tariff.currency)


def _charges(
    tariff: Tariff,
    line: Line,
    determinants: Determinants,
    period: Period,
    context: Context,
    before: list[RatedLine],
) -> list[Charge]:
    match line:
        case FixedLine():
            return [fixed(tariff, line, period)]
        case BlockLine():
            return block(tariff, line, determinants, period)
        case TimeOfUseLine():
            return time_of_use(tariff, line, determinants, context.holidays)
        case PercentageLine() | TaxLine():
            bases = [(b.amount, b.exact) for b in before if b.tariff_line in line.of]
            return [share(tariff, line, bases)]


def _rounded(tariff: Tariff, line: Line, charge: Charge, context: Context) -> RatedLine:
    amount = round_exact(charge.exact, tariff.currency_digits, tariff.rounding.mode)
    rounded = "" if Fraction(amount) == charge.exact else " (rounded)"
    because = f"{charge.reason} = {decimal_to_text(amount)} {tariff.currency}{rounded}."
    if context.quantity_note and charge.determinants:
        because += " " + context.quantity_note
    return RatedLine(
        id=charge.id,
        tariff_line=line.id,
        kind=line.kind,
        text=charge.text,
        quantity=charge.quantity,
        unit=charge.unit,
        price=charge.price,
        amount=amount,
        exact=charge.exact,
        because=because,
        determinants=charge.determinants,
    )


def _difference(tariff: Tariff, amount: Decimal) -> RatedLine:
    return RatedLine(
        id=ROUNDING_ID,
        tariff_line=ROUNDING_ID,
        kind=ROUNDING_ID,
        text="Rounding",
        quantity=Decimal(1),
        unit="1",
        price=amount,
        amount=amount,
        exact=Fraction(0),
        because="This tariff rounds the total, not its lines: this is what the lines lack to it.",
        determinants=(),
    )
