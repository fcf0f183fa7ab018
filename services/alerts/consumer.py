"""The worker that runs the detectors over readings.validated.

What a crash leaves behind: findings, state and position of a partition commit in one transaction,
so after a restart the detectors go on from the last commit and find again exactly what was not
stored. A batch that the pipeline published twice is known by its source offset. The outbox has the
events in the same transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from services.alerts import events
from services.alerts.partition import Partition
from services.alerts.registry import RegistrySlice
from services.alerts.repository import progress
from services.alerts.repository.progress import FencedError
from services.alerts.settings import AlertsSettings
from services.kit.db import Database
from services.kit.errors import DecodeError, UnavailableError
from services.kit.ids import IdSource
from services.kit.log import Consumed, Consumer, Log, TopicPartition
from services.kit.outbox import Outbox
from services.kit.telemetry import counter, logger

POLL_S = 0.2
#: Records taken between two looks at whether to commit: at most 500,000 readings.
RECORDS_MAX = 100
#: A quiet stream is stored after a second, or after 20 times what storing took: at most 5 % of the
#: time goes into snapshots, however large the state is.
IDLE_COMMIT_S = 1.0
COMMIT_SHARE = 20
#: How often silent meters are looked for while nothing comes in.
SWEEP_S = 10.0
RETRY_S = 1.0
_LOG = logger("alerts-consumer")

READINGS = counter("alerts_readings_total", "Readings the detectors took in.")
SKIPPED = counter("alerts_batches_skipped_total", "Batches skipped.", ("reason",))
RAISED = counter("alerts_raised_total", "Alerts raised.", ("kind", "severity"))


class AlertsConsumer:
    """Consumes in a thread until stopped; `step` is one turn of it."""

    def __init__(
        self,
        settings: AlertsSettings,
        database: Database,
        log: Log,
        outbox: Outbox,
        registry: RegistrySlice,
        ids: IdSource,
    ) -> None:
        self._settings = settings
        self._database = database
        self._log = log
        self._outbox = outbox
        self._registry = registry
        self._ids = ids
        self._partitions: dict[int, Partition] = {}
        self._commit_s = ids.clock.monotonic_s()
        self._commit_took_s = 0.0
        self._sweep_s = ids.clock.monotonic_s()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts-consumer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Store what was found and hand the partitions over."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(15)

    def check(self) -> None:
        """Raise if the thread has died; for readiness."""
        if not self._thread.is_alive():
            raise UnavailableError("the thread that runs the detectors has ended")

    def _run(self) -> None:
        consumer: Consumer | None = None
        while not self._stop.is_set():
            try:
                if consumer is None:
                    consumer = self.join()
                self.step(consumer)
            except Exception:  # noqa: BLE001 - a worker goes on, whatever it met
                # What was not committed is forgotten and read again from the stored positions.
                _LOG.exception("starting again")
                self._partitions.clear()
                if consumer is not None:
                    consumer.close()
                consumer = None
                self._stop.wait(RETRY_S)
        if consumer is not None:
            consumer.close()

    def join(self) -> Consumer:
        """Become a member of the group."""
        return self._log.consumer(events.GROUP, [events.VALIDATED], self._assigned, self._revoked)

    def step(self, consumer: Consumer) -> None:
        """One poll, its readings through the detectors, and a commit where one is due.

        Raises:
            FencedError: A partition has a new owner.
            UnavailableError: The database or the log is away.
        """
        records = consumer.poll(POLL_S, RECORDS_MAX)
        self.take(records)
        if not records:
            self._sweep()
        if self._due(idle=not records):
            self.commit()

    def take(self, records: Sequence[Consumed]) -> None:
        """Run the detectors over records; nothing is stored yet.

        Raises:
            UnavailableError: The database or the log is away.
        """
        changed = self._registry.take_changed()
        for partition in self._partitions.values():
            partition.refresh(changed)
        for record in records:
            self._take(record)

    def commit(self) -> None:
        """Store what all partitions have found, each in a transaction of its own.

        Raises:
            FencedError: A partition has a new owner.
            UnavailableError: The database is away.
        """
        clock = self._ids.clock
        start_s = clock.monotonic_s()
        for partition in self._partitions.values():
            if partition.moved or partition.findings:
                self._store(partition)
        self._commit_s = clock.monotonic_s()
        self._commit_took_s = self._commit_s - start_s

    def _store(self, partition: Partition) -> None:
        with self._database.transaction() as session:
            raised = partition.store(session, self._ids)
            self._outbox.add(session, events.RAISED, [events.raised_record(a) for a in raised])
        partition.stored()
        for alert in raised:
            RAISED.labels(alert.kind, alert.severity).inc()

    def _take(self, record: Consumed) -> None:
        partition = self._partitions.get(record.partition)
        if partition is None:
            return
        try:
            batch = events.read_batch(record.value)
        except DecodeError as error:
            # Only our own pipeline writes here; one broken record must not hold up the others.
            _LOG.exception("record skipped", partition=record.partition, offset=record.offset,
                           faults=[fault.as_json() for fault in error.faults[:10]])  # fmt: skip
            SKIPPED.labels("broken").inc()
        else:
            if partition.take(batch):
                READINGS.inc(len(batch.readings))
            else:
                SKIPPED.labels("seen").inc()
        partition.next_offset = record.offset + 1
        partition.moved = True

    def _due(self, *, idle: bool) -> bool:
        """Findings are stored at once, state from time to time."""
        partitions = self._partitions.values()
        if any(partition.findings for partition in partitions):
            return True
        if not any(partition.moved for partition in partitions):
            return False
        waited_s = self._ids.clock.monotonic_s() - self._commit_s
        readings_n = sum(partition.readings_n for partition in partitions)
        return (
            readings_n >= self._settings.alerts_commit_readings
            or waited_s >= self._settings.alerts_commit_s
            or (idle and waited_s >= max(IDLE_COMMIT_S, COMMIT_SHARE * self._commit_took_s))
        )

    def _sweep(self) -> None:
        """Nothing to read: hold the partitions against the newest reading of each tenant.

        We have caught up, so the doors have heard nothing until now: time passes for the quiet
        ones. Event time stays where the newest reading put it, so a stream that stops as a whole
        raises nothing.
        """
        now_s, now_ms = self._ids.clock.monotonic_s(), self._ids.clock.now_ms()
        if now_s - self._sweep_s < SWEEP_S:
            return
        self._sweep_s = now_s
        with self._database.transaction() as session:
            watermarks = progress.watermarks(session)
        for partition in self._partitions.values():
            for tenant_id, (watermark_ms, received_ms) in watermarks.items():
                partition.advance(tenant_id, watermark_ms, max(received_ms, now_ms))

    def _assigned(self, assigned: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        offsets = {}
        quiet_ms = self._settings.alerts_quiet_s * 1000
        for topic, number in assigned:
            with self._database.transaction() as session:
                partition = Partition.load(session, number, self._registry.facts, quiet_ms)
            self._partitions[number] = partition
            offsets[topic, number] = partition.next_offset
        return offsets

    def _revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Store what was found; if that fails the next owner finds it again."""
        for _, number in revoked:
            partition = self._partitions.pop(number, None)
            if partition is None or not (partition.moved or partition.findings):
                continue
            try:
                self._store(partition)
            except (FencedError, UnavailableError) as error:
                _LOG.warning("handed over unsaved", partition=number, reason=error.detail)
