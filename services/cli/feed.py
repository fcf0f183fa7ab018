"""Readings in and use out through ingest's gRPC doors, as commands need them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import grpc

from services.kit.errors import Fault, InvalidInputError
from services.kit.rpc import connect, problem_of
from services.metering.batch import ReadingBatch, parse, to_bytes
from services.stubs.meterfleet.ingest.v1 import (
    ingest_pb2,
    ingest_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
)
from services.stubs.meterfleet.readings.v1 import readings_pb2


def send(
    target: str,
    key: str,
    batches: Iterable[ReadingBatch],
    on_acknowledged: Callable[[int], None] | None = None,
) -> int:
    """Send batches in one stream; returns the readings the log has.

    Raises:
        InvalidInputError: A batch was refused.
        MeterfleetError: What the service answered, or that it is away.
    """
    acknowledged = 0
    with connect(target) as channel:
        stub = ingest_pb2_grpc.IngestServiceStub(channel)
        metadata = [("authorization", f"Bearer {key}")]
        try:
            for answer in stub.Ingest(_requests(batches), metadata=metadata):
                if answer.faults:
                    faults = [Fault(f.where, f.code, f.detail) for f in answer.faults]
                    raise InvalidInputError("a batch was refused", faults=faults)
                acknowledged += answer.readings
                if on_acknowledged is not None:
                    on_acknowledged(acknowledged)
        except grpc.RpcError as error:
            raise problem_of(error) from error
    return acknowledged


def usage(
    target: str, key: str, service_point_ids: list[int], boundaries_ms: list[int]
) -> Iterator[usage_pb2.GetUsageResponse]:
    """Use of service points between boundaries, streamed; raises as `send`."""
    with connect(target) as channel:
        request = usage_pb2.GetUsageRequest(
            service_point_ids=service_point_ids, boundaries_ms=boundaries_ms
        )
        metadata = [("authorization", f"Bearer {key}")]
        try:
            yield from usage_pb2_grpc.UsageServiceStub(channel).GetUsage(request, metadata=metadata)
        except grpc.RpcError as error:
            raise problem_of(error) from error


def _requests(batches: Iterable[ReadingBatch]) -> Iterator[ingest_pb2.IngestRequest]:
    for batch in batches:
        yield ingest_pb2.IngestRequest(batch=parse(readings_pb2.ReadingBatch, to_bytes(batch)))
