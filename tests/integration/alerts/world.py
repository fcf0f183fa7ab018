"""The alerts service on a real database and the embedded log, driven turn by turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sqlalchemy import select, text

from services.alerts.consumer import AlertsConsumer
from services.alerts.detectors import Readings
from services.alerts.events import METERS_CHANGED, RAISED, VALIDATED, topics
from services.alerts.progress import records_behind
from services.alerts.registry import RegistrySlice
from services.alerts.settings import AlertsSettings
from services.alerts.tables import OUTBOX, AlertRow
from services.kit.clock import FixedClock, to_ms
from services.kit.db import Database, connect, migrate
from services.kit.ids import IdSource
from services.kit.log import Log, Record, open_log
from services.kit.outbox import Outbox
from services.metering.batch import pack_columns
from services.stubs.meterfleet.alerts.v1 import alerts_pb2
from services.stubs.meterfleet.devices.v1 import devices_pb2
from services.stubs.meterfleet.readings.v1 import readings_pb2
from tests.unit.alerts.streams import START_MS

CITY, VILLAGE = 1, 2


@dataclass(slots=True)
class World:
    """Parts of the service, without its threads.

    Attributes:
        database: The alerts schema, migrated and empty.
        log: An embedded log of its own.
        clock: The service's clock.
        settings: The service's settings.
        offsets: Next source offset by partition.
    """

    database: Database
    log: Log
    clock: FixedClock
    settings: AlertsSettings
    offsets: dict[int, int] = field(default_factory=dict)

    def registry(self) -> RegistrySlice:
        """A follower of the registry, its thread not running."""
        return RegistrySlice(self.database, self.log, 0)

    def consumer(self, database: Database | None = None) -> AlertsConsumer:
        """A worker, its thread not running."""
        used = database or self.database
        outbox = Outbox(used, OUTBOX, self.log)
        registry = RegistrySlice(used, self.log, 0)
        ids = IdSource(self.clock)
        return AlertsConsumer(self.settings, used, self.log, outbox, registry, ids)

    def knows(self, *meters: devices_pb2.Meter) -> None:
        """The registry told of these meters, and the slice has taken it in."""
        records = [
            Record(m.SerializeToString(), key=f"{m.tenant_id}:{m.meter_id}".encode())
            for m in meters
        ]
        self.log.append(METERS_CHANGED, records)
        registry = self.registry()
        reader = self.log.reader(METERS_CHANGED)
        while not registry.catch_up(0):
            records_read = reader.poll(0.5)
            if records_read:
                registry.take(records_read)
        reader.close()

    def publish(
        self,
        readings: Readings,
        *,
        partition: int = 0,
        tenant_id: int = CITY,
        received_ms: int = START_MS,
        size: int = 20,
    ) -> list[Record]:
        """Put readings on the log as the pipeline would, `size` in a record."""
        records = []
        for start in range(0, len(readings), size):
            offset = self.offsets.get(partition, 0)
            self.offsets[partition] = offset + 1
            part = readings.take(slice(start, start + size))
            records.append(record(part, partition, offset, tenant_id, received_ms))
        self.log.append(VALIDATED, records)
        return records

    def work(self, consumer: AlertsConsumer) -> None:
        """Turns until everything on the log is taken in and stored."""
        member = consumer.join()
        try:
            for _ in range(200):
                consumer.step(member)
                consumer.commit()
                if not records_behind(self.database, self.log):
                    break
        except BaseException:
            # The dead hand nothing over: the log takes the partitions from them.
            consumer._partitions.clear()
            raise
        finally:
            member.close()

    def forget(self) -> None:
        """The database as on the first day, but for the meters; the log stays as it is."""
        tables = "alert_history, alerts, detector_state, sources, positions, outbox"
        with self.database.transaction() as session:
            for table in tables.split(", "):
                session.connection().exec_driver_sql(f"truncate alerts.{table} cascade")

    def causes(self) -> set[tuple[object, ...]]:
        """All alerts but for ids, so that two runs can be compared."""
        with self.database.transaction() as session:
            return {
                (
                    row.tenant_id, row.meter_id, row.channel, row.kind, row.severity, row.state,
                    to_ms(row.started_at), to_ms(row.detected_at),
                    row.ended_at and to_ms(row.ended_at), row.message, repr(row.evidence),
                )
                for row in session.scalars(select(AlertRow))
            }  # fmt: skip

    def raised(self) -> list[alerts_pb2.Alert]:
        """Events on alerts.raised, after the outbox was relayed."""
        outbox = Outbox(self.database, OUTBOX, self.log)
        while outbox.relay_once():
            pass
        ends = sum(self.log.end_offsets(RAISED).values())
        reader = self.log.reader(RAISED)
        events: list[alerts_pb2.Alert] = []
        while len(events) < ends:
            found = [alerts_pb2.AlertRaised.FromString(one.value) for one in reader.poll(0.5)]
            events += [event.alert for event in found]
        reader.close()
        return events


def record(
    readings: Readings, partition: int, offset: int, tenant_id: int, received_ms: int
) -> Record:
    """One record of readings.validated."""
    head = readings_pb2.ValidatedBatch(
        version=1,
        tenant_id=tenant_id,
        source_partition=partition,
        source_offset=offset,
        received_at_ms=received_ms,
    )
    columns = {
        6: readings.meter_id.astype("<i8"),
        7: readings.channel.astype("<u4"),
        8: readings.at_ms.astype("<i8"),
        9: readings.value.astype("<i8"),
        10: readings.curve.astype("<i8"),
        11: readings.flags.astype("<u4"),
    }
    return Record(pack_columns(head, columns), partition=partition)


def meter_event(
    meter_id: int, tenant_id: int = CITY, revision: int = 1, **more: object
) -> devices_pb2.Meter:
    """A cold water meter as the registry tells of it."""
    channel = devices_pb2.Channel(
        number=1, unit="m3", scaler=-3, interval_s=3600, rate_max_per_h=5000,
        kind=devices_pb2.CHANNEL_KIND_REGISTER,
    )  # fmt: skip
    fields: dict[str, object] = {"commodity": "water", "state": "active", "channels": [channel]}
    return devices_pb2.Meter(
        tenant_id=tenant_id,
        meter_id=meter_id,
        revision=revision,
        maker="Aqualith",
        serial=str(meter_id),
        **(fields | more),  # type: ignore[arg-type]
    )


@contextmanager
def running(database_url: str, folder: Path, partitions: int = 2) -> Iterator[World]:
    """A world on an empty schema; what an earlier one left in it is dropped."""
    engine = connect(database_url, name="alerts-tests")
    with engine.begin() as connection:
        connection.execute(text("drop schema if exists alerts cascade"))
    migrate(engine, "alerts")
    log_url = f"sqlite://{folder}/log.db"
    log = open_log(log_url)
    log.ensure_topics(topics(partitions))
    settings = AlertsSettings(
        database_url=database_url,
        log_url=log_url,
        alerts_meters_wait_s=0,
        log_partitions=partitions,
    )
    try:
        yield World(Database(engine), log, FixedClock(START_MS), settings)
    finally:
        log.close()
        engine.dispose()


def merged(parts: Sequence[Readings]) -> Readings:
    """Readings one after the other."""
    return Readings(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("meter_id", "channel", "at_ms", "value", "curve", "flags")
        )
    )
