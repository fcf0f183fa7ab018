"""The first page: how the fleet, its readings, alerts and bills stand right now."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from services.console.access import Context, Guest, Visitor
from services.console.client import Part, Service, attempt
from services.console.respond import PageRoute, page
from services.console.shares import shares

#: Alerts listed beside the tiles; the rest is one click away.
NEWEST_ALERTS = 4


def router() -> APIRouter:
    """Routes of the overview."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    @routes.get("/")
    async def overview(request: Request, visitor: Guest) -> Response:
        return page(request, "overview.html", **await _tiles(visitor))

    @routes.get("/fragments/overview")
    async def fragment(request: Request, visitor: Guest) -> Response:
        return page(request, "fragments/overview.html", **await _tiles(visitor))

    return routes


async def _tiles(visitor: Visitor) -> Context:
    """What the tiles show; each stands or falls alone."""
    newest = {"state": "open", "page_size": NEWEST_ALERTS}
    fleet, tally, alerts, bills, latest = await asyncio.gather(
        attempt(visitor.get(Service.DEVICES, "/v1/summary")),
        attempt(visitor.get(Service.INGEST, "/v1/tally")),
        attempt(visitor.get(Service.ALERTS, "/v1/summary")),
        attempt(visitor.get(Service.BILLING, "/v1/summary")),
        attempt(visitor.get(Service.ALERTS, "/v1/alerts", newest)),
    )
    return {
        "fleet": fleet,
        "tally": tally,
        "balance": _balance(tally),
        "alerts": alerts,
        "bills": bills,
        "latest": latest,
        "commodities": shares((fleet.value or {}).get("by_commodity")),
    }


def _balance(tally: Part[dict[str, int]]) -> int | None:
    """Readings received that are neither stored, duplicate nor in quarantine; 0 is as promised."""
    counts = tally.value
    if counts is None:
        return None
    places = ("stored", "duplicates", "quarantined")
    return int(counts.get("received", 0)) - sum(int(counts.get(name, 0)) for name in places)
