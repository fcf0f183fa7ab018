"""SQL of the detectors' positions and state: what is stored together commits together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from services.alerts.tables import DetectorStateRow, PositionRow, SourceRow
from services.kit.clock import to_datetime, to_ms
from services.kit.errors import ConflictError


class FencedError(ConflictError):
    """Another process owns the partition: what this one found is not stored."""

    code = "alerts.fenced"
    title = "The partition has a new owner"


@dataclass(frozen=True, slots=True)
class StoredState:
    """A tenant's detectors in one partition, as stored.

    Attributes:
        snapshot: Bytes of `Detectors.snapshot`.
        channels: How many channels it holds.
        watermark_ms: Newest event time seen.
        received_ms: Newest instant at which a door took in what was seen.
    """

    snapshot: bytes
    channels: int
    watermark_ms: int
    received_ms: int


def own_partition(session: Session, partition: int) -> tuple[int, int]:
    """Become the owner of a partition: a new generation, and the offset to go on from.

    The database hands out the generation, so a process that was replaced while it slept holds an
    older number and cannot commit, whatever the log's group protocol told it last.
    """
    statement = upsert(PositionRow).values(partition=partition, generation=1, next_offset=0)
    row = session.execute(
        statement.on_conflict_do_update(
            index_elements=["partition"], set_={"generation": PositionRow.generation + 1}
        ).returning(PositionRow.generation, PositionRow.next_offset)
    ).one()
    return row.generation, row.next_offset


def move_position(session: Session, partition: int, generation: int, next_offset: int) -> None:
    """Move a position on, within the transaction that stores what was found up to it.

    Raises:
        FencedError: Another process became the owner since.
    """
    moved = session.execute(
        update(PositionRow)
        .where(PositionRow.partition == partition, PositionRow.generation == generation)
        .values(next_offset=next_offset)
        .returning(PositionRow.partition)
    ).all()
    if not moved:
        raise FencedError(f"partition {partition} has a newer owner than generation {generation}")


def positions(session: Session) -> dict[int, int]:
    """Next offset by partition."""
    rows = session.execute(select(PositionRow.partition, PositionRow.next_offset))
    return {row[0]: row[1] for row in rows}


def sources(session: Session, partition: int) -> dict[int, int]:
    """Newest source offset that was seen, by source partition."""
    rows = session.execute(
        select(SourceRow.source_partition, SourceRow.source_offset).where(
            SourceRow.partition == partition
        )
    )
    return {row[0]: row[1] for row in rows}


def put_sources(session: Session, partition: int, seen: Mapping[int, int]) -> None:
    """Remember the newest source offsets."""
    if not seen:
        return
    statement = upsert(SourceRow).values(
        [
            {"partition": partition, "source_partition": source, "source_offset": offset}
            for source, offset in seen.items()
        ]
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["partition", "source_partition"],
            set_={"source_offset": statement.excluded.source_offset},
        )
    )


def states(session: Session, partition: int) -> dict[int, StoredState]:
    """Snapshots of a partition by tenant."""
    rows = session.scalars(select(DetectorStateRow).where(DetectorStateRow.partition == partition))
    return {
        row.tenant_id: StoredState(
            snapshot=row.snapshot,
            channels=row.channels,
            watermark_ms=to_ms(row.watermark_at),
            received_ms=to_ms(row.received_at),
        )
        for row in rows
    }


def put_state(session: Session, partition: int, tenant_id: int, state: StoredState) -> None:
    """Store a snapshot in place of the one before."""
    values = {
        "snapshot": state.snapshot,
        "channels": state.channels,
        "watermark_at": to_datetime(state.watermark_ms),
        "received_at": to_datetime(state.received_ms),
    }
    statement = upsert(DetectorStateRow).values(partition=partition, tenant_id=tenant_id, **values)
    session.execute(
        statement.on_conflict_do_update(index_elements=["partition", "tenant_id"], set_=values)
    )


def watermarks(session: Session) -> dict[int, tuple[int, int]]:
    """How far each tenant has come in any partition: event time and time of receipt, ms."""
    rows = session.execute(
        select(
            DetectorStateRow.tenant_id,
            func.max(DetectorStateRow.watermark_at),
            func.max(DetectorStateRow.received_at),
        ).group_by(DetectorStateRow.tenant_id)
    )
    return {tenant: (to_ms(watermark), to_ms(received)) for tenant, watermark, received in rows}
