"""Sends readings that were put aside back to the log, once their cause is mended."""

from __future__ import annotations

from services.ingest import events, repository
from services.ingest.tables import Quarantine
from services.kit.db import Database
from services.kit.ids import IdSource
from services.kit.log import Log, Record

#: Entries of one transaction, full records all of them still fit one append to the log; a replay
#: of more goes on with the next.
ENTRIES_MAX = 200


def replay(
    database: Database,
    log: Log,
    tenant_id: int,
    *,
    reason: str | None = None,
    meters: list[str] | None = None,
) -> int:
    """Replay a tenant's open entries; returns how many readings went back to the log.

    Appended before they are marked: a crash between the two replays them twice, and the second
    time they are duplicates. Each entry goes once, so what fails again waits again.
    """
    # What the pipeline puts aside from now on has a later id and is not for this run.
    until = IdSource().new()
    readings = 0
    while True:
        with database.transaction() as session:
            entries = repository.claim_quarantine(
                session, tenant_id, reason=reason, meters=meters, until=until, limit=ENTRIES_MAX
            )
            if entries:
                _append(database, log, entries)
                repository.mark_replayed(session, entries)
                readings += sum(entry.readings for entry in entries)
        if len(entries) < ENTRIES_MAX:
            return readings


def _append(database: Database, log: Log, entries: list[Quarantine]) -> None:
    partitions = log.partitions(events.RECEIVED)
    tenant_id = entries[0].tenant_id
    names = sorted({entry.meter for entry in entries})
    with database.transaction() as session:
        canonical = repository.canonical_names(session, tenant_id, names)
    log.append(
        events.RECEIVED,
        [
            Record(
                value=entry.payload,
                partition=events.partition_of(
                    tenant_id, canonical.get(entry.meter, entry.meter), partitions
                ),
            )
            for entry in entries
        ],
    )
