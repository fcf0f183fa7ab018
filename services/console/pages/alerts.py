"""Alerts: the list, one alert with its evidence, and what a person decides about it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from services.console import charts, evidence
from services.console import format as fmt
from services.console.access import Context, Form, Guest, Visitor, local_path
from services.console.client import Json, Service, attempt, segment
from services.console.pages.meters import draw, zone_of_meter
from services.console.respond import PageRoute, page, see
from services.kit.clock import to_rfc3339

PAGE_SIZE = 50
NOTE_CHARS_MAX = 1000
#: Days of the chart before an alert's cause began: what is usual at this meter.
DAYS_BEFORE = 3
_DAY_MS = 86_400_000

Text = Annotated[str, Query(max_length=100)]
Token = Annotated[str, Query(max_length=2000)]


def router() -> APIRouter:
    """Routes of the alerts."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    @routes.get("/alerts")
    async def alerts(
        request: Request,
        visitor: Guest,
        state: Text = "",
        kind: Text = "",
        severity: Text = "",
        page_token: Token = "",
    ) -> Response:
        filters = {"state": state, "kind": kind, "severity": severity}
        query = {**filters, "page_size": PAGE_SIZE, "page_token": page_token}
        found, summary = await asyncio.gather(
            visitor.get(Service.ALERTS, "/v1/alerts", query),
            attempt(visitor.get(Service.ALERTS, "/v1/summary")),
        )
        return page(
            request,
            "alerts.html",
            found=found,
            filters=filters,
            page_token=page_token,
            summary=summary.value or {},
        )

    @routes.get("/alerts/{alert_id}")
    async def alert(request: Request, visitor: Guest, alert_id: str) -> Response:
        known = await visitor.get(Service.ALERTS, f"/v1/alerts/{segment(alert_id)}")
        return page(request, "alert.html", alert=known, **await _shown(visitor, known))

    @routes.post("/alerts/{alert_id}/{action}")
    async def act(
        visitor: Guest,
        alert_id: str,
        action: Literal["acknowledge", "resolve", "reopen"],
        form: Form,
    ) -> Response:
        note = form.get("note", "").strip()[:NOTE_CHARS_MAX]
        path = f"/v1/alerts/{segment(alert_id)}"
        await visitor.post(Service.ALERTS, f"{path}/{action}", {"note": note} if note else {})
        return see(local_path(form.get("back", ""), f"/alerts/{alert_id}"))

    return routes


async def _shown(visitor: Visitor, alert: Json) -> Context:
    """Evidence of an alert and the curve around it; without the meter it is readable in UTC."""
    meter_id = segment(str(alert.get("meter_id", "")))
    found = await attempt(visitor.get(Service.DEVICES, f"/v1/meters/{meter_id}"))
    meter = found.value or {}
    zone = zone_of_meter(meter)
    number = int(alert.get("channel") or 1)
    query = {"channel": number, "points": charts.POINTS_ASKED, **_around(alert)}
    curve = await attempt(visitor.get(Service.INGEST, f"/v1/meters/{meter_id}/curve", query))
    channels = meter.get("channels") or []
    channel: Json = next((c for c in channels if c.get("number") == number), {})
    return {
        "meter": meter,
        "channel": channel if alert.get("channel") else {},
        "zone": zone,
        "curve": curve,
        "chart": draw(curve, channel, zone, meter),
        "cause": {
            "from": fmt.at_ms(alert.get("started_at")),
            "to": fmt.at_ms(alert.get("ended_at")),
        },
        "evidence": evidence.read(alert.get("evidence"), zone),
    }


def _around(alert: Json) -> dict[str, str]:
    """The span of the chart: the cause with some days before it, and a day after it."""
    started_ms = fmt.at_ms(alert.get("started_at"))
    last_ms = fmt.at_ms(alert.get("ended_at")) or fmt.at_ms(alert.get("detected_at"))
    if started_ms is None or last_ms is None:
        return {}
    return {
        "from": to_rfc3339(started_ms - DAYS_BEFORE * _DAY_MS),
        "to": to_rfc3339(last_ms + _DAY_MS),
    }
