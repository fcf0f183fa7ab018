"""Calls to the services: every answer, refusal and silence has its error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx
import pytest

from services.console.client import Api, RefusedError, Service, ServiceAwayError, attempt, segment
from services.kit.errors import MeterfleetError, NotFoundError, UnauthenticatedError


def api(handler: Callable[[httpx.Request], httpx.Response]) -> Api:
    """An API whose devices service answers with `handler`."""
    transport = httpx.MockTransport(handler)
    return Api({Service.DEVICES: httpx.AsyncClient(base_url="http://fake", transport=transport)})


def call(answer: httpx.Response | Exception) -> object:
    """What a GET gives when the service answers so."""

    def handler(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return asyncio.run(api(handler).get("mf_key", Service.DEVICES, "/v1/meters", {}))


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (httpx.ConnectError("refused"), ServiceAwayError, "does not answer"),
        (httpx.ReadTimeout("slow"), ServiceAwayError, "did not answer in time"),
        (httpx.PoolTimeout("full"), ServiceAwayError, "did not answer in time"),
        (httpx.Response(500, json={"detail": "internal error"}), ServiceAwayError, "failed"),
        (httpx.Response(503, text="<html>proxy</html>"), ServiceAwayError, "no JSON"),
        (httpx.Response(200, text="hello"), ServiceAwayError, "no JSON"),
        (httpx.Response(200, json=[1]), ServiceAwayError, "failed"),
        (httpx.Response(302, json={}), ServiceAwayError, "failed"),
        (httpx.Response(401, json={}), UnauthenticatedError, "answered 401"),
        (httpx.Response(404, json={"detail": "no meter 5"}), NotFoundError, "no meter 5"),
    ],
)
def test_failures_have_their_error(
    answer: httpx.Response | Exception, kind: type[MeterfleetError], text: str
) -> None:
    """Silence, nonsense and refusals become errors of the kit's tree that say what happened."""
    with pytest.raises(kind, match=text):
        call(answer)


def test_refusals_keep_code_status_and_faults() -> None:
    """What a service says about a wrong request reaches the page as it was said."""
    body = {
        "title": "The input has faults",
        "code": "input.invalid",
        "detail": "1 fault",
        "faults": [{"where": "state", "code": "x", "detail": "no such state"}, "odd"],
    }
    with pytest.raises(RefusedError) as caught:
        call(httpx.Response(400, json=body))
    assert (caught.value.status, caught.value.code) == (400, "input.invalid")
    assert [fault.detail for fault in caught.value.faults] == ["no such state"]


def test_empty_parameters_are_left_out() -> None:
    """A filter that is not set is not sent: services would take it for a value."""
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.query.decode())
        return httpx.Response(200, json={})

    params = {"q": "", "zone": None, "page_size": 5, "state": "open"}
    asyncio.run(api(handler).get("mf_key", Service.DEVICES, "/v1/meters", params))
    assert asked == ["page_size=5&state=open"]


def test_ids_stay_one_segment() -> None:
    """No id leads a call to another path."""
    assert segment("a/../b?c#d") == "a%2F..%2Fb%3Fc%23d"
    with pytest.raises(NotFoundError):
        segment("..")


def test_a_part_fails_alone_but_not_without_a_key() -> None:
    """One part's failure is kept with it; an unknown key concerns the whole page."""

    async def fail(error: MeterfleetError) -> int:
        raise error

    part = asyncio.run(attempt(fail(ServiceAwayError("gone"))))
    assert (part.value, part.error and part.error.detail) == (None, "gone")
    with pytest.raises(UnauthenticatedError):
        asyncio.run(attempt(fail(UnauthenticatedError())))
