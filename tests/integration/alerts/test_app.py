"""The process as it is wired: threads and gRPC."""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc
import pytest
from pydantic import SecretStr

from services.alerts.app import build
from services.kit.log import Record
from services.kit.process import Process
from services.kit.rpc import connect, internal_metadata, problem_of
from services.stubs.meterfleet.alerts.v1 import alerts_pb2, alerts_pb2_grpc
from tests.integration.alerts.world import CITY, VILLAGE, World, meter_event
from tests.unit.alerts.streams import Stream

TOKEN = "internal-token-of-the-tests"
LEAKING = 31


def until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Wait for something the threads do."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.fixture
def process(world: World) -> Process:
    """The process on the world's database and log, nothing started."""
    settings = world.settings.model_copy(
        update={"internal_token": SecretStr(TOKEN), "alerts_meters_wait_s": 20.0}
    )
    return build(settings)


def test_threads_carry_a_reading_to_an_alert(world: World, process: Process) -> None:
    """Meters, readings, detectors, outbox and gRPC together, as `serve alerts` runs them."""
    assert process.rpc is not None
    port = process.rpc.add_insecure_port("127.0.0.1:0")
    process.rpc.start()
    for worker in process.workers:
        worker.start()
    channel = connect(f"127.0.0.1:{port}")
    stub = alerts_pb2_grpc.AlertsServiceStub(channel)
    city = internal_metadata(TOKEN, CITY)
    try:
        meter = meter_event(LEAKING)
        world.log.append("meters.changed", [Record(meter.SerializeToString(), key=b"1:31")])
        world.publish(Stream().uses([30] * 50, meter_id=LEAKING).readings())

        def done() -> bool:
            progress = stub.GetProgress(alerts_pb2.GetProgressRequest(), metadata=city)
            return progress.records_behind == 0 and dict(progress.alerts) == {"leak": 1}

        until(done, "the leak")
        listed = stub.ListAlerts(alerts_pb2.ListAlertsRequest(kind="leak"), metadata=city)
        assert [alert.meter for alert in listed.alerts] == ["Aqualith:31"]
        until(lambda: sum(world.log.end_offsets("alerts.raised").values()) == 1, "the event")
        other = internal_metadata(TOKEN, VILLAGE)
        assert not stub.ListAlerts(alerts_pb2.ListAlertsRequest(), metadata=other).alerts
        behind = stub.GetProgress(alerts_pb2.GetProgressRequest(), metadata=other)
        assert dict(behind.alerts) == {}
    finally:
        channel.close()
        for worker in reversed(process.workers):
            worker.stop()
        process.rpc.stop(1).wait()
        for close in process.closers:
            close()
    assert world.causes()


def test_rpc_refuses_strangers_and_wrong_questions(process: Process) -> None:
    """Without the token nothing is answered; all faults of a question come at once."""
    assert process.rpc is not None
    port = process.rpc.add_insecure_port("127.0.0.1:0")
    process.rpc.start()
    channel = connect(f"127.0.0.1:{port}")
    stub = alerts_pb2_grpc.AlertsServiceStub(channel)
    try:
        for call, request in (
            (stub.ListAlerts, alerts_pb2.ListAlertsRequest()),
            (stub.GetProgress, alerts_pb2.GetProgressRequest()),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                call(request)
            assert problem_of(refused.value).status == 401
        wrong = alerts_pb2.ListAlertsRequest(state="gone", kind="x", page_size=-1)
        with pytest.raises(grpc.RpcError) as refused:
            stub.ListAlerts(wrong, metadata=internal_metadata(TOKEN, CITY))
        problem = problem_of(refused.value)
        assert (problem.status, problem.detail) == (400, "3 faults in the request")
    finally:
        channel.close()
        process.rpc.stop(1).wait()
        for close in process.closers:
            close()
