"""gRPC of ingest over a real server: columns in, progress and usage out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import numpy as np
import pytest

from services.kit.errors import MeterfleetError
from services.kit.rpc import internal_metadata, problem_of
from services.metering.batch import Origin, from_bytes, to_bytes
from services.stubs.meterfleet.ingest.v1 import (
    ingest_pb2,
    ingest_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
)
from services.stubs.meterfleet.readings.v1 import readings_pb2
from tests.ingest_harness import HOUR_MS, START_MS, WATER, batch, meter_event
from tests.integration.ingest.world import INTERNAL_TOKEN, World, credentials

Metadata = list[tuple[str, str]]
Call = Callable[[World, Metadata], Any]
TIMEOUT_S = 20


def message(rows: Sequence[tuple[str, int, int]], **fields: Any) -> readings_pb2.ReadingBatch:
    """A batch as a client sends it: no tenant, no source, no digest."""
    plain = batch(rows)
    made = readings_pb2.ReadingBatch.FromString(
        to_bytes(
            type(plain)(
                plain.meters, plain.channels, plain.meter, plain.channel, plain.at_ms, plain.value,
                Origin(),
            )
        )
    )  # fmt: skip
    made.MergeFrom(readings_pb2.ReadingBatch(**fields))
    return made


def ingest(
    world: World, metadata: Metadata, *batches: readings_pb2.ReadingBatch
) -> list[ingest_pb2.IngestResponse]:
    """Stream batches and collect all answers."""
    requests = (ingest_pb2.IngestRequest(batch=one) for one in batches)
    stub = ingest_pb2_grpc.IngestServiceStub(world.channel)
    return list(stub.Ingest(requests, metadata=metadata, timeout=TIMEOUT_S))


def progress(world: World, metadata: Metadata) -> ingest_pb2.GetProgressResponse:
    """Ask how far the pipeline is."""
    stub = ingest_pb2_grpc.IngestServiceStub(world.channel)
    request = ingest_pb2.GetProgressRequest()
    answer: ingest_pb2.GetProgressResponse = stub.GetProgress(
        request, metadata=metadata, timeout=TIMEOUT_S
    )
    return answer


def usage(
    world: World,
    metadata: Metadata,
    points: Sequence[int] = (11,),
    boundaries_ms: Sequence[int] = (START_MS, START_MS + 24 * HOUR_MS),
    obis: Sequence[str] = (),
) -> list[usage_pb2.GetUsageResponse]:
    """Ask for use and collect all answers."""
    request = usage_pb2.GetUsageRequest(
        service_point_ids=points, boundaries_ms=boundaries_ms, obis=obis
    )
    stub = usage_pb2_grpc.UsageServiceStub(world.channel)
    return list(stub.GetUsage(request, metadata=metadata, timeout=TIMEOUT_S))


def refused(call: Callable[[], Any]) -> tuple[grpc.StatusCode, MeterfleetError]:
    """Status and problem of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), problem_of(caught.value)


CALLS: list[tuple[str, Call, set[str]]] = [
    (
        "Ingest",
        lambda world, metadata: ingest(world, metadata, message([("B", START_MS, 0)])),
        {"gateway", "operator", "admin"},
    ),
    ("GetProgress", progress, {"gateway", "reader", "operator", "admin"}),
    ("GetUsage", usage, {"reader", "operator", "admin"}),
]
CASES = [pytest.param(call, allowed, id=name) for name, call, allowed in CALLS]


@pytest.mark.parametrize(("call", "allowed"), CASES)
@pytest.mark.parametrize("key", [None, "nobody-has-this"])
def test_a_stranger_is_refused(
    world: World, call: Call, allowed: set[str], key: str | None
) -> None:
    """Without a key, or with one that nobody has, no method answers."""
    status, problem = refused(lambda: call(world, credentials(key)))
    assert (status, problem.code) == (
        grpc.StatusCode.UNAUTHENTICATED, "auth.unauthenticated",
    )  # fmt: skip


def test_another_tenant_sees_nothing(world: World) -> None:
    """Counts are the caller's own, and another tenant's service point is absent."""
    other = credentials("village-admin")
    assert progress(world, other).received == 0
    assert progress(world, credentials("city-reader")).received > 0
    assert refused(lambda: usage(world, other))[0] is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(("call", "allowed"), CASES)
@pytest.mark.parametrize("role", ["gateway", "reader", "operator", "admin"])
def test_a_role_does_what_it_may_and_no_more(
    world: World, call: Call, allowed: set[str], role: str
) -> None:
    """Each role passes exactly where the matrix says so."""
    metadata = credentials(f"city-{role}")
    if role in allowed:
        call(world, metadata)
    else:
        status, problem = refused(lambda: call(world, metadata))
        assert (status, problem.code) == (grpc.StatusCode.PERMISSION_DENIED, "auth.forbidden")


def test_a_service_acts_for_the_tenant_it_names(world: World) -> None:
    """Billing and the console read with the internal token, within one tenant."""
    assert usage(world, internal_metadata(INTERNAL_TOKEN, 7))
    call = lambda: usage(world, internal_metadata(INTERNAL_TOKEN, 8))  # noqa: E731
    assert refused(call)[0] is grpc.StatusCode.NOT_FOUND


def test_the_door_sets_what_is_the_doors(world: World) -> None:
    """Tenant, source, receipt and digest are the door's, whatever the client wrote there."""
    since = world.ends()
    rows = [("A", START_MS + 9000 * HOUR_MS, 7), ("dev-a", START_MS + 9001 * HOUR_MS, 8)]
    sent = message(
        rows, batch_id="mine", tenant_id=8, source="forged", received_at_ms=1,
        payload_digest=b"forged", rank=3,
    )  # fmt: skip
    (answer,) = ingest(world, credentials("city-gateway"), sent)
    assert (answer.batch_id, answer.readings, list(answer.faults)) == ("mine", 2, [])
    (record,) = world.appended(since)
    got = from_bytes(record.value)
    origin = got.origin
    assert (origin.tenant_id, origin.source, origin.batch_id, origin.rank) == (7, "grpc", "mine", 3)
    assert origin.payload_digest == hashlib.sha256(sent.SerializeToString()).digest()
    assert abs(origin.received_at_ms - record.timestamp_ms) < 60_000
    assert [
        (got.meters[meter], at_ms, value)
        for meter, at_ms, value in zip(
            got.meter.tolist(), got.at_ms.tolist(), got.value.tolist(), strict=True
        )
    ] == rows


def test_a_refused_batch_leaves_the_others_acknowledged(world: World) -> None:
    """Answers come in the order of the batches; the wrong one has its faults and no reading."""
    since = world.ends()
    good = [message([("A", START_MS + n, n)], batch_id=f"g{n}") for n in range(3)]
    bad = message([("A", START_MS, 1)], batch_id="bad", at_ms=[1, 2], meters=[""])
    answers = ingest(world, credentials("city-gateway"), good[0], good[1], bad, good[2])
    assert [(a.batch_id, a.readings) for a in answers] == [
        ("g0", 1), ("g1", 1), ("bad", 0), ("g2", 1),
    ]  # fmt: skip
    assert [fault.where for fault in answers[2].faults] == [
        "/meter",
        "/channel",
        "/value",
        "/meters/1",
    ]
    ids = [from_bytes(record.value).origin.batch_id for record in world.appended(since)]
    assert ids == ["g0", "g1", "g2"]


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_id": "a\0b"},
        {"batch_id": "x" * 201},
        {"meters": ["a\0b"]},
        {"channels": [readings_pb2.ChannelRef(obis="8-0\0", unit="L")]},
        {"channels": [readings_pb2.ChannelRef(obis=WATER, unit="L\0")]},
        {"channels": [readings_pb2.ChannelRef(obis=WATER, unit="L", scaler=2**31 - 1)]},
        {"channels": [readings_pb2.ChannelRef(obis=WATER, unit="L", scaler=-(2**31))]},
        {"version": 2},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_would_stop_the_pipeline_is_refused(world: World, fields: dict[str, Any]) -> None:
    """Texts and powers of ten that no later step can work with never reach the log."""
    since = world.ends()
    sent = message([("A", START_MS, 1)], **fields)
    (answer,) = ingest(world, credentials("city-gateway"), sent)
    assert answer.readings == 0
    assert answer.faults
    assert world.appended(since) == []


def test_an_empty_batch_says_so(world: World) -> None:
    """A batch without readings is the sender's mistake."""
    (answer,) = ingest(world, credentials("city-gateway"), readings_pb2.ReadingBatch(version=1))
    assert [fault.code for fault in answer.faults] == ["batch.empty"]


def test_a_log_that_is_away_is_no_acknowledgement(away: World) -> None:
    """The stream ends with RESOURCE_EXHAUSTED: nothing of the batch is promised."""
    sent = message([("A", START_MS, 1)])
    call = lambda: ingest(away, credentials("city-gateway"), sent)  # noqa: E731
    status, problem = refused(call)
    assert (status, problem.code) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED, "door.log_unavailable",
    )  # fmt: skip


def test_progress_counts_the_callers_readings(world: World) -> None:
    """The numbers are those of the tally, and add up."""
    answer = progress(world, credentials("city-gateway"))
    assert answer.received == answer.stored + answer.duplicates + answer.quarantined
    assert answer.stored == 8_760 + 48
    assert answer.records_behind >= 0


def test_usage_of_several_points_comes_in_the_order_asked(world: World) -> None:
    """Each point has its own use between the boundaries, and the register at each of them."""
    edges = [START_MS, START_MS + HOUR_MS, START_MS + 24 * HOUR_MS]
    answers = usage(world, credentials("city-reader"), [12, 11], edges)
    assert [answer.service_point_id for answer in answers] == [12, 11]
    for answer, per_hour in zip(answers, (1, 10), strict=True):
        (channel,) = answer.channels
        assert (channel.obis, channel.unit, channel.scaler) == (WATER, "m3", -3)
        assert list(channel.quantity) == [per_hour, 23 * per_hour]
        assert list(channel.register) == [0, per_hour, 24 * per_hour]
        assert list(channel.known_ppm) == [1_000_000, 1_000_000]
        assert (channel.readings_usable, channel.readings_failed) == (24, 0)


def test_usage_names_its_evidence(world: World) -> None:
    """The readings that decide the edges come with their payload and their place on the log."""
    (answer,) = usage(world, credentials("city-reader"), [12])
    evidence = answer.channels[0].evidence
    assert [(e.at_ms - START_MS) // HOUR_MS for e in evidence] == [0, 1, 24, 25]
    assert {(e.meter, e.payload_digest, e.log_position) for e in evidence} == {
        ("ACME:B", b"digest", "readings.received/0/1")
    }


@pytest.fixture(scope="module")
def many(world: World) -> Iterator[list[int]]:
    """More service points than one query loads."""
    points = list(range(1000, 1120))
    world.harness.register(*(meter_event(n, f"M{n}", service_point_id=n) for n in points))
    rows = [(f"M{n}", START_MS + h * HOUR_MS, h * (n % 7)) for n in points for h in (0, 24)]
    world.harness.feed(batch(rows))
    yield points
    world.harness.rows("select 1")


def test_usage_of_many_points(world: World, many: list[int]) -> None:
    """A fleet is answered point by point, in order, whatever is loaded at once."""
    answers = usage(world, credentials("city-reader"), many)
    assert [answer.service_point_id for answer in answers] == many
    assert [answer.channels[0].quantity[0] for answer in answers] == [24 * (n % 7) for n in many]


def test_usage_of_other_channels_is_nothing(world: World) -> None:
    """A channel the meters have not is no fault: there is no use of it."""
    (answer,) = usage(world, credentials("city-reader"), obis=["1-0:1.8.0"])
    assert list(answer.channels) == []


def test_an_unknown_point_is_not_found(world: World) -> None:
    """A point at which no meter ever stood is an error beside known ones, too."""
    call = lambda: usage(world, credentials("city-reader"), [11, 999])  # noqa: E731
    status, problem = refused(call)
    assert status is grpc.StatusCode.NOT_FOUND
    assert "999" in problem.detail


@pytest.mark.parametrize(
    ("points", "edges"),
    [
        ([11], []),
        ([11], [START_MS]),
        ([11], [START_MS, START_MS]),
        ([11], [START_MS + 1, START_MS]),
        ([11], [-(2**63), 2**63 - 1]),
        ([11], [START_MS, 2**63 - 1]),
        ([11], np.arange(40_001).tolist()),
        ([], [START_MS, START_MS + 1]),
        (list(range(10_001)), [START_MS, START_MS + 1]),
    ],
)
def test_bad_boundaries_are_invalid(world: World, points: list[int], edges: list[int]) -> None:
    """Boundaries that do not rise, too few, too many or beyond all time are the caller's faults."""
    call = lambda: usage(world, credentials("city-reader"), points, edges)  # noqa: E731
    status, problem = refused(call)
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert problem.faults
