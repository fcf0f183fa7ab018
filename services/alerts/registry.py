"""Keeps the slice of the registry that alerts need, from meters.changed.

The topic is compacted and read from its beginning at each start; revisions make that harmless.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from services.alerts.events import METERS_CHANGED
from services.alerts.meters import MeterFacts, from_message
from services.alerts.repository.meters import find_meters, put_meters
from services.kit.db import Database
from services.kit.errors import DecodeError, UnavailableError
from services.kit.log import Consumed, Consumer, Log
from services.kit.telemetry import logger
from services.metering.batch import parse
from services.stubs.meterfleet.devices.v1 import devices_pb2

POLL_S = 0.2
EVENTS_MAX = 1_000
#: More changed meters than this are not listed: all thresholds are chosen anew instead.
CHANGED_MAX = 100_000
RETRY_S = 1.0
_LOG = logger("alerts-registry")


class RegistrySlice:
    """Follows meters.changed in a thread; tells who changed and how far it has come."""

    def __init__(self, database: Database, log: Log, wait_s: float) -> None:
        self._database = database
        self._log = log
        self._wait_s = wait_s
        self._moved = threading.Condition()
        self._positions: dict[int, int] = {}
        self._changed: set[tuple[int, int]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts-registry", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the events at hand."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def check(self) -> None:
        """Raise if the thread has died; for readiness."""
        if not self._thread.is_alive():
            raise UnavailableError("the thread that follows the registry has ended")

    def facts(self, tenant_id: int, meter_ids: Sequence[int]) -> dict[int, MeterFacts]:
        """Facts of meters; waits a while for the events on the log where some are not known.

        Raises:
            UnavailableError: The database or the log is away.
        """
        known = self._find(tenant_id, meter_ids)
        if len(known) < len(set(meter_ids)) and self.catch_up(self._wait_s):
            known = self._find(tenant_id, meter_ids)
        return known

    def catch_up(self, timeout_s: float) -> bool:
        """Wait until all that stands on the log by now is stored; False if it took too long."""
        ends = self._log.end_offsets(METERS_CHANGED)

        def reached() -> bool:
            return all(self._positions.get(p, 0) >= end for p, end in ends.items())

        with self._moved:
            return self._moved.wait_for(reached, timeout_s)

    def take_changed(self) -> set[tuple[int, int]] | None:
        """Tenant and meter of what changed since the last call; None for too many to list."""
        with self._moved:
            changed, self._changed = self._changed, set()
        return changed if len(changed) <= CHANGED_MAX else None

    def take(self, records: Sequence[Consumed]) -> None:
        """Store what events say; the last of a meter counts."""
        meters: dict[tuple[int, int], tuple[int, MeterFacts]] = {}
        for record in records:
            try:
                message = parse(devices_pb2.Meter, record.value)
            except DecodeError:
                _LOG.exception("event skipped", offset=record.offset, partition=record.partition)
                continue
            # A tombstone has no meter; alerts of a meter that is gone keep its name.
            if message.meter_id:
                key = (message.tenant_id, message.meter_id)
                meters[key] = (message.revision, from_message(message))
        with self._database.transaction() as session:
            put_meters(session, meters)
        with self._moved:
            for record in records:
                self._positions[record.partition] = record.offset + 1
            if len(self._changed) <= CHANGED_MAX:
                self._changed |= set(meters)
            self._moved.notify_all()

    def _find(self, tenant_id: int, meter_ids: Sequence[int]) -> dict[int, MeterFacts]:
        with self._database.transaction() as session:
            return find_meters(session, tenant_id, meter_ids)

    def _run(self) -> None:
        reader: Consumer | None = None
        while not self._stop.is_set():
            try:
                if reader is None:
                    reader = self._log.reader(METERS_CHANGED)
                records = reader.poll(POLL_S, EVENTS_MAX)
                if records:
                    self.take(records)
            except Exception:  # noqa: BLE001 - a worker goes on, whatever it met
                _LOG.exception("starting again")
                if reader is not None:
                    reader.close()
                reader = None
                self._stop.wait(RETRY_S)
        if reader is not None:
            reader.close()
