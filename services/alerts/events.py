"""What alerts consume and publish: readings.validated and meters.changed in, alerts.raised out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.alerts.detectors import Readings
from services.alerts.detectors.findings import CHANNEL_MAX, METER_ID_MAX
from services.alerts.domain import Alert
from services.kit.errors import DecodeError, Fault
from services.kit.log import Record, Topic
from services.metering.batch import parse
from services.stubs.meterfleet.alerts.v1 import alerts_pb2
from services.stubs.meterfleet.readings.v1 import readings_pb2

VALIDATED = "readings.validated"
METERS_CHANGED = "meters.changed"
RAISED = "alerts.raised"
#: The group in which processes share the partitions of readings.validated.
GROUP = "alerts"
LAYOUT_VERSION = 1
#: Instants within 1970 … 2200: beyond them differences could leave what the detectors add up.
AT_MS_MAX = 7_258_118_400_000
_WEEK_S = 7 * 86_400
_COLUMNS = ("meter_id", "channel", "value", "curve", "flags")


@dataclass(frozen=True, slots=True)
class Batch:
    """A record of readings.validated.

    Attributes:
        tenant_id: Whose readings they are.
        source_partition: Where on readings.received they came from.
        source_offset: And the record there.
        received_ms: When a door took them in.
        readings: The readings in columns.
    """

    tenant_id: int
    source_partition: int
    source_offset: int
    received_ms: int
    readings: Readings


def topics(partitions: int) -> list[Topic]:
    """The topics alerts work with."""
    return [
        Topic(VALIDATED, partitions, retention_s=_WEEK_S),
        Topic(METERS_CHANGED, partitions, compacted=True),
        Topic(RAISED, partitions, retention_s=_WEEK_S),
    ]


def read_batch(data: bytes) -> Batch:
    """A batch from a record, checked.

    Raises:
        DecodeError: Not a batch of this layout; all faults at once.
    """
    message = parse(readings_pb2.ValidatedBatch, data)
    faults = _faults(message)
    if faults:
        raise DecodeError(f"{len(faults)} faults in the batch", faults=faults, code="batch.invalid")
    return Batch(
        tenant_id=message.tenant_id,
        source_partition=message.source_partition,
        source_offset=message.source_offset,
        received_ms=message.received_at_ms,
        readings=Readings(
            meter_id=np.array(message.meter_id, dtype=np.int64),
            channel=np.array(message.channel, dtype=np.int64),
            at_ms=np.array(message.at_ms, dtype=np.int64),
            value=np.array(message.value, dtype=np.int64),
            curve=np.array(message.curve, dtype=np.int64),
            flags=np.array(message.flags, dtype=np.uint32),
        ),
    )


def _faults(message: readings_pb2.ValidatedBatch) -> list[Fault]:
    if message.version != LAYOUT_VERSION:
        text = f"layout {message.version}; this release reads layout {LAYOUT_VERSION}"
        return [Fault("/version", "batch.version", text)]
    faults = []
    count = len(message.at_ms)
    for name in _COLUMNS:
        size = len(getattr(message, name))
        if size != count:
            text = f"{size} entries where at_ms has {count}"
            faults.append(Fault(f"/{name}", "batch.columns", text))
    for name, most in (("meter_id", METER_ID_MAX), ("channel", CHANNEL_MAX), ("at_ms", AT_MS_MAX)):
        column: NDArray[Any] = np.array(getattr(message, name), dtype=np.int64)
        wrong = np.flatnonzero((column < 0) | (column > most))
        if len(wrong):
            text = f"{column[wrong[0]]} is not within 0 … {most}"
            faults.append(Fault(f"/{name}/{wrong[0]}", "batch.range", text))
    return faults


def to_message(alert: Alert) -> alerts_pb2.Alert:
    """An alert as others are told of it."""
    return alerts_pb2.Alert(
        alert_id=str(alert.alert_id),
        tenant_id=alert.tenant_id,
        meter_id=alert.meter_id,
        meter=alert.meter,
        channel=alert.channel,
        kind=alert.kind,
        severity=alert.severity,
        state=alert.state,
        started_at_ms=alert.started_at_ms,
        detected_at_ms=alert.detected_at_ms,
        ended_at_ms=alert.ended_at_ms or 0,
        message=alert.message,
        evidence_json=json.dumps(alert.evidence, sort_keys=True),
    )


def raised_record(alert: Alert) -> Record:
    """The event that an alert was raised."""
    event = alerts_pb2.AlertRaised(alert=to_message(alert))
    return Record(value=event.SerializeToString(), key=str(alert.alert_id).encode())
