"""Which of the three storage engines a database has, and the layout of `readings` on each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, text

#: Partitions begin at multiples of the interval from here, a Monday.
ORIGIN = datetime(2000, 1, 3, tzinfo=UTC)


class StoreEngine(StrEnum):
    """What holds the readings."""

    COMMUNITY = "timescale-community"
    APACHE = "timescale-apache"
    PLAIN = "postgres"


@dataclass(frozen=True, slots=True)
class Layout:
    """How `readings` was made in this database.

    Attributes:
        engine: The engine found when the table was made.
        chunk_interval_days: Span of a chunk or partition.
    """

    engine: StoreEngine
    chunk_interval_days: int


# Fixed-width columns first by width, so that a row carries no padding; see docs/adr/0009.
_COLUMNS = """
    read_at timestamptz not null,
    meter_id bigint not null,
    value bigint not null,
    batch_no bigint not null,
    tenant_id integer not null,
    flags integer not null,
    channel smallint not null,
    quality smallint not null,
    primary key (meter_id, channel, read_at)
"""


def detect(connection: Connection) -> StoreEngine:
    """Find out what the server offers, switching TimescaleDB on where it is installed."""
    available = connection.scalar(
        text("select count(*) from pg_available_extensions where name = 'timescaledb'")
    )
    if not available:
        return StoreEngine.PLAIN
    connection.execute(text("create extension if not exists timescaledb"))
    licence = connection.scalar(text("select current_setting('timescaledb.license', true)"))
    return StoreEngine.COMMUNITY if licence == "timescale" else StoreEngine.APACHE


def create_readings(connection: Connection, engine: StoreEngine, chunk_interval_days: int) -> None:
    """Make the `readings` table for an engine; part of the first migration."""
    if engine is StoreEngine.PLAIN:
        connection.execute(
            text(f"create table ingest.readings ({_COLUMNS}) partition by range (read_at)")
        )
        return
    connection.execute(text(f"create table ingest.readings ({_COLUMNS})"))
    connection.execute(
        text(
            "select create_hypertable('ingest.readings', 'read_at',"
            " create_default_indexes => false,"
            " chunk_time_interval => make_interval(days => :days))"
        ),
        {"days": chunk_interval_days},
    )


def layout(connection: Connection) -> Layout:
    """How `readings` was made in this database."""
    row = connection.execute(text("select engine, chunk_interval_days from ingest.storage")).one()
    return Layout(StoreEngine(row.engine), row.chunk_interval_days)


def partition_bounds(at_ms: int, interval_days: int) -> tuple[datetime, datetime]:
    """Start and end of the partition that holds an instant."""
    span_ms = interval_days * 86_400_000
    origin_ms = int(ORIGIN.timestamp()) * 1000
    start_ms = (at_ms - origin_ms) // span_ms * span_ms + origin_ms
    start = ORIGIN + timedelta(milliseconds=start_ms - origin_ms)
    return start, start + timedelta(days=interval_days)


def ensure_partitions(connection: Connection, layout_: Layout, starts: set[datetime]) -> None:
    """Make the plain engine's partitions that begin at `starts`; hypertables make their own.

    Runs in a transaction of its own before the one that writes: making a partition locks the
    parent briefly, and a lock held over a COPY would stop every reader.
    """
    if layout_.engine is not StoreEngine.PLAIN:
        return
    # One maker at a time: two workers may meet the same new week.
    connection.execute(text("select pg_advisory_xact_lock(hashtext('ingest partitions'))"))
    for start in sorted(starts):
        end = start + timedelta(days=layout_.chunk_interval_days)
        connection.execute(
            text(
                f"create table if not exists ingest.readings_{start:%Y%m%d}"
                " partition of ingest.readings"
                f" for values from ('{start.isoformat()}') to ('{end.isoformat()}')"
            )
        )
