"""Responses of the pages: HTML with the visitor's frame, error pages, security headers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.console.access import SignInNeededError, session_of, site_of
from services.console.session import COOKIE, SESSION_S, Session
from services.kit.errors import (
    Fault,
    InvalidInputError,
    MeterfleetError,
    NotFoundError,
    UnauthenticatedError,
)
from services.kit.telemetry import logger

#: Scripts, styles and fetches from this site only; nothing inline, nobody may frame us.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_LOG = logger("console")


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A page in the visitor's frame; sets the session's cookie where the browser has none yet."""
    visitor = getattr(request.state, "visitor", None)
    session, fresh = (visitor.session, visitor.fresh) if visitor else session_of(request)
    html = site_of(request).renderer.html(
        template,
        visitor=visitor,
        csrf=session.csrf,
        here=_here(request),
        path=request.url.path,
        **context,
    )
    response = HTMLResponse(html, status_code=status)
    if fresh:
        set_session(request, response, session)
    return response


def _here(request: Request) -> str:
    query = request.url.query
    return request.url.path + (f"?{query}" if query else "")


def set_session(request: Request, response: Response, session: Session) -> None:
    """Give the browser a session."""
    site = site_of(request)
    response.set_cookie(
        COOKIE,
        site.sealer.seal(session),
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=site.settings.secure_cookie or request.url.scheme == "https",
    )


def see(path: str) -> RedirectResponse:
    """Send the browser on with GET after a POST."""
    return RedirectResponse(path, status_code=303)


def error_page(request: Request, error: MeterfleetError) -> Response:
    """A page that says what is wrong, what to do and which trace id to quote."""
    return page(
        request,
        "error.html",
        status=error.status,
        error=error,
        reading=request.method == "GET",
        trace_id=structlog.contextvars.get_contextvars().get("trace_id", ""),
    )


def _sign_in(request: Request) -> Response:
    """To the sign-in page and back again, forgetting a key nobody knows any more."""
    if request.url.path.startswith("/fragments/"):
        return Response(status_code=401)
    back = _here(request) if request.method == "GET" else "/"
    response = see("/login" + (f"?{urlencode({'next': back})}" if back != "/" else ""))
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def add_error_pages(app: FastAPI) -> None:
    """Answer failures with pages where the kit answers with problem documents."""

    @app.exception_handler(MeterfleetError)
    async def on_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, MeterfleetError)
        visitor = getattr(request.state, "visitor", None)
        refused = isinstance(error, UnauthenticatedError) and not (visitor and visitor.automatic)
        if refused or isinstance(error, SignInNeededError):
            return _sign_in(request)
        return error_page(request, error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = [
            Fault(" ".join(map(str, item["loc"])), f"input.{item['type']}", item["msg"])
            for item in error.errors()[:50]
        ]
        return error_page(request, InvalidInputError("The address has faults", faults=faults))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        failure: MeterfleetError = NotFoundError("There is no such page")
        if error.status_code != 404:
            failure = MeterfleetError(str(error.detail), code="http")
            failure.status, failure.title = error.status_code, str(error.detail)
        return error_page(request, failure)


class PageRoute(APIRoute):
    """A route whose unforeseen failures become a page with a trace id, not a bare 500."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with a net below it."""
        handle = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handle(request)
            except (MeterfleetError, HTTPException, RequestValidationError):
                raise
            except Exception:  # noqa: BLE001 - logged, and told with a trace id
                _LOG.exception("page failed", path=request.url.path)
                return error_page(request, MeterfleetError("The page could not be made."))

        return guarded


class SecurityHeaders:
    """ASGI middleware: every response tells the browser what it may not do with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and add headers to its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The digest in the address changes with the file, so a copy may be kept for ever.
        forever = scope["path"].startswith("/static/") and b"v=" in scope["query_string"]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                kept = forever and message["status"] == 200
                headers["cache-control"] = (
                    "public, max-age=31536000, immutable" if kept else "no-store"
                )
            await send(message)

        await self._app(scope, receive, with_headers)
