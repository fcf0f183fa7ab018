"""Signing in with an API key, and out again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.console.access import KEY_CHARS_MAX, Form, local_path, site_of
from services.console.client import Service
from services.console.respond import PageRoute, page, see, set_session
from services.console.session import COOKIE, new_session
from services.kit.errors import MeterfleetError, UnauthenticatedError


def router() -> APIRouter:
    """Routes of the sign-in page."""
    routes = APIRouter(route_class=PageRoute, include_in_schema=False)

    @routes.get("/login")
    async def login(
        request: Request, forward: Annotated[str, Query(alias="next", max_length=2000)] = ""
    ) -> Response:
        return page(request, "login.html", forward=local_path(forward), error="")

    @routes.post("/login")
    async def sign_in(request: Request, form: Form) -> Response:
        forward = local_path(form.get("next", ""))
        key = form.get("key", "").strip()
        try:
            whoami = await _whoami(request, key)
        except MeterfleetError as error:
            known = isinstance(error, UnauthenticatedError)
            text = "Nobody has this key, or it was revoked." if known else error.detail
            return page(request, "login.html", status=error.status, forward=forward, error=text)
        response = see(forward)
        # A new token at sign-in: one that was planted before is worth nothing.
        session = new_session(key, str(whoami.get("tenant", "")), str(whoami.get("role", "")))
        set_session(request, response, session)
        return response

    @routes.post("/logout")
    async def sign_out(form: Form) -> Response:
        response = see("/login")
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    return routes


async def _whoami(request: Request, key: str) -> dict[str, object]:
    """Who holds a key.

    Raises:
        UnauthenticatedError: Nobody.
        ServiceAwayError: The registry that knows is away.
    """
    if not key or len(key) > KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
        raise UnauthenticatedError
    return await site_of(request).api.get(key, Service.DEVICES, "/v1/whoami", {})
