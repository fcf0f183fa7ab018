"""What the fake services answer: a small utility in June 2026 with a leak and a bill."""

from __future__ import annotations

import bisect
import hashlib
import math
from typing import Any

from services.kit.clock import from_rfc3339, to_rfc3339
from services.metering.quality import Rule

KEY = "mf_operator_of_stadtwerke"
READER_KEY = "mf_reader_of_stadtwerke"
OTHER_KEY = "mf_operator_of_another_utility"
NOW_MS = from_rfc3339("2026-06-14T12:05:00Z")
HOUR_MS = 3_600_000
LAST_MS = from_rfc3339("2026-06-14T12:00:00Z")
HOURS = 30 * 24
ALERT_ID = "0197a2c4-7f10-7cc2-8b5e-0a6a4b1c0001"
BILL_ID = "0197a2c4-7f10-7cc2-8b5e-0a6a4b1c0b01"
DIGEST = hashlib.sha256(b"payload at the end").hexdigest()
SCRIPT = "<script>alert(1)</script>"

IDENTITIES = {
    KEY: {"tenant_id": 1, "tenant": "stadtwerke", "role": "operator", "key_id": "k1"},
    READER_KEY: {"tenant_id": 1, "tenant": "stadtwerke", "role": "reader", "key_id": "k2"},
    OTHER_KEY: {"tenant_id": 2, "tenant": "elsewhere", "role": "operator", "key_id": "k3"},
}
_STREETS = ("Lindenweg", "Am Markt", "Mühlgasse", "Bahnhofstraße", "Gartenweg")


def _meters() -> list[dict[str, Any]]:
    kinds = (
        ("water", "acme", "aq-100"),
        ("electricity", "volta", "e-3p"),
        ("gas", "flux", "g4"),
        ("heat", "therm", "h-22"),
    )
    meters = []
    for i in range(1, 61):
        commodity, maker, product = kinds[(i - 1) % 4]
        meters.append(
            {
                "meter_id": i,
                "maker": maker,
                "serial": f"{commodity[0].upper()}{40_000_000 + i * 7919}",
                "product": f"{maker}-{product}",
                "commodity": commodity,
                "state": "in_stock" if i == 60 else "active",
                "service_point": f"SP-{1000 + i}",
                "service_point_id": i,
                "zone": f"DMA-{i % 5 + 1}",
                "address": f"{_STREETS[i % 5]} {i}, 04103 Leipzig",
            }
        )
    meters[1]["address"] = SCRIPT
    return meters


METERS = _meters()


def channels(commodity: str) -> list[dict[str, Any]]:
    """Channels of a product; electricity has one for each direction."""
    obis, unit, scaler = {
        "water": ("8-0:1.0.0", "m3", -3),
        "electricity": ("1-0:1.8.0", "kWh", -3),
        "gas": ("7-0:3.0.0", "m3", -2),
        "heat": ("6-0:1.0.0", "kWh", 0),
    }[commodity]
    first = {
        "number": 1,
        "obis": obis,
        "unit": unit,
        "scaler": scaler,
        "kind": "register",
        "digits": 8,
        "interval_s": 3600,
    }
    if commodity != "electricity":
        return [first]
    return [first, {**first, "number": 2, "obis": "1-0:2.8.0"}]


def _use(hour: int) -> int:
    """Litres in an hour of a household with a leak in its last three days."""
    local = (hour + 14) % 24
    daily = 8 + 70 * math.exp(-((local - 7) ** 2) / 3) + 55 * math.exp(-((local - 19) ** 2) / 6)
    return int(daily * (0.7 + 0.3 * math.sin(hour * 12.9898))) + (34 if hour > HOURS - 72 else 0)


def curve(from_ms: int, to_ms: int = LAST_MS) -> dict[str, Any]:
    """Hourly curve with a gap, two failed readings, a rollover and an exchange."""
    at, register, use, flags = [], [], [], []
    total, missed = 99_998_000, 0
    for hour in range(HOURS + 1):
        at_ms = LAST_MS - (HOURS - hour) * HOUR_MS
        used = _use(hour)
        total += used
        failed = hour in (HOURS - 40, HOURS - 39)
        if HOURS - 100 < hour < HOURS - 88:
            missed += used
            continue
        at.append(at_ms)
        register.append(9_999_999_999 if failed else total)
        use.append(None if failed else used + missed)
        flags.append(int(Rule.V20_PHYSICAL_LIMIT) if failed else 0)
        missed = used if failed else 0
    events = [
        {"at_ms": LAST_MS - 15 * 24 * HOUR_MS, "kind": "rollover", "offset": 10**8},
        {"at_ms": LAST_MS - 60 * HOUR_MS, "kind": "exchange", "offset": 5},
    ]
    inside = slice(bisect.bisect_left(at, from_ms), bisect.bisect_right(at, to_ms))
    columns = {"at_ms": at, "register": register, "use": use, "flags": flags}
    shown = [event for event in events if int(str(event["at_ms"])) >= from_ms]
    cut = {name: column[inside] for name, column in columns.items()}
    return {**cut, "events": shown, "unit": "m3", "scaler": -3, "kind": "register"}


def readings(from_ms: int) -> list[dict[str, Any]]:
    """The curve's points as rows, oldest first."""
    points = curve(from_ms)
    rows = []
    for at_ms, value, flag in zip(
        points["at_ms"], points["register"], points["flags"], strict=True
    ):
        shown = f"{value / 1000:.3f}"
        rows.append(
            {
                "at": to_rfc3339(at_ms),
                "value": shown,
                "register": shown,
                "unit": "m3",
                "rules": ["V20_PHYSICAL_LIMIT"] if flag else [],
                "usable": not flag,
            }
        )
    return rows


def alert(number: int = 1) -> dict[str, Any]:
    """The leak at meter 1, and others that only fill the list."""
    kinds = (
        ("leak", "critical", "Water has flowed without a pause for 72 hours, at least 34 L/h."),
        ("stuck", "warning", "The register has not moved for 14 days at a meter that was in use."),
        ("offline", "info", "No reading for 26 hours; one an hour is expected."),
        ("burst", "critical", "940 L in one hour, 11 times the usual highest hour."),
        ("reverse", "warning", "The register went back by 120 L within 3 hours."),
    )
    kind, severity, message = kinds[(number - 1) % 5]
    meter = METERS[(number - 1) * 3 % 60]
    return {
        "alert_id": f"{ALERT_ID[:-2]}{number:02d}",
        "meter_id": meter["meter_id"],
        "meter": f"{meter['maker']}:{meter['serial']}",
        "channel": 1,
        "kind": kind,
        "severity": severity,
        "state": ("open", "open", "acknowledged", "open", "resolved")[(number - 1) % 5],
        "started_at": to_rfc3339(LAST_MS - (72 + number) * HOUR_MS),
        "detected_at": to_rfc3339(LAST_MS - (24 + number) * HOUR_MS),
        "ended_at": None,
        "message": message,
    }


_TARIFF = {"code": "household-water", "version": 3, "digest": "cd" * 32, "line": "blocks"}
_LINES = (
    ("Water, first 10 m³", "10.000", "m3", "1.2500", "12.50", "10 of 14.21 m³ fall in block 1."),
    ("Water, above 10 m³", "4.210", "m3", "2.1000", "8.84", "4.21 m³ lie above 10 m³."),
    ("Standing charge", "31", "day", "0.1200", "3.72", "31 days at a fixed price a day."),
    ("Value added tax 7 %", "25.06", "EUR", "0.07", "1.75", "7 % of water and standing charge."),
)


def _lineage_of_use() -> dict[str, Any]:
    """What the lines for water rest on: two registers with a rollover between them."""
    registers = [
        {
            "meter": "acme:W40007919",
            "meter_id": 1,
            "channel": 1,
            "at": at,
            "value": value,
            "flags": rules,
            "payload_digest": digest,
            "log_position": position,
        }
        for at, value, rules, digest, position in (
            ("2026-04-30T22:00:00Z", "99995.120", [], "ab" * 32, "readings.received/2/1842"),
            ("2026-05-31T22:00:00Z", "9.330", ["V07_GAP"], DIGEST, "readings.received/2/2591"),
        )
    ]
    step = {
        "at": "2026-05-30T11:00:00Z",
        "kind": "rollover",
        "offset_delta": "100000.000",
        "from_value": "99999.998",
        "to_value": "0.041",
    }
    determinant = {
        "name": "use",
        "obis": "8-0:1.0.0",
        "from": "2026-04-30T22:00:00Z",
        "to": "2026-05-31T22:00:00Z",
        "quantity": "14.210",
        "register_from": "99995.120",
        "register_to": "100009.330",
        "unit": "m3",
    }
    return {
        "engine": "1",
        "tariff": _TARIFF,
        "determinant": determinant,
        "registers": registers,
        "events": [step],
        "quality": {"usable": 733, "failed": 2, "known_ppm": 985_000},
    }


def bill() -> dict[str, Any]:
    """A block tariff with value added tax, its lines explained."""
    plain = {"engine": "1", "tariff": _TARIFF}
    use = _lineage_of_use()
    lineages = (use, use, plain, {**plain, "of": ["blocks", "standing"]})
    lines = [
        {
            "line_id": f"line-{i}",
            "text": text,
            "quantity": quantity,
            "unit": unit,
            "price": price,
            "amount": amount,
            "because": because,
            "lineage": lineages[i],
        }
        for i, (text, quantity, unit, price, amount, because) in enumerate(_LINES)
    ]
    return {
        **bill_row(1),
        "tariff": "household-water",
        "tariff_version": "2026-01",
        "issued_at": "2026-06-02T04:10:00Z",
        "inputs_digest": "12" * 32,
        "output_digest": "34" * 32,
        "lines": lines,
    }


def bill_row(number: int) -> dict[str, Any]:
    """A bill in a list; the fourth is held."""
    return {
        "bill_id": f"{BILL_ID[:-2]}{number:02d}",
        "number": None if number == 4 else 2026_000 + number,
        "account": f"A-{700 + number}",
        "account_name": "Anna Beispiel" if number == 1 else f"Customer {number}",
        "service_point": f"SP-{1000 + number}",
        "from_date": "2026-05-01",
        "to_date": "2026-06-01",
        "currency": "EUR",
        "total": {1: "26.81", 4: None}.get(number, f"{1200 + number * 7}.40"),
        "quantity": None if number == 4 else "14.210",
        "unit": "m3",
        "held_because": "Good readings cover 61.2 % of the period." if number == 4 else None,
        "state": "held" if number == 4 else "issued",
    }
