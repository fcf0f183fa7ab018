"""Records of the log: read with all faults at once, written as others expect them."""

from __future__ import annotations

import json
import uuid

import pytest

from services.alerts.domain import Alert, Kind, Severity, State
from services.alerts.events import raised_record, read_batch, topics
from services.kit.errors import DecodeError
from services.stubs.meterfleet.alerts.v1 import alerts_pb2
from services.stubs.meterfleet.readings.v1 import readings_pb2


def test_a_batch_is_read_into_columns() -> None:
    """Columns, tenant and source come out as they were written."""
    message = readings_pb2.ValidatedBatch(
        version=1, tenant_id=4, source_partition=2, source_offset=77, received_at_ms=5,
        meter_id=[9], channel=[1], at_ms=[1000], value=[-3], curve=[7], flags=[1 << 30],
    )  # fmt: skip
    batch = read_batch(message.SerializeToString())
    assert (batch.tenant_id, batch.source_partition, batch.source_offset) == (4, 2, 77)
    readings = batch.readings
    assert readings.meter_id.tolist() == [9]
    assert (readings.value.tolist(), readings.curve.tolist()) == ([-3], [7])
    assert readings.flags.tolist() == [1 << 30]


def test_all_faults_of_a_batch_are_told_at_once() -> None:
    """Short columns and values out of range are named together, with their positions."""
    message = readings_pb2.ValidatedBatch(
        version=1, meter_id=[1, -2], channel=[1, 200], at_ms=[0, 10**15], value=[1], curve=[1, 2],
        flags=[0, 0],
    )  # fmt: skip
    with pytest.raises(DecodeError) as caught:
        read_batch(message.SerializeToString())
    assert [(fault.where, fault.code) for fault in caught.value.faults] == [
        ("/value", "batch.columns"),
        ("/meter_id/1", "batch.range"),
        ("/channel/1", "batch.range"),
        ("/at_ms/1", "batch.range"),
    ]


@pytest.mark.parametrize("data", [b"", b"\xff\xff"])
def test_what_is_no_batch_is_refused(data: bytes) -> None:
    """Another layout, or bytes that are nothing, raise the one declared error."""
    with pytest.raises(DecodeError):
        read_batch(data)


def test_the_event_carries_the_alert() -> None:
    """Keyed by the alert; an alert that goes on has no end; evidence is JSON."""
    alert = Alert(
        uuid.UUID(int=5), 1, 2, "Aqualith:2", 1, Kind.LEAK, Severity.INFO, State.OPEN, 10, 20, None,
        "Water …", {"rule": "r"},
    )  # fmt: skip
    record = raised_record(alert)
    assert record.key == str(alert.alert_id).encode()
    event = alerts_pb2.AlertRaised.FromString(record.value).alert
    assert (event.kind, event.severity, event.state) == ("leak", "info", "open")
    assert (event.started_at_ms, event.detected_at_ms, event.ended_at_ms) == (10, 20, 0)
    assert json.loads(event.evidence_json) == {"rule": "r"}


def test_topics_are_those_of_the_architecture() -> None:
    """Names and compaction agree with the table everybody builds on."""
    assert {t.name: t.compacted for t in topics(3)} == {
        "readings.validated": False,
        "meters.changed": True,
        "alerts.raised": False,
    }
