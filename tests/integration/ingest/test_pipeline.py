"""The pipeline's transactions on real PostgreSQL and, where there is one, TimescaleDB."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ingest.repository import FencedError
from services.metering.quality import Rule
from services.stubs.meterfleet.devices.v1 import devices_pb2
from services.stubs.meterfleet.readings.v1 import readings_pb2
from tests.database_fixtures import fresh_database
from tests.ingest_harness import HOUR_MS, START_MS, Harness, batch, meter_event, open_harness

# The first start of a stack takes its time.
pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module", params=["postgres", "timescale"])
def harness_url(request: pytest.FixtureRequest) -> str:
    """A fresh database on each storage engine at hand."""
    name = "postgres_server" if request.param == "postgres" else "timescale_url"
    return fresh_database(request.getfixturevalue(name))


@pytest.fixture(scope="module")
def opened(harness_url: str) -> Iterator[Harness]:
    """A migrated database with two water meters registered."""
    harness = open_harness(harness_url)
    harness.register(meter_event(1, "A", addresses=["dev-a"]), meter_event(2, "B"))
    yield harness
    harness.database.close()


@pytest.fixture
def harness(opened: Harness) -> Harness:
    """The same database without readings."""
    opened.wipe()
    return opened


def at(hours: float) -> int:
    """An instant some hours after the start."""
    return START_MS + round(hours * HOUR_MS)


def test_readings_are_stored_scaled_and_counted(harness: Harness) -> None:
    """A reading in cubic metres lands in litres at its meter, whatever identifier it came by."""
    harness.feed(
        batch([("ACME:A", at(0), 1234)], unit="m3", scaler=-1),
        batch([("A", at(1), 123_450), ("dev-a", at(2), 123_460), ("B", at(2), 5)]),
    )
    assert harness.readings() == [
        (1, 0, 123_400, 0),
        (1, HOUR_MS, 123_450, 0),
        (1, 2 * HOUR_MS, 123_460, 0),
        (2, 2 * HOUR_MS, 5, 0),
    ]
    assert harness.tally() == {"received": 4, "stored": 4, "duplicates": 0, "quarantined": 0}


def test_a_redelivered_batch_changes_nothing(harness: Harness) -> None:
    """The same batch again is all duplicates, in its group, in a later one, after a restart."""
    once = batch([("A", at(0), 10), ("A", at(1), 20)])
    harness.feed(once, once)
    harness.feed(once)
    harness.state = type(harness.state)()
    harness.feed(once)
    assert len(harness.readings()) == 2
    assert harness.tally() == {"received": 8, "stored": 2, "duplicates": 6, "quarantined": 0}


def test_unknown_things_are_put_aside_with_their_reason(harness: Harness) -> None:
    """Unknown meters and channels, wrong units and impossible values wait in quarantine."""
    far = START_MS + 3 * 365 * 24 * HOUR_MS
    harness.feed(
        batch([("nobody", at(0), 1), ("nobody", at(1), 2), ("A", at(0), 7)]),
        batch([("A", at(1), 7)], obis="8-0:9.9.9"),
        batch([("A", at(1), 7)], unit="kWh"),
        batch([("A", at(1), 7)], scaler=-2),
        batch([("A", at(1), -7), ("A", at(2), 1_000_000), ("A", far, 7), ("A", 0, 7)]),
    )
    reasons = harness.rows(
        "select reason, sum(readings) from ingest.quarantine group by 1 order by 1"
    )
    assert reasons == [
        ("channel.unknown", 1),
        ("instant.implausible", 2),
        ("meter.unknown", 2),
        ("unit.mismatch", 1),
        ("value.dial", 2),
        ("value.resolution", 1),
    ]
    assert harness.tally() == {"received": 10, "stored": 1, "duplicates": 0, "quarantined": 9}


def test_broken_bytes_never_stall_the_partition(harness: Harness) -> None:
    """A record that is no batch is kept as it came, and what follows it is stored."""
    harness.feed(b"\xff\xffno batch", batch([("A", at(0), 1)]), b"")
    kept = harness.rows("select reason, payload from ingest.quarantine order by log_offset")
    assert [(reason, bytes(payload)) for reason, payload in kept] == [
        ("decode.failed", b"\xff\xffno batch"),
        ("batch.invalid", b""),
    ]
    assert len(harness.readings()) == 1


def test_another_tenants_meter_is_unknown(harness: Harness) -> None:
    """A tenant cannot write to another tenant's meter by naming it."""
    harness.feed(batch([("A", at(0), 1)], tenant_id=8))
    assert harness.readings() == []
    assert harness.rows("select tenant_id, reason from ingest.quarantine") == [(8, "meter.unknown")]


def test_a_better_source_replaces_and_the_old_value_stays(harness: Harness) -> None:
    """Higher rank wins whenever it comes; the loser is kept as a revision and in quarantine."""
    harness.feed(batch([("A", at(0), 100), ("A", at(1), 110)]))
    harness.feed(batch([("A", at(1), 120)], rank=5))
    harness.feed(batch([("A", at(1), 130)]))
    assert [row[2] for row in harness.readings()] == [100, 120]
    revisions = harness.rows("select value from ingest.reading_revisions")
    assert revisions == [(110,)]
    assert harness.tally() == {"received": 4, "stored": 2, "duplicates": 0, "quarantined": 2}


def test_late_readings_change_what_was_believed(harness: Harness) -> None:
    """A gap that looked like a jump is use once the readings between have come."""
    harness.feed(batch([("A", at(0), 0), ("A", at(1), 9_000), ("A", at(2), 9_010)]))
    assert harness.readings()[1][3] & Rule.V20_PHYSICAL_LIMIT
    harness.feed(batch([("A", at(0.4), 1_500), ("A", at(0.8), 3_100)]))
    outcome = harness.feed(batch([("A", at(0.2), 100)]))
    assert [row[2] for row in harness.readings()] == [0, 100, 1_500, 3_100, 9_000, 9_010]
    assert len(outcome.corrected) == 1
    told = [readings_pb2.ValidatedBatch.FromString(r.value) for r in outcome.validated]
    amended = [instant for message in told for instant in message.at_ms]
    assert at(0.2) not in amended, "a late reading is no news to the detectors"
    assert set(amended) <= {at(0.4), at(0.8), at(1), at(2)}, "but its neighbours are judged anew"


def test_a_zombie_cannot_commit(harness: Harness) -> None:
    """A worker whose partition was taken over stores nothing any more, 100 times out of 100."""
    for number in range(100):
        zombie = Harness(harness.database)
        successor = Harness(harness.database)
        with pytest.raises(FencedError):
            zombie.feed(batch([("A", at(number), number)]))
        successor.feed(batch([("B", at(number), number)]))
    assert {row[0] for row in harness.readings()} == {2}
    assert harness.tally()["stored"] == 100


def test_interval_channels_are_checked_one_by_one(harness: Harness) -> None:
    """Off the grid is put aside; negative or impossible use is stored and marked."""
    harness.register(meter_event(3, "I", kind=devices_pb2.CHANNEL_KIND_INTERVAL))
    harness.feed(
        batch([("I", at(1), 5), ("I", at(2), -1), ("I", at(3), 99_999), ("I", at(3.5), 5)])
    )
    flags = [row[3] for row in harness.readings()]
    assert flags == [0, int(Rule.V17_NEGATIVE), int(Rule.V20_PHYSICAL_LIMIT)]
    assert harness.rows("select reason from ingest.quarantine") == [("interval.alignment",)]


Rows = list[tuple[str, int, int]]


def _history(seed: int) -> Rows:
    """Two meters with use, a wild read, a fall that stays, a rollover and a conflict."""
    random_ = random.Random(seed)
    rows: Rows = []
    for name, level in (("A", 990_000), ("B", 400_000)):
        for hour in range(24):
            level += random_.randrange(0, 900)
            rows.append((name, at(hour), level % 1_000_000))
    wild, fall = random_.randrange(4, 10), random_.randrange(12, 18)
    rows = [
        (
            n,
            a,
            777_777
            if (n, a) == ("B", at(wild))
            else v - 300_000
            if n == "B" and a >= at(fall)
            else v,
        )
        for n, a, v in rows
    ]
    return [*rows, ("B", at(2), 399_999), rows[3], rows[30]]


@settings(
    max_examples=10, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(seed=st.integers(0, 3), order=st.randoms(use_true_random=False), data=st.data())
def test_order_of_arrival_never_changes_the_final_state(
    opened: Harness, seed: int, order: random.Random, data: st.DataObject
) -> None:
    """Any order, any split into batches and groups, with repeats and restarts: the same rows."""
    rows = _history(seed)
    opened.wipe()
    opened.feed(batch(rows))
    expected = opened.readings(), opened.steps()
    opened.wipe()
    shuffled = [*rows, *order.sample(rows, 5)]
    order.shuffle(shuffled)
    while shuffled:
        size = data.draw(st.integers(4, 30))
        part, shuffled = shuffled[:size], shuffled[size:]
        if data.draw(st.booleans()):
            opened.state = type(opened.state)()
        middle = size // 2
        opened.feed(*(batch(piece) for piece in (part[:middle], part[middle:]) if piece))
    assert (opened.readings(), opened.steps()) == expected
    tally = opened.tally()
    assert tally["received"] == len(rows) + 5
    assert tally["stored"] == len(expected[0])
