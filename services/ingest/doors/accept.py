"""The last step of every door: cut a batch by partition, append, acknowledge what is durable."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from services.ingest import events
from services.ingest.directory import MeterDirectory
from services.kit.auth import Identity
from services.kit.clock import Clock
from services.kit.errors import Fault, InvalidInputError, OverloadedError
from services.kit.ids import IdSource
from services.kit.log import Log, LogUnavailableError, Record
from services.kit.telemetry import counter
from services.metering.batch import (
    RECORD_READINGS_MAX,
    Origin,
    ReadingBatch,
    text_faults,
    to_bytes,
)

#: Readings appended in one call to the log: 24 bytes each stay far below its bound on an append.
APPEND_READINGS_MAX = 500_000

ACCEPTED = counter("door_readings_total", "Readings acknowledged by door.", ("door",))


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a door acknowledges: the log has these readings."""

    batch_id: str
    readings: int


class Acceptor:
    """Takes batches of all doors in; safe for several threads."""

    def __init__(self, log: Log, directory: MeterDirectory, clock: Clock, ids: IdSource) -> None:
        self._log = log
        self._directory = directory
        self._clock = clock
        self._ids = ids

    def accept(
        self, batch: ReadingBatch, identity: Identity, door: str, payload: bytes | None
    ) -> Accepted:
        """Append a batch; returns once the log has all of it.

        Args:
            batch: Checked by the door; its origin is filled in here.
            identity: The caller, whose tenant the readings are.
            door: Name of the door.
            payload: The bytes as they came, for lineage; None if the door digested them already.

        Raises:
            InvalidInputError: The batch has no readings, or names what can never be stored.
            OverloadedError: The log is behind; nothing is promised, send the same again.
        """
        if not len(batch):
            fault = Fault("/", "batch.empty", "there is no reading in it")
            raise InvalidInputError("the batch is empty", faults=[fault])
        _check(batch)
        digest = batch.origin.payload_digest
        origin = Origin(
            batch_id=batch.origin.batch_id or str(self._ids.new()),
            tenant_id=identity.tenant_id,
            source=door,
            received_at_ms=self._clock.now_ms(),
            payload_digest=digest if payload is None else hashlib.sha256(payload).digest(),
            rank=batch.origin.rank,
        )
        try:
            for part in _portions(replace(batch, origin=origin)):
                self._log.append(events.RECEIVED, self._records(part))
        except LogUnavailableError as error:
            raise OverloadedError(
                f"not acknowledged: {error.detail}", retry_after_s=2, code="door.log_unavailable"
            ) from error
        ACCEPTED.labels(door).inc(len(batch))
        return Accepted(origin.batch_id, len(batch))

    def _records(self, batch: ReadingBatch) -> list[Record]:
        partitions = self._log.partitions(events.RECEIVED)
        tenant_id = batch.origin.tenant_id
        owner = np.array(self._partitions_of(tenant_id, batch.meters, partitions), dtype=np.int32)
        by_reading = owner[batch.meter]
        records = []
        for partition in np.unique(by_reading).tolist():
            rows = np.flatnonzero(by_reading == partition)
            for start in range(0, len(rows), RECORD_READINGS_MAX):
                part = batch.take(rows[start : start + RECORD_READINGS_MAX])
                records.append(Record(value=to_bytes(part), partition=partition))
        return records

    def _partitions_of(
        self, tenant_id: int, identifiers: Sequence[str], partitions: int
    ) -> list[int]:
        """All identifiers of a meter go to one partition: that of its canonical name."""
        entries = self._directory.lookup(tenant_id, identifiers)
        return [
            events.partition_of(tenant_id, entry.canonical if entry else name, partitions)
            for name, entry in zip(identifiers, entries, strict=True)
        ]


def _check(batch: ReadingBatch) -> None:
    """Refuse what would stop the pipeline: a record is on the log for good.

    Raises:
        InvalidInputError: All faults at once.
    """
    faults = text_faults(batch.origin.batch_id, batch.meters, batch.channels)
    if faults:
        raise InvalidInputError(f"{len(faults)} faults in the batch", faults=faults)


def _portions(batch: ReadingBatch) -> list[ReadingBatch]:
    if len(batch) <= APPEND_READINGS_MAX:
        return [batch]
    starts = range(0, len(batch), APPEND_READINGS_MAX)
    return [batch.take(slice(start, start + APPEND_READINGS_MAX)) for start in starts]
