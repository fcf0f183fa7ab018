"""A billing service on a real database: its HTTP doors, its runs, and a read side of formulas."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from services.billing.runs import BillRuns
from services.kit.auth import Identity, Role
from services.kit.db import Database
from tests.unit.billing.documents import THREE_RATES, blocks, document, electricity, fixed, share
from tests.unit.billing.fake_usage import FakeMeter, FakeSource

NOW_MS = 1_790_000_000_000
KEYS = {
    "reader-1": Identity(1, "one", Role.READER, "r1"),
    "operator-1": Identity(1, "one", Role.OPERATOR, "o1"),
    "operator-2": Identity(2, "two", Role.OPERATOR, "o2"),
    "gateway-1": Identity(1, "one", Role.GATEWAY, "g1"),
}

WATER = document(
    [
        fixed("standing", "4.20", "month"),
        blocks("water", [("6", "0.52"), (None, "1.74")], "month"),
        share("wastewater", "percentage", "65", ["water"]),
        share("vat", "tax", "10", ["standing", "water", "wastewater"]),
    ],
    code="water",
)
POWER = electricity(
    [fixed("standing", "0.1", "day"), THREE_RATES, share("vat", "tax", "21", ["energy"])],
    code="power",
    calendar={"holidays_country": "ES"},
)


@dataclass
class Billing:
    """The service under test.

    Attributes:
        database: Its database.
        source: Its read side.
        runs: Its runs.
        app: Its HTTP application, called without a port.
    """

    database: Database
    source: FakeSource
    runs: BillRuns
    app: FastAPI
    points: int = field(default=0)

    def call(
        self, method: str, path: str, key: str | None = "operator-1", **more: Any
    ) -> httpx.Response:
        """One request as the holder of a key."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://billing") as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(send())

    def supply(
        self,
        meter: FakeMeter | None,
        tariff: dict[str, Any] = WATER,
        from_date: str = "2026-01-01",
        key: str = "operator-1",
    ) -> str:
        """A new account with an agreement at a new service point; returns the agreement's id."""
        self.points += 1
        point, number = self.points, f"A{self.points:05d}"
        if meter is not None:
            self.source.meters[KEYS[key].tenant_id, point] = meter
        assert self.call("POST", "/v1/tariffs", key, json=tariff).status_code in (200, 201)
        accounts = {"accounts": [{"number": number, "name": f"Customer {point}"}]}
        assert self.call("POST", "/v1/accounts", key, json=accounts).status_code == 201
        agreement = {
            "account": number,
            "service_point_id": point,
            "service_point": f"Street {point}",
            "tariff": tariff["code"],
            "from": from_date,
        }
        answer = self.call("POST", "/v1/agreements", key, json={"agreements": [agreement]})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["agreements"][0]["agreement_id"])

    def run(self, agreement: str, from_date: str, to_date: str, **more: Any) -> dict[str, int]:
        """A bill run for one agreement of tenant 1; returns its numbers."""
        body = {"from_date": from_date, "to_date": to_date, "agreement_ids": [agreement], **more}
        answer = self.call("POST", "/v1/bill-runs", json=body)
        assert answer.status_code == 200, answer.text
        return {name: n for name, n in answer.json().items() if name != "run_id"}

    def bills(self, number: int | None = None, **query: Any) -> list[dict[str, Any]]:
        """Bills of the newest account, or of another by its number."""
        account = f"A{number or self.points:05d}"
        answer = self.call("GET", "/v1/bills", params={"account": account, **query})
        return list(answer.json()["items"])

    def bill(self, bill_id: str) -> dict[str, Any]:
        """One bill."""
        answer = self.call("GET", f"/v1/bills/{bill_id}")
        assert answer.status_code == 200
        return dict(answer.json())
