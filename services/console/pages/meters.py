"""The fleet: a list to search, and one meter with its curve, readings, steps and alerts."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from services.console import charts
from services.console import format as fmt
from services.console.access import Context, Guest, Visitor, site_of
from services.console.client import Json, Part, Service, attempt, segment
from services.console.respond import PageRoute, page
from services.kit.clock import to_rfc3339
from services.kit.errors import NotFoundError
from services.kit.page import PAGE_SIZE_MAX

PAGE_SIZE = 50
#: Readings in the table below the chart.
LATEST_READINGS = 48
METER_ALERTS = 20
#: Ranges of the chart in days; all is without a beginning.
RANGES: dict[str, int | None] = {"1d": 1, "7d": 7, "30d": 30, "all": None}
RANGE_DEFAULT = "7d"
_DAY_MS = 86_400_000

Text = Annotated[str, Query(max_length=200)]
Token = Annotated[str, Query(max_length=2000)]


def router() -> APIRouter:
    """Routes of the meters."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    @routes.get("/meters")
    async def meters(
        request: Request,
        visitor: Guest,
        q: Text = "",
        commodity: Text = "",
        state: Text = "",
        zone: Text = "",
        page_token: Token = "",
    ) -> Response:
        filters = {"q": q.strip(), "commodity": commodity, "state": state, "zone": zone.strip()}
        query = {**filters, "page_size": PAGE_SIZE, "page_token": page_token}
        found, summary = await asyncio.gather(
            visitor.get(Service.DEVICES, "/v1/meters", query),
            attempt(visitor.get(Service.DEVICES, "/v1/summary")),
        )
        return page(
            request,
            "meters.html",
            found=found,
            filters=filters,
            page_token=page_token,
            summary=summary.value or {},
        )

    @routes.get("/meters/{meter_id}")
    async def meter(
        request: Request,
        visitor: Guest,
        meter_id: str,
        channel: Annotated[int | None, Query(ge=0, le=64)] = None,
        span: Annotated[str, Query(alias="range", max_length=10)] = RANGE_DEFAULT,
    ) -> Response:
        known = await visitor.get(Service.DEVICES, f"/v1/meters/{segment(meter_id)}")
        channels = known.get("channels") or []
        shown = shown_channel(channels, channel)
        span = span if span in RANGES else RANGE_DEFAULT
        context = await _measured(visitor, known, shown, span)
        return page(
            request,
            "meter.html",
            meter=known,
            channels=channels,
            channel=shown,
            range=span,
            ranges=tuple(RANGES),
            now_ms=site_of(request).clock.now_ms(),
            **context,
        )

    return routes


def shown_channel(channels: list[Json], number: int | None) -> Json:
    """The channel asked for; the first for 0 or None, which mean the whole meter.

    Raises:
        NotFoundError: There is no channel of this number.
    """
    if not number:
        return channels[0] if channels else {}
    for channel in channels:
        if channel.get("number") == number:
            return channel
    raise NotFoundError(f"This meter has no channel {number}")


def zone_of_meter(meter: Json) -> str:
    """Time zone of the service point the meter stands at, or last stood at; empty if none."""
    installations = [each for each in meter.get("installations") or [] if each.get("time_zone")]
    standing = [each for each in installations if not each.get("to")]
    return str((standing or installations)[-1]["time_zone"]) if installations else ""


async def _measured(visitor: Visitor, meter: Json, channel: Json, span: str) -> Context:
    """Curve, latest readings and alerts of a meter; each part stands or falls alone."""
    meter_id = segment(str(meter.get("meter_id", "")))
    zone = zone_of_meter(meter)
    alerts_query = {"meter_id": str(meter.get("meter_id", "")), "page_size": METER_ALERTS}
    alerts, (curve, readings) = await asyncio.gather(
        attempt(visitor.get(Service.ALERTS, "/v1/alerts", alerts_query)),
        _curve_and_readings(visitor, meter_id, channel, span),
    )
    return {
        "zone": zone,
        "alerts": alerts,
        "curve": curve,
        "chart": draw(curve, channel, zone, meter),
        "readings": readings,
        "latest": list(reversed((readings.value or {}).get("items") or []))[:LATEST_READINGS],
    }


async def _curve_and_readings(
    visitor: Visitor, meter_id: str, channel: Json, span: str
) -> tuple[Part[Json], Part[Json]]:
    """The range ends at the last reading: a meter that went silent still shows what it did."""
    path = f"/v1/meters/{meter_id}/curve"
    query: dict[str, Any] = {"channel": channel.get("number"), "points": charts.POINTS_ASKED}
    whole = await attempt(visitor.get(Service.INGEST, path, query))
    at_ms = (whole.value or {}).get("at_ms") or []
    if whole.value is None or not at_ms:
        return whole, Part({"items": []}, whole.error)
    last_ms = int(at_ms[-1])
    since_ms = last_ms - LATEST_READINGS * _interval_s(channel) * 1000
    readings = attempt(
        visitor.get(
            Service.INGEST,
            f"/v1/meters/{meter_id}/readings",
            {
                "channel": channel.get("number"),
                "from": to_rfc3339(since_ms),
                # Oldest first: enough for meters that send more often than their product says.
                "page_size": PAGE_SIZE_MAX,
            },
        )
    )
    days = RANGES[span]
    if days is None:
        return whole, await readings
    query["from"] = to_rfc3339(last_ms - days * _DAY_MS)
    part, listed = await asyncio.gather(attempt(visitor.get(Service.INGEST, path, query)), readings)
    return part, listed


def draw(curve: Part[Json], channel: Json, zone: str, meter: Json) -> charts.Curve | None:
    """The chart of a curve that could be fetched."""
    if curve.value is None:
        return None
    commodity = str(meter.get("commodity", ""))
    return charts.curve(curve.value, _interval_s(channel), zone, commodity)


def _interval_s(channel: Json) -> int:
    value = fmt.decimal(channel.get("interval_s"))
    return int(value) if value and value > 0 else 3600
