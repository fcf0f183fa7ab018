"""Outbox: events and rows together or not at all, in order, none lost, on a real PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from sqlalchemy import MetaData, text

from services.kit import outbox
from services.kit.db import Database, connect
from services.kit.errors import UnavailableError
from services.kit.log import LogUnavailableError, Position, Record
from services.kit.outbox import Outbox, outbox_table

TABLE = outbox_table(MetaData(schema="wells"))


class FakeLog:
    """Keeps what is appended; fails the next append when told to."""

    def __init__(self) -> None:
        self.appended: list[tuple[str, bytes, bytes]] = []
        self.failure: Exception | None = None
        self.before: Callable[[], object] = lambda: None

    def append(
        self, topic: str, records: Sequence[Record], timeout_s: float = 10.0
    ) -> list[Position]:
        """Take records, as the real log does."""
        self.before()
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        self.appended += [(topic, record.key, record.value) for record in records]
        return [Position(0, n) for n in range(len(records))]

    @property
    def values(self) -> list[bytes]:
        """Payloads in the order they were appended."""
        return [value for _, _, value in self.appended]


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    """A database with one service's outbox in it."""
    database = Database(connect(database_url, name="test"))
    with database.transaction() as session:
        session.execute(text("create schema wells"))
        TABLE.metadata.create_all(session.connection())
    yield database
    database.close()


@pytest.fixture
def log(database: Database) -> FakeLog:
    """An empty log before an empty outbox."""
    with database.transaction() as session:
        session.execute(TABLE.delete())
    return FakeLog()


@pytest.fixture
def box(database: Database, log: FakeLog) -> Outbox:
    """The outbox; its thread is started by the tests that want it."""
    return Outbox(database, TABLE, log)  # type: ignore[arg-type]


def record(number: int) -> Record:
    """An event that can be told from others."""
    return Record(value=f"event {number}".encode(), key=b"meter")


def values(*numbers: int) -> list[bytes]:
    """What the log has of those events."""
    return [record(number).value for number in numbers]


def test_events_arrive_in_the_order_written(database: Database, log: FakeLog, box: Outbox) -> None:
    """Events of several transactions and topics arrive in order, and then are gone from here."""
    with database.transaction() as session:
        box.add(session, "a", [record(1), record(2)])
    with database.transaction() as session:
        box.add(session, "b", [record(3)])
        box.add(session, "a", [record(4)])
    assert box.relay_once() == 4
    assert [value for topic, _, value in log.appended if topic == "a"] == values(1, 2, 4)
    assert [value for topic, _, value in log.appended if topic == "b"] == values(3)
    assert box.relay_once() == 0


def test_what_rolls_back_is_never_sent(database: Database, log: FakeLog, box: Outbox) -> None:
    """Rows that did not come to be leave no event behind."""

    def fail() -> None:
        with database.transaction() as session:
            box.add(session, "a", [record(1)])
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        fail()
    assert box.relay_once() == 0
    assert log.appended == []


def test_a_log_that_is_away_keeps_the_events(database: Database, log: FakeLog, box: Outbox) -> None:
    """A failed append deletes nothing; the next try sends everything."""
    with database.transaction() as session:
        box.add(session, "a", [record(1), record(2)])
    log.failure = LogUnavailableError()
    with pytest.raises(LogUnavailableError):
        box.relay_once()
    assert box.relay_once() == 2
    assert log.values == values(1, 2)


def test_a_late_lower_id_is_not_lost(database: Database, log: FakeLog, box: Outbox) -> None:
    """A transaction that took its id first and commits last is sent later, not skipped."""
    with database.transaction() as slow:
        box.add(slow, "a", [record(1)])
        with database.transaction() as quick:
            box.add(quick, "a", [record(2)])
        assert box.relay_once() == 1
        assert log.values == values(2)
    assert box.relay_once() == 1
    assert log.values == values(2, 1)


def test_a_commit_during_the_relay_is_not_lost(
    database: Database, log: FakeLog, box: Outbox
) -> None:
    """A lower id that commits between the relay's reading and its deleting stays for the next."""
    slow = database.transaction()
    box.add(slow.__enter__(), "a", [record(1)])
    with database.transaction() as quick:
        box.add(quick, "a", [record(2)])
    log.before = lambda: slow.__exit__(None, None, None)
    assert box.relay_once() == 1
    log.before = lambda: None
    assert box.relay_once() == 1
    assert log.values == values(2, 1)


def test_one_relay_at_a_time(database: Database, log: FakeLog, box: Outbox) -> None:
    """While one process relays, another finds nothing to do: the order stays the table's."""
    other = Outbox(database, TABLE, FakeLog())  # type: ignore[arg-type]
    with database.transaction() as session:
        box.add(session, "a", [record(1)])
    sent_meanwhile = []
    log.before = lambda: sent_meanwhile.append(other.relay_once())
    assert box.relay_once() == 1
    assert sent_meanwhile == [0]


def test_a_relay_is_bounded(
    database: Database, log: FakeLog, box: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much waits, one round takes its bound, in order."""
    monkeypatch.setattr(outbox, "RELAY_ROWS_MAX", 3)
    with database.transaction() as session:
        box.add(session, "a", [record(n) for n in range(7)])
    assert [box.relay_once() for _ in range(4)] == [3, 3, 1, 0]
    assert log.values == values(*range(7))


@pytest.mark.parametrize("failure", [UnavailableError(), RuntimeError("a fault of ours")])
def test_the_thread_outlives_failures(
    database: Database, log: FakeLog, box: Outbox, failure: Exception
) -> None:
    """Whatever one round meets, the thread goes on and sends once the cause is gone."""
    log.failure = failure
    box.start()
    with database.transaction() as session:
        box.add(session, "a", [record(1)])
    deadline_s = time.monotonic() + 10
    while not log.appended and time.monotonic() < deadline_s:
        time.sleep(0.01)
    box.stop()
    assert log.values == values(1)


def test_stopping_loses_nothing(database: Database, log: FakeLog, box: Outbox) -> None:
    """What waits when the thread stops is still there for the next process."""
    box.start()
    box.stop()
    with database.transaction() as session:
        box.add(session, "a", [record(1)])
    assert log.appended == []
    assert box.relay_once() == 1
