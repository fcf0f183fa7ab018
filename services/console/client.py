"""The four services as the console sees them: JSON over HTTP with the visitor's own API key.

Every failure becomes an error of the kit's tree: a refusal keeps the service's code and faults, and
silence becomes `ServiceAwayError`, so that a page can go on without that part.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import structlog

from services.console.settings import ConsoleSettings
from services.kit.errors import (
    Fault,
    MeterfleetError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)

#: A page is worthless after this long; connecting on one network takes milliseconds.
TIMEOUT = httpx.Timeout(8.0, connect=1.5)
#: Calls at once to one service; more wait up to the timeout for a free connection.
LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=8)
FAULTS_SHOWN_MAX = 50

Json = dict[str, Any]
Params = Mapping[str, object]
T = TypeVar("T")


class Service(StrEnum):
    """The services whose APIs the pages are made of."""

    DEVICES = "devices"
    INGEST = "ingest"
    ALERTS = "alerts"
    BILLING = "billing"


class ServiceAwayError(UnavailableError):
    """A service did not answer, or failed inside."""

    code = "console.service_away"
    title = "A service is away"


class RefusedError(MeterfleetError):
    """A service refused the request; status, code and faults are its own."""

    code = "console.refused"
    status = 400
    title = "The service refused this"


class Api:
    """HTTP clients of the four services; one per process, shared by all visitors."""

    def __init__(self, clients: Mapping[Service, httpx.AsyncClient]) -> None:
        self._clients = dict(clients)

    async def get(self, key: str, service: Service, path: str, params: Params) -> Json:
        """GET `path` as the holder of `key`; parameters that are empty are left out.

        Raises:
            UnauthenticatedError: The key is not known (any more).
            NotFoundError: Absent, or another tenant's.
            RefusedError: Any other refusal.
            ServiceAwayError: No answer in time, or a failure inside the service.
        """
        given = {n: str(value) for n, value in params.items() if value not in (None, "")}
        return await self._call(key, service, "GET", path, params=given)

    async def post(self, key: str, service: Service, path: str, body: Json) -> Json:
        """POST a JSON body as the holder of `key`; raises as `get` does."""
        return await self._call(key, service, "POST", path, json=body)

    async def _call(
        self, key: str, service: Service, method: str, path: str, **request: Any
    ) -> Json:
        headers = {"authorization": f"Bearer {key}"}
        trace_id = structlog.contextvars.get_contextvars().get("trace_id")
        if trace_id:
            headers["x-request-id"] = trace_id
        try:
            answer = await self._clients[service].request(method, path, headers=headers, **request)
            body = answer.json() if answer.content else {}
        except httpx.HTTPError as error:
            kind = "did not answer in time" if _is_timeout(error) else "does not answer"
            raise ServiceAwayError(f"The {service} service {kind}", retry_after_s=5) from error
        except ValueError as error:
            raise ServiceAwayError(f"The {service} service answered with no JSON") from error
        if answer.is_success and isinstance(body, dict):
            return body
        raise _as_error(service, answer.status_code, body if isinstance(body, dict) else {})


def connect(settings: ConsoleSettings) -> Api:
    """Clients for the addresses in the settings; connections open on first use."""
    urls = {
        Service.DEVICES: settings.devices_url,
        Service.INGEST: settings.ingest_url,
        Service.ALERTS: settings.alerts_url,
        Service.BILLING: settings.billing_url,
    }
    # trust_env off: a proxy from the environment must never see the visitors' keys.
    return Api(
        {
            service: httpx.AsyncClient(
                base_url=url, timeout=TIMEOUT, limits=LIMITS, trust_env=False
            )
            for service, url in urls.items()
        }
    )


def segment(text: str) -> str:
    """An id as one segment of a path: nothing in it can lead to another path."""
    if text in (".", ".."):
        raise NotFoundError
    return quote(text, safe="")


def _is_timeout(error: httpx.HTTPError) -> bool:
    return isinstance(error, httpx.TimeoutException)


def _as_error(service: Service, status: int, body: Json) -> MeterfleetError:
    said = body.get("detail") or body.get("title")
    detail = str(said or f"the {service} service answered {status}")
    if status == 401:
        return UnauthenticatedError(detail)
    if status == 404:
        return NotFoundError(detail)
    if status >= 500 or status < 400:
        return ServiceAwayError(f"The {service} service failed: {detail}", retry_after_s=5)
    faults = [
        Fault(str(item.get("where", "")), str(item.get("code", "")), str(item.get("detail", "")))
        for item in body.get("faults", [])[:FAULTS_SHOWN_MAX]
        if isinstance(item, dict)
    ]
    refusal = RefusedError(detail, faults=faults, code=str(body.get("code") or RefusedError.code))
    refusal.status = status
    refusal.title = str(body.get("title") or RefusedError.title)
    return refusal


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """A part of a page: what it shows, or why it cannot.

    Attributes:
        value: What was asked for; None when that failed.
        error: Why it failed; None when it did not.
    """

    value: T | None
    error: MeterfleetError | None = None


async def attempt(call: Awaitable[T]) -> Part[T]:
    """Await a call so that its failure spoils one part of a page only.

    Raises:
        UnauthenticatedError: The key is not valid, which no part can do without.
    """
    try:
        return Part(await call)
    except UnauthenticatedError:
        raise
    except MeterfleetError as error:
        return Part(None, error)
