"""Findings in words: how severe they are, a sentence a customer understands, and the evidence.

Quantities are decimals made of whole least digits, never floats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.alerts.detectors.findings import HOUR_MS, Ended, Raised
from services.alerts.detectors.rules import THRESHOLDS, digits
from services.alerts.domain import Described, Kind, Severity
from services.alerts.meters import ChannelFacts, MeterFacts
from services.kit.clock import to_datetime, to_rfc3339
from services.kit.money import decimal_to_text
from services.metering import units

_WHAT = {"water": "Water", "gas": "Gas", "electricity": "Electricity", "heat": "Heat"}
#: What people read quantities in, and from how many of them on the larger unit is better.
_SHOWN = {"water": ("L", 10_000, "m3"), "gas": ("L", 1_000, "m3")}
_ENERGY = ("Wh", 1_000, "kWh")
_NAMES = {"m3": "m³", "ft3": "ft³"}


def describe(raised: Raised, meter: MeterFacts) -> Described:
    """A new alert from a finding."""
    words = _Words(meter, raised.channel)
    severity, message, rule = _WRITERS[raised.kind](words, raised.facts)
    return Described(
        meter_id=raised.meter_id,
        channel=raised.channel,
        kind=raised.kind,
        severity=severity,
        started_at_ms=raised.started_at_ms,
        detected_at_ms=raised.detected_at_ms,
        ended_at_ms=None,
        message=message,
        evidence=_evidence(words, raised, rule),
    )


def ending(ended: Ended, meter: MeterFacts) -> str:
    """Why the cause of an alert is taken to be gone."""
    words, facts = _Words(meter, ended.channel), ended.facts
    at = words.instant(facts["at_ms"])
    if ended.kind is Kind.LEAK:
        return f"The flow paused until {at}; {words.quantity(facts['used'])} had run by then."
    if ended.kind is Kind.BURST:
        return f"The flow was back to normal at {at}; {words.quantity(facts['used'])} had run."
    if ended.kind is Kind.STUCK:
        return f"The register moved again by {at}, after {_duration(facts['still_ms'])}."
    if ended.kind is Kind.REVERSE:
        return f"The register was past its highest value again at {at}."
    if ended.kind is Kind.OFFLINE:
        return f"A reading of {at} arrived."
    return f"The register was back on its curve at {at}."


class _Words:
    """Writes numbers of one channel."""

    def __init__(self, meter: MeterFacts, number: int) -> None:
        self.meter = meter
        self.channel = meter.channel(number) or ChannelFacts(number, "", 0)
        self.what = _WHAT.get(meter.commodity, "The measured quantity")
        self.zone = _zone(meter.time_zone)

    def decimal(self, digits_n: int) -> Decimal:
        """Least digits in the channel's own unit."""
        return Decimal(digits_n).scaleb(self.channel.scaler)

    def register(self, digits_n: int) -> str:
        """A register as evidence: a decimal string in the channel's unit."""
        return decimal_to_text(self.decimal(digits_n))

    def quantity(self, amount: int | Fraction) -> str:
        """Least digits in the unit people read, with the unit."""
        shown, many, larger = _SHOWN.get(self.meter.commodity, _ENERGY)
        factor = units.factor(self.channel.unit, self.channel.scaler, shown, 0)
        if factor is None:
            unit = _NAMES.get(self.channel.unit, self.channel.unit)
            return f"{_number(amount * Fraction(10) ** self.channel.scaler)} {unit}".strip()
        value = amount * factor
        if abs(value) >= many:
            value, shown = value * (units.factor(shown, 0, larger, 0) or 1), larger
        return f"{_number(value)} {_NAMES.get(shown, shown)}"

    def rate(self, rate_milli: int) -> str:
        """Thousandths of a digit per hour, with the unit."""
        return f"{self.quantity(Fraction(rate_milli, 1000))} an hour"

    def instant(self, at_ms: int) -> str:
        """An instant on the customer's clock, to the minute."""
        moment = to_datetime(at_ms).astimezone(self.zone)
        zone = " UTC" if self.zone is UTC else ""
        return f"{moment.day} {moment:%B %Y, %H:%M}{zone}"


def _leak(words: _Words, facts: Mapping[str, int]) -> tuple[Severity, str, str]:
    rate = Fraction(facts["rate_milli"], 1000)
    severity = Severity.INFO
    rules = THRESHOLDS.get(words.meter.commodity)
    if rules is not None:
        for level, limit in (
            (Severity.WARNING, rules.leak_warning_per_h),
            (Severity.CRITICAL, rules.leak_critical_per_h),
        ):
            limit_digits = digits(limit, rules.unit, words.channel)
            if limit_digits is not None and rate > limit_digits:
                severity = level
    message = (
        f"{words.what} has been running without a pause for "
        f"{_duration(facts['at_ms'] - facts['from_ms'])}, at least "
        f"{words.rate(facts['rate_milli'])}, since {words.instant(facts['from_ms'])} – "
        f"{words.quantity(facts['curve'] - facts['from_curve'])} so far."
    )
    return severity, message, "continuous flow: use in every hour"


def _burst(words: _Words, facts: Mapping[str, int]) -> tuple[Severity, str, str]:
    hours = _duration(facts["at_ms"] - facts["from_ms"])
    message = (
        f"{words.what} has been running at up to {words.rate(facts['rate_milli'])} for {hours}, "
        f"since {words.instant(facts['from_ms'])}; more than "
        f"{words.rate(facts['threshold'] * 1000)} is unusual – "
        f"{words.quantity(facts['curve'] - facts['from_curve'])} so far."
    )
    return Severity.CRITICAL, message, "high flow for two consecutive hours"


def _stuck(words: _Words, facts: Mapping[str, int]) -> tuple[Severity, str, str]:
    message = (
        f"The register has stood still for {_duration(facts['at_ms'] - facts['from_ms'])}, since "
        f"{words.instant(facts['from_ms'])}. This meter usually moves within "
        f"{_duration(facts['threshold_ms'])}."
    )
    return Severity.WARNING, message, "no movement for twice the meter's own longest pause"


def _reverse(words: _Words, facts: Mapping[str, int]) -> tuple[Severity, str, str]:
    message = (
        f"The register has gone back by {words.quantity(facts['mark_value'] - facts['value'])} "
        f"since {words.instant(facts['mark_ms'])}: the flow is reversed or the meter was turned "
        "round."
    )
    return Severity.WARNING, message, "register below its highest value for two readings"


def _offline(words: _Words, facts: Mapping[str, int]) -> tuple[Severity, str, str]:
    message = (
        f"No reading after {words.instant(facts['last_ms'])}; a reading is expected within "
        f"{_duration(facts['threshold_ms'])}."
    )
    return Severity.WARNING, message, "no reading for 36 hours or three intervals"


def _bad_read(words: _Words, facts: Mapping[str, int]) -> tuple[Severity, str, str]:
    count = facts["readings_n"]
    many = "One reading was" if count == 1 else f"{count} readings were"
    message = (
        f"{many} off the register's curve: {words.quantity(facts['value'])} on "
        f"{words.instant(facts['wild_ms'])} where the register stood at "
        f"{words.quantity(facts['mark_value'])}. It is not used."
    )
    return Severity.INFO, message, "readings that no flow explains"


_Writer = Callable[[_Words, Mapping[str, int]], tuple[Severity, str, str]]
_WRITERS: Mapping[Kind, _Writer] = {
    Kind.LEAK: _leak,
    Kind.BURST: _burst,
    Kind.STUCK: _stuck,
    Kind.REVERSE: _reverse,
    Kind.OFFLINE: _offline,
    Kind.BAD_READ: _bad_read,
}
#: Facts that are points of the register, as pairs of instant and value.
_POINTS = (
    ("from_ms", "from_curve"),
    ("mark_ms", "mark_value"),
    ("before_ms", "before_curve"),
    ("wild_ms", "value"),
    ("at_ms", "value"),
    ("at_ms", "curve"),
)


def _evidence(words: _Words, raised: Raised, rule: str) -> dict[str, Any]:
    """The readings used, the threshold and the rule, with units."""
    facts = raised.facts
    points = {facts[at]: facts[value] for at, value in _POINTS if at in facts and value in facts}
    if raised.kind is Kind.BAD_READ:
        points.pop(facts["at_ms"], None)
        points[facts["wild_ms"]] = facts["value"]
    threshold: dict[str, Any] = {}
    if "threshold" in facts:
        per = "/h" if raised.kind in (Kind.LEAK, Kind.BURST) else ""
        threshold["quantity"] = words.register(facts["threshold"])
        threshold["unit"] = words.channel.unit + per
    if "threshold_ms" in facts:
        threshold["duration_s"] = facts["threshold_ms"] // 1000
    values: dict[str, Any] = {}
    if "rate_milli" in facts:
        values["rate_per_h"] = format(
            words.decimal(facts["rate_milli"]).scaleb(-3).normalize(), "f"
        )
        values["used"] = words.register(facts["curve"] - facts["from_curve"])
    if "last_ms" in facts:
        values["last_reading_at"] = to_rfc3339(facts["last_ms"])
    if "readings_n" in facts:
        values["readings"] = facts["readings_n"]
    return {
        "rule": rule,
        "unit": words.channel.unit,
        "threshold": threshold,
        "values": values,
        "readings": [
            {"at": to_rfc3339(at), "register": words.register(points[at])} for at in sorted(points)
        ],
    }


def _number(value: int | Fraction) -> str:
    """A number with one decimal where it is small, groups of three where it is large."""
    exact = Decimal(Fraction(value).numerator) / Decimal(Fraction(value).denominator)
    rounded = exact.quantize(Decimal("0.1") if abs(exact) < 100 else Decimal(1))
    return f"{int(rounded):,}" if rounded == int(rounded) else f"{rounded:,}"


def _duration(duration_ms: int) -> str:
    hours = round(duration_ms / HOUR_MS)
    if hours >= 96:
        return f"{hours // 24} days"
    return f"{hours} hour" if hours == 1 else f"{hours} hours"


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
