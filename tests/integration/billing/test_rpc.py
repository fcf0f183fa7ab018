"""Billing's gRPC door, and the question it asks the read side, over real channels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from uuid import uuid4

import grpc
import numpy as np
import pytest

from services.billing.drafts import Gate, boundaries_of, draft
from services.billing.rating.parse import parse
from services.billing.rating.period import Period
from services.billing.rpc import NAMES, BillingServicer
from services.billing.usage import Usage
from services.billing.usage_client import RpcUsageSource
from services.kit.auth import Authenticator, key_digest
from services.kit.clock import SystemClock
from services.kit.errors import InvalidInputError, NotFoundError, UnavailableError
from services.kit.rpc import caller, connect, create_server, problem_of
from services.stubs.meterfleet.billing.v1 import billing_pb2, billing_pb2_grpc
from services.stubs.meterfleet.ingest.v1 import usage_pb2, usage_pb2_grpc
from tests.integration.billing.service import KEYS, WATER, Billing
from tests.unit.billing.fake_usage import FakeMeter
from tests.unit.billing.test_drafts import order

TOKEN = "internal-token"
BOUNDARIES = np.array([0, 3_600_000, 7_200_000], dtype=np.int64)


class CannedUsage(usage_pb2_grpc.UsageServiceServicer):
    """Answers with a formula's register, as the ingest service would in columns."""

    def __init__(self) -> None:
        self.tenants: list[int] = []
        self.malformed = False

    def GetUsage(  # noqa: N802 - the contract's name
        self, request: usage_pb2.GetUsageRequest, context: grpc.ServicerContext
    ) -> Iterator[usage_pb2.GetUsageResponse]:
        """One answer for each service point; at number 13 no meter ever stood."""
        self.tenants.append(caller().tenant_id)
        boundaries = np.array(request.boundaries_ms, dtype=np.int64)
        if 666 in request.service_point_ids:
            raise InvalidInputError("no such service point")
        for point in request.service_point_ids:
            if point == 13:
                raise NotFoundError("no meter ever stood at service points [13]")
            usage = FakeMeter(point).usage(request.obis[0], boundaries)
            yield usage_pb2.GetUsageResponse(
                service_point_id=point, channels=[self._channel(usage)]
            )

    def _channel(self, usage: Usage) -> usage_pb2.ChannelUsage:
        one, step = usage.evidence[0], usage.steps[0]
        return usage_pb2.ChannelUsage(
            obis=usage.obis,
            unit=usage.unit,
            scaler=usage.scaler,
            quantity=usage.quantity.tolist(),
            register=usage.register.tolist()[: 1 if self.malformed else None],
            known_ppm=usage.known_ppm.tolist(),
            evidence=[
                usage_pb2.Evidence(
                    meter_id=one.meter_id,
                    meter=one.meter,
                    channel=1,
                    at_ms=one.at_ms,
                    value=one.value,
                    flags=1 << 12,
                    payload_digest=hashlib.sha256(b"payload").digest(),
                    log_position="readings.received/3/17",
                )
            ],
            events=[
                usage_pb2.RegisterEvent(
                    meter_id=7, channel=1, at_ms=step.at_ms, kind="rollover",
                    offset_delta=1000, from_value=999, to_value=0,
                )
            ],
            readings_usable=3,
            readings_failed=1,
        )  # fmt: skip


@pytest.fixture
def canned() -> Iterator[tuple[CannedUsage, RpcUsageSource]]:
    """A read side in this process, and the client that asks it."""
    servicer = CannedUsage()
    authenticator = Authenticator(lambda _: None, TOKEN, SystemClock())
    server = create_server(
        "ingest",
        authenticator,
        [lambda s: usage_pb2_grpc.add_UsageServiceServicer_to_server(servicer, s)],
        ["meterfleet.ingest.v1.UsageService"],
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = connect(f"127.0.0.1:{port}")
    yield servicer, RpcUsageSource(channel, TOKEN)
    channel.close()
    server.stop(None)


def test_use_arrives_in_columns_with_its_evidence(
    canned: tuple[CannedUsage, RpcUsageSource],
) -> None:
    """Quantities, registers, digests and steps come through; the tenant is named in the call."""
    servicer, source = canned
    answers = source.fetch(5, [1, 2], "8-0:1.0.0", BOUNDARIES)
    assert servicer.tenants == [5]
    (usage,) = answers[2]
    assert usage.quantity.tolist() == [2, 2]
    assert usage.register.tolist() == [0, 2, 4]
    assert usage.known_ppm.tolist() == [1_000_000, 1_000_000]
    assert usage.evidence[0].payload_digest == hashlib.sha256(b"payload").hexdigest()
    assert usage.evidence[0].log_position == "readings.received/3/17"
    assert usage.steps[0].kind == "rollover"
    assert (usage.readings_usable, usage.readings_failed) == (3, 1)


def test_a_point_without_a_meter_does_not_keep_the_others_from_their_bills(
    canned: tuple[CannedUsage, RpcUsageSource],
) -> None:
    """The service refuses the whole question; asked in halves, only that point has no answer."""
    servicer, source = canned
    points = [*range(10, 20)]
    answers = source.fetch(5, points, "8-0:1.0.0", BOUNDARIES)
    assert sorted(answers) == [point for point in points if point != 13]
    assert len(servicer.tenants) <= 9  # halving, not one by one
    assert source.fetch(5, [13], "8-0:1.0.0", BOUNDARIES) == {}


def test_an_answer_by_grpc_becomes_a_bill(canned: tuple[CannedUsage, RpcUsageSource]) -> None:
    """Seam to seam: boundaries out, columns back, a bill whose line shows the failed rule."""
    _, source = canned
    one = order(parse(WATER), Period(date(2026, 1, 1), date(2026, 2, 1)))
    boundaries = boundaries_of(one.tariff, one.period)
    answers = source.fetch(1, [4], one.tariff.channel, boundaries)
    made = draft(one, answers[4], Gate(950_000))
    assert made.held_because == ""
    assert made.lineage[1]["registers"][0]["rules"] == ["V12_HIGH_LOW"]


def test_refusals_silence_and_misfits_all_mean_try_again(
    canned: tuple[CannedUsage, RpcUsageSource],
) -> None:
    """A refusal, columns of another length and a closed port never become a bill."""
    servicer, source = canned
    with pytest.raises(UnavailableError, match="no such service point"):
        source.fetch(5, [666], "8-0:1.0.0", BOUNDARIES)
    servicer.malformed = True
    with pytest.raises(UnavailableError) as caught:
        source.fetch(5, [1], "8-0:1.0.0", BOUNDARIES)
    assert caught.value.code == "usage.malformed"
    channel = connect("127.0.0.1:1")
    with pytest.raises(UnavailableError) as caught:
        RpcUsageSource(channel, TOKEN).fetch(5, [1], "8-0:1.0.0", BOUNDARIES)
    assert caught.value.retry_after_s
    channel.close()


@pytest.fixture
def stub(billing: Billing) -> Iterator[billing_pb2_grpc.BillingServiceStub]:
    """Billing's own gRPC server."""
    identities = {key_digest(key): identity for key, identity in KEYS.items()}
    servicer = BillingServicer(billing.database, billing.runs)
    server = create_server(
        "billing",
        Authenticator(identities.get, TOKEN, SystemClock()),
        [lambda s: billing_pb2_grpc.add_BillingServiceServicer_to_server(servicer, s)],
        NAMES,
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = connect(f"127.0.0.1:{port}")
    yield billing_pb2_grpc.BillingServiceStub(channel)
    channel.close()
    server.stop(None)


def bearer(key: str) -> list[tuple[str, str]]:
    """Metadata of a key's holder."""
    return [("authorization", f"Bearer {key}")]


def test_grpc_asks_for_a_key_and_a_role(stub: billing_pb2_grpc.BillingServiceStub) -> None:
    """Without a key nothing; a reader may not run bills; another tenant's bill is not found."""
    run = billing_pb2.RunBillsRequest(from_date="2026-01-01", to_date="2026-02-01")
    with pytest.raises(grpc.RpcError) as caught:
        stub.RunBills(run)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetBill(billing_pb2.GetBillRequest(bill_id=str(uuid4())))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as caught:
        stub.RunBills(run, metadata=bearer("reader-1"))
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_bills_by_grpc_are_those_of_http(
    billing: Billing, stub: billing_pb2_grpc.BillingServiceStub
) -> None:
    """A run by gRPC issues; the bill has the lines HTTP shows, and no other tenant sees it."""
    agreement = billing.supply(FakeMeter())
    request = billing_pb2.RunBillsRequest(
        from_date="2026-01-01", to_date="2026-02-01", agreement_ids=[agreement]
    )
    answer = stub.RunBills(request, metadata=bearer("operator-1"))
    assert (answer.issued, answer.already_issued, answer.held) == (1, 0, 0)
    shown = billing.bill(billing.bills()[0]["bill_id"])
    asked = billing_pb2.GetBillRequest(bill_id=shown["bill_id"])
    bill = stub.GetBill(asked, metadata=bearer("reader-1")).bill
    assert (bill.total, bill.state, bill.account) == (shown["total"], "issued", shown["account"])
    assert [json.loads(line.lineage_json) for line in bill.lines] == [
        line["lineage"] for line in shown["lines"]
    ]
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetBill(asked, metadata=bearer("operator-2"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_faults_by_grpc_come_all_at_once(stub: billing_pb2_grpc.BillingServiceStub) -> None:
    """Two wrong dates and a wrong id are three faults in one answer."""
    request = billing_pb2.RunBillsRequest(from_date="x", to_date="y", agreement_ids=["z"])
    with pytest.raises(grpc.RpcError) as caught:
        stub.RunBills(request, metadata=bearer("operator-1"))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "3 faults" in problem_of(caught.value).detail
