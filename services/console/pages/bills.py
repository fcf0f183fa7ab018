"""Bills: the list, and one bill with the proof of every line."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.console import format as fmt
from services.console import lineage
from services.console.access import Guest, Visitor
from services.console.client import Json, Service, attempt, segment
from services.console.pages.meters import zone_of_meter
from services.console.respond import PageRoute, page

PAGE_SIZE = 50

Text = Annotated[str, Query(max_length=200)]
Token = Annotated[str, Query(max_length=2000)]


def router() -> APIRouter:
    """Routes of the bills."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    @routes.get("/bills")
    async def bills(
        request: Request,
        visitor: Guest,
        account: Text = "",
        from_date: Text = "",
        state: Text = "",
        page_token: Token = "",
    ) -> Response:
        filters = {"account": account.strip(), "from_date": from_date, "state": state}
        query = {**filters, "page_size": PAGE_SIZE, "page_token": page_token}
        found = await visitor.get(Service.BILLING, "/v1/bills", query)
        return page(request, "bills.html", found=found, filters=filters, page_token=page_token)

    @routes.get("/bills/{bill_id}")
    async def bill(request: Request, visitor: Guest, bill_id: str) -> Response:
        known = await visitor.get(Service.BILLING, f"/v1/bills/{segment(bill_id)}")
        lines = known.get("lines") or []
        proofs = [lineage.read(line.get("lineage")) for line in lines]
        return page(
            request,
            "bill.html",
            bill=known,
            zone=await _zone(visitor, known, proofs),
            lines=list(zip(lines, proofs, strict=True)),
            sum_of_lines=sum_of_lines(lines),
            total=fmt.decimal(known.get("total")),
        )

    return routes


async def _zone(visitor: Visitor, bill: Json, proofs: list[lineage.Lineage]) -> str:
    """Zone of the bill's instants: its own, else that of the meter its lines were read from."""
    if bill.get("time_zone"):
        return str(bill["time_zone"])
    meter_id = next((r.meter_id for proof in proofs for r in proof.registers if r.meter_id), "")
    if not meter_id:
        return ""
    meter = await attempt(visitor.get(Service.DEVICES, f"/v1/meters/{segment(meter_id)}"))
    return zone_of_meter(meter.value or {})


def sum_of_lines(lines: list[Json]) -> Decimal | None:
    """What the lines add up to, exact; None without lines or with one that has no amount."""
    amounts = [fmt.decimal(line.get("amount")) for line in lines]
    present = [amount for amount in amounts if amount is not None]
    return sum(present, Decimal(0)) if lines and len(present) == len(amounts) else None
