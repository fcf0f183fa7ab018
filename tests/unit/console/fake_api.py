"""The four services' HTTP APIs with canned answers, in the shapes of docs/api.md.

It proves how pages are rendered and nothing about the services; those have tests of their own.
"""

from __future__ import annotations

from typing import Annotated, Any

import httpx
from fastapi import Body, FastAPI, Request
from fastapi.responses import JSONResponse

from services.console.client import Api, Service
from services.kit.clock import from_rfc3339, to_rfc3339
from tests.unit.console import fake_data

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
            if key not in fake_data.IDENTITIES or key in self.revoked:
                return _problem(401, "auth.unauthenticated", "nobody has this key")
            if request.url.path in self.broken:
                return _problem(500, "internal", "internal error")
            request.state.who = fake_data.IDENTITIES[key]
            mine = fake_data.IDENTITIES[key]["tenant_id"] == 1
            if not mine and request.url.path.count("/") > 2:
                return _problem(404, "not_found", "Not found")
            if request.method == "POST" and fake_data.IDENTITIES[key]["role"] == "reader":
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
                for m in fake_data.METERS
                if q.lower() in m["serial"].lower()
                and commodity in ("", m["commodity"])
                and state in ("", m["state"])
                and zone in ("", m["zone"])
            ]
            return _page(fits, page_size, page_token)

        @app.get("/v1/meters/{meter_id}")
        def meter(meter_id: str) -> Any:
            found = [m for m in fake_data.METERS if str(m["meter_id"]) == meter_id]
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
                "channels": fake_data.channels(found[0]["commodity"]),
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
            until_ms = from_rfc3339(until) if until else fake_data.LAST_MS
            return fake_data.curve(from_rfc3339(since) if since else 0, until_ms)

        @app.get("/v1/meters/{meter_id}/readings")
        def readings(request: Request) -> Any:
            since = request.query_params.get("from")
            return _page(fake_data.readings(from_rfc3339(since) if since else 0), 200, "")

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
                    "received_at": to_rfc3339(fake_data.LAST_MS - i * fake_data.HOUR_MS),
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
                for a in map(fake_data.alert, range(1, 16))
                if state in ("", a["state"])
                and kind in ("", a["kind"])
                and severity in ("", a["severity"])
                and meter_id in ("", str(a["meter_id"]))
            ]
            return _page(fits, page_size, page_token)

        @app.get("/v1/alerts/{alert_id}")
        def one(alert_id: str) -> Any:
            if alert_id != fake_data.ALERT_ID:
                return _problem(404, "not_found", "Not found")
            rows = fake_data.readings(fake_data.LAST_MS - 96 * fake_data.HOUR_MS)
            history = [
                {
                    "at": fake_data.alert()["detected_at"],
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
            return {**fake_data.alert(), "evidence": evidence, "history": history}

        @app.post("/v1/alerts/{alert_id}/{step}")
        def act(alert_id: str, step: str, body: Annotated[dict[str, Any], Body()]) -> Any:
            self.posts.append((f"/v1/alerts/{alert_id}/{step}", body))
            return fake_data.alert()

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
                for b in map(fake_data.bill_row, range(1, 13))
                if account in ("", b["account"]) and state in ("", b["state"])
            ]
            return _page(fits, page_size, page_token)

        @app.get("/v1/bills/{bill_id}")
        def one(bill_id: str) -> Any:
            if bill_id != fake_data.BILL_ID:
                return _problem(404, "not_found", "Not found")
            return fake_data.bill()

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
