"""The pipeline's worker: owns partitions, commits groups, survives whatever goes away.

Any failure drops the partition's state and goes back to the committed position: the store is the
truth, so going on is always: read the position, read the log from there, build state as needed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.ingest import events, repository
from services.ingest.directory import MeterDirectory, MeterEntry
from services.ingest.pipeline.commit import Outcome, publish, read_group, write_group
from services.ingest.pipeline.history import load_rows
from services.ingest.pipeline.state import PartitionState
from services.ingest.repository import FencedError
from services.ingest.store.readings import ReadingStore
from services.kit.clock import Clock
from services.kit.db import Database
from services.kit.errors import UnavailableError
from services.kit.ids import IdSource
from services.kit.log import Consumed, Consumer, Log, TopicPartition
from services.kit.telemetry import counter, gauge, histogram, logger

POLL_S = 0.2
#: Log records taken at once; with 5,000 readings each far more than a group.
POLL_RECORDS = 64
#: Bytes of a reading on the log, to cut groups before decoding them.
READING_BYTES = 24
PUBLISH_TIMEOUT_S = 30.0
BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
#: How long an unknown meter may wait for the registry's event that is on its way.
CATCH_UP_S = 2.0
LAG_EVERY_S = 5.0

READINGS = counter("pipeline_readings_total", "Readings by outcome.", ("outcome",))
BATCH_SECONDS = histogram(
    "pipeline_batch_seconds",
    "Duration of a group, from log to commit.",
    (),
    (0.02, 0.1, 0.5, 2, 10),
)
BEHIND = gauge("pipeline_records_behind", "Records not committed yet.", ("partition",))
RESETS = counter("pipeline_resets_total", "Times a partition went back to its position.", ("why",))
_LOG = logger("pipeline")


@dataclass(slots=True)
class _Owned:
    """A partition we own."""

    generation: int
    next_offset: int
    state: PartitionState = field(default_factory=PartitionState)


class PipelineWorker:
    """Consumes readings.received in a thread until stopped."""

    def __init__(
        self,
        database: Database,
        log: Log,
        directory: MeterDirectory,
        clock: Clock,
        ids: IdSource,
        group_readings: int,
    ) -> None:
        self._database = database
        self._log = log
        self._directory = directory
        self._clock = clock
        self._ids = ids
        self._group_readings = group_readings
        self._store = ReadingStore(database)
        self._owned: dict[int, _Owned] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self._failures = 0
        self._lag_due_s = float("-inf")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the group at hand, give the partitions back, end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def check(self) -> None:
        """Raise if the thread has died; for readiness."""
        if not self._thread.is_alive():
            raise UnavailableError("the pipeline's thread has ended")

    def _run(self) -> None:
        consumer: Consumer | None = None
        while not self._stop.is_set():
            try:
                consumer = consumer or self._log.consumer(
                    events.PIPELINE, [events.RECEIVED], self._assigned, self._revoked
                )
                self._consume(consumer, consumer.poll(POLL_S, POLL_RECORDS))
                self._measure_lag()
            except Exception as error:  # noqa: BLE001 - a worker goes on, whatever it met
                # Where the consumer stands is not known any more: the only safe way on is to join
                # anew, which reads the positions and starts from there.
                if not isinstance(error, UnavailableError | FencedError):
                    _LOG.exception("the pipeline's loop failed")
                self._owned.clear()
                if consumer is not None:
                    consumer.close()
                consumer = None
                self._pause(error)
        if consumer is not None:
            consumer.close()

    def _measure_lag(self) -> None:
        """Tell how far each of our partitions is behind, every few seconds."""
        if self._clock.monotonic_s() < self._lag_due_s:
            return
        self._lag_due_s = self._clock.monotonic_s() + LAG_EVERY_S
        ends = self._log.end_offsets(events.RECEIVED)
        with self._database.transaction() as session:
            at = repository.positions(session, events.PIPELINE, events.RECEIVED)
        for partition in self._owned:
            BEHIND.labels(partition).set(max(0, ends[partition] - at.get(partition, 0)))

    def _assigned(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        offsets = {}
        with self._database.transaction() as session:
            for topic, partition in partitions:
                generation, offset = repository.own_partition(
                    session, events.PIPELINE, topic, partition
                )
                self._owned[partition] = _Owned(generation, offset)
                offsets[topic, partition] = offset
        _LOG.info("partitions assigned", partitions=[p for _, p in partitions])
        return offsets

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        for _, partition in partitions:
            self._owned.pop(partition, None)
            BEHIND.remove(partition)
        _LOG.info("partitions revoked", partitions=[p for _, p in partitions])

    def _consume(self, consumer: Consumer, records: Sequence[Consumed]) -> None:
        by_partition: dict[int, list[Consumed]] = {}
        for record in records:
            by_partition.setdefault(record.partition, []).append(record)
        for partition, own in by_partition.items():
            for group in _cut(own, self._group_readings):
                if not self._commit(consumer, partition, group):
                    break

    def _commit(self, consumer: Consumer, partition: int, records: list[Consumed]) -> bool:
        owned = self._owned.get(partition)
        if owned is None:
            return False
        self._check_place(owned, partition, records[0].offset)
        start_s = time.perf_counter()
        try:
            outcome = self._process(owned, partition, records)
        except FencedError as error:
            # Whoever owns the partition now has the log's word too; if nobody has, we join anew.
            RESETS.labels("fenced").inc()
            _LOG.warning("fenced", partition=partition, reason=error.detail)
            raise
        except UnavailableError as error:
            self._go_back(consumer, owned, partition, error)
            return False
        except Exception as error:  # noqa: BLE001 - a worker goes on, whatever it met
            _LOG.exception("group failed", partition=partition, offset=records[0].offset)
            self._go_back(consumer, owned, partition, error)
            return False
        self._failures = 0
        owned.next_offset = records[-1].offset + 1
        BATCH_SECONDS.observe(time.perf_counter() - start_s)
        for count in outcome.counts.values():
            for name in ("stored", "duplicates", "quarantined"):
                READINGS.labels(name).inc(getattr(count, name))
        return True

    def _process(self, owned: _Owned, partition: int, records: list[Consumed]) -> Outcome:
        if owned.state.full:
            owned.state = PartitionState()
        owned.state.forget(self._directory.refresh())
        group = read_group(partition, records, owned.state, self._load)
        if len(group.readings):
            self._store.prepare(group.readings.at_ms)
        with self._database.transaction() as session:
            outcome = write_group(session, self._store, owned.state, group, self._ids)
            for pending in publish(self._log, outcome):
                pending.wait(PUBLISH_TIMEOUT_S)
            repository.move_position(
                session, events.PIPELINE, events.RECEIVED, partition, owned.generation,
                owned.next_offset, group.next_offset,
            )  # fmt: skip
        return outcome

    def _check_place(self, owned: _Owned, partition: int, offset: int) -> None:
        """Refuse to go on behind records that were never processed, unless the log lost them."""
        if offset == owned.next_offset:
            return
        start = self._log.start_offsets(events.RECEIVED)[partition]
        if offset < owned.next_offset or start <= owned.next_offset:
            raise FencedError(f"{partition} came from {offset}, expected {owned.next_offset}")
        _LOG.error(
            "the log lost records", partition=partition, first=owned.next_offset, next=offset
        )
        with self._database.transaction() as session:
            repository.move_position(
                session, events.PIPELINE, events.RECEIVED, partition, owned.generation,
                owned.next_offset, offset,
            )  # fmt: skip
        owned.next_offset = offset

    def _load(self, state: PartitionState, tenant_id: int, identifiers: Sequence[str]) -> None:
        found = self._find(tenant_id, identifiers)
        if len(found) < len(identifiers) and self._registry_is_behind():
            self._directory.refresh(now=True)
            found = self._find(tenant_id, identifiers)
        rows = state.add(found)
        with self._database.transaction() as session:
            load_rows(session, self._store, state, rows)

    def _find(self, tenant_id: int, identifiers: Sequence[str]) -> list[tuple[str, MeterEntry]]:
        entries = self._directory.lookup(tenant_id, identifiers)
        return [(n, e) for n, e in zip(identifiers, entries, strict=True) if e is not None]

    def _registry_is_behind(self) -> bool:
        """Wait a moment for registrations that are on the log but not in the slice yet."""
        ends = self._log.end_offsets(events.METERS)
        deadline_s = self._clock.monotonic_s() + CATCH_UP_S
        waited = False
        while self._clock.monotonic_s() < deadline_s and not self._stop.is_set():
            with self._database.transaction() as session:
                at = repository.positions(session, events.KEEPER, events.METERS)
            if all(at.get(partition, 0) >= end for partition, end in ends.items()):
                return waited
            waited = True
            self._stop.wait(0.05)
        return waited

    def _go_back(self, consumer: Consumer, owned: _Owned, partition: int, error: Exception) -> None:
        """Drop what we believe of a partition and read on from its committed position."""
        RESETS.labels(getattr(error, "code", "failure")).inc()
        owned.state = PartitionState()
        self._pause(error)
        with self._database.transaction() as session:
            offsets = repository.positions(session, events.PIPELINE, events.RECEIVED)
        consumer.seek(events.RECEIVED, partition, offsets.get(partition, 0))

    def _pause(self, error: Exception | None) -> None:
        wait_s = BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
        self._failures += 1
        _LOG.warning("waiting", wait_s=wait_s, reason=str(error) if error else "failure")
        self._stop.wait(wait_s)


def _cut(records: list[Consumed], readings_max: int) -> list[list[Consumed]]:
    """Groups of about `readings_max` readings, at least one record each."""
    groups: list[list[Consumed]] = [[]]
    size = 0
    for record in records:
        readings = len(record.value) // READING_BYTES
        if groups[-1] and size + readings > readings_max:
            groups.append([])
            size = 0
        groups[-1].append(record)
        size += readings
    return groups
