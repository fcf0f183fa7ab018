"""Keeps ingest's slice of the registry from meters.changed, and frees what waited for a meter."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from services.ingest import events, repository
from services.ingest.quarantine import replay
from services.ingest.repository import FencedError
from services.kit.clock import Clock
from services.kit.db import Database
from services.kit.errors import DecodeError, UnavailableError
from services.kit.log import Consumed, Consumer, Log, TopicPartition
from services.kit.telemetry import logger
from services.metering.batch import parse
from services.stubs.meterfleet.devices.v1 import devices_pb2

POLL_S = 0.2
EVENTS_MAX = 2_000
SWEEP_EVERY_S = 10.0
SWEEP_NAMES_MAX = 1_000
_LOG = logger("keeper")


class RegistryKeeper:
    """Consumes meters.changed in a thread until stopped."""

    def __init__(self, database: Database, log: Log, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._clock = clock
        self._sweep_due_s = float("-inf")
        #: Generation and next offset of each partition we own.
        self._owned: dict[int, tuple[int, int]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the events at hand and end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(15)

    def check(self) -> None:
        """Raise if the thread has died; for readiness."""
        if not self._thread.is_alive():
            raise UnavailableError("the keeper's thread has ended")

    def _run(self) -> None:
        consumer = self._join()
        while not self._stop.is_set():
            try:
                self._take(consumer.poll(POLL_S, EVENTS_MAX))
                self._sweep()
            except Exception as error:  # noqa: BLE001 - a worker goes on, whatever it met
                # Nothing was committed: joining anew reads again from the stored positions.
                _LOG.warning("starting again", reason=str(error))
                self._stop.wait(1)
                consumer.close()
                consumer = self._join()
        consumer.close()

    def _join(self) -> Consumer:
        return self._log.consumer(events.KEEPER, [events.METERS], self._assigned, self._revoked)

    def _assigned(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        offsets = {}
        with self._database.transaction() as session:
            for topic, partition in partitions:
                generation, offset = repository.own_partition(
                    session, events.KEEPER, topic, partition
                )
                self._owned[partition] = generation, offset
                offsets[topic, partition] = offset
        return offsets

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        for _, partition in partitions:
            self._owned.pop(partition, None)

    def _take(self, records: Sequence[Consumed]) -> None:
        if not records:
            return
        meters = _meters(records)
        nexts = {record.partition: record.offset + 1 for record in records}
        with self._database.transaction() as session:
            fresh = repository.put_meters(session, meters)
            for partition, offset in nexts.items():
                owned = self._owned.get(partition)
                if owned is None:
                    raise FencedError(f"partition {partition} was taken from us")
                repository.move_position(
                    session, events.KEEPER, events.METERS, partition, *owned, offset
                )
        for partition, offset in nexts.items():
            self._owned[partition] = self._owned[partition][0], offset
        self._free({(m.tenant_id, name) for m in fresh for name in m.identifiers})

    def _sweep(self) -> None:
        """Free what waits for meters that are known by now.

        A reading may be put aside in the moment its meter is taken over, and a crash may come
        between the commit and the replay: neither is told by an event any more.
        """
        if self._clock.monotonic_s() < self._sweep_due_s:
            return
        self._sweep_due_s = self._clock.monotonic_s() + SWEEP_EVERY_S
        with self._database.transaction() as session:
            waiting = repository.waiting_for_known_meters(session, SWEEP_NAMES_MAX)
        self._free(waiting)

    def _free(self, names: set[tuple[int, str]]) -> None:
        """Replay what waited for meters of these names; after the commit, so that it resolves."""
        by_tenant: dict[int, list[str]] = {}
        for tenant_id, name in names:
            by_tenant.setdefault(tenant_id, []).append(name)
        for tenant_id, identifiers in by_tenant.items():
            freed = replay(self._database, self._log, tenant_id, meters=identifiers)
            if freed:
                _LOG.info("replayed", tenant_id=tenant_id, readings=freed)


def _meters(records: Sequence[Consumed]) -> list[devices_pb2.Meter]:
    """The meters in events, by revision: delivered again, an older one may follow a newer."""
    meters = []
    for record in records:
        try:
            meter = parse(devices_pb2.Meter, record.value)
        except DecodeError as error:
            _LOG.error("no meter", partition=record.partition, offset=record.offset, why=str(error))
            continue
        # An empty value says that a key is gone; a meter without a name can be meant by nobody.
        if meter.identifiers:
            meters.append(meter)
    return sorted(meters, key=lambda meter: meter.revision)
