"""meters.changed: one event for each change, in order, from the transaction to the log."""

from __future__ import annotations

import time
from collections import defaultdict

from services.devices.events import METERS_CHANGED
from services.kit.log import Consumed, Log, open_log
from services.stubs.meterfleet.devices.v1 import devices_pb2
from tests.integration.devices.world import FROM, World


def _outbox(world: World) -> list[devices_pb2.Meter]:
    with world.engine.connect() as connection:
        query = "select topic, key, value from devices.outbox order by id"
        rows = connection.exec_driver_sql(query).all()
    assert {row.topic for row in rows} <= {METERS_CHANGED}
    meters = [devices_pb2.Meter.FromString(row.value) for row in rows]
    for meter, row in zip(meters, rows, strict=True):
        assert bytes(row.key) == f"{meter.tenant_id}:{meter.meter_id}".encode()
    return meters


def _drain(world: World, log: Log) -> list[Consumed]:
    """All records of the topic, once the relay has emptied the outbox (ten seconds at most)."""
    deadline_s = time.monotonic() + 10
    while _outbox(world) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    reader = log.reader(METERS_CHANGED)
    found: list[Consumed] = []
    while batch := reader.poll(0.5):
        found += batch
    reader.close()
    return found


def test_changes_reach_the_log_in_order(world: World) -> None:
    """Each change of a meter is one event with a rising revision; refused requests are none."""
    world.register("e-1", "e-2")
    world.supply("e-1")
    made = world.install("Aqualith:e-1", "e-1")
    item = {"meter": "Aqualith:e-2", "service_point": "e-1", "from": FROM}
    world.refused("POST", "/v1/installations", {"installations": [item]})
    end = {"at": "2026-02-01T00:00:00Z"}
    path = f"/v1/installations/{made['installation_id']}/remove"
    world.post(path, end)
    world.post(path, end)
    waiting = _outbox(world)
    assert [(m.serial, m.revision, m.state) for m in waiting] == [
        ("e-1", 1, "in_stock"),
        ("e-2", 1, "in_stock"),
        ("e-1", 2, "active"),
        ("e-1", 3, "removed"),
    ]
    assert waiting[2].installations[0].to_ms == 0
    assert waiting[3].installations[0].to_ms == 1_769_904_000_000

    (relay,) = world.process.workers
    relay.start()
    log = open_log(world.log_url)
    records = _drain(world, log)
    relay.stop()
    assert log.partitions(METERS_CHANGED) == 2
    log.close()
    assert _outbox(world) == []
    by_meter: dict[bytes, list[int]] = defaultdict(list)
    for record in records:
        by_meter[record.key].append(devices_pb2.Meter.FromString(record.value).revision)
    # The topic is compacted: of each meter the latest event is kept, earlier ones may be gone.
    assert sorted(revisions[-1] for revisions in by_meter.values()) == [1, 3]
    assert all(revisions == sorted(set(revisions)) for revisions in by_meter.values())
    latest = {record.value for record in records}
    assert {waiting[1].SerializeToString(), waiting[3].SerializeToString()} <= latest
