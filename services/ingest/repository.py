"""All SQL of ingest but for the readings themselves, which `store/` writes and reads."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from services.ingest.tables import (
    Batch,
    Installation,
    Meter,
    MeterIdentifier,
    Position,
    Quarantine,
    ReadingRevision,
    Tally,
)
from services.kit.clock import to_datetime
from services.kit.errors import ConflictError
from services.stubs.meterfleet.devices.v1 import devices_pb2

CHANGES_MAX = 10_000


class FencedError(ConflictError):
    """Another worker owns the partition now; what we prepared must not be stored."""

    code = "pipeline.fenced"
    title = "The partition has a new owner"


# --- the registry slice ------------------------------------------------------------------------


def changed_meters(session: Session, after: int) -> tuple[int, set[int]]:
    """Meters changed since change number `after`, and the newest number.

    With `after` = -1 nothing is known yet, so only the newest number is of use.
    """
    newest = session.scalar(select(func.coalesce(func.max(Meter.change_no), 0))) or 0
    if after < 0 or newest == after:
        return newest, set()
    rows = session.scalars(select(Meter.meter_id).where(Meter.change_no > after))
    return newest, set(rows)


def find_meters(
    session: Session, tenant_id: int, identifiers: list[str]
) -> list[tuple[str, bytes]]:
    """Identifier and document of each meter that one of `identifiers` means."""
    query = (
        select(MeterIdentifier.identifier, Meter.document)
        .join(Meter, Meter.meter_id == MeterIdentifier.meter_id)
        .where(
            MeterIdentifier.tenant_id == tenant_id,
            MeterIdentifier.identifier == func.any(identifiers),
        )
    )
    return [(row.identifier, row.document) for row in session.execute(query)]


def canonical_names(session: Session, tenant_id: int, identifiers: list[str]) -> dict[str, str]:
    """Canonical name by identifier, of those that mean a meter."""
    query = (
        select(MeterIdentifier.identifier, Meter.canonical)
        .join(Meter, Meter.meter_id == MeterIdentifier.meter_id)
        .where(
            MeterIdentifier.tenant_id == tenant_id,
            MeterIdentifier.identifier == func.any(identifiers),
        )
    )
    return {row.identifier: row.canonical for row in session.execute(query)}


def meter_document(session: Session, tenant_id: int, meter_id: int) -> bytes | None:
    """The document of one meter of a tenant."""
    query = select(Meter.document).where(Meter.tenant_id == tenant_id, Meter.meter_id == meter_id)
    return session.scalar(query)


def put_meters(session: Session, meters: Sequence[devices_pb2.Meter]) -> list[devices_pb2.Meter]:
    """Take over newer meters into the slice; returns those that were newer."""
    latest = {meter.meter_id: meter for meter in meters}
    known = {
        row.meter_id: row.revision
        for row in session.execute(
            select(Meter.meter_id, Meter.revision).where(Meter.meter_id == func.any(list(latest)))
        )
    }
    fresh = [m for m in latest.values() if m.revision > known.get(m.meter_id, -1)]
    if not fresh:
        return []
    ids = [m.meter_id for m in fresh]
    for table in (Meter, MeterIdentifier, Installation):
        session.execute(delete(table).where(table.meter_id == func.any(ids)))
    session.execute(insert(Meter), [_meter_row(m) for m in fresh])
    names = [
        {"tenant_id": m.tenant_id, "identifier": name, "meter_id": m.meter_id}
        for m in fresh
        for name in m.identifiers
    ]
    # An identifier that moved from one meter to another may come in either order.
    statement = upsert(MeterIdentifier)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "identifier"],
            set_={"meter_id": statement.excluded.meter_id},
        ),
        names,
    )
    installations = [row for m in fresh for row in _installation_rows(m)]
    if installations:
        session.execute(insert(Installation), installations)
    return fresh


def _meter_row(meter: devices_pb2.Meter) -> dict[str, Any]:
    return {
        "meter_id": meter.meter_id,
        "tenant_id": meter.tenant_id,
        "canonical": meter.identifiers[0],
        "revision": meter.revision,
        "document": meter.SerializeToString(deterministic=True),
    }


def _installation_rows(meter: devices_pb2.Meter) -> list[dict[str, Any]]:
    return [
        {
            "service_point_id": i.service_point_id,
            "meter_id": meter.meter_id,
            "from_at": to_datetime(i.from_ms),
            "to_at": to_datetime(i.to_ms) if i.to_ms else None,
            "tenant_id": meter.tenant_id,
            "multiplier": i.multiplier,
            "time_zone": i.time_zone,
        }
        for i in meter.installations
    ]


@dataclass(frozen=True, slots=True)
class InstalledMeter:
    """A meter at a service point from … to …, with what it measures."""

    service_point_id: int
    from_ms: int
    to_ms: int | None
    multiplier: str
    time_zone: str
    document: bytes


def installed_meters(
    session: Session, tenant_id: int, service_point_ids: list[int]
) -> list[InstalledMeter]:
    """Installations at some service points of a tenant, in order of time."""
    query = (
        select(Installation, Meter.document)
        .join(Meter, Meter.meter_id == Installation.meter_id)
        .where(
            Installation.tenant_id == tenant_id,
            Installation.service_point_id == func.any(service_point_ids),
        )
        .order_by(Installation.service_point_id, Installation.from_at)
    )
    return [
        InstalledMeter(
            service_point_id=row.Installation.service_point_id,
            from_ms=round(row.Installation.from_at.timestamp() * 1000),
            to_ms=round(row.Installation.to_at.timestamp() * 1000)
            if row.Installation.to_at
            else None,
            multiplier=row.Installation.multiplier,
            time_zone=row.Installation.time_zone,
            document=row.document,
        )
        for row in session.execute(query)
    ]


# --- positions ---------------------------------------------------------------------------------


def own_partition(session: Session, consumer: str, topic: str, partition: int) -> tuple[int, int]:
    """Become the owner of a partition: a new generation, and the offset to go on from.

    The database hands out the generation, so a worker that was replaced while it slept holds an
    older number and cannot commit, whatever the log's group protocol told it last.
    """
    statement = upsert(Position).values(
        consumer=consumer, topic=topic, partition=partition, generation=1, next_offset=0
    )
    row = session.execute(
        statement.on_conflict_do_update(
            index_elements=["consumer", "topic", "partition"],
            set_={"generation": Position.generation + 1},
        ).returning(Position.generation, Position.next_offset)
    ).one()
    return row.generation, row.next_offset


def move_position(
    session: Session,
    consumer: str,
    topic: str,
    partition: int,
    generation: int,
    from_offset: int,
    to_offset: int,
) -> None:
    """Move a position on, within the transaction that stored what was consumed.

    It moves from where its owner believes it stands: what was never consumed cannot be passed over.

    Raises:
        FencedError: Another worker became the owner since, or the position stands elsewhere.
    """
    moved = session.execute(
        update(Position)
        .where(
            Position.consumer == consumer,
            Position.topic == topic,
            Position.partition == partition,
            Position.generation == generation,
            Position.next_offset == from_offset,
        )
        .values(next_offset=to_offset)
        .returning(Position.partition)
    ).all()
    if not moved:
        text = f"{topic}/{partition} is not at {from_offset} under generation {generation} any more"
        raise FencedError(text)


def positions(session: Session, consumer: str, topic: str) -> dict[int, int]:
    """Next offset by partition of a consumer."""
    query = select(Position.partition, Position.next_offset).where(
        Position.consumer == consumer, Position.topic == topic
    )
    return {row.partition: row.next_offset for row in session.execute(query)}


# --- counters and origins ----------------------------------------------------------------------


@dataclass(slots=True)
class Counts:
    """Readings by outcome."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    quarantined: int = 0

    def as_dict(self) -> dict[str, int]:
        """The four numbers by name."""
        return {
            "received": self.received,
            "stored": self.stored,
            "duplicates": self.duplicates,
            "quarantined": self.quarantined,
        }


def add_to_tally(session: Session, partition: int, counts: Mapping[int, Counts]) -> None:
    """Add counts of several tenants to a partition's tally."""
    if not counts:
        return
    statement = upsert(Tally)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "partition"],
            set_={
                name: Tally.__table__.c[name] + statement.excluded[name]
                for name in ("received", "stored", "duplicates", "quarantined")
            },
        ),
        [
            {"tenant_id": tenant_id, "partition": partition, **c.as_dict()}
            for tenant_id, c in sorted(counts.items())
        ],
    )


def tally(session: Session, tenant_id: int) -> Counts:
    """A tenant's readings by outcome."""
    row = session.execute(
        select(
            func.coalesce(func.sum(Tally.received), 0),
            func.coalesce(func.sum(Tally.stored), 0),
            func.coalesce(func.sum(Tally.duplicates), 0),
            func.coalesce(func.sum(Tally.quarantined), 0),
        ).where(Tally.tenant_id == tenant_id)
    ).one()
    return Counts(*(int(value) for value in row))


def new_batch_numbers(session: Session, count: int) -> list[int]:
    """Numbers for `count` batches."""
    rows = session.scalars(
        text(
            "select nextval('ingest.batches_batch_no_seq') from generate_series(1, :count)"
        ).bindparams(count=count)
    )
    return list(rows)


def put_batches(session: Session, rows: list[dict[str, Any]]) -> None:
    """Write where readings came from."""
    if rows:
        session.execute(insert(Batch), rows)


def batches(session: Session, batch_numbers: list[int]) -> dict[int, Batch]:
    """Origins by number."""
    query = select(Batch).where(Batch.batch_no == func.any(batch_numbers))
    return {batch.batch_no: batch for batch in session.scalars(query)}


def put_revisions(session: Session, rows: list[dict[str, Any]]) -> None:
    """Keep what readings were before they were replaced."""
    if rows:
        session.execute(insert(ReadingRevision), rows)


# --- quarantine --------------------------------------------------------------------------------


def put_quarantine(session: Session, rows: list[dict[str, Any]]) -> None:
    """Put readings aside."""
    if rows:
        session.execute(insert(Quarantine), rows)


def quarantine_reasons(session: Session, tenant_id: int) -> dict[str, int]:
    """Open readings in quarantine by reason."""
    query = (
        select(Quarantine.reason, func.sum(Quarantine.readings))
        .where(Quarantine.tenant_id == tenant_id, Quarantine.state == "open")
        .group_by(Quarantine.reason)
    )
    return {reason: int(count) for reason, count in session.execute(query)}


def list_quarantine(
    session: Session,
    tenant_id: int,
    *,
    state: str,
    reason: str | None,
    after: tuple[str] | None,
    limit: int,
) -> list[Quarantine]:
    """Entries in quarantine, newest first."""
    query = select(Quarantine).where(Quarantine.tenant_id == tenant_id, Quarantine.state == state)
    if reason:
        query = query.where(Quarantine.reason == reason)
    if after:
        query = query.where(Quarantine.quarantine_id < uuid.UUID(after[0]))
    return list(session.scalars(query.order_by(Quarantine.quarantine_id.desc()).limit(limit)))


def claim_quarantine(
    session: Session,
    tenant_id: int,
    *,
    reason: str | None,
    meters: list[str] | None,
    until: uuid.UUID,
    limit: int,
) -> list[Quarantine]:
    """Lock open entries made before `until`; others that replay at the same time skip them."""
    query = select(Quarantine).where(
        Quarantine.tenant_id == tenant_id,
        Quarantine.state == "open",
        Quarantine.quarantine_id < until,
    )
    if reason:
        query = query.where(Quarantine.reason == reason)
    if meters is not None:
        query = query.where(Quarantine.meter == func.any(meters))
    query = query.order_by(Quarantine.quarantine_id).limit(limit).with_for_update(skip_locked=True)
    return list(session.scalars(query))


def waiting_for_known_meters(session: Session, limit: int) -> set[tuple[int, str]]:
    """(tenant, identifier) of meters that are known by now, though readings wait for them."""
    query = (
        select(Quarantine.tenant_id, Quarantine.meter)
        .join(
            MeterIdentifier,
            (MeterIdentifier.tenant_id == Quarantine.tenant_id)
            & (MeterIdentifier.identifier == Quarantine.meter),
        )
        .where(Quarantine.state == "open", Quarantine.reason == "meter.unknown")
        .distinct()
        .limit(limit)
    )
    return {(row.tenant_id, row.meter) for row in session.execute(query)}


def mark_replayed(session: Session, entries: Sequence[Quarantine]) -> None:
    """Note that entries went back to the log: they are counted anew when they come again."""
    if not entries:
        return
    ids = [entry.quarantine_id for entry in entries]
    session.execute(
        update(Quarantine)
        .where(Quarantine.quarantine_id == func.any(ids))
        .values(state="replayed")
        .execution_options(synchronize_session=False)
    )
    counts: dict[tuple[int, int], int] = {}
    for entry in entries:
        key = entry.tenant_id, entry.partition
        counts[key] = counts.get(key, 0) + entry.readings
    for (tenant_id, partition), readings in counts.items():
        minus = Counts(received=-readings, quarantined=-readings)
        add_to_tally(session, partition, {tenant_id: minus})
