"""From an order and the use it asked for to a bill: issued with its lineage, or held with a reason.

Pure: the same inputs give the same bytes, which the two digests of a draft prove.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from services.billing.rating import canonical
from services.billing.rating.determinants import Determinants, IntervalSeries, shown
from services.billing.rating.engine import ENGINE_VERSION, Context, RatedBill, RatedLine, rate
from services.billing.rating.localtime import holidays_in, interval_boundaries, midnight_ms
from services.billing.rating.period import Period
from services.billing.rating.tariff import PercentageLine, Tariff, TaxLine
from services.billing.usage import Evidence, Int64s, RegisterStep, Usage
from services.kit.clock import to_rfc3339
from services.kit.errors import InvalidInputError
from services.kit.money import decimal_to_text, scaled_to_decimal
from services.metering.quality import rule_names

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class BillOrder:
    """A bill to be made.

    Attributes:
        agreement_id: Whose bill; with the period it names the bill for good.
        account_id: Who pays.
        service_point_id: Where the use is.
        tariff: The version in force at the period's first day.
        period: Local days in the tariff's zone.
        held_because: A reason known before any use is asked for; empty if there is none.
    """

    agreement_id: UUID
    account_id: UUID
    service_point_id: int
    tariff: Tariff
    period: Period
    held_because: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """When use is good enough for a bill.

    Attributes:
        known_ppm_min: Least share of the period that lies between good readings, per million.
        accept_partial: Bill what is known even below that.
    """

    known_ppm_min: int
    accept_partial: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A bill that is ready to be written.

    Attributes:
        order: What it answers.
        held_because: Why it may not be issued; empty if it may.
        quantity: Billed use in the tariff's unit; None if held.
        rated: Lines and total; None if held.
        lineage: What each line rests on, one JSON mapping a line.
        inputs_digest: SHA-256 of everything the bill was computed from.
        output_digest: SHA-256 of lines, total and lineage.
    """

    order: BillOrder
    held_because: str
    quantity: Decimal | None = None
    rated: RatedBill | None = None
    lineage: tuple[dict[str, Any], ...] = ()
    inputs_digest: str = ""
    output_digest: str = ""


def boundaries_of(tariff: Tariff, period: Period) -> Int64s:
    """The instants use is asked for: both ends, and the hours between for time of use."""
    if tariff.time_of_use:
        return interval_boundaries(
            period.from_date, period.to_date, tariff.time_zone, tariff.time_of_use
        )
    ends = (period.from_date, period.to_date)
    return np.array([midnight_ms(day, tariff.time_zone) for day in ends], dtype=np.int64)


def draft(order: BillOrder, usages: Sequence[Usage], gate: Gate) -> Draft:
    """Make one bill.

    Args:
        order: What to bill.
        usages: Answers for the tariff's channel at the boundaries of `boundaries_of`.
        gate: When use is good enough.
    """
    reason = order.held_because or _doubt(order, usages)
    if reason:
        return Draft(order, reason)
    usage = usages[0]
    boundaries_ms = boundaries_of(order.tariff, order.period)
    known_ppm = _known_ppm(usage, boundaries_ms)
    reason = _gap(usage, known_ppm, gate)
    if reason:
        return Draft(order, reason)
    context = Context(
        holidays=holidays_in(order.tariff.holidays, order.period),
        quantity_note=_note(known_ppm),
    )
    determinants = Determinants.of_series(
        IntervalSeries(boundaries_ms, usage.quantity, usage.unit, usage.scaler)
    )
    try:
        rated = rate(order.tariff, determinants, order.period, context)
    except InvalidInputError as error:
        return Draft(order, f"The use does not fit the tariff: {error.detail}.")
    measured = _measured(order, usage, boundaries_ms, known_ppm)
    lineage = tuple(_lineage(order.tariff, line, measured) for line in rated.lines)
    return Draft(
        order,
        "",
        quantity=shown(determinants.total_in(order.tariff)),
        rated=rated,
        lineage=lineage,
        inputs_digest=canonical.digest(_inputs(order, usage, boundaries_ms, context)),
        output_digest=canonical.digest(_output(rated, lineage)),
    )


def _doubt(order: BillOrder, usages: Sequence[Usage]) -> str:
    """Why it is not known which register counts, or nothing."""
    channel = order.tariff.channel
    if not usages:
        return f"There are no readings of channel {channel} at this service point."
    if len(usages) > 1:
        return f"{len(usages)} registers answer for channel {channel} at this service point."
    return ""


def _gap(usage: Usage, known_ppm: int, gate: Gate) -> str:
    """Why the use is not good enough, or nothing."""
    if known_ppm == 0 and not usage.quantity.any():
        return "There is no good reading in this period, or none on both sides of it."
    if known_ppm < gate.known_ppm_min and not gate.accept_partial:
        return (
            f"Good readings cover {_percent(known_ppm)} % of the period; "
            f"{_percent(gate.known_ppm_min)} % are needed."
        )
    return ""


def _known_ppm(usage: Usage, boundaries_ms: Int64s) -> int:
    """Share of the whole period that lies between good readings, rounded down."""
    # In seconds the products stay far below 2^63: 10^6 ppm of a century are 3e15.
    lengths_s = np.diff(boundaries_ms) // 1000
    return int((usage.known_ppm * lengths_s).sum()) // int(lengths_s.sum())


def _percent(ppm: int) -> str:
    # Cut, not rounded: 99.99 % known must not read as everything.
    return decimal_to_text(scaled_to_decimal(ppm // 1000, -1))


def _note(known_ppm: int) -> str:
    # Each interval's share was rounded down, so a whole period may lack one part of a million.
    if known_ppm >= PPM - 1:
        return ""
    return (
        f"Good readings cover {_percent(known_ppm)} % of the period: between readings far apart "
        "use is spread evenly, before the first and after the last none is billed."
    )


def _lineage(tariff: Tariff, line: RatedLine, measured: dict[str, Any]) -> dict[str, Any]:
    """What a line rests on: the tariff, and what was measured or the lines it is a share of."""
    lineage: dict[str, Any] = {
        "engine": ENGINE_VERSION,
        "tariff": {
            "code": tariff.code,
            "version": tariff.version,
            "digest": tariff.digest,
            "line": line.tariff_line,
        },
    }
    if line.determinants:
        name = {"name": line.determinants[0]}
        return {**lineage, **measured, "determinant": {**name, **measured["determinant"]}}
    shares = {t.id: t.of for t in tariff.lines if isinstance(t, PercentageLine | TaxLine)}
    return {**lineage, "of": list(shares.get(line.tariff_line, ()))}


def _measured(
    order: BillOrder, usage: Usage, boundaries_ms: Int64s, known_ppm: int
) -> dict[str, Any]:
    """What all lines of a bill that bill use rest on."""
    return {
        "determinant": {
            "service_point_id": order.service_point_id,
            "obis": usage.obis,
            "from": to_rfc3339(int(boundaries_ms[0])),
            "to": to_rfc3339(int(boundaries_ms[-1])),
            "intervals": len(usage.quantity),
            "quantity": _decimal(sum(usage.quantity.tolist()), usage),
            "register_from": _decimal(int(usage.register[0]), usage),
            "register_to": _decimal(int(usage.register[-1]), usage),
            "unit": usage.unit,
        },
        "registers": [_register(one, usage) for one in usage.evidence],
        "events": [_event(step, usage) for step in usage.steps],
        "quality": {
            "usable": usage.readings_usable,
            "failed": usage.readings_failed,
            "known_ppm": known_ppm,
        },
    }


def _register(one: Evidence, usage: Usage) -> dict[str, Any]:
    return {
        "meter": one.meter,
        "meter_id": one.meter_id,
        "channel": one.channel,
        "at": to_rfc3339(one.at_ms),
        "value": _decimal(one.value, usage),
        "flags": one.flags,
        "rules": rule_names(one.flags),
        "payload_digest": one.payload_digest,
        "log_position": one.log_position,
    }


def _event(step: RegisterStep, usage: Usage) -> dict[str, Any]:
    return {
        "meter_id": step.meter_id,
        "channel": step.channel,
        "at": to_rfc3339(step.at_ms),
        "kind": step.kind,
        "offset_delta": _decimal(step.offset_delta, usage),
        "from_value": _decimal(step.from_value, usage),
        "to_value": _decimal(step.to_value, usage),
    }


def _decimal(value: int, usage: Usage) -> str:
    return decimal_to_text(scaled_to_decimal(value, usage.scaler))


def _inputs(
    order: BillOrder, usage: Usage, boundaries_ms: Int64s, context: Context
) -> dict[str, Any]:
    """Everything the bill depends on; ids given at random have no place here."""
    return {
        "engine": ENGINE_VERSION,
        "tariff": [order.tariff.code, order.tariff.version, order.tariff.digest],
        "service_point_id": order.service_point_id,
        "period": [order.period.from_date.isoformat(), order.period.to_date.isoformat()],
        "holidays": sorted(day.isoformat() for day in context.holidays),
        "note": context.quantity_note,
        "channel": [usage.obis, usage.unit, usage.scaler],
        "boundaries_ms": _column(boundaries_ms),
        "quantity": _column(usage.quantity),
        "register": _column(usage.register),
        "known_ppm": _column(usage.known_ppm),
        "evidence": [asdict(one) for one in usage.evidence],
        "steps": [asdict(one) for one in usage.steps],
        "readings": [usage.readings_usable, usage.readings_failed],
    }


def _column(values: Int64s) -> str:
    """A column in full, as hexadecimal text: a month of hours is ten times faster than numbers."""
    return values.astype("<i8", copy=False).tobytes().hex()


def _output(rated: RatedBill, lineage: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "lines": [line.as_json() for line in rated.lines],
        "lineage": list(lineage),
        "total": decimal_to_text(rated.total),
        "currency": rated.currency,
    }
