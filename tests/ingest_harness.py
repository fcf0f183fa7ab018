"""Drives the pipeline's transactions without a log or threads: records in, rows out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import text

from services.ingest import events, repository
from services.ingest.directory import MeterDirectory
from services.ingest.pipeline.commit import Outcome, read_group, write_group
from services.ingest.pipeline.history import load_rows
from services.ingest.pipeline.state import PartitionState
from services.ingest.store.readings import ReadingStore
from services.kit.clock import FixedClock
from services.kit.db import Database, connect, migrate
from services.kit.ids import IdSource
from services.kit.log import Consumed
from services.metering.batch import ChannelRef, Origin, ReadingBatch, to_bytes
from services.stubs.meterfleet.devices.v1 import devices_pb2

TENANT = 7
HOUR_MS = 3_600_000
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
NOW_MS = START_MS + 365 * 24 * HOUR_MS
WATER = "8-0:1.0.0"


def meter_event(
    meter_id: int,
    serial: str,
    *,
    tenant_id: int = TENANT,
    revision: int = 1,
    digits: int = 6,
    addresses: Sequence[str] = (),
    service_point_id: int = 0,
    kind: int = devices_pb2.CHANNEL_KIND_REGISTER,
) -> devices_pb2.Meter:
    """A water meter in litres as the registry would announce it."""
    meter = devices_pb2.Meter(
        tenant_id=tenant_id,
        meter_id=meter_id,
        revision=revision,
        maker="ACME",
        serial=serial,
        identifiers=[f"ACME:{serial}", serial, *addresses],
        product="w1",
        commodity="water",
        state="active",
        channels=[
            devices_pb2.Channel(
                number=1,
                obis=WATER,
                unit="m3",
                scaler=-3,
                kind=kind,  # type: ignore[arg-type]
                digits=digits,
                interval_s=3600,
                rate_max_per_h=3750,
                reverse_max=500,
            )
        ],
    )
    if service_point_id:
        meter.installations.add(
            service_point_id=service_point_id,
            service_point=f"SP{service_point_id}",
            from_ms=START_MS,
            multiplier="1",
            time_zone="Europe/Madrid",
        )
    return meter


def batch(
    rows: Sequence[tuple[str, int, int]],
    *,
    tenant_id: int = TENANT,
    rank: int = 0,
    unit: str = "L",
    scaler: int = 0,
    obis: str = WATER,
) -> ReadingBatch:
    """A batch of (meter, at_ms, value) rows of one channel."""
    names: dict[str, int] = {}
    index = [names.setdefault(name, len(names)) for name, _, _ in rows]
    return ReadingBatch(
        meters=tuple(names),
        channels=(ChannelRef(obis, unit, scaler),),
        meter=np.array(index, dtype=np.int32),
        channel=np.zeros(len(rows), dtype=np.int32),
        at_ms=np.array([at for _, at, _ in rows], dtype=np.int64),
        value=np.array([value for _, _, value in rows], dtype=np.int64),
        origin=Origin("b", tenant_id, "test", NOW_MS, b"digest", rank),
    )


@dataclass
class Harness:
    """One partition of the pipeline on a real database."""

    database: Database
    state: PartitionState = field(default_factory=PartitionState)
    offset: int = 0
    generation: int = 0

    def __post_init__(self) -> None:
        self.store = ReadingStore(self.database)
        self.clock = FixedClock(NOW_MS)
        self.directory = MeterDirectory(self.database, self.clock)
        self.own()

    def own(self) -> None:
        """Become the partition's owner, as after an assignment."""
        with self.database.transaction() as session:
            self.generation, self.offset = repository.own_partition(
                session, events.PIPELINE, events.RECEIVED, 0
            )
        self.state = PartitionState()

    def register(self, *meters: devices_pb2.Meter) -> None:
        """Take meters over into the slice."""
        with self.database.transaction() as session:
            repository.put_meters(session, meters)
        self.directory.refresh(now=True)

    def load(self, state: PartitionState, tenant_id: int, identifiers: Sequence[str]) -> None:
        """The loader the worker gives to `resolve`."""
        entries = self.directory.lookup(tenant_id, identifiers)
        found = [(n, e) for n, e in zip(identifiers, entries, strict=True) if e is not None]
        rows = state.add(found)
        with self.database.transaction() as session:
            load_rows(session, self.store, state, rows)

    def feed(self, *batches: ReadingBatch | bytes) -> Outcome:
        """Process batches as one group of log records and commit."""
        records = [
            Consumed(
                topic=events.RECEIVED,
                partition=0,
                offset=self.offset + number,
                key=b"",
                value=one if isinstance(one, bytes) else to_bytes(one),
                headers=(),
                timestamp_ms=NOW_MS,
            )
            for number, one in enumerate(batches)
        ]
        group = read_group(0, records, self.state, self.load)
        if len(group.readings):
            self.store.prepare(group.readings.at_ms)
        with self.database.transaction() as session:
            outcome = write_group(session, self.store, self.state, group, IdSource(self.clock))
            repository.move_position(
                session,
                events.PIPELINE,
                events.RECEIVED,
                0,
                self.generation,
                self.offset,
                group.next_offset,
            )
        self.offset = group.next_offset
        return outcome

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query, for assertions."""
        with self.database.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def readings(self) -> list[tuple[Any, ...]]:
        """(meter, hours since the start, value, flags) of all stored readings, in order."""
        return self.rows(
            "select meter_id, round(extract(epoch from read_at) * 1000 - "
            f"{START_MS})::bigint, value, flags from ingest.readings order by 1, 2"
        )

    def steps(self) -> list[tuple[Any, ...]]:
        """(meter, ms since the start, kind, offset) of all steps, in order."""
        return self.rows(
            "select meter_id, round(extract(epoch from at) * 1000 - "
            f"{START_MS})::bigint, kind, offset_delta from ingest.register_events order by 1, 2"
        )

    def tally(self) -> dict[str, int]:
        """Counts of the tenant."""
        with self.database.transaction() as session:
            return repository.tally(session, TENANT).as_dict()

    def wipe(self) -> None:
        """Forget readings and counters, keep meters; a new owner starts at offset 0."""
        tables = ("readings", "register_events", "reading_revisions", "batches", "quarantine",
                  "tally", "positions")  # fmt: skip
        with self.database.engine.begin() as connection:
            names = ", ".join(f"ingest.{table}" for table in tables)
            connection.execute(text(f"truncate {names}"))
        self.own()


def open_harness(database_url: str) -> Harness:
    """A harness on a fresh database."""
    engine = connect(database_url, name="test")
    migrate(engine, "ingest")
    return Harness(Database(engine))
