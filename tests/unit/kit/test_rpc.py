"""gRPC: refusals first, then errors, streams, health and metrics over a real server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from services.kit import rpc
from services.kit.auth import Authenticator, Identity, Role, key_digest
from services.kit.clock import FixedClock
from services.kit.errors import (
    ConflictError,
    Fault,
    InvalidInputError,
    MeterfleetError,
    NotFoundError,
    OverloadedError,
    TooLargeError,
    UnavailableError,
)
from services.kit.telemetry import METRICS
from services.stubs.meterfleet.identity.v1.identity_pb2 import (
    AuthenticateRequest,
    AuthenticateResponse,
)

SERVICE = "meterfleet.identity.v1.IdentityService"
KEYS = {
    "mf_reader": Identity(1, "aqua", Role.READER, "k1"),
    "mf_other": Identity(2, "brook", Role.READER, "k2"),
}
FAULTS = [Fault(f"/readings/{n}", "reading.at", "x" * 200) for n in range(1000)]
FAILURES: dict[bytes, Exception] = {
    b"invalid": InvalidInputError("wrong", faults=[Fault("/at", "reading.at", "no instant")]),
    b"faults": InvalidInputError("many", faults=FAULTS),
    b"long": ConflictError("ü" * 100_000),
    b"absent": NotFoundError("no such key"),
    b"conflict": ConflictError("differs", code="key.differs"),
    b"large": TooLargeError(),
    b"busy": OverloadedError(),
    b"away": UnavailableError(),
    b"unforeseen": RuntimeError("the pump exploded"),
}


def _answer(request: AuthenticateRequest, context: Any) -> AuthenticateResponse:
    identity = rpc.caller().require(Role.READER)
    if request.key_digest == b"abort":
        context.abort(grpc.StatusCode.DATA_LOSS, "by hand")
    if request.key_digest in FAILURES:
        raise FAILURES[request.key_digest]
    return AuthenticateResponse(tenant_id=identity.tenant_id, tenant=identity.tenant)


def _answers(request: AuthenticateRequest, context: Any) -> Iterator[AuthenticateResponse]:
    yield AuthenticateResponse(tenant_id=rpc.caller().tenant_id)
    yield _answer(request, context)


def _collect(requests: Iterator[AuthenticateRequest], context: Any) -> AuthenticateResponse:
    return [_answer(request, context) for request in requests][-1]


def _echo(requests: Iterator[AuthenticateRequest], context: Any) -> Iterator[AuthenticateResponse]:
    for request in requests:
        yield _answer(request, context)


def _register(server: grpc.Server) -> None:
    codec: dict[str, Any] = {
        "request_deserializer": AuthenticateRequest.FromString,
        "response_serializer": AuthenticateResponse.SerializeToString,
    }
    handlers: dict[str, Any] = {
        "Unary": grpc.unary_unary_rpc_method_handler(_answer, **codec),
        "Out": grpc.unary_stream_rpc_method_handler(_answers, **codec),
        "In": grpc.stream_unary_rpc_method_handler(_collect, **codec),
        "Both": grpc.stream_stream_rpc_method_handler(_echo, **codec),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])


class Client:
    """Calls the four kinds of methods; a failed call raises `grpc.RpcError`."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def call(self, kind: str, key: str | None, *requests: bytes) -> list[AuthenticateResponse]:
        """Send requests to method `kind` with an API key, and collect what comes back."""
        shape: Any = {
            "Unary": self.channel.unary_unary,
            "Out": self.channel.unary_stream,
            "In": self.channel.stream_unary,
            "Both": self.channel.stream_stream,
        }[kind]
        method = shape(
            f"/{SERVICE}/{kind}",
            request_serializer=AuthenticateRequest.SerializeToString,
            response_deserializer=AuthenticateResponse.FromString,
        )
        messages = [AuthenticateRequest(key_digest=request) for request in requests or (b"",)]
        metadata = [("authorization", f"Bearer {key}")] if key else []
        sent: Any = iter(messages) if kind in {"In", "Both"} else messages[0]
        got: Any = method(sent, metadata=metadata, timeout=10)
        return list(got) if kind in {"Out", "Both"} else [got]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A real server on a free port, and a channel to it."""
    digests = {key_digest(key): identity for key, identity in KEYS.items()}
    door = Authenticator(digests.get, "internal", FixedClock(0))
    server = rpc.create_server("wells", door, [_register], [SERVICE], workers=4)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with rpc.connect(f"127.0.0.1:{port}") as channel:
        yield Client(channel)
    server.stop(0).wait()


KINDS = ["Unary", "Out", "In", "Both"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", [None, "mf_nobody"])
def test_anonymous(client: Client, kind: str, key: str | None) -> None:
    """Without a known key no method of any kind begins."""
    with pytest.raises(grpc.RpcError) as caught:
        client.call(kind, key)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("kind", KINDS)
def test_each_call_has_its_own_caller(client: Client, kind: str) -> None:
    """Calls of two tenants in turn, over one channel, never see each other's identity."""
    for _ in range(20):
        assert {a.tenant_id for a in client.call(kind, "mf_reader")} == {1}
        assert {a.tenant_id for a in client.call(kind, "mf_other")} == {2}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("how", "status"),
    [
        (b"invalid", grpc.StatusCode.INVALID_ARGUMENT),
        (b"absent", grpc.StatusCode.NOT_FOUND),
        (b"conflict", grpc.StatusCode.FAILED_PRECONDITION),
        (b"large", grpc.StatusCode.INVALID_ARGUMENT),
        (b"busy", grpc.StatusCode.RESOURCE_EXHAUSTED),
        (b"away", grpc.StatusCode.UNAVAILABLE),
    ],
)
def test_errors_have_their_status(
    client: Client, kind: str, how: bytes, status: grpc.StatusCode
) -> None:
    """Each error of ours becomes its status in every kind of method, with code and detail."""
    with pytest.raises(grpc.RpcError) as caught:
        client.call(kind, "mf_reader", how)
    failure = FAILURES[how]
    assert isinstance(failure, MeterfleetError)
    assert caught.value.code() is status
    assert caught.value.details() == f"{failure.code}: {failure.detail}"


def test_the_caller_gets_the_error_back(client: Client) -> None:
    """What a service raised can be raised again by its caller: code, status, text and faults."""
    with pytest.raises(grpc.RpcError) as caught:
        client.call("Unary", "mf_reader", b"invalid")
    rebuilt = rpc.problem_of(caught.value)
    assert rebuilt.as_problem() == FAILURES[b"invalid"].as_problem()  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", [b"faults", b"long"])
def test_a_long_problem_still_arrives(client: Client, how: bytes) -> None:
    """Headers are bounded: a problem beyond them is cut, and the status stays what it was."""
    with pytest.raises(grpc.RpcError) as caught:
        client.call("Unary", "mf_reader", how)
    failure = FAILURES[how]
    assert isinstance(failure, MeterfleetError)
    rebuilt = rpc.problem_of(caught.value)
    assert (rebuilt.code, rebuilt.status) == (failure.code, failure.status)
    assert failure.detail.startswith(rebuilt.detail.removesuffix("…"))
    assert list(rebuilt.faults) == FAULTS[: len(rebuilt.faults)]


def test_an_error_of_ours_is_no_noise(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """A refused call leaves no traceback in the log: it is an answer, not an accident."""
    with caplog.at_level(logging.DEBUG, "grpc"), pytest.raises(grpc.RpcError):
        client.call("Unary", "mf_reader", b"conflict")
    assert not caplog.records


def test_the_unforeseen_tells_nothing(client: Client) -> None:
    """An unforeseen error is INTERNAL, logged here, and none of its text goes out."""
    with capture_logs() as logs, pytest.raises(grpc.RpcError) as caught:
        client.call("Unary", "mf_reader", b"unforeseen")
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "pump" not in str(caught.value)
    assert [entry["event"] for entry in logs] == ["call failed"]


def test_a_servicer_may_abort_by_itself(client: Client) -> None:
    """A status set through gRPC's own context is passed on as it is."""
    with pytest.raises(grpc.RpcError) as caught:
        client.call("Unary", "mf_reader", b"abort")
    assert caught.value.code() is grpc.StatusCode.DATA_LOSS
    assert caught.value.details() == "by hand"


def test_a_stream_keeps_what_came_before_an_error(client: Client) -> None:
    """Answers given before the error arrive; the error ends the stream."""
    method: Any = client.channel.unary_stream(
        f"/{SERVICE}/Out",
        request_serializer=AuthenticateRequest.SerializeToString,
        response_deserializer=AuthenticateResponse.FromString,
    )
    metadata = [("authorization", "Bearer mf_reader")]
    answers = method(AuthenticateRequest(key_digest=b"absent"), metadata=metadata, timeout=10)
    assert next(answers).tenant_id == 1
    with pytest.raises(grpc.RpcError) as caught:
        next(answers)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_internal_calls_name_their_tenant(client: Client) -> None:
    """A service with the shared token acts for the tenant it names."""
    method: Any = client.channel.unary_unary(
        f"/{SERVICE}/Unary",
        request_serializer=AuthenticateRequest.SerializeToString,
        response_deserializer=AuthenticateResponse.FromString,
    )
    metadata = rpc.internal_metadata("internal", 17)
    assert method(AuthenticateRequest(), metadata=metadata, timeout=10).tenant_id == 17


def test_a_service_that_is_away() -> None:
    """A call that reaches nobody becomes 503, which callers may try again."""
    with rpc.connect("127.0.0.1:1") as channel, pytest.raises(grpc.RpcError) as caught:
        Client(channel).call("Unary", "mf_reader")
    rebuilt = rpc.problem_of(caught.value)
    assert (rebuilt.status, rebuilt.code) == (503, "unavailable")


def test_health_and_reflection_need_no_key(client: Client) -> None:
    """Probes and tools find the server and its services."""
    checks = health_pb2_grpc.HealthStub(client.channel)
    for name in ("", SERVICE):
        answer = checks.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
    (listed,) = stub.ServerReflectionInfo(iter([asked]), timeout=10)
    assert SERVICE in {service.name for service in listed.list_services_response.service}


def test_metrics_count_calls_by_outcome(client: Client) -> None:
    """Good, refused and aborted calls are three series of their method."""
    for how in (b"", b"absent", b"abort"):
        try:
            client.call("Unary", "mf_reader", how)
        except grpc.RpcError:
            continue
    text = generate_latest(METRICS).decode()
    for code in ("OK", "NOT_FOUND", "DATA_LOSS"):
        labels = f'code="{code}",method="/{SERVICE}/Unary",service="wells"'
        assert f"meterfleet_grpc_call_seconds_count{{{labels}}}" in text
