"""What the database alone can do with the rows of `readings`: the ceiling of any road to it."""

from __future__ import annotations

import time

import numpy as np
from sqlalchemy import text

from services.ingest.store import binary
from services.ingest.store.readings import TYPES
from services.kit.db import Database

#: As the pipeline's groups by default.
COMMIT_ROWS = 50_000
_START_MS = 1_700_000_000_000
_TABLE = "ingest.bench_ceiling"


def copy_ceiling(database: Database, rows: int, meters: int, interval_s: int) -> float:
    """Seconds that bare COPY takes to put rows into a table with the same columns and key.

    The rows come as readings do: one interval of all meters after the other, sorted by key within
    a commit. The table is made before and dropped after, neither is counted.
    """
    columns = ", ".join(f"{name} {kind} not null" for name, kind in TYPES.items())
    with database.transaction() as session:
        session.execute(text(f"drop table if exists {_TABLE}"))
        session.execute(
            text(f"create table {_TABLE} ({columns}, primary key (meter_id, channel, read_at))")
        )
    row = np.arange(rows, dtype=np.int64)
    slot, meter = np.divmod(row, meters)
    at_ms = _START_MS + slot * interval_s * 1000
    start_s = time.perf_counter()
    for first in range(0, rows, COMMIT_ROWS):
        part = slice(first, min(first + COMMIT_ROWS, rows))
        order = np.lexsort((at_ms[part], meter[part]))
        ones = np.ones(part.stop - part.start, dtype=np.int64)
        fixed = dict.fromkeys(("batch_no", "tenant_id", "flags", "channel", "quality"), ones)
        moving = {"read_at": at_ms[part][order], "meter_id": meter[part][order], "value": row[part]}
        with database.transaction() as session:
            connection = session.connection().connection.driver_connection
            assert connection is not None
            binary.write(connection.cursor(), _TABLE, TYPES, moving | fixed)
    elapsed_s = time.perf_counter() - start_s
    with database.transaction() as session:
        session.execute(text(f"drop table {_TABLE}"))
    return elapsed_s


def bytes_per_reading(database: Database) -> float:
    """Bytes that a stored reading takes on disk, index included."""
    with database.transaction() as session:
        size = session.scalar(
            text(
                "select sum(pg_total_relation_size(c.oid)) from pg_class c"
                " join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and"
                " (n.nspname = 'ingest' and c.relname like 'readings%'"
                "  or n.nspname = '_timescaledb_internal' and c.relname like '_hyper_%')"
            )
        )
        count = session.scalar(text("select count(*) from ingest.readings"))
    return float(size or 0) / max(1, int(count or 0))
