"""Keeper and pipeline workers as threads on one real log and database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from services.ingest import events, repository
from services.ingest.directory import MeterDirectory
from services.ingest.doors.accept import Acceptor
from services.ingest.keeper import RegistryKeeper
from services.ingest.pipeline.worker import PipelineWorker
from services.ingest.repository import InstalledMeter
from services.kit.auth import Identity, Role
from services.kit.clock import FixedClock, SystemClock
from services.kit.db import Database
from services.kit.ids import IdSource
from services.kit.log import Log, Record, open_log
from services.metering.batch import ReadingBatch
from services.stubs.meterfleet.devices.v1 import devices_pb2
from services.stubs.meterfleet.readings.v1 import readings_pb2
from tests.ingest_harness import NOW_MS, TENANT, Harness, open_harness
from tests.integration.ingest.world import read_all

PARTITIONS = 2
WAIT_S = 20.0
LOOK_S = 0.01
GATEWAY = Identity(TENANT, "city", Role.GATEWAY, "test")

ThreadT = TypeVar("ThreadT", RegistryKeeper, PipelineWorker)


@dataclass
class Flow:
    """One log and one database, and what runs on them.

    Attributes:
        harness: The database, for assertions.
        log_url: Where the log is, to open it once more.
        log: The log.
    """

    harness: Harness
    log_url: str
    log: Log
    clock: SystemClock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        # A door that stands at the end of the harness's year, whenever the tests run.
        self.acceptor = Acceptor(
            self.log, self.directory(), FixedClock(NOW_MS), IdSource(self.clock)
        )

    @property
    def database(self) -> Database:
        """The database."""
        return self.harness.database

    def directory(self) -> MeterDirectory:
        """A directory as each process has one."""
        return MeterDirectory(self.database, self.clock)

    @contextmanager
    def keeper(self) -> Iterator[RegistryKeeper]:
        """A running keeper."""
        with _running(RegistryKeeper(self.database, self.log, self.clock)) as keeper:
            yield keeper

    @contextmanager
    def worker(
        self, group_readings: int = 1000, log: Log | None = None
    ) -> Iterator[PipelineWorker]:
        """A running worker, on a handle of its own of the log if one is given."""
        worker = PipelineWorker(
            self.database,
            log or self.log,
            self.directory(),
            self.clock,
            IdSource(self.clock),
            group_readings,
        )
        with _running(worker) as worker:
            yield worker

    def announce(self, *meters: devices_pb2.Meter) -> None:
        """Append meters as the registry does."""
        records = [
            Record(value=m.SerializeToString(), key=f"{m.tenant_id}:{m.meter_id}".encode())
            for m in meters
        ]
        self.log.append(events.METERS, records)

    def send(self, *batches: ReadingBatch) -> None:
        """Take batches in as a door does."""
        for one in batches:
            self.acceptor.accept(one, GATEWAY, "test", b"")

    def meter(self, meter_id: int) -> devices_pb2.Meter | None:
        """A meter as the slice has it."""
        with self.database.transaction() as session:
            document = repository.meter_document(session, TENANT, meter_id)
        return devices_pb2.Meter.FromString(document) if document else None

    def owners(self, *identifiers: str) -> list[int | None]:
        """The meters that identifiers mean now."""
        found = self.directory().lookup(TENANT, identifiers)
        return [entry.meter_id if entry else None for entry in found]

    def installed(self, service_point_id: int) -> list[InstalledMeter]:
        """Installations at a service point."""
        with self.database.transaction() as session:
            return repository.installed_meters(session, TENANT, [service_point_id])

    def positions(self, consumer: str, topic: str) -> dict[int, int]:
        """Where a consumer stands."""
        with self.database.transaction() as session:
            return repository.positions(session, consumer, topic)

    def caught_up(self) -> bool:
        """Whether the pipeline has committed all of the log."""
        at = self.positions(events.PIPELINE, events.RECEIVED)
        ends = self.log.end_offsets(events.RECEIVED)
        return all(at.get(partition, 0) >= end for partition, end in ends.items())

    def kept_up(self) -> bool:
        """Whether the keeper has committed all of the log."""
        at = self.positions(events.KEEPER, events.METERS)
        ends = self.log.end_offsets(events.METERS)
        return all(at.get(partition, 0) >= end for partition, end in ends.items())

    def snapshot(self) -> dict[str, Any]:
        """All that a feed leaves behind, whatever happened on the way."""
        validated = [
            readings_pb2.ValidatedBatch.FromString(record.value)
            for record in read_all(self.log, events.VALIDATED)
        ]
        return {
            "readings": self.harness.readings(),
            "steps": self.harness.steps(),
            "tally": self.harness.tally(),
            "quarantine": self.harness.rows(
                "select partition, log_offset, part, state, reason, meter, readings"
                " from ingest.quarantine order by 1, 2, 3"
            ),
            "origins": self.harness.rows(
                "select partition, log_offset, count(*) from ingest.batches"
                " group by 1, 2 order by 1, 2"
            ),
            "validated": sorted({(v.source_partition, v.source_offset) for v in validated}),
        }


@contextmanager
def _running(thread: ThreadT) -> Iterator[ThreadT]:
    thread.start()
    try:
        yield thread
    finally:
        thread.stop()


@contextmanager
def open_flow(database_url: str, folder: Path) -> Iterator[Flow]:
    """A flow on an empty database and a new log."""
    log_url = f"sqlite://{folder}/log.db"
    log = open_log(log_url)
    log.ensure_topics(events.topics(PARTITIONS))
    harness = open_harness(database_url)
    try:
        yield Flow(harness, log_url, log)
    finally:
        log.close()
        harness.database.close()


def wait_for(what: Callable[[], bool], why: str) -> None:
    """Wait until something is so, at most `WAIT_S`."""
    deadline_s = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < deadline_s, f"waited {WAIT_S} s for {why}"
        time.sleep(LOOK_S)
