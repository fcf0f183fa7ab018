"""HTTP as every service speaks it: problem+json errors, identities, metrics, health, bounds."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kit.auth import TENANT_HEADER, Authenticator, Identity, Role
from services.kit.errors import (
    Fault,
    InvalidInputError,
    MeterfleetError,
    TooLargeError,
    UnavailableError,
)
from services.kit.telemetry import HTTP_SECONDS, METRICS, logger

#: A request body larger than this is refused unless a route says otherwise.
BODY_BYTES_MAX = 64 * 1024 * 1024
FAULTS_MAX = 1000
_LOG = logger("http")

ReadyCheck = Callable[[], None]
Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    service: str,
    title: str,
    authenticator: Authenticator | None,
    routers: Sequence[APIRouter],
    ready_checks: Sequence[ReadyCheck] = (),
) -> FastAPI:
    """A FastAPI application with what every service has.

    Args:
        service: Short name, a label of metrics and logs.
        title: Title of the OpenAPI document.
        authenticator: Recognises callers; None only where a process serves no data.
        routers: The service's own routes.
        ready_checks: Each raises if a needed part is away; `/readyz` runs them.
    """
    app = FastAPI(title=title, version="1", docs_url="/docs", redoc_url=None)
    app.state.authenticator = authenticator
    _add_errors(app)
    app.add_middleware(_BodyBound)
    _add_watch(app, service)
    for router in routers:
        app.include_router(router)
    _add_probes(app, ready_checks)
    return app


def problem(error: MeterfleetError) -> JSONResponse:
    """An error as an RFC 9457 response, with Retry-After where the error states it."""
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after_s)))
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    body = error.as_problem()
    trace_id = structlog.contextvars.get_contextvars().get("trace_id")
    if trace_id:
        body["trace_id"] = trace_id
    return JSONResponse(
        body, status_code=error.status, headers=headers, media_type="application/problem+json"
    )


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(MeterfleetError)
    def on_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, MeterfleetError)
        return problem(error)

    @app.exception_handler(RequestValidationError)
    def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = [
            Fault("/" + "/".join(map(str, item["loc"])), f"input.{item['type']}", item["msg"])
            for item in error.errors()[:FAULTS_MAX]
        ]
        return problem(InvalidInputError(f"{len(faults)} faults in the request", faults=faults))

    @app.exception_handler(HTTPException)
    def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        codes = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}
        failure = MeterfleetError(str(error.detail), code=codes.get(error.status_code, "http"))
        failure.status = error.status_code
        failure.title = str(error.detail)
        return problem(failure)


class _BodyBound:
    """Ends a body that passes `BODY_BYTES_MAX`: a chunked one states no length to refuse it by."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read_bytes = 0

        async def counted() -> Message:
            nonlocal read_bytes
            message = await receive()
            read_bytes += len(message.get("body", b""))
            if read_bytes > BODY_BYTES_MAX:
                raise HTTPException(413, f"a body may have {BODY_BYTES_MAX} bytes, this has more")
            return message

        await self._app(scope, counted, send)


def _add_watch(app: FastAPI, service: str) -> None:
    @app.middleware("http")
    async def watch(request: Request, call_next: Handler) -> Response:
        start_s = time.perf_counter()
        trace_id = request.headers.get("x-request-id", "")[:64] or uuid.uuid4().hex
        structlog.contextvars.bind_contextvars(trace_id=trace_id)
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > BODY_BYTES_MAX:
            response: Response = problem(
                TooLargeError(f"a body may have {BODY_BYTES_MAX} bytes, this one has {length}")
            )
        else:
            try:
                response = await call_next(request)
            except Exception:  # noqa: BLE001 - the last fence; logged with its trace
                _LOG.exception("request failed", path=request.url.path)
                response = problem(MeterfleetError("internal error; quote the trace id"))
        route = request.scope.get("route")
        path = getattr(route, "path", "unmatched")
        HTTP_SECONDS.labels(service, request.method, path, response.status_code).observe(
            time.perf_counter() - start_s
        )
        response.headers["x-request-id"] = trace_id
        return response


def _add_probes(app: FastAPI, ready_checks: Sequence[ReadyCheck]) -> None:
    @app.get("/healthz", include_in_schema=False)
    def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", include_in_schema=False)
    def readyz() -> dict[str, str]:
        for check in ready_checks:
            try:
                check()
            except Exception as error:
                raise UnavailableError(f"not ready: {error}", retry_after_s=1) from error
        return {"status": "ready"}

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(METRICS), media_type=CONTENT_TYPE_LATEST)


async def caller(request: Request) -> Identity:
    """FastAPI dependency: the recognised caller of this request."""
    authenticator: Authenticator = request.app.state.authenticator
    # The look-up may ask another service, so it runs in a thread; what a thread binds to the
    # context is lost with it, so the tenant is bound here, in the request's own task.
    identity = await run_in_threadpool(
        authenticator.identify,
        request.headers.get("authorization"),
        request.headers.get(TENANT_HEADER),
    )
    structlog.contextvars.bind_contextvars(tenant_id=identity.tenant_id)
    return identity


def needs(*roles: Role) -> Any:
    """FastAPI dependency: the caller, refused unless it has one of `roles` or a higher one."""

    def check(identity: Annotated[Identity, Depends(caller)]) -> Identity:
        return identity.require(*roles)

    return Depends(check)


#: Annotations for handlers: `identity: Reader` says who may call.
Reader = Annotated[Identity, needs(Role.READER)]
Operator = Annotated[Identity, needs(Role.OPERATOR)]
Admin = Annotated[Identity, needs(Role.ADMIN)]
Gateway = Annotated[Identity, needs(Role.GATEWAY, Role.OPERATOR)]
Platform = Annotated[Identity, needs(Role.PLATFORM)]
