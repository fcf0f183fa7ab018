"""One transaction of the pipeline: a group of log records of one partition becomes rows.

Order of steps, and what a crash between them leaves behind:

1. settle and write rows, steps, revisions, quarantine, tally, origins: nothing, it rolls back;
2. hand the validated batches to the log: they may appear, and will again when the records are
   processed anew; consumers skip a source offset they have seen;
3. wait until the log has them, then move the position, fenced by generation, and commit: rows and
   position stand together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.ingest import events, repository
from services.ingest.pipeline.resolve import Loader, PutAside, Resolved, join, resolve
from services.ingest.pipeline.settle import Settled, settle
from services.ingest.pipeline.state import PartitionState
from services.ingest.repository import Counts
from services.ingest.store import register_events
from services.ingest.store.readings import ACTUAL, ReadingStore
from services.kit.clock import to_datetime
from services.kit.errors import DecodeError
from services.kit.ids import IdSource
from services.kit.log import Consumed, Log, Pending, Record
from services.metering.batch import (
    ChannelRef,
    Origin,
    ReadingBatch,
    from_bytes,
    pack_columns,
    to_bytes,
)
from services.stubs.meterfleet.readings.v1 import readings_pb2

LAYOUT_VERSION = 1


@dataclass(slots=True)
class Group:
    """Log records of one partition that are committed together."""

    partition: int
    records: list[Consumed]
    batches: list[ReadingBatch] = field(default_factory=list)
    batch_numbers: list[int] = field(default_factory=list)
    readings: Resolved = field(default_factory=lambda: join([]))
    aside: list[PutAside] = field(default_factory=list)
    broken: list[tuple[int, DecodeError]] = field(default_factory=list)

    @property
    def next_offset(self) -> int:
        """Where to go on after this group."""
        return self.records[-1].offset + 1


@dataclass(slots=True)
class Outcome:
    """What a group became, for publishing, counting and metrics."""

    validated: list[Record]
    corrected: list[Record]
    counts: dict[int, Counts]


def read_group(
    partition: int, records: Sequence[Consumed], state: PartitionState, load: Loader
) -> Group:
    """Decode and resolve the records of a group."""
    group = Group(partition, list(records))
    parts = []
    for number, record in enumerate(group.records):
        try:
            batch = from_bytes(record.value)
        except DecodeError as error:
            group.broken.append((number, error))
            batch = ReadingBatch(
                (), (), *_NO_COLUMNS, origin=Origin(received_at_ms=record.timestamp_ms)
            )
        resolved, aside = resolve(state, load, number, batch)
        group.batches.append(batch)
        group.aside += aside
        parts.append(resolved)
    group.readings = join(parts)
    return group


_NO_COLUMNS = (
    np.zeros(0, dtype=np.int32),
    np.zeros(0, dtype=np.int32),
    np.zeros(0, dtype=np.int64),
    np.zeros(0, dtype=np.int64),
)


def write_group(
    session: Session, store: ReadingStore, state: PartitionState, group: Group, ids: IdSource
) -> Outcome:
    """Write all of a group but its position; see the module's steps."""
    group.batch_numbers = repository.new_batch_numbers(session, len(group.records))
    settled = settle(session, store, state, group.readings)
    _write_series(session, store, state, group, settled)
    aside = group.aside + _conflicts(state, group, settled)
    repository.put_quarantine(session, _quarantine_rows(group, aside, ids))
    repository.put_batches(session, _batch_rows(group))
    counts = _count(group, settled, aside)
    repository.add_to_tally(session, group.partition, counts)
    return Outcome(
        validated=_validated(state, group, settled),
        corrected=_corrected(state, settled),
        counts=counts,
    )


def _write_series(
    session: Session, store: ReadingStore, state: PartitionState, group: Group, settled: Settled
) -> None:
    new, numbers = settled.new, np.array(group.batch_numbers, dtype=np.int64)
    size = len(new)
    if size:
        store.append(
            session,
            {
                "read_at": new.at_ms,
                "meter_id": state.meter_id[new.row],
                "value": new.value,
                "batch_no": numbers[new.record],
                "tenant_id": state.tenant_id[new.row],
                "flags": settled.flags,
                "channel": state.number[new.row],
                "quality": np.full(size, ACTUAL),
            },
        )
    _write_amendments(session, store, state, settled)
    _write_replacements(session, store, state, group, settled)
    keys = [(*_key(state, row), at_ms) for row, at_ms in settled.voided]
    register_events.void_after(session, keys)
    rows = [
        register_events.row_of(event, int(state.tenant_id[row]), *_key(state, row))
        for row, event in settled.events
    ]
    register_events.add(session, rows)


def _write_amendments(
    session: Session, store: ReadingStore, state: PartitionState, settled: Settled
) -> None:
    if not settled.amended:
        return
    table = np.array([(row, at, flags) for row, at, flags, _ in settled.amended], dtype=np.int64)
    row = table[:, 0]
    store.amend_flags(
        session,
        {
            "meter_id": state.meter_id[row],
            "channel": state.number[row],
            "read_at": table[:, 1],
            "flags": table[:, 2],
        },
    )


def _write_replacements(
    session: Session, store: ReadingStore, state: PartitionState, group: Group, settled: Settled
) -> None:
    if not settled.replaced:
        return
    numbers = np.array(group.batch_numbers, dtype=np.int64)
    row = np.array([entry[0] for entry in settled.replaced])
    source = np.array([entry[4] for entry in settled.replaced])
    batch_no = numbers[group.readings.record[source]]
    columns = {
        "meter_id": state.meter_id[row],
        "channel": state.number[row],
        "read_at": np.array([entry[1] for entry in settled.replaced]),
        "value": group.readings.value[source],
        "batch_no": batch_no,
    }
    store.replace_values(session, columns)
    repository.put_revisions(
        session,
        [
            {
                "meter_id": int(state.meter_id[number]),
                "channel": int(state.number[number]),
                "read_at": to_datetime(at_ms),
                "replaced_by": by,
                "tenant_id": int(state.tenant_id[number]),
                "value": old_value,
                "batch_no": old_batch,
            }
            for (number, at_ms, old_value, old_batch, _), by in zip(
                settled.replaced, batch_no.tolist(), strict=True
            )
        ],
    )


def _key(state: PartitionState, row: int) -> tuple[int, int]:
    return int(state.meter_id[row]), int(state.number[row])


def _conflicts(state: PartitionState, group: Group, settled: Settled) -> list[PutAside]:
    """Readings that contradict what stands: V05 asks a person to look at them."""
    aside = [
        _single(state, group, source, int(group.readings.value[source]))
        for source in np.flatnonzero(settled.conflicts).tolist()
    ]
    # A reading that was replaced lost in the same way, only later.
    aside += [
        _single(state, group, source, old_value) for _, _, old_value, _, source in settled.replaced
    ]
    return aside


def _single(state: PartitionState, group: Group, source: int, value: int) -> PutAside:
    readings = group.readings
    row, record = int(readings.row[source]), int(readings.record[source])
    channel = state.channels[row]
    one = ReadingBatch(
        meters=(state.canonical(row),),
        channels=(ChannelRef(channel.obis, channel.unit, channel.scaler),),
        meter=np.zeros(1, dtype=np.int32),
        channel=np.zeros(1, dtype=np.int32),
        at_ms=readings.at_ms[source : source + 1],
        value=np.array([value], dtype=np.int64),
        origin=group.batches[record].origin,
    )
    detail = "another value stands at this instant (V05)"
    return PutAside(record, "reading.conflict", detail, one.meters[0], one)


def _quarantine_rows(group: Group, aside: list[PutAside], ids: IdSource) -> list[dict[str, Any]]:
    parts: dict[int, int] = {}
    rows = []
    for entry in aside:
        part = parts[entry.record] = parts.get(entry.record, -1) + 1
        rows.append(
            _quarantine_row(group, entry.record, part, ids)
            | {
                "tenant_id": entry.batch.origin.tenant_id,
                "reason": entry.reason,
                "detail": entry.detail,
                "meter": entry.meter,
                "readings": len(entry.batch),
                "payload": to_bytes(entry.batch),
            }
        )
    for number, error in group.broken:
        rows.append(
            _quarantine_row(group, number, 0, ids)
            | {
                "tenant_id": 0,
                "reason": error.code,
                "detail": error.detail,
                "meter": "",
                "readings": 0,
                "payload": group.records[number].value,
            }
        )
    return rows


def _quarantine_row(group: Group, record: int, part: int, ids: IdSource) -> dict[str, Any]:
    return {
        "quarantine_id": ids.new(),
        "state": "open",
        "received_at": to_datetime(group.batches[record].origin.received_at_ms),
        "partition": group.partition,
        "log_offset": group.records[record].offset,
        "part": part,
    }


def _batch_rows(group: Group) -> list[dict[str, Any]]:
    return [
        {
            "batch_no": number,
            "tenant_id": batch.origin.tenant_id,
            "partition": group.partition,
            "log_offset": record.offset,
            "batch_id": batch.origin.batch_id,
            "source": batch.origin.source,
            "rank": batch.origin.rank,
            "received_at": to_datetime(batch.origin.received_at_ms),
            "payload_digest": batch.origin.payload_digest or hashlib.sha256(record.value).digest(),
        }
        for number, batch, record in zip(
            group.batch_numbers, group.batches, group.records, strict=True
        )
    ]


def _count(group: Group, settled: Settled, aside: list[PutAside]) -> dict[int, Counts]:
    tenant_of = [batch.origin.tenant_id for batch in group.batches]
    counts: dict[int, Counts] = {}
    for tenant_id, batch in zip(tenant_of, group.batches, strict=True):
        counts.setdefault(tenant_id, Counts()).received += len(batch)
    size = len(group.batches)
    duplicates = np.bincount(group.readings.record[settled.duplicates], minlength=size)
    stored = np.bincount(settled.new.record, minlength=size)
    for number, tenant_id in enumerate(tenant_of):
        counts[tenant_id].duplicates += int(duplicates[number])
        counts[tenant_id].stored += int(stored[number])
    for entry in aside:
        counts[entry.batch.origin.tenant_id].quarantined += len(entry.batch)
    for tenant_id, count in counts.items():
        total = count.stored + count.duplicates + count.quarantined
        assert count.received == total, f"tenant {tenant_id}: {count} does not add up"
    return {tenant_id: count for tenant_id, count in counts.items() if count.received}


def _validated(state: PartitionState, group: Group, settled: Settled) -> list[Record]:
    """A validated batch for each record: amended readings first, then the new ones in order."""
    amended = _amended_columns(state, settled)
    told: set[int] = set()
    records = []
    for number, record in enumerate(group.records):
        own = np.flatnonzero((settled.new.record == number) & settled.in_order)
        row = settled.new.row[own]
        columns: dict[int, NDArray[Any]] = {
            6: state.meter_id[row],
            7: state.number[row],
            8: settled.new.at_ms[own],
            9: settled.new.value[own],
            10: settled.curve[own],
            11: settled.flags[own],
        }
        tenant_id = group.batches[number].origin.tenant_id
        if amended is not None and tenant_id not in told:
            told.add(tenant_id)
            mine = amended[0] == tenant_id
            columns = {n: np.concatenate([amended[n][mine], columns[n]]) for n in columns}
        if not len(columns[6]):
            continue
        records.append(_validated_record(group, number, record, columns))
    return records


def _amended_columns(
    state: PartitionState, settled: Settled
) -> dict[int, NDArray[np.int64]] | None:
    if not settled.amended:
        return None
    table = np.array(settled.amended, dtype=np.int64)
    row = table[:, 0]
    return {
        0: state.tenant_id[row].astype(np.int64),
        6: state.meter_id[row],
        7: state.number[row].astype(np.int64),
        8: table[:, 1],
        # The value was published when the reading came; consumers go by curve and flags.
        9: table[:, 3],
        10: table[:, 3],
        11: table[:, 2],
    }


def _validated_record(
    group: Group, number: int, record: Consumed, columns: dict[int, NDArray[Any]]
) -> Record:
    origin = group.batches[number].origin
    message = readings_pb2.ValidatedBatch(
        version=LAYOUT_VERSION,
        tenant_id=origin.tenant_id,
        source_partition=group.partition,
        source_offset=record.offset,
        received_at_ms=origin.received_at_ms,
    )
    kinds = {6: "<i8", 7: "<u4", 8: "<i8", 9: "<i8", 10: "<i8", 11: "<u4"}
    packed = {n: column.astype(kinds[n], copy=False) for n, column in columns.items()}
    return Record(value=pack_columns(message, packed), partition=group.partition)


def _corrected(state: PartitionState, settled: Settled) -> list[Record]:
    records = []
    for row, from_ms, to_ms in settled.corrected:
        meter_id, channel = _key(state, row)
        message = readings_pb2.UsageCorrected(
            tenant_id=int(state.tenant_id[row]),
            meter_id=meter_id,
            channel=channel,
            from_ms=from_ms,
            to_ms=to_ms,
            cause="late",
        )
        key = f"{message.tenant_id}:{meter_id}".encode()
        records.append(Record(value=message.SerializeToString(), key=key))
    return records


def publish(log: Log, outcome: Outcome) -> list[Pending]:
    """Hand a group's events to the log; wait for what is returned before committing."""
    pending = []
    if outcome.validated:
        pending.append(log.append_async(events.VALIDATED, outcome.validated))
    if outcome.corrected:
        pending.append(log.append_async(events.CORRECTED, outcome.corrected))
    return pending
