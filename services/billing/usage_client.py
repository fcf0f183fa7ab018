"""Asks the ingest service for use, by gRPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import grpc
import numpy as np

from services.billing.usage import Evidence, Int64s, RegisterStep, Usage
from services.kit.errors import NotFoundError, UnavailableError
from services.kit.rpc import internal_metadata, problem_of
from services.stubs.meterfleet.ingest.v1 import usage_pb2, usage_pb2_grpc

#: Two hundred service points by the hour for a month; far above what was ever measured.
FETCH_TIMEOUT_S = 60.0
RETRY_AFTER_S = 5.0


class RpcUsageSource:
    """The use side of the ingest service (`UsageService.GetUsage`)."""

    def __init__(self, channel: grpc.Channel, internal_token: str) -> None:
        self._stub = usage_pb2_grpc.UsageServiceStub(channel)
        self._internal_token = internal_token

    def fetch(
        self, tenant_id: int, service_point_ids: Sequence[int], obis: str, boundaries_ms: Int64s
    ) -> Mapping[int, Sequence[Usage]]:
        """Use of one channel at some service points; see `UsageSource`.

        The service refuses a question that names a point where no meter ever stood. One such point
        must not keep the others from their bills, so the question is then asked in halves.

        Raises:
            UnavailableError: The service is away, refuses, or answers what was not asked.
        """
        try:
            return self._ask(tenant_id, service_point_ids, obis, boundaries_ms)
        except NotFoundError:
            if len(service_point_ids) == 1:
                return {}
        middle = len(service_point_ids) // 2
        halves = (service_point_ids[:middle], service_point_ids[middle:])
        return {
            point: usages
            for half in halves
            for point, usages in self.fetch(tenant_id, half, obis, boundaries_ms).items()
        }

    def _ask(
        self, tenant_id: int, service_point_ids: Sequence[int], obis: str, boundaries_ms: Int64s
    ) -> Mapping[int, Sequence[Usage]]:
        request = usage_pb2.GetUsageRequest(
            service_point_ids=service_point_ids,
            obis=[obis],
            boundaries_ms=boundaries_ms.tolist(),
        )
        metadata = internal_metadata(self._internal_token, tenant_id)
        try:
            return {
                answer.service_point_id: [
                    _usage(channel, len(boundaries_ms) - 1)
                    for channel in answer.channels
                    if channel.obis == obis
                ]
                for answer in self._stub.GetUsage(
                    request, metadata=metadata, timeout=FETCH_TIMEOUT_S
                )
            }
        except grpc.RpcError as error:
            problem = problem_of(error)
            if problem.status == NotFoundError.status:
                raise NotFoundError(problem.detail) from error
            raise UnavailableError(
                f"use could not be asked for: {problem.detail}",
                retry_after_s=RETRY_AFTER_S,
                code="usage.unavailable",
            ) from error


def _usage(channel: usage_pb2.ChannelUsage, intervals: int) -> Usage:
    sizes = (len(channel.quantity), len(channel.register) - 1, len(channel.known_ppm))
    if set(sizes) != {intervals}:
        raise UnavailableError(
            f"the answer for {channel.obis} has columns of {sizes} where {intervals} were asked",
            code="usage.malformed",
        )
    return Usage(
        obis=channel.obis,
        unit=channel.unit,
        scaler=channel.scaler,
        quantity=np.array(channel.quantity, dtype=np.int64),
        register=np.array(channel.register, dtype=np.int64),
        known_ppm=np.array(channel.known_ppm, dtype=np.int64),
        evidence=tuple(map(_evidence, channel.evidence)),
        steps=tuple(map(_step, channel.events)),
        readings_usable=channel.readings_usable,
        readings_failed=channel.readings_failed,
    )


def _evidence(one: usage_pb2.Evidence) -> Evidence:
    return Evidence(
        meter_id=one.meter_id,
        meter=one.meter,
        channel=one.channel,
        at_ms=one.at_ms,
        value=one.value,
        flags=one.flags,
        payload_digest=one.payload_digest.hex(),
        log_position=one.log_position,
    )


def _step(one: usage_pb2.RegisterEvent) -> RegisterStep:
    return RegisterStep(
        meter_id=one.meter_id,
        channel=one.channel,
        at_ms=one.at_ms,
        kind=one.kind,
        offset_delta=one.offset_delta,
        from_value=one.from_value,
        to_value=one.to_value,
    )
