"""Tariff documents (JSON or YAML) to tariffs: every fault at once, by JSON pointer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import holidays
import yaml

from services.billing.rating import canonical, coverage
from services.billing.rating.fields import Fields
from services.billing.rating.tariff import (
    DAY_KINDS,
    HOLIDAY,
    Base,
    Block,
    BlockLine,
    BlockMode,
    FixedLine,
    HolidayCalendar,
    Line,
    Per,
    PercentageLine,
    Proration,
    RoundingRule,
    RoundPer,
    Tariff,
    TaxLine,
    TimeOfUseLine,
    TimeOfUsePeriod,
)
from services.kit.errors import Fault, InvalidInputError, TooLargeError
from services.kit.money import Rounding
from services.metering import obis, units

DOCUMENT_BYTES_MAX = 256 * 1024
LINES_MAX = 100
BLOCKS_MAX = 50
PERIODS_MAX = 200
HOLIDAYS_MAX = 400
PRICE_MAX = 10**9
_NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
_VERSION = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_CLOCK = re.compile(r"([01]\d|2[0-4]):(00|15|30|45)")


class _TextLoader(yaml.SafeLoader):
    """YAML in which numbers with a point and dates stay the texts they were written as.

    Aliases are refused: a few bytes of them can stand for gigabytes.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed in a tariff")
        return super().compose_node(parent, index)


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if not tag.endswith((":float", ":timestamp"))]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_document(data: bytes) -> dict[str, Any]:
    """A tariff document from JSON or YAML; decimals stay the texts they were written as.

    Raises:
        TooLargeError: More than 256 KiB.
        InvalidInputError: Neither JSON nor YAML, or no mapping.
    """
    if len(data) > DOCUMENT_BYTES_MAX:
        raise TooLargeError(f"a tariff has at most {DOCUMENT_BYTES_MAX} bytes, not {len(data)}")
    try:
        text = data.decode()
        if text.lstrip().startswith("{"):
            document = json.loads(text, parse_float=str)
        else:
            document = yaml.load(text, Loader=_TextLoader)  # noqa: S506 - a SafeLoader
        # Halves of surrogate pairs can be escaped in both, but never be stored.
        json.dumps(document, ensure_ascii=False, default=str).encode()
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        fault = Fault("", "tariff.unreadable", str(error))
        raise InvalidInputError("neither JSON nor YAML", faults=[fault]) from error
    if not isinstance(document, dict):
        fault = Fault("", "tariff.mapping", "a tariff is a mapping of fields")
        raise InvalidInputError(fault.detail, faults=[fault])
    return document


def parse(document: Mapping[str, Any]) -> Tariff:
    """A tariff from its document.

    Raises:
        InvalidInputError: With all faults of the document at once, by JSON pointer.
    """
    faults: list[Fault] = []
    fields = Fields(document, "", faults)
    unit_names = tuple(u for u, (dimension, _) in units.UNITS.items() if dimension in _BILLED)
    calendar = _holidays(fields.mapping("calendar", optional=True))
    tariff = Tariff(
        code=fields.text("code", _NAME, "small letters, digits, '-' and '_'"),
        version=fields.text("version", _VERSION, "letters, digits, '.', '-' and '_'"),
        name=fields.text("name"),
        currency=fields.text("currency", r"[A-Z]{3}", "an ISO 4217 code like EUR"),
        currency_digits=fields.whole("currency_digits", 0, 4),
        commodity=fields.choice("commodity", obis.COMMODITIES),
        unit=fields.choice("unit", unit_names),
        channel=fields.text("channel"),
        valid_from=fields.day("valid_from"),
        time_zone=fields.text("time_zone"),
        rounding=_rounding(fields.mapping("rounding")),
        holidays=calendar,
        lines=_lines(fields, calendar),
        digest="",
    )
    _check_channel(fields, tariff)
    _check_zone(fields, tariff)
    fields.refuse_others()
    if faults:
        raise InvalidInputError(
            f"{len(faults)} faults in the tariff", faults=faults, code="tariff.invalid"
        )
    return replace(tariff, digest=canonical.digest(dict(document)))


_BILLED = ("volume", "energy", "reactive_energy")


def _rounding(fields: Fields) -> RoundingRule:
    rule = RoundingRule(
        Rounding(fields.choice("mode", tuple(Rounding))),
        RoundPer(fields.choice("per", tuple(RoundPer))),
    )
    fields.refuse_others()
    return rule


def _holidays(fields: Fields) -> HolidayCalendar:
    country = fields.raw("holidays_country")
    known = isinstance(country, str) and country in holidays.list_supported_countries()
    if country is not None and not known:
        fields.fault("holidays_country", "country", f"no holidays known of {country!r}")
        country = None
    dates = []
    entries = fields.raw("holidays", [])
    if not isinstance(entries, list) or len(entries) > HOLIDAYS_MAX:
        fields.fault("holidays", "list", f"holidays must be a list of at most {HOLIDAYS_MAX} dates")
        entries = []
    for index, entry in enumerate(entries):
        one = Fields({str(index): entry}, f"{fields.where}/holidays", fields.faults)
        dates.append(one.day(str(index)))
    fields.refuse_others()
    return HolidayCalendar(country, tuple(sorted(dates)))


def _check_channel(fields: Fields, tariff: Tariff) -> None:
    try:
        measured = obis.commodity(tariff.channel)
    except InvalidInputError as error:
        fields.fault("channel", "channel", error.detail)
        return
    if measured != tariff.commodity:
        text = f"{tariff.channel} measures {measured}, the tariff is for {tariff.commodity}"
        fields.fault("channel", "channel", text)


def _check_zone(fields: Fields, tariff: Tariff) -> None:
    try:
        ZoneInfo(tariff.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f"{tariff.time_zone!r} is no IANA time zone like Europe/Madrid"
        fields.fault("time_zone", "time_zone", text)


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a line may refer to: ids of the lines before it, and the kinds of days there are."""

    before: list[str]
    day_kinds: tuple[str, ...]


def _lines(fields: Fields, calendar: HolidayCalendar) -> tuple[Line, ...]:
    lines: list[Line] = []
    ids: list[str] = []
    scope = _Scope(ids, DAY_KINDS[:HOLIDAY] if calendar == HolidayCalendar() else DAY_KINDS)
    for entry in fields.mappings("lines", LINES_MAX):
        kind = entry.choice("kind", tuple(_KINDS))
        identity = entry.text("id", _NAME, "small letters, digits, '-' and '_'")
        if identity in ids:
            entry.fault("id", "id_twice", f"{identity!r} is the id of an earlier line")
        text = entry.text("text")
        if kind == entry.raw("kind"):
            lines.append(_KINDS[kind](entry, identity, text, scope))
            entry.refuse_others()
        ids.append(identity)
    return tuple(lines)


def _fixed(entry: Fields, identity: str, text: str, scope: _Scope) -> Line:
    price = entry.decimal("price", -PRICE_MAX, PRICE_MAX)
    return FixedLine(identity, text, price, _per(entry), _proration(entry))


def _per(entry: Fields) -> Per:
    return Per(entry.choice("per", tuple(Per)))


def _proration(entry: Fields) -> Proration:
    return Proration(entry.choice("proration", tuple(Proration), Proration.DAYS))


def _block(entry: Fields, identity: str, text: str, scope: _Scope) -> Line:
    blocks: list[Block] = []
    steps = entry.mappings("blocks", BLOCKS_MAX)
    for step in steps:
        price = step.decimal("price", -PRICE_MAX, PRICE_MAX)
        up_to = None
        if step is not steps[-1]:
            count = len(step.faults)
            up_to = step.decimal("up_to", 0, 10**12)
            below = (blocks[-1].up_to if blocks else None) or 0
            if up_to <= below and len(step.faults) == count:
                step.fault("up_to", "not_rising", f"must be above {below}, not {up_to}")
        elif step.raw("up_to") is not None:
            step.fault("up_to", "last_block", "the last block has no up_to: it takes all the rest")
        step.refuse_others()
        blocks.append(Block(up_to, price))
    mode = BlockMode(entry.choice("mode", tuple(BlockMode)))
    return BlockLine(identity, text, mode, _per(entry), _proration(entry), tuple(blocks))


def _time_of_use(entry: Fields, identity: str, text: str, scope: _Scope) -> Line:
    count = len(entry.faults)
    periods: list[TimeOfUsePeriod] = []
    for step in entry.mappings("periods", PERIODS_MAX):
        period = _period(step, scope.day_kinds)
        same = next((p for p in periods if p.name == period.name), period)
        if same.price != period.price:
            detail = f"{period.name!r} has the price {same.price} in an earlier period"
            step.fault("price", "two_prices", detail)
        periods.append(period)
    # Holes of a period that could not be read are no faults of their own.
    if len(entry.faults) == count:
        for code, detail in coverage.problems(periods, scope.day_kinds):
            entry.fault("periods", code, detail)
    return TimeOfUseLine(identity, text, tuple(periods))


def _period(step: Fields, day_kinds: tuple[str, ...]) -> TimeOfUsePeriod:
    kinds = step.choices("weekdays", day_kinds, day_kinds)
    period = TimeOfUsePeriod(
        name=step.text("name", _NAME, "small letters, digits, '-' and '_'"),
        price=step.decimal("price", -PRICE_MAX, PRICE_MAX),
        months=tuple(sorted(step.choices("months", range(1, 13), range(1, 13)))),
        day_kinds=tuple(sorted(DAY_KINDS.index(kind) for kind in kinds)),
        from_minute=_minute(step, "from_time"),
        to_minute=_minute(step, "to_time"),
    )
    if period.from_minute >= period.to_minute:
        text = "must be after from_time; write hours across midnight as two periods"
        step.fault("to_time", "not_rising", text)
    step.refuse_others()
    return period


def _minute(step: Fields, name: str) -> int:
    value = step.raw(name)
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    minute = int(match[1]) * 60 + int(match[2]) if match else -1
    if not 0 <= minute <= 1440:
        text = f'{name} must be a quarter of an hour from "00:00" to "24:00", not {value!r}'
        step.fault(name, "time", text)
        return 0 if name == "from_time" else 1440
    return minute


def _share(entry: Fields, before: list[str]) -> tuple[tuple[str, ...], Any, Base]:
    of = entry.raw("of")
    if not isinstance(of, list) or not of:
        entry.fault("of", "list", "of must be a list of ids of earlier lines")
        of = []
    for index, name in enumerate(of):
        if name not in before or name in of[:index]:
            detail = f"{name!r} is no line before this one, or stands twice"
            entry.fault(f"of/{index}", "unknown_line", detail)
    percent = entry.decimal("percent", -1000, 1000)
    base = Base(entry.choice("base", tuple(Base), Base.ROUNDED))
    return tuple(map(str, of)), percent, base


def _percentage(entry: Fields, identity: str, text: str, scope: _Scope) -> Line:
    return PercentageLine(identity, text, *_share(entry, scope.before))


def _tax(entry: Fields, identity: str, text: str, scope: _Scope) -> Line:
    if entry.raw("inclusive", False) is not False:
        entry.fault("inclusive", "inclusive", "taxes are added to prices: inclusive must be false")
    return TaxLine(identity, text, *_share(entry, scope.before))


_KINDS: dict[str, Callable[[Fields, str, str, _Scope], Line]] = {
    "fixed": _fixed,
    "block": _block,
    "time_of_use": _time_of_use,
    "percentage": _percentage,
    "tax": _tax,
}
