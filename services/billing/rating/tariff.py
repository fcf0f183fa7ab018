"""What a tariff is made of. Every convention that differs between utilities is a named field."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from services.kit.money import Rounding

#: Day kinds of a time-of-use period: Monday 0 … Sunday 6, a public holiday is a kind of its own.
DAY_KINDS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")
HOLIDAY = DAY_KINDS.index("holiday")


class RoundPer(StrEnum):
    """What is rounded: every line, or only the total (the lines' rest then is a line)."""

    LINE = "line"
    TOTAL = "total"


class Per(StrEnum):
    """What a fixed price or the limits of blocks are stated for."""

    MONTH = "month"
    DAY = "day"
    PERIOD = "period"


class Proration(StrEnum):
    """A month that is billed in part: counted by its days, or as a whole month."""

    NONE = "none"
    DAYS = "days"


class BlockMode(StrEnum):
    """Each block's price for its own part, or the price of the last block reached for all."""

    GRADUATED = "graduated"
    WHOLE_VOLUME = "whole_volume"


class Base(StrEnum):
    """Whether a percentage is taken of amounts as shown on the bill or as they were computed."""

    ROUNDED = "rounded"
    UNROUNDED = "unrounded"


@dataclass(frozen=True, slots=True)
class FixedLine:
    """A standing charge.

    Attributes:
        price: Money per `per`.
    """

    kind: ClassVar[str] = "fixed"
    id: str
    text: str
    price: Decimal
    per: Per
    proration: Proration


@dataclass(frozen=True, slots=True)
class Block:
    """One step of a block price.

    Attributes:
        up_to: Upper limit in the tariff's unit, inclusive; None in the last block.
        price: Money per unit.
    """

    up_to: Decimal | None
    price: Decimal


@dataclass(frozen=True, slots=True)
class BlockLine:
    """A price by quantity; one block without a limit is a flat price."""

    kind: ClassVar[str] = "block"
    id: str
    text: str
    mode: BlockMode
    per: Per
    proration: Proration
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class TimeOfUsePeriod:
    """Hours of the local clock that share a price.

    Attributes:
        name: Shown on the bill; periods of one name have one price.
        price: Money per unit.
        months: 1 to 12.
        day_kinds: Positions in `DAY_KINDS`.
        from_minute: Minute of the local day, a multiple of 15, inclusive.
        to_minute: Minute of the local day, up to 1440, exclusive.
    """

    name: str
    price: Decimal
    months: tuple[int, ...]
    day_kinds: tuple[int, ...]
    from_minute: int
    to_minute: int


@dataclass(frozen=True, slots=True)
class TimeOfUseLine:
    """A price by the local hour; the periods cover every quarter of an hour exactly once."""

    kind: ClassVar[str] = "time_of_use"
    id: str
    text: str
    periods: tuple[TimeOfUsePeriod, ...]


@dataclass(frozen=True, slots=True)
class PercentageLine:
    """A share of other lines.

    Attributes:
        of: Ids of lines that stand before this one.
        percent: Per cent, may be negative.
    """

    kind: ClassVar[str] = "percentage"
    id: str
    text: str
    of: tuple[str, ...]
    percent: Decimal
    base: Base


@dataclass(frozen=True, slots=True)
class TaxLine:
    """A tax on other lines, on top of their prices; it is credited to the state, not to revenue."""

    kind: ClassVar[str] = "tax"
    id: str
    text: str
    of: tuple[str, ...]
    percent: Decimal
    base: Base


Line = FixedLine | BlockLine | TimeOfUseLine | PercentageLine | TaxLine


@dataclass(frozen=True, slots=True)
class RoundingRule:
    """How amounts become money of the currency's digits."""

    mode: Rounding
    per: RoundPer


@dataclass(frozen=True, slots=True)
class HolidayCalendar:
    """Which days are public holidays: those of a country, and dates named by the tariff."""

    country: str | None = None
    dates: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class Tariff:
    """One version of a tariff; never edited, the next version has a later `valid_from`.

    Attributes:
        code: Name that agreements refer to.
        version: This version's name.
        name: For people.
        currency: ISO 4217 code.
        currency_digits: Digits behind the point of a rounded amount.
        commodity: electricity, gas, heat or water.
        unit: What prices and limits are stated in.
        channel: OBIS code of the register that is billed.
        valid_from: First local day it is in force.
        time_zone: IANA zone of its days, months and hours.
        rounding: How amounts are rounded.
        holidays: Days of the kind `holiday`.
        lines: In the order they are computed and shown.
        digest: SHA-256 (hexadecimal) of the canonical document.
    """

    code: str
    version: str
    name: str
    currency: str
    currency_digits: int
    commodity: str
    unit: str
    channel: str
    valid_from: date
    time_zone: str
    rounding: RoundingRule
    holidays: HolidayCalendar
    lines: tuple[Line, ...]
    digest: str

    @property
    def time_of_use(self) -> tuple[TimeOfUseLine, ...]:
        """The lines that need use by the hour."""
        return tuple(line for line in self.lines if isinstance(line, TimeOfUseLine))
