"""HTTP: refusals first, then problem documents, bounds, probes and metrics of every service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
import structlog
from fastapi import APIRouter, Body
from pydantic import BaseModel
from structlog.testing import capture_logs

from services.kit import http
from services.kit.auth import Authenticator, Identity, Role, key_digest
from services.kit.clock import FixedClock
from services.kit.errors import ConflictError, NotFoundError, OverloadedError
from services.kit.http import Admin, Operator, Reader, create_app
from tests.unit.kit.serving import served

KEYS = {
    "mf_reader": Identity(1, "aqua", Role.READER, "k1"),
    "mf_operator": Identity(1, "aqua", Role.OPERATOR, "k2"),
    "mf_other": Identity(2, "brook", Role.READER, "k3"),
}
READER = {"authorization": "Bearer mf_reader"}
_ROWS = {"w1": 1}


class Well(BaseModel):
    """A body with two fields that may be wrong."""

    depth_m: int
    name: str


router = APIRouter()


@router.get("/v1/wells/{name}")
def show(name: str, identity: Reader) -> dict[str, Any]:
    """A row of one tenant."""
    if _ROWS.get(name) != identity.tenant_id:
        raise NotFoundError(f"no well {name}")
    return {"name": name, "context": structlog.contextvars.get_contextvars()}


@router.post("/v1/wells")
def dig(body: Well, identity: Operator) -> dict[str, str]:
    """Takes a body."""
    return {"name": body.name}


@router.post("/v1/raw")
async def raw(identity: Reader, data: Annotated[bytes, Body()]) -> int:
    """Takes any bytes."""
    return len(data)


@router.get("/v1/fail/{how}")
def fail(how: str, identity: Reader) -> None:
    """Fails in a chosen way."""
    failures: dict[str, Exception] = {
        "conflict": ConflictError("has another depth", code="well.differs"),
        "overloaded": OverloadedError(retry_after_s=0.2),
        "unforeseen": RuntimeError("the pump exploded"),
    }
    raise failures[how]


@router.delete("/v1/everything")
def clear(identity: Admin) -> None:
    """Only for the administrator."""


@pytest.fixture
def away() -> list[str]:
    """Parts that are away; readiness fails while it has entries."""
    return []


@pytest.fixture
def client(away: list[str]) -> Iterator[httpx.Client]:
    """A service with two tenants behind real requests."""
    digests = {key_digest(key): identity for key, identity in KEYS.items()}

    def check() -> None:
        if away:
            raise ConnectionError(f"{away[0]} is away")

    door = Authenticator(digests.get, "internal", FixedClock(0))
    with served(create_app("wells", "Wells", door, [router], [check])) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/wells/w1"),
        ("POST", "/v1/wells"),
        ("POST", "/v1/raw"),
        ("DELETE", "/v1/everything"),
    ],
)
def test_anonymous(client: httpx.Client, method: str, path: str) -> None:
    """Without a key every route answers 401 and says which scheme to use."""
    answer = client.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "auth.unauthenticated"


def test_another_tenants_row_is_absent(client: httpx.Client) -> None:
    """A foreign row and a missing row give the same answer, but for the path asked."""
    other = {"authorization": "Bearer mf_other"}
    foreign, absent = (
        client.get("/v1/wells/w1", headers=other),
        client.get("/v1/wells/w9", headers=other),
    )
    assert foreign.status_code == absent.status_code == 404
    assert foreign.json()["code"] == absent.json()["code"] == "not_found"
    assert client.get("/v1/wells/w1", headers=READER).status_code == 200


def test_a_lower_role_is_forbidden(client: httpx.Client) -> None:
    """A known key without the role is told so with 403."""
    answer = client.delete("/v1/everything", headers={"authorization": "Bearer mf_operator"})
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.forbidden")


def test_problem_document(client: httpx.Client) -> None:
    """An error of ours becomes an RFC 9457 document with its code and the request's id."""
    answer = client.get("/v1/fail/conflict", headers=READER | {"x-request-id": "r-17"})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:meterfleet:problem:well.differs",
        "title": "The request contradicts what is stored",
        "status": 409,
        "code": "well.differs",
        "detail": "has another depth",
        "trace_id": "r-17",
    }
    assert answer.headers["x-request-id"] == "r-17"


def test_every_fault_of_a_body_is_listed(client: httpx.Client) -> None:
    """A body with two wrong fields gives two faults, each by JSON pointer."""
    operator = {"authorization": "Bearer mf_operator"}
    answer = client.post("/v1/wells", json={"depth_m": "deep"}, headers=operator)
    assert answer.status_code == 400
    assert {fault["where"] for fault in answer.json()["faults"]} == {"/body/depth_m", "/body/name"}


def test_a_body_that_is_no_json(client: httpx.Client) -> None:
    """Broken JSON is a fault with its position, not an internal error."""
    headers = {"authorization": "Bearer mf_operator", "content-type": "application/json"}
    answer = client.post("/v1/wells", content=b'{"depth_m": ', headers=headers)
    assert answer.status_code == 400
    assert answer.json()["faults"][0]["code"] == "input.json_invalid"


def test_back_pressure_says_when_to_come_back(client: httpx.Client) -> None:
    """Retry-After is whole seconds, never zero."""
    answer = client.get("/v1/fail/overloaded", headers=READER)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")


def test_the_unforeseen_tells_nothing(client: httpx.Client) -> None:
    """An unforeseen error is 500 with an id to quote, and none of its text goes out."""
    with capture_logs() as logs:
        answer = client.get("/v1/fail/unforeseen", headers=READER)
    assert [entry["event"] for entry in logs] == ["request failed"]
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.json()["trace_id"] == answer.headers["x-request-id"]
    assert "pump" not in answer.text


def test_unknown_path_and_method(client: httpx.Client) -> None:
    """What the framework refuses has the same shape as what we refuse."""
    assert client.get("/nowhere").json()["code"] == "not_found"
    answer = client.put("/v1/wells/w1", headers=READER)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_a_body_beyond_the_bound(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stated length beyond the bound is refused before the body is read."""
    monkeypatch.setattr(http, "BODY_BYTES_MAX", 10)
    answer = client.post("/v1/raw", content=b"x" * 11, headers=READER)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert client.post("/v1/raw", content=b"x" * 10, headers=READER).json() == 10


def test_a_body_without_a_length_is_bound_too(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunked body that never ends is refused once it has passed the bound."""
    monkeypatch.setattr(http, "BODY_BYTES_MAX", 10)
    answer = client.post("/v1/raw", content=iter([b"xxxx"] * 4), headers=READER)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert client.post("/v1/raw", content=iter([b"x" * 5] * 2), headers=READER).json() == 10


def test_logs_of_a_request_know_tenant_and_trace(client: httpx.Client) -> None:
    """Whatever a handler logs carries the request's id and its tenant."""
    answer = client.get("/v1/wells/w1", headers=READER | {"x-request-id": "r-1"})
    context = answer.json()["context"]
    assert (context.get("trace_id"), context.get("tenant_id")) == ("r-1", 1)


def test_requests_do_not_inherit_each_others_context(client: httpx.Client) -> None:
    """The id of one request does not stay for the next."""
    first = client.get("/v1/fail/conflict", headers=READER | {"x-request-id": "r-1"}).json()
    second = client.get("/v1/fail/conflict", headers=READER).json()
    assert first["trace_id"] == "r-1"
    assert second["trace_id"] != "r-1"


def test_health_needs_no_key_and_no_part(client: httpx.Client, away: list[str]) -> None:
    """A process that lives says so although its database is away: no restart would mend that."""
    away.append("database")
    assert client.get("/healthz").json() == {"status": "alive"}


def test_readiness_follows_the_parts(client: httpx.Client, away: list[str]) -> None:
    """Ready while all parts answer, 503 with the reason and Retry-After while one is away."""
    assert client.get("/readyz").status_code == 200
    away.append("database")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "database is away" in answer.json()["detail"]


def test_metrics_count_by_route_not_by_path(client: httpx.Client) -> None:
    """Requests are measured under the route's pattern: paths of a million meters are one series."""
    client.get("/v1/wells/w1", headers=READER)
    client.get("/nowhere/at/all")
    text = client.get("/metrics").text
    name = "meterfleet_http_request_seconds_count"
    labels = 'method="GET",route="/v1/wells/{name}",service="wells",status="200"'
    assert f"{name}{{{labels}}}" in text
    assert 'route="unmatched"' in text
    assert "/v1/wells/w1" not in text
