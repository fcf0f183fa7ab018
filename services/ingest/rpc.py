"""gRPC of ingest: readings in columns, progress, usage."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from grpc import ServicerContext

from services.ingest import events, repository
from services.ingest.doors.accept import Acceptor
from services.ingest.usage.domain import EvidenceReading, Usage
from services.ingest.usage.service import PointUsage, UsageService
from services.kit.auth import Role
from services.kit.db import Database
from services.kit.errors import InvalidInputError
from services.kit.log import Log
from services.kit.rpc import caller
from services.metering.batch import from_message
from services.stubs.meterfleet.ingest.v1 import (
    ingest_pb2,
    ingest_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
)

FAULTS_MAX = 100


def records_behind(database: Database, log: Log) -> int:
    """Records on readings.received that the pipeline has not committed."""
    ends = log.end_offsets(events.RECEIVED)
    with database.transaction() as session:
        at = repository.positions(session, events.PIPELINE, events.RECEIVED)
    return sum(max(0, end - at.get(partition, 0)) for partition, end in ends.items())


class IngestServicer(ingest_pb2_grpc.IngestServiceServicer):
    """The door for readings in columns."""

    def __init__(self, acceptor: Acceptor, database: Database, log: Log) -> None:
        self._acceptor = acceptor
        self._database = database
        self._log = log

    def Ingest(  # noqa: N802 - the contract's name
        self, request_iterator: Iterator[ingest_pb2.IngestRequest], context: ServicerContext
    ) -> Iterator[ingest_pb2.IngestResponse]:
        """Take batches; each is answered once the log has it, or with all its faults."""
        identity = caller().require(Role.GATEWAY, Role.OPERATOR)
        for request in request_iterator:
            try:
                batch = from_message(request.batch)
                payload = request.batch.SerializeToString()
                accepted = self._acceptor.accept(batch, identity, "grpc", payload)
            except InvalidInputError as error:
                yield ingest_pb2.IngestResponse(
                    batch_id=request.batch.batch_id,
                    faults=[
                        ingest_pb2.Fault(where=f.where, code=f.code, detail=f.detail)
                        for f in error.faults[:FAULTS_MAX]
                    ],
                )
            else:
                yield ingest_pb2.IngestResponse(
                    batch_id=accepted.batch_id, readings=accepted.readings
                )

    def GetProgress(  # noqa: N802 - the contract's name
        self, request: ingest_pb2.GetProgressRequest, context: ServicerContext
    ) -> ingest_pb2.GetProgressResponse:
        """How far the pipeline has come, and the caller's readings by outcome."""
        identity = caller().require(Role.READER, Role.GATEWAY)
        behind = records_behind(self._database, self._log)
        with self._database.transaction() as session:
            counts = repository.tally(session, identity.tenant_id)
        return ingest_pb2.GetProgressResponse(records_behind=behind, **counts.as_dict())


class UsageServicer(usage_pb2_grpc.UsageServiceServicer):
    """Use by service point, streamed in columns."""

    def __init__(self, usage: UsageService) -> None:
        self._usage = usage

    def GetUsage(  # noqa: N802 - the contract's name
        self, request: usage_pb2.GetUsageRequest, context: ServicerContext
    ) -> Iterator[usage_pb2.GetUsageResponse]:
        """Stream one answer for each service point."""
        identity = caller().require(Role.READER)
        boundaries_ms = np.array(request.boundaries_ms, dtype=np.int64)
        answers = self._usage.by_service_point(
            identity.tenant_id,
            list(request.service_point_ids),
            boundaries_ms,
            list(request.obis),
        )
        for answer in answers:
            yield usage_pb2.GetUsageResponse(
                service_point_id=answer.service_point_id,
                channels=[_channel(usage, answer) for usage in answer.channels],
            )


def _channel(usage: Usage, answer: PointUsage) -> usage_pb2.ChannelUsage:
    return usage_pb2.ChannelUsage(
        obis=usage.obis,
        unit=usage.unit,
        scaler=usage.scaler,
        quantity=usage.quantity.tolist(),
        register=usage.register.tolist(),
        known_ppm=usage.known_ppm.tolist(),
        evidence=[_evidence(reading, answer) for reading in usage.evidence],
        events=[
            usage_pb2.RegisterEvent(
                meter_id=step.meter_id,
                channel=step.channel,
                at_ms=step.at_ms,
                kind=step.kind,
                offset_delta=step.offset_delta,
                from_value=step.from_value or 0,
                to_value=step.to_value or 0,
            )
            for step in usage.events
        ],
        readings_usable=usage.usable,
        readings_failed=usage.failed,
    )


def _evidence(reading: EvidenceReading, answer: PointUsage) -> usage_pb2.Evidence:
    batch = answer.batches[reading.batch_no]
    return usage_pb2.Evidence(
        meter_id=reading.meter_id,
        meter=reading.meter,
        channel=reading.channel,
        at_ms=reading.at_ms,
        value=reading.value,
        flags=reading.flags,
        payload_digest=batch.payload_digest,
        log_position=f"{events.RECEIVED}/{batch.partition}/{batch.log_offset}",
    )
