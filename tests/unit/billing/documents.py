"""Tariff documents and quantities the billing tests share."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from services.billing.rating.determinants import Determinants
from services.billing.rating.engine import Context, RatedBill, rate
from services.billing.rating.parse import parse
from services.billing.rating.period import Period


def document(lines: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """A water tariff with given lines; keyword arguments replace its other fields."""
    return {
        "code": "test",
        "version": "1",
        "name": "Test",
        "currency": "EUR",
        "currency_digits": 2,
        "commodity": "water",
        "unit": "m3",
        "channel": "8-0:1.0.0",
        "valid_from": "2000-01-01",
        "time_zone": "Europe/Madrid",
        "rounding": {"mode": "half_up", "per": "line"},
        "lines": lines,
        **changes,
    }


def electricity(lines: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """The same for electricity."""
    fields = {"commodity": "electricity", "unit": "kWh", "channel": "1-0:1.8.0", **changes}
    return document(lines, **fields)


def fixed(identity: str, price: str, per: str = "period", **more: Any) -> dict[str, Any]:
    """A standing charge."""
    return {"id": identity, "kind": "fixed", "text": identity, "price": price, "per": per, **more}


def blocks(
    identity: str, steps: list[tuple[str | None, str]], per: str = "period", **more: Any
) -> dict[str, Any]:
    """A block line from (limit, price) pairs."""
    return {
        "id": identity,
        "kind": "block",
        "text": identity,
        "mode": "graduated",
        "per": per,
        "blocks": [
            {"price": price} if up_to is None else {"up_to": up_to, "price": price}
            for up_to, price in steps
        ],
        **more,
    }


def share(
    identity: str, kind: str, percent: str, of: list[str], base: str = "rounded"
) -> dict[str, Any]:
    """A percentage or tax line."""
    return {
        "id": identity,
        "kind": kind,
        "text": identity,
        "of": of,
        "percent": percent,
        "base": base,
    }


#: Nights and holidays cheap, working days in two halves; 8 periods of three names.
THREE_RATES = {
    "id": "energy",
    "kind": "time_of_use",
    "text": "Energy",
    "periods": [
        {"name": "night", "price": "0.1", "from_time": "00:00", "to_time": "07:30"},
        {
            "name": "peak",
            "price": "0.3",
            "weekdays": ["mon", "tue", "wed", "thu", "fri"],
            "from_time": "07:30",
            "to_time": "21:00",
        },
        {
            "name": "weekend",
            "price": "0.2",
            "weekdays": ["sat", "sun", "holiday"],
            "from_time": "07:30",
            "to_time": "21:00",
        },
        {"name": "night", "price": "0.1", "from_time": "21:00", "to_time": "24:00"},
    ],
}


def rated(
    document_of: dict[str, Any],
    quantity: str,
    period: Period,
    context: Context | None = None,
) -> RatedBill:
    """Rate a quantity in the tariff's own unit."""
    tariff = parse(document_of)
    determinants = Determinants.of_decimal(Decimal(quantity), tariff.unit)
    return rate(tariff, determinants, period, context)


def amounts(bill: RatedBill) -> dict[str, str]:
    """Amount by line id, as text."""
    return {line.id: str(line.amount) for line in bill.lines}
