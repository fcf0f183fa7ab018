"""The four services' HTTP APIs with canned answers, in the shapes of docs/api.md.

It proves how pages are rendered and nothing about the services; those have tests of their own.
"""

from __future__ import annotations

import bisect
import hashlib
import math
from typing import Annotated, Any

import httpx
from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse

from services.console.client import Api, Service
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

_WHO = {
    KEY: {"tenant_id": 1, "tenant": "stadtwerke", "role": "operator", "key_id": "k1"},
    READER_KEY: {"tenant_id": 1, "tenant": "stadtwerke", "role": "reader", "key_id": "k2"},
    OTHER_KEY: {"tenant_id": 2, "tenant": "elsewhere", "role": "operator", "key_id": "k3"},
}
#: Answers a summary, a tally and a list alike, as a service does that has nothing yet.
_EMPTY: dict[str, Any] = {
    **dict.fromkeys(("meters", "service_points", "open", "bills", "held", "records_behind"), 0),
    **dict.fromkeys(("received", "stored", "duplicates", "quarantined"), 0),
    **{name: {} for name in ("by_commodity", "by_state", "by_kind", "by_severity", "by_reason")},
    "billed": {},
    "quantities": {},
    "by_month": [],
    "items": [],
    "next_page_token": None,
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


def _channels(commodity: str) -> list[dict[str, Any]]:
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


def _readings(from_ms: int) -> list[dict[str, Any]]:
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


def bill() -> dict[str, Any]:
    """A block tariff with value added tax, its lines explained."""
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
    tariff = {"code": "household-water", "version": 3, "digest": "cd" * 32, "line": "blocks"}
    lineage = {
        "engine": "1",
        "tariff": tariff,
        "determinant": {
            "name": "use",
            "obis": "8-0:1.0.0",
            "from": "2026-04-30T22:00:00Z",
            "to": "2026-05-31T22:00:00Z",
            "quantity": "14.210",
            "register_from": "99995.120",
            "register_to": "100009.330",
            "unit": "m3",
        },
        "registers": registers,
        "events": [step],
        "quality": {"usable": 733, "failed": 2, "known_ppm": 985_000},
    }
    lines = [
        (
            "Water, first 10 m³",
            "10.000",
            "m3",
            "1.2500",
            "12.50",
            "10 of 14.21 m³ fall in block 1.",
        ),
        ("Water, above 10 m³", "4.210", "m3", "2.1000", "8.84", "4.21 m³ lie above 10 m³."),
        ("Standing charge", "31", "day", "0.1200", "3.72", "31 days at a fixed price a day."),
    ]
    made = [
        {
            "line_id": f"line-{i}",
            "text": text,
            "quantity": quantity,
            "unit": unit,
            "price": price,
            "amount": amount,
            "because": because,
            "lineage": lineage if i < 2 else {"engine": "1", "tariff": tariff},
        }
        for i, (text, quantity, unit, price, amount, because) in enumerate(lines)
    ]
    tax = {
        "line_id": "line-3",
        "text": "Value added tax 7 %",
        "quantity": "25.06",
        "unit": "EUR",
        "price": "0.07",
        "amount": "1.75",
        "because": "7 % of water and standing charge.",
        "lineage": {"engine": "1", "tariff": tariff, "of": ["blocks", "standing"]},
    }
    return {
        **_bill_row(1),
        "tariff": "household-water",
        "tariff_version": "2026-01",
        "issued_at": "2026-06-02T04:10:00Z",
        "inputs_digest": "12" * 32,
        "output_digest": "34" * 32,
        "lines": [*made, tax],
    }


def _bill_row(number: int) -> dict[str, Any]:
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


def _problem(status: int, code: str, detail: str) -> JSONResponse:
    body = {"title": detail, "status": status, "code": code, "detail": detail, "faults": []}
    return JSONResponse(body, status_code=status)


def _page(items: list[Any], size: int, token: str) -> dict[str, Any]:
    start = int(token or 0)
    end = start + size
    return {
        "items": items[start:end],
        "next_page_token": str(end) if end < len(items) else None,
    }


class FakePlatform:
    """Four fake services and what was asked of them.

    Attributes:
        away: Services whose port nobody listens on.
        posts: Paths and bodies that were posted.
        broken: Paths that answer 500.
        revoked: Keys nobody has any more.
        empty: Services of a utility that has nothing yet.
        calls: Authorization and request id of every call.
    """

    def __init__(self) -> None:
        self.away: set[Service] = set()
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.broken: set[str] = set()
        self.revoked: set[str] = set()
        self.empty: set[Service] = set()
        self.calls: list[tuple[str, str]] = []
        self.apps = {
            Service.DEVICES: self._devices(),
            Service.INGEST: self._ingest(),
            Service.ALERTS: self._alerts(),
            Service.BILLING: self._billing(),
        }

    def api(self) -> Api:
        """The console's clients, led to the fake services."""
        return Api(
            {
                service: httpx.AsyncClient(
                    base_url="http://fake", transport=_Transport(self, service, app)
                )
                for service, app in self.apps.items()
            }
        )

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.middleware("http")
        async def gate(request: Request, call_next: Any) -> Any:
            key = request.headers.get("authorization", "").removeprefix("Bearer ")
            if key not in _WHO or key in self.revoked:
                return _problem(401, "auth.unauthenticated", "nobody has this key")
            if request.url.path in self.broken:
                return _problem(500, "internal", "internal error")
            request.state.who = _WHO[key]
            mine = _WHO[key]["tenant_id"] == 1
            if not mine and request.url.path.count("/") > 2:
                return _problem(404, "not_found", "Not found")
            if request.method == "POST" and _WHO[key]["role"] == "reader":
                return _problem(403, "auth.forbidden", "role reader does not allow this")
            return await call_next(request)

        return app

    def _devices(self) -> FastAPI:
        app = self._app()

        @app.get("/v1/whoami")
        def whoami(request: Request) -> Any:
            return request.state.who

        @app.get("/v1/summary")
        def summary() -> Any:
            return {
                "meters": 12_840,
                "by_commodity": {"electricity": 5210, "gas": 1980, "heat": 860, "water": 4790},
                "by_state": {"active": 12_611, "in_stock": 229},
                "by_product": {},
                "service_points": 12_611,
            }

        @app.get("/v1/meters")
        def meters(
            q: str = "",
            commodity: str = "",
            state: str = "",
            zone: str = "",
            page_size: int = 100,
            page_token: str = "",
        ) -> Any:
            fits = [
                m
                for m in METERS
                if q.lower() in m["serial"].lower()
                and commodity in ("", m["commodity"])
                and state in ("", m["state"])
                and zone in ("", m["zone"])
            ]
            return _page(fits, page_size, page_token)

        @app.get("/v1/meters/{meter_id}")
        def meter(meter_id: str) -> Any:
            found = [m for m in METERS if str(m["meter_id"]) == meter_id]
            if not found:
                return _problem(404, "not_found", "Not found")
            installations = [
                {
                    "service_point": found[0]["service_point"],
                    "service_point_id": found[0]["service_point_id"],
                    "from": "2024-03-01T09:00:00Z",
                    "to": None,
                    "multiplier": "1",
                    "first_register": "0.112",
                    "last_register": None,
                    "time_zone": "Europe/Berlin",
                }
            ]
            names = [f"{found[0]['maker']}:{found[0]['serial']}", "70B3D5499A3F01C2"]
            return {
                **found[0],
                "channels": _channels(found[0]["commodity"]),
                "installations": installations,
                "identifiers": names,
            }

        return app

    def _ingest(self) -> FastAPI:
        app = self._app()

        @app.get("/v1/tally")
        def tally() -> Any:
            return {
                "received": 9_244_812,
                "stored": 9_243_900,
                "duplicates": 504,
                "quarantined": 408,
                "records_behind": 0,
                "by_reason": {"meter.unknown": 384, "unit.mismatch": 24},
            }

        @app.get("/v1/meters/{meter_id}/curve")
        def the_curve(request: Request) -> Any:
            since = request.query_params.get("from")
            until = request.query_params.get("to")
            return curve(
                from_rfc3339(since) if since else 0, from_rfc3339(until) if until else LAST_MS
            )

        @app.get("/v1/meters/{meter_id}/readings")
        def readings(request: Request) -> Any:
            since = request.query_params.get("from")
            return _page(_readings(from_rfc3339(since) if since else 0), 200, "")

        @app.get("/v1/quarantine")
        def quarantine(
            reason: str = "", state: str = "open", page_size: int = 100, page_token: str = ""
        ) -> Any:
            entries = [
                {
                    "quarantine_id": f"q{i}",
                    "reason": "meter.unknown" if i % 4 else "unit.mismatch",
                    "detail": "no meter of this tenant has this identifier",
                    "meter": f"acme:W9{i:07d}",
                    "readings": 24 * i,
                    "received_at": to_rfc3339(LAST_MS - i * HOUR_MS),
                    "state": "open" if i < 6 else "replayed",
                }
                for i in range(1, 9)
            ]
            fits = [e for e in entries if reason in ("", e["reason"]) and state == e["state"]]
            return _page(fits, page_size, page_token)

        @app.post("/v1/quarantine/replay")
        def replay(body: Annotated[dict[str, Any], Body()]) -> Any:
            self.posts.append(("/v1/quarantine/replay", body))
            return {"replayed": 384}

        return app

    def _alerts(self) -> FastAPI:
        app = self._app()

        @app.get("/v1/summary")
        def summary() -> Any:
            return {
                "open": 23,
                "by_kind": {"leak": 11, "burst": 1, "stuck": 6, "offline": 34, "reverse": 2},
                "by_severity": {"critical": 4, "warning": 11, "info": 8},
                "records_behind": 0,
            }

        @app.get("/v1/alerts")
        def alerts(
            state: str = "",
            kind: str = "",
            severity: str = "",
            meter_id: str = "",
            page_size: int = 100,
            page_token: str = "",
        ) -> Any:
            fits = [
                a
                for a in map(alert, range(1, 16))
                if state in ("", a["state"])
                and kind in ("", a["kind"])
                and severity in ("", a["severity"])
                and meter_id in ("", str(a["meter_id"]))
            ]
            return _page(fits, page_size, page_token)

        @app.get("/v1/alerts/{alert_id}")
        def one(alert_id: str) -> Any:
            if alert_id != ALERT_ID:
                return _problem(404, "not_found", "Not found")
            rows = _readings(LAST_MS - 96 * HOUR_MS)
            history = [
                {
                    "at": alert()["detected_at"],
                    "actor": "detector",
                    "from": None,
                    "to": "open",
                    "note": "",
                }
            ]
            evidence = {
                "rule": "continuous flow: use in every hour",
                "unit": "m3",
                "threshold": {"quantity": "0.020", "unit": "m3/h"},
                "values": {
                    "rate_per_h": "0.034",
                    "used": "3.741",
                    "longest_pause_s": 7200,
                    "last_reading_at": rows[-1]["at"],
                },
                "readings": [
                    {"at": row["at"], "register": row["value"]} for row in (rows[24], rows[-1])
                ],
            }
            return {**alert(), "evidence": evidence, "history": history}

        @app.post("/v1/alerts/{alert_id}/{step}")
        def act(alert_id: str, step: str, body: Annotated[dict[str, Any], Body()]) -> Any:
            self.posts.append((f"/v1/alerts/{alert_id}/{step}", body))
            return alert()

        return app

    def _billing(self) -> FastAPI:
        app = self._app()

        @app.get("/v1/summary")
        def summary() -> Any:
            return {
                "bills": 12_540,
                "held": 71,
                "billed": {"EUR": "1204339.75"},
                "quantities": {"m3": "168220.410", "kWh": "3400112.7"},
                "by_month": [
                    {"month": "2026-04", "bills": 6240, "held": 0, "billed": {"EUR": "598220.15"}},
                    {"month": "2026-05", "bills": 6300, "held": 71, "billed": {"EUR": "606119.60"}},
                ],
            }

        @app.get("/v1/bills")
        def bills(
            account: str = "",
            from_date: str = "",
            state: str = "",
            page_size: int = 100,
            page_token: str = "",
        ) -> Any:
            fits = [
                b
                for b in map(_bill_row, range(1, 13))
                if account in ("", b["account"]) and state in ("", b["state"])
            ]
            return _page(fits, page_size, page_token)

        @app.get("/v1/bills/{bill_id}")
        def one(bill_id: str) -> Any:
            if bill_id != BILL_ID:
                return _problem(404, "not_found", "Not found")
            return bill()

        return app


class _Transport(httpx.ASGITransport):
    """Leads to a fake service, or fails as a closed port does."""

    def __init__(self, platform: FakePlatform, service: Service, app: FastAPI) -> None:
        super().__init__(app)
        self._platform = platform
        self._service = service

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._service in self._platform.away:
            raise httpx.ConnectError("connection refused", request=request)
        headers = request.headers
        self._platform.calls.append(
            (headers.get("authorization", ""), headers.get("x-request-id", ""))
        )
        if self._service in self._platform.empty and request.url.path != "/v1/whoami":
            return httpx.Response(200, json=_EMPTY, request=request)
        return await super().handle_async_request(request)
