"""Readings in, alerts out: once each, whatever is repeated, interrupted or moved."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from services.alerts import consumer as consumer_module
from services.alerts.domain import Step
from services.alerts.events import METERS_CHANGED, VALIDATED
from services.alerts.progress import records_behind
from services.alerts.repository import progress
from services.alerts.repository.alerts import Alerts
from services.alerts.repository.progress import FencedError
from services.alerts.tables import HistoryRow
from services.kit.db import Database
from services.kit.log import Record
from tests.integration.alerts.world import CITY, VILLAGE, World, merged, meter_event
from tests.unit.alerts.streams import DAY_MS, HOUR_MS, START_MS, Stream

LEAKING, STUCK, QUIET = 11, 12, 13


def city() -> Stream:
    """A week in which one meter leaks twice, one stands still and is silent, one does nothing."""
    stream = Stream()
    stream.uses([7] * 55 + [0, 2, 0] + [7] * 60, meter_id=LEAKING)
    stream.uses([1] + [0] * 130 + [4], meter_id=STUCK).gap(3 * DAY_MS, use=2, meter_id=STUCK)
    stream.uses([0, 1, 0] * 60, meter_id=QUIET)
    stream.rows.sort(key=lambda row: row[2])
    return stream


def known(world: World) -> None:
    """The registry knows the meters of `city`."""
    world.knows(*(meter_event(one) for one in (LEAKING, STUCK, QUIET)))


def test_from_readings_to_alerts(world: World) -> None:
    """Alerts are stored with their history, told on the log, and nothing is left behind."""
    known(world)
    world.publish(city().readings())
    assert records_behind(world.database, world.log) > 0
    world.work(world.consumer())
    assert records_behind(world.database, world.log) == 0
    kinds = Counter((cause[1], cause[3], cause[5]) for cause in world.causes())
    assert kinds == {
        (LEAKING, "leak", "resolved"): 1,
        (LEAKING, "leak", "open"): 1,
        (STUCK, "stuck", "resolved"): 1,
        (STUCK, "offline", "resolved"): 1,
    }
    events = world.raised()
    assert Counter(event.kind for event in events) == {"leak": 2, "stuck": 1, "offline": 1}
    assert {event.meter for event in events} == {"Aqualith:11", "Aqualith:12"}
    with world.database.transaction() as session:
        rows = session.scalars(select(HistoryRow).order_by(HistoryRow.history_id)).all()
    steps = {(row.actor, row.from_state, row.to_state) for row in rows}
    assert steps == {("detector", None, "open"), ("detector", "open", "resolved")}
    assert len(rows) == 4 + 3


def test_a_batch_that_was_seen_is_skipped(world: World) -> None:
    """The pipeline publishes again after a crash: the same records once more change nothing."""
    known(world)
    records = world.publish(city().readings())
    world.work(world.consumer())
    once = world.causes()
    with world.database.transaction() as session:
        assert progress.sources(session, 0) == {0: len(records) - 1}
    skipped = consumer_module.SKIPPED.labels("seen")
    before = skipped._value.get()
    world.log.append(VALIDATED, records[3:])
    world.work(world.consumer())
    assert skipped._value.get() - before == len(records) - 3
    assert world.causes() == once
    assert records_behind(world.database, world.log) == 0
    assert len(world.raised()) == len(once)


def test_a_restart_goes_on_where_it_stood(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker for every three records, each starting from the stored state: the same alerts."""
    known(world)
    world.publish(city().readings())
    world.work(world.consumer())
    whole = world.causes()
    world.forget()
    monkeypatch.setattr(consumer_module, "RECORDS_MAX", 3)
    workers = 0
    while records_behind(world.database, world.log):
        worker = world.consumer()
        member = worker.join()
        worker.step(member)
        member.close()
        workers += 1
    assert workers >= 7
    assert world.causes() == whole


class KilledError(BaseException):
    """Stands for the end of the process: nothing in the service catches it."""


class Mortal(Database):
    """A database whose client dies at the nth transaction, before or after it commits."""

    def __init__(self, engine: Engine, dies_at: int, *, after_commit: bool) -> None:
        super().__init__(engine)
        self._left = dies_at
        self._after_commit = after_commit

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """As the real one, until its number has come."""
        self._left -= 1
        with super().transaction() as session:
            yield session
            if self._left == 0 and not self._after_commit:
                raise KilledError
        if self._left == 0:
            raise KilledError


@pytest.mark.parametrize("after_commit", [False, True])
def test_death_at_any_transaction_loses_and_doubles_nothing(
    world: World, *, after_commit: bool
) -> None:
    """Killed before or after each commit in turn and started again: the same outcome."""
    known(world)
    world.publish(city().readings(), size=40)
    world.work(world.consumer())
    whole = world.causes()
    world.forget()
    deaths = 0
    for dies_at in range(1, 40):
        mortal = Mortal(world.database.engine, dies_at, after_commit=after_commit)
        try:
            world.work(world.consumer(mortal))
        except KilledError:
            deaths += 1
        else:
            break
    assert deaths >= 3
    assert records_behind(world.database, world.log) == 0
    assert world.causes() == whole
    with world.database.transaction() as session:
        assert len(session.scalars(select(HistoryRow)).all()) == 7
    assert len(world.raised()) == len(whole)


@pytest.mark.parametrize("name", ["move_position", "put_sources", "put_state"])
def test_death_between_the_writes_of_a_commit(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off after any write of the transaction, none of it stands; the next run completes it."""
    known(world)
    world.publish(city().readings())
    real = getattr(progress, name)

    def dying(*arguments: object) -> None:
        real(*arguments)
        raise KilledError

    monkeypatch.setattr(progress, name, dying)
    with pytest.raises(KilledError):
        world.work(world.consumer())
    assert world.causes() == set()
    with world.database.transaction() as session:
        assert progress.positions(session).get(0, 0) == 0
    monkeypatch.undo()
    world.work(world.consumer())
    assert len(world.causes()) == 4


def test_death_after_the_alerts_were_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off between alerts and the outbox: neither stands, and the next run writes both."""
    known(world)
    world.publish(city().readings())
    real = Alerts.raise_new

    def dying(self: Alerts, *arguments: object) -> None:
        real(self, *arguments)  # type: ignore[arg-type]
        raise KilledError

    monkeypatch.setattr(Alerts, "raise_new", dying)
    with pytest.raises(KilledError):
        world.work(world.consumer())
    assert world.causes() == set()
    monkeypatch.undo()
    world.work(world.consumer())
    assert len(world.raised()) == 4


def test_a_worker_that_was_replaced_cannot_commit(world: World) -> None:
    """Who became the owner later wins; what the other found is found again."""
    known(world)
    world.publish(city().readings())
    sleeper = world.consumer()
    member = sleeper.join()
    for _ in range(3):
        sleeper.take(member.poll(0.5))
    with world.database.transaction() as session:
        progress.own_partition(session, 0)
    with pytest.raises(FencedError):
        sleeper.commit()
    member.close()
    assert world.causes() == set()
    world.work(world.consumer())
    assert len(world.causes()) == 4


def test_partitions_and_tenants_do_not_mix(world: World) -> None:
    """The same meter number in two tenants and two partitions makes alerts of each."""
    world.knows(meter_event(LEAKING), meter_event(LEAKING, VILLAGE))
    leak = Stream().uses([30] * 50, meter_id=LEAKING).readings()
    world.publish(leak, partition=0, tenant_id=CITY)
    world.publish(leak, partition=1, tenant_id=VILLAGE)
    world.work(world.consumer())
    assert {(c[0], c[3]) for c in world.causes()} == {(CITY, "leak"), (VILLAGE, "leak")}
    with world.database.transaction() as session:
        assert progress.positions(session) == {0: 3, 1: 3}
        assert set(progress.states(session, 0)) == {CITY}
        assert set(progress.states(session, 1)) == {VILLAGE}


def test_a_broken_record_holds_nothing_up(world: World) -> None:
    """Bytes that are no batch are passed over, what follows is taken in."""
    known(world)
    world.log.append(VALIDATED, [Record(b"\xff\xff\xff", partition=0)])
    world.publish(city().readings())
    world.work(world.consumer())
    assert len(world.causes()) == 4
    assert records_behind(world.database, world.log) == 0


def test_a_meter_described_later_gets_its_thresholds(world: World) -> None:
    """Readings of an unknown meter are taken in; once it is known its leak is found."""
    stream = Stream().uses([5] * 100, meter_id=LEAKING)
    readings = stream.readings()
    consumer = world.consumer()
    world.publish(readings.take(slice(20)))
    world.work(consumer)
    assert not world.causes()
    world.knows(meter_event(LEAKING))
    world.publish(readings.take(slice(20, None)))
    world.work(world.consumer())
    (cause,) = world.causes()
    assert cause[3] == "leak"


def test_no_second_alert_of_a_kind_while_one_waits(world: World) -> None:
    """A reopened leak waits for a person: the next leak of the meter makes no second alert."""
    known(world)
    readings = Stream().uses([7] * 50 + [0], meter_id=LEAKING)
    world.publish(readings.readings())
    world.work(world.consumer())
    with world.database.transaction() as session:
        alerts = Alerts(session, CITY)
        (event,) = world.raised()
        alerts.step(uuid.UUID(event.alert_id), Step.REOPEN, "key:x", "", START_MS)
    more = readings.uses([7] * 60, meter_id=LEAKING).readings().take(slice(52, None))
    world.publish(more)
    world.work(world.consumer())
    assert [cause[5] for cause in world.causes()] == ["open"]


def test_a_silent_meter_is_found_through_another_partition(world: World) -> None:
    """The tenant's newest reading counts, whichever partition it came in on."""
    world.knows(meter_event(LEAKING), meter_event(QUIET))
    world.publish(Stream().uses([1], meter_id=QUIET).readings(), partition=0)
    late_ms = START_MS + 5 * DAY_MS
    other = Stream().add(late_ms, 5, meter_id=LEAKING).readings()
    world.publish(other, partition=1, received_ms=START_MS + 2 * HOUR_MS)
    consumer = world.consumer()
    world.work(consumer)
    assert not world.causes()
    world.clock.sleep(60)
    member = consumer.join()
    for _ in range(4):
        consumer.step(member)
    member.close()
    (cause,) = world.causes()
    assert (cause[1], cause[3], cause[5]) == (QUIET, "offline", "open")


def test_the_slice_keeps_the_newest_revision(world: World) -> None:
    """An older event that comes again does not undo a newer one; a tombstone changes nothing."""
    world.knows(meter_event(LEAKING, revision=2, state="removed"))
    world.knows(meter_event(LEAKING, revision=1))
    world.log.append(METERS_CHANGED, [Record(b"", key=b"1:11")])
    facts = world.registry().facts(CITY, [LEAKING])
    assert not facts[LEAKING].installed
    assert world.registry().facts(VILLAGE, [LEAKING]) == {}


def test_readings_of_a_merged_stream_keep_their_order(world: World) -> None:
    """Several meters in one record, history of one after the other, give what each alone gives."""
    known(world)
    parts = [Stream().uses([7] * 49, meter_id=one).readings() for one in (LEAKING, STUCK)]
    world.publish(merged(parts), size=1_000)
    world.work(world.consumer())
    assert {(cause[1], cause[3]) for cause in world.causes()} == {
        (LEAKING, "leak"),
        (STUCK, "leak"),
    }
