"""The charges of each kind of tariff line, exact and not yet rounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.billing.rating.coverage import rate_names
from services.billing.rating.determinants import Determinants, shown
from services.billing.rating.period import Period
from services.billing.rating.tariff import (
    Base,
    BlockLine,
    BlockMode,
    FixedLine,
    Per,
    PercentageLine,
    Tariff,
    TaxLine,
    TimeOfUseLine,
)
from services.kit.money import decimal_to_text as plain


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount before rounding, and how it came about.

    Attributes:
        id: The bill line's id.
        text: What the customer reads.
        quantity: As shown.
        unit: Unit of the quantity.
        price: Money per unit, or the share.
        exact: The amount.
        reason: The sum in words, up to the equals sign.
        determinants: Names of the determinants it bills; empty if it bills none.
    """

    id: str
    text: str
    quantity: Decimal
    unit: str
    price: Decimal
    exact: Fraction
    reason: str
    determinants: tuple[str, ...] = ()


def fixed(tariff: Tariff, line: FixedLine, period: Period) -> Charge:
    """A standing charge for the months, days or the period."""
    times = period.times(line.per, line.proration)
    share_of = period.in_words(line.per, line.proration)
    reason = f"{plain(line.price)} {tariff.currency} a {line.per} × {plain(shown(times))}"
    return Charge(
        id=line.id,
        text=line.text,
        quantity=shown(times),
        unit=str(line.per),
        price=line.price,
        exact=Fraction(line.price) * times,
        reason=reason + (f" ({share_of})" if share_of else ""),
    )


def block(
    tariff: Tariff, line: BlockLine, determinants: Determinants, period: Period
) -> list[Charge]:
    """One charge for each block that is reached; the first also for no use at all."""
    total = determinants.total_in(tariff)
    times = period.times(line.per, line.proration)
    limits = [None if b.up_to is None else Fraction(b.up_to) * times for b in line.blocks]
    if line.mode is BlockMode.WHOLE_VOLUME:
        reached = next(i for i, limit in enumerate(limits) if limit is None or total <= limit)
        return [_block_charge(tariff, line, reached, (Fraction(0), total), limits, period)]
    charges = []
    low = Fraction(0)
    for number, limit in enumerate(limits):
        high = total if limit is None else min(total, limit)
        if high > low or number == 0:
            charges.append(_block_charge(tariff, line, number, (low, high), limits, period))
        low = high
    return charges


def _block_charge(
    tariff: Tariff,
    line: BlockLine,
    number: int,
    part: tuple[Fraction, Fraction],
    limits: Sequence[Fraction | None],
    period: Period,
) -> Charge:
    low, high = part
    price = line.blocks[number].price
    # Shown as the difference of shown ends, so that the parts on paper add up to the whole.
    quantity = shown(high) - shown(low)
    several = len(line.blocks) > 1
    where = _block_words(tariff, line, number, limits, period) if several else "All use"
    return Charge(
        id=f"{line.id}.{number + 1}" if several else line.id,
        text=f"{line.text}, block {number + 1}" if several else line.text,
        quantity=quantity,
        unit=tariff.unit,
        price=price,
        exact=(high - low) * Fraction(price),
        reason=(
            f"{where}: {plain(quantity)} {tariff.unit} × "
            f"{plain(price)} {tariff.currency}/{tariff.unit}"
        ),
        determinants=("quantity",),
    )


def _block_words(
    tariff: Tariff,
    line: BlockLine,
    number: int,
    limits: Sequence[Fraction | None],
    period: Period,
) -> str:
    def limit(index: int) -> str:
        block_of, real = line.blocks[index], limits[index]
        assert block_of.up_to is not None
        assert real is not None
        said = f"{plain(block_of.up_to)} {tariff.unit}"
        if line.per is not Per.PERIOD:
            said += f" a {line.per}"
        if real != Fraction(block_of.up_to):
            said += f" (here {plain(shown(real))} {tariff.unit}{_parts(line, period)})"
        return said

    upper = None if line.blocks[number].up_to is None else limit(number)
    if line.mode is BlockMode.WHOLE_VOLUME:
        if number == 0:
            return f"All use at one price, up to {upper}"
        above = f"All use at one price, above {limit(number - 1)}"
        return above if upper is None else f"{above} and up to {upper}"
    if number == 0:
        return f"Use up to {upper}"
    above = f"Use above {limit(number - 1)}"
    return above if upper is None else f"{above} and up to {upper}"


def _parts(line: BlockLine, period: Period) -> str:
    said = period.in_words(line.per, line.proration)
    return f", {said}" if said else ""


def time_of_use(
    tariff: Tariff, line: TimeOfUseLine, determinants: Determinants, holidays: frozenset[date]
) -> list[Charge]:
    """One charge for each rate whose hours occur in the period."""
    names = rate_names(line)
    prices = {period.name: period.price for period in line.periods}
    charges = []
    shown_before = Fraction(0)
    for position, (use, intervals) in determinants.by_rate(tariff, line, holidays).items():
        name = names[position]
        price = prices[name]
        quantity = shown(shown_before + use) - shown(shown_before)
        shown_before += use
        charges.append(
            Charge(
                id=f"{line.id}.{name}",
                text=f"{line.text}, {name.replace('_', ' ').replace('-', ' ')}",
                quantity=quantity,
                unit=tariff.unit,
                price=price,
                exact=use * Fraction(price),
                reason=(
                    f"Use in the {intervals} intervals of {name!r} by the clock in "
                    f"{tariff.time_zone}: {plain(quantity)} {tariff.unit} × "
                    f"{plain(price)} {tariff.currency}/{tariff.unit}"
                ),
                determinants=(f"{line.id}.{name}",),
            )
        )
    return charges


def share(
    tariff: Tariff,
    line: PercentageLine | TaxLine,
    bases: Sequence[tuple[Decimal, Fraction]],
) -> Charge:
    """A percentage of other lines' amounts, given as (rounded, exact)."""
    if line.base is Base.ROUNDED:
        base = sum((Fraction(amount) for amount, _ in bases), Fraction(0))
    else:
        base = sum((exact for _, exact in bases), Fraction(0))
    shown_base = shown(base)
    cent = Decimal(1).scaleb(-tariff.currency_digits)
    if shown_base == shown_base.quantize(cent):
        shown_base = shown_base.quantize(cent)
    names = {other.id: other.text for other in tariff.lines}
    unrounded = ", not rounded" if line.base is Base.UNROUNDED else ""
    return Charge(
        id=line.id,
        text=line.text,
        quantity=shown_base,
        unit=tariff.currency,
        price=line.percent.scaleb(-2),
        exact=base * Fraction(line.percent) / 100,
        reason=(
            f"{plain(line.percent)} % of {plain(shown_base)} {tariff.currency} "
            f"({', '.join(names[of] for of in line.of)}{unrounded})"
        ),
    )
