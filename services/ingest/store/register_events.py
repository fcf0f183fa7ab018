"""Steps of continuous registers, as stored beside the readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from services.ingest.tables import RegisterEvent as EventRow
from services.kit.clock import to_datetime, to_ms
from services.metering.register import RegisterEvent
from services.metering.register.events import Kind


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A step of one channel of one meter; values in least digits."""

    meter_id: int
    channel: int
    at_ms: int
    kind: str
    offset_delta: int
    from_value: int | None
    to_value: int | None

    def as_chain_event(self) -> RegisterEvent:
        """The step as the register chain knows it; the curve's value is not stored."""
        kind = cast("Kind", self.kind)
        return RegisterEvent(
            0, self.at_ms, kind, self.offset_delta, self.from_value, self.to_value, 0
        )


def find(session: Session, channels: Sequence[tuple[int, int]]) -> list[StoredEvent]:
    """All steps of some (meter, channel) pairs, in order of time."""
    if not channels:
        return []
    query = select(EventRow).where(
        EventRow.meter_id == func.any(sorted({meter_id for meter_id, _ in channels}))
    )
    wanted = set(channels)
    rows = session.scalars(query.order_by(EventRow.meter_id, EventRow.channel, EventRow.at))
    return [
        StoredEvent(
            row.meter_id, row.channel, to_ms(row.at), row.kind, row.offset_delta,
            row.from_value, row.to_value,
        )
        for row in rows
        if (row.meter_id, row.channel) in wanted
    ]  # fmt: skip


def add(session: Session, rows: list[dict[str, Any]]) -> None:
    """Write steps the chain found."""
    if rows:
        session.execute(insert(EventRow), rows)


def void_after(session: Session, restarts: Sequence[tuple[int, int, int]]) -> None:
    """Take steps back that a late reading made void: (meter, channel, after instant in ms)."""
    for meter_id, channel, after_ms in restarts:
        # A chain that runs again from its beginning restarts before any instant there is.
        after = to_datetime(max(after_ms, 0))
        session.execute(
            delete(EventRow).where(
                EventRow.meter_id == meter_id,
                EventRow.channel == channel,
                EventRow.at > after,
            )
        )


def row_of(event: RegisterEvent, tenant_id: int, meter_id: int, channel: int) -> dict[str, Any]:
    """A step the chain found, as a row."""
    return {
        "meter_id": meter_id,
        "channel": channel,
        "at": to_datetime(event.at_ms),
        "kind": event.kind,
        "tenant_id": tenant_id,
        "offset_delta": event.offset_delta,
        "from_value": event.from_value,
        "to_value": event.to_value,
    }
