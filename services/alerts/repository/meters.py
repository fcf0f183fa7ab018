"""SQL of the slice of the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from services.alerts.meters import ChannelFacts, MeterFacts
from services.alerts.tables import MeterRow
from services.metering.products import ChannelKind

#: Ids one statement asks for.
IDS_MAX = 10_000


def put_meters(session: Session, meters: Mapping[tuple[int, int], tuple[int, MeterFacts]]) -> None:
    """Store meters whose revision is newer than the one known.

    Args:
        session: The transaction.
        meters: Revision and facts by tenant and meter.
    """
    if not meters:
        return
    rows = [
        {"tenant_id": tenant_id, "revision": revision}
        | asdict(facts)
        | {"channels": [asdict(channel) for channel in facts.channels]}
        for (tenant_id, _), (revision, facts) in meters.items()
    ]
    statement = upsert(MeterRow).values(rows)
    new = statement.excluded
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "meter_id"],
            set_={name: new[name] for name in rows[0] if name not in ("tenant_id", "meter_id")},
            where=MeterRow.revision < new.revision,
        )
    )


def find_meters(
    session: Session, tenant_id: int, meter_ids: Sequence[int]
) -> dict[int, MeterFacts]:
    """Facts of those of the meters that are known."""
    found = {}
    for start in range(0, len(meter_ids), IDS_MAX):
        rows = session.scalars(
            select(MeterRow).where(
                MeterRow.tenant_id == tenant_id,
                MeterRow.meter_id.in_(meter_ids[start : start + IDS_MAX]),
            )
        )
        found.update({row.meter_id: _facts(row) for row in rows})
    return found


def _facts(row: MeterRow) -> MeterFacts:
    return MeterFacts(
        meter_id=row.meter_id,
        name=row.name,
        commodity=row.commodity,
        channels=tuple(
            ChannelFacts(**(channel | {"kind": ChannelKind(channel["kind"])}))
            for channel in row.channels
        ),
        time_zone=row.time_zone,
        zone=row.zone,
        installed=row.installed,
    )
