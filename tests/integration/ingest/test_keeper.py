"""The registry's slice, what waits for it, and who owns what: threads on a real log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from services.ingest import events, quarantine
from services.kit.log import Record, open_log
from services.kit.log.port import APPEND_BYTES_MAX
from services.metering.batch import RECORD_READINGS_MAX
from services.stubs.meterfleet.devices.v1 import devices_pb2
from tests.database_fixtures import fresh_database
from tests.ingest_harness import HOUR_MS, START_MS, batch, meter_event
from tests.integration.ingest.flow import Flow, open_flow, wait_for


@pytest.fixture
def flow(postgres_server: str, tmp_path: Path) -> Iterator[Flow]:
    """A flow of its own for each test."""
    with open_flow(fresh_database(postgres_server), tmp_path) as flow:
        yield flow


def at(hours: int) -> int:
    """An instant some hours after the start."""
    return START_MS + hours * HOUR_MS


def keep_up(flow: Flow) -> None:
    """Run a keeper until it has taken all that is on the log."""
    with flow.keeper():
        wait_for(flow.kept_up, "the keeper")


def test_announced_meters_reach_the_slice(flow: Flow) -> None:
    """Every identifier means the meter, and its installation is known."""
    flow.announce(meter_event(1, "A", addresses=["dev-a"], service_point_id=11))
    keep_up(flow)
    assert flow.owners("ACME:A", "A", "dev-a", "B") == [1, 1, 1, None]
    (installed,) = flow.installed(11)
    assert (installed.from_ms, installed.to_ms, installed.multiplier) == (START_MS, None, "1")


def test_older_revisions_are_ignored(flow: Flow) -> None:
    """A redelivered older event changes nothing."""
    flow.announce(meter_event(1, "A", revision=3, digits=8))
    keep_up(flow)
    flow.announce(meter_event(1, "A", revision=2))
    keep_up(flow)
    meter = flow.meter(1)
    assert meter is not None
    assert (meter.revision, meter.channels[0].digits) == (3, 8)


@pytest.mark.parametrize("receiver_first", [True, False])
def test_an_identifier_moves_between_meters(flow: Flow, receiver_first: bool) -> None:
    """A radio module put into another meter speaks for that one, whichever event comes first."""
    flow.announce(meter_event(1, "A", addresses=["dev-x"]), meter_event(2, "B"))
    keep_up(flow)
    assert flow.owners("dev-x") == [1]
    changes = [
        meter_event(2, "B", revision=2, addresses=["dev-x"]),
        meter_event(1, "A", revision=2),
    ]
    for change in changes if receiver_first else reversed(changes):
        flow.announce(change)
        keep_up(flow)
    assert flow.owners("dev-x", "A", "B") == [2, 1, 2]


def test_an_installation_ends_and_goes(flow: Flow) -> None:
    """The end of an installation and its removal are taken over like its beginning."""
    first = meter_event(1, "A", service_point_id=11)
    ended = meter_event(1, "A", service_point_id=11, revision=2)
    ended.installations[0].to_ms = at(5)
    gone = meter_event(1, "A", revision=3)
    seen = []
    for event in (first, ended, gone):
        flow.announce(event)
        keep_up(flow)
        seen.append([one.to_ms for one in flow.installed(11)])
    assert seen == [[None], [at(5)], []]


def test_what_is_no_meter_never_stops_the_keeper(flow: Flow) -> None:
    """Broken bytes, an empty event and a meter without a name are passed by."""
    nameless = devices_pb2.Meter(tenant_id=7, meter_id=9, revision=1).SerializeToString()
    for value in (b"\xff\xff no meter", b"", nameless):
        flow.log.append(events.METERS, [Record(value=value, key=b"7:9")])
    flow.announce(meter_event(1, "A"))
    keep_up(flow)
    assert flow.owners("A") == [1]
    assert flow.meter(9) is None


def test_readings_wait_for_their_meter_and_come_by_themselves(flow: Flow) -> None:
    """An unknown meter's readings are put aside and stored when it is registered, counted once."""
    flow.announce(meter_event(1, "A"))
    with flow.keeper(), flow.worker():
        flow.send(batch([("A", at(0), 5), ("dev-n", at(0), 1), ("N", at(1), 2)]))
        flow.send(batch([("N", at(2), 3)]))
        wait_for(flow.caught_up, "the pipeline")
        assert flow.harness.tally() == {
            "received": 4, "stored": 1, "duplicates": 0, "quarantined": 3,
        }  # fmt: skip
        flow.announce(meter_event(2, "N", addresses=["dev-n"]))
        wait_for(lambda: flow.harness.tally()["stored"] == 4, "the replay")
        wait_for(flow.caught_up, "the pipeline")
    assert flow.harness.tally() == {
        "received": 4, "stored": 4, "duplicates": 0, "quarantined": 0,
    }  # fmt: skip
    assert flow.harness.readings() == [
        (1, 0, 5, 0), (2, 0, 1, 0), (2, HOUR_MS, 2, 0), (2, 2 * HOUR_MS, 3, 0),
    ]  # fmt: skip
    assert flow.harness.rows("select distinct state from ingest.quarantine") == [("replayed",)]


def test_readings_that_missed_their_event_are_found(flow: Flow) -> None:
    """Put aside though the meter is known, as after a crash before the replay: a keeper sees it."""
    flow.send(batch([("N", at(0), 1)]))
    with flow.worker():
        wait_for(flow.caught_up, "the pipeline")
    flow.harness.register(meter_event(2, "N"))
    assert flow.harness.tally()["quarantined"] == 1
    with flow.keeper(), flow.worker():
        wait_for(lambda: flow.harness.tally()["stored"] == 1, "the sweep")
    assert flow.harness.tally()["quarantined"] == 0


def test_a_replay_of_full_records_fits_the_log() -> None:
    """As many entries as one replay takes, each as large as a record, are one append."""
    record_bytes = 24 * RECORD_READINGS_MAX + 10_000
    assert quarantine.ENTRIES_MAX * record_bytes < APPEND_BYTES_MAX


def test_a_restarted_keeper_goes_on_from_its_position(flow: Flow) -> None:
    """What was taken is not taken again, what came in between is."""
    flow.announce(meter_event(1, "A"), meter_event(2, "B"))
    keep_up(flow)
    with flow.database.engine.begin() as connection:
        connection.execute(text("delete from ingest.meters where meter_id = 1"))
    flow.announce(meter_event(3, "C"))
    keep_up(flow)
    assert [flow.meter(n) is not None for n in (1, 2, 3)] == [False, True, True]


def test_a_worker_hands_over_to_the_next(flow: Flow) -> None:
    """With two workers on one log, one going leaves nothing lost and nothing doubled."""
    flow.harness.register(meter_event(1, "A"), meter_event(2, "B"))
    batches = [batch([(name, at(n), n) for name in "AB"]) for n in range(40)]
    second_log = open_log(flow.log_url)
    with flow.worker(1) as first:
        flow.send(*batches[:20])
        wait_for(lambda: flow.harness.tally()["stored"] >= 10, "the first worker")
        with flow.worker(1, second_log):
            first.stop()
            flow.send(*batches[20:])
            wait_for(flow.caught_up, "the second worker")
    second_log.close()
    assert [row[:3] for row in flow.harness.readings()] == [
        (meter, n * HOUR_MS, n) for meter in (1, 2) for n in range(40)
    ]
    assert flow.harness.tally() == {
        "received": 80, "stored": 80, "duplicates": 0, "quarantined": 0,
    }  # fmt: skip
    owners = flow.harness.rows(
        "select min(generation) from ingest.positions where consumer = 'pipeline'"
    )
    assert owners[0][0] >= 2, "both workers owned the partitions, one after the other"
