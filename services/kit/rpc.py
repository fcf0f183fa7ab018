"""gRPC as every service speaks it: identities, error mapping, metrics, health, reflection."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.kit.auth import TENANT_HEADER, Authenticator, Identity
from services.kit.errors import Fault, MeterfleetError, UnavailableError
from services.kit.telemetry import RPC_SECONDS, logger

#: A columnar batch of 5,000 readings has 120 KiB; 16 MiB leaves room for usage in columns.
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
CALL_TIMEOUT_S = 30.0
#: gRPC drops calls with over 8 KiB of trailing metadata; text may take 12 bytes a character there.
PROBLEM_BYTES_MAX = 5000
DETAILS_CHARS_MAX = 200
_LOG = logger("rpc")
_CALLER: ContextVar[Identity | None] = ContextVar("caller", default=None)
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),
]


def caller() -> Identity:
    """The recognised caller of the running gRPC method."""
    identity = _CALLER.get()
    assert identity is not None, "asked for the caller outside a gRPC method"
    return identity


class _Gate(grpc.ServerInterceptor):
    """Recognises the caller, maps our errors to statuses, measures every call."""

    def __init__(self, service: str, authenticator: Authenticator) -> None:
        self._service = service
        self._authenticator = authenticator

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(("/grpc.health.", "/grpc.reflection.")):
            return handler
        metadata = dict(handler_call_details.invocation_metadata or ())
        if handler.response_streaming:
            return self._wrap_stream(handler, method, metadata)
        return self._wrap_unary(handler, method, metadata)

    def _enter(self, metadata: dict[str, Any]) -> None:
        _CALLER.set(
            self._authenticator.identify(metadata.get("authorization"), metadata.get(TENANT_HEADER))
        )

    def _wrap_unary(
        self, handler: Any, method: str, metadata: dict[str, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
        factory = (
            grpc.stream_unary_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_unary_rpc_method_handler
        )

        def call(request: Any, context: grpc.ServicerContext) -> Any:
            start_s = time.perf_counter()
            code = "OK"
            try:
                self._enter(metadata)
                return behaviour(request, context)
            except Exception as error:  # noqa: BLE001 - mapped to a status, logged if unforeseen
                status, details = _explain(context, error, method)
                code = status.name
                context.abort(status, details)
            finally:
                RPC_SECONDS.labels(self._service, method, code).observe(
                    time.perf_counter() - start_s
                )

        return factory(call, handler.request_deserializer, handler.response_serializer)

    def _wrap_stream(
        self, handler: Any, method: str, metadata: dict[str, Any]
    ) -> grpc.RpcMethodHandler[Any, Any]:
        behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream
        factory = (
            grpc.stream_stream_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_stream_rpc_method_handler
        )

        def call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            start_s = time.perf_counter()
            code = "OK"
            try:
                self._enter(metadata)
                yield from behaviour(request, context)
            except Exception as error:  # noqa: BLE001 - mapped to a status, logged if unforeseen
                status, details = _explain(context, error, method)
                code = status.name
                context.abort(status, details)
            finally:
                RPC_SECONDS.labels(self._service, method, code).observe(
                    time.perf_counter() - start_s
                )

        return factory(call, handler.request_deserializer, handler.response_serializer)


def _explain(
    context: grpc.ServicerContext, error: Exception, method: str
) -> tuple[grpc.StatusCode, str]:
    """Status and text to end the call with; the problem document travels as metadata."""
    if not isinstance(error, MeterfleetError):
        if context.code() is not None:  # type: ignore[attr-defined]
            return context.code(), context.details()  # type: ignore[attr-defined]
        _LOG.exception("call failed", method=method)
        error = MeterfleetError("internal error")
    context.set_trailing_metadata((("problem-bin", _problem_bytes(error)),))
    details = f"{error.code}: {error.detail}"[:DETAILS_CHARS_MAX]
    return _CODES.get(error.status, grpc.StatusCode.INTERNAL), details


def _problem_bytes(error: MeterfleetError) -> bytes:
    """The problem document as JSON of at most `PROBLEM_BYTES_MAX`: faults go first, then text."""
    problem = error.as_problem()
    faults = problem.pop("faults", [])
    if len(json.dumps(problem)) > PROBLEM_BYTES_MAX:
        problem["detail"] = problem["detail"][:DETAILS_CHARS_MAX] + "…"
    room = PROBLEM_BYTES_MAX - len(json.dumps(problem))
    kept = []
    for fault in faults:
        room -= len(json.dumps(fault)) + len(', "faults": []')
        if room < 0:
            break
        kept.append(fault)
    return json.dumps(problem | {"faults": kept} if kept else problem).encode()


Registrar = Callable[[grpc.Server], None]


def create_server(
    service: str,
    authenticator: Authenticator,
    registrars: Sequence[Registrar],
    names: Sequence[str],
    workers: int = 16,
) -> grpc.Server:
    """A gRPC server with health and reflection; the caller binds a port and starts it.

    Args:
        service: Short name, a label of metrics.
        authenticator: Recognises callers.
        registrars: Each adds one generated servicer to the server.
        names: Full names of those services, for health and reflection.
        workers: Calls served at once; more wait in grpc's bounded queue.
    """
    server = grpc.server(
        ThreadPoolExecutor(workers, thread_name_prefix=f"{service}-rpc"),
        interceptors=[_Gate(service, authenticator)],
        options=_OPTIONS,
        maximum_concurrent_rpcs=workers * 16,
    )
    for register in registrars:
        register(server)
    checks = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    for name in ("", *names):
        checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection(
        (*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    return server


def connect(target: str) -> grpc.Channel:
    """A channel to another service; it reconnects by itself."""
    return grpc.insecure_channel(target, options=_OPTIONS)


def internal_metadata(internal_token: str, tenant_id: int) -> list[tuple[str, str]]:
    """Metadata with which one service calls another on behalf of a tenant."""
    return [("authorization", f"Bearer {internal_token}"), (TENANT_HEADER, str(tenant_id))]


def problem_of(error: grpc.RpcError) -> MeterfleetError:
    """The error a called service raised, rebuilt from a failed call."""
    call = cast("grpc.Call", error)
    for item in tuple(call.trailing_metadata() or ()):
        name, value = cast("tuple[str, bytes]", item)
        if name == "problem-bin":
            problem = json.loads(value)
            rebuilt = MeterfleetError(problem["detail"], code=problem["code"])
            rebuilt.status, rebuilt.title = problem["status"], problem["title"]
            rebuilt.faults = tuple(Fault(**fault) for fault in problem.get("faults", ()))
            return rebuilt
    return UnavailableError(f"{call.code().name}: {call.details()}", retry_after_s=2)
