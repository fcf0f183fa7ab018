"""Quarantine: readings that were kept back, why, and the button that tries them again."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.console.access import Form, Guest
from services.console.client import Service, attempt
from services.console.render import link
from services.console.respond import PageRoute, page, see

PAGE_SIZE = 50

Text = Annotated[str, Query(max_length=200)]
Token = Annotated[str, Query(max_length=2000)]


def router() -> APIRouter:
    """Routes of the quarantine."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    @routes.get("/quarantine")
    async def quarantine(
        request: Request,
        visitor: Guest,
        reason: Text = "",
        state: Text = "open",
        page_token: Token = "",
        replayed: Annotated[int | None, Query(ge=0)] = None,
    ) -> Response:
        filters = {"reason": reason, "state": state}
        query = {**filters, "page_size": PAGE_SIZE, "page_token": page_token}
        found, tally = await asyncio.gather(
            visitor.get(Service.INGEST, "/v1/quarantine", query),
            attempt(visitor.get(Service.INGEST, "/v1/tally")),
        )
        return page(
            request,
            "quarantine.html",
            found=found,
            filters=filters,
            page_token=page_token,
            by_reason=(tally.value or {}).get("by_reason") or {},
            replayed=replayed,
        )

    @routes.post("/quarantine/replay")
    async def replay(visitor: Guest, form: Form) -> Response:
        asked = {name: form[name].strip() for name in ("reason", "meter") if form.get(name)}
        answer = await visitor.post(Service.INGEST, "/v1/quarantine/replay", asked)
        reason = asked.get("reason", "")
        return see(link("/quarantine", reason=reason, replayed=int(answer.get("replayed", 0))))

    return routes
