"""Wiring of the console: settings in, one HTTP process out; no gRPC, no database."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from services.console.access import Site
from services.console.client import Api, connect
from services.console.pages import alerts, bills, meters, overview, quarantine, sign_in
from services.console.render import STATIC, Renderer
from services.console.respond import SecurityHeaders, add_error_pages
from services.console.session import Sealer
from services.console.settings import ConsoleSettings
from services.kit.clock import Clock, SystemClock
from services.kit.http import create_app
from services.kit.process import Process

_OF_APIS = {"/docs", "/docs/oauth2-redirect", "/openapi.json"}


def create(settings: ConsoleSettings, api: Api, clock: Clock) -> FastAPI:
    """The console's application over given APIs; tests give their own."""
    pages = (overview, meters, alerts, bills, quarantine, sign_in)
    app = create_app("console", "Meterfleet console", None, [part.router() for part in pages])
    # Pages are no API: there is nothing to document, and the policy below bars that page's scripts.
    app.router.routes[:] = [r for r in app.routes if getattr(r, "path", "") not in _OF_APIS]
    app.mount("/static", StaticFiles(directory=STATIC))
    app.state.site = Site(
        settings,
        api,
        Sealer(settings.session_secret.get_secret_value(), clock),
        Renderer(clock),
        clock,
    )
    add_error_pages(app)
    app.add_middleware(SecurityHeaders)
    return app


def build(settings: ConsoleSettings) -> Process:
    """The console's process; its connections to the services end with it."""
    return Process(
        service="console",
        host=settings.host,
        http=create(settings, connect(settings), SystemClock()),
        http_port=settings.http_port or 8080,
    )
