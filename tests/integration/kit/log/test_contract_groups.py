"""The contract of consumers and groups, held by both backends of the log."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.kit.log import (
    Consumed,
    Log,
    PartitionNotAssignedError,
    Record,
    TopicPartition,
)
from tests.stack_fixtures import FIRST_START_S

from .conftest import Backend, MakeTopic
from .consuming import Service, numbered, read, values

pytestmark = pytest.mark.timeout(FIRST_START_S)

ROOT = Path(__file__).parents[4]

# A member that is killed is missed after Kafka's session time-out of 10 s, and a rebalance more.
HANDOVER_S = 40.0


def test_consumer_starts_where_its_service_says(
    log: Log, make_topic: MakeTopic, service: Service, closing
) -> None:
    """The log keeps no positions: reading begins at the service's, or at the beginning."""
    topic = make_topic(2)
    log.append(topic, [Record(b"%d" % number, partition=0) for number in range(6)])
    log.append(topic, [Record(b"%d" % number, partition=1) for number in range(3)])
    service.stored = {(topic, 0): 4}

    records = read(closing(service.join(log, f"g-{topic}", [topic])), 5)

    assert values([found for found in records if found.partition == 0]) == [4, 5]
    assert values([found for found in records if found.partition == 1]) == [0, 1, 2]


def test_seek_replays_and_skips(log: Log, make_topic: MakeTopic, service: Service, closing) -> None:
    """A service may go back or forth in what it owns, and nowhere else."""
    topic = make_topic()
    log.append(topic, numbered(10))
    consumer = closing(service.join(log, f"g-{topic}", [topic]))
    with pytest.raises(PartitionNotAssignedError):
        consumer.seek(topic, 0, 0)
    assert values(read(consumer, 10)) == list(range(10))

    consumer.seek(topic, 0, 7)
    assert values(read(consumer, 3)) == [7, 8, 9]
    consumer.seek(topic, 0, 0)
    assert values(read(consumer, 10)) == list(range(10))
    with pytest.raises(PartitionNotAssignedError):
        consumer.seek(topic, 1, 0)


def test_poll_is_bounded_and_returns_in_time(
    log: Log, make_topic: MakeTopic, service: Service, closing
) -> None:
    """No more records than asked for, and an empty answer when nothing comes in time."""
    topic = make_topic()
    log.append(topic, numbered(10))
    consumer = closing(service.join(log, f"g-{topic}", [topic]))
    first: list[Consumed] = []
    while not first:
        first = consumer.poll(1.0, max_records=4)
    assert values(first) == [0, 1, 2, 3]
    assert values(consumer.poll(1.0, max_records=4)) == [4, 5, 6, 7]
    assert values(consumer.poll(1.0, max_records=4)) == [8, 9]

    began_s = time.monotonic()
    assert consumer.poll(0.3) == []
    assert 0.25 < time.monotonic() - began_s < 2.0


def test_poll_wakes_for_a_new_record(
    log: Log, make_topic: MakeTopic, service: Service, closing
) -> None:
    """A record appended while a consumer waits is given to it long before its time-out."""
    topic = make_topic()
    consumer = closing(service.join(log, f"g-{topic}", [topic]))
    log.append(topic, numbered(1))
    read(consumer, 1)
    timer = threading.Timer(0.3, lambda: log.append(topic, numbered(1)))
    timer.start()
    began_s = time.monotonic()

    assert len(consumer.poll(10.0)) == 1
    assert time.monotonic() - began_s < 3.0
    timer.join()


def test_unsaved_records_come_again(log: Log, make_topic: MakeTopic, service: Service) -> None:
    """A service that falls before it saved its position gets the same records again."""
    topic = make_topic()
    log.append(topic, numbered(8))
    first = service.join(log, f"g-{topic}", [topic])
    service.save(read(first, 8)[:5])
    first.close()

    second = service.join(log, f"g-{topic}", [topic])
    assert values(read(second, 3)) == [5, 6, 7]
    second.close()


def test_close_hands_over_without_gap_or_double(
    log: Log, make_topic: MakeTopic, service: Service, closing
) -> None:
    """The next member reads on exactly where the one that closed had saved."""
    topic = make_topic(2)
    first = closing(service.join(log, f"g-{topic}", [topic], "first"))
    log.append(topic, [Record(b"%d" % n, partition=n % 2) for n in range(20)])
    service.save(early := read(first, 20))
    first.close()
    assert service.owners == {}
    assert first.assignment() == set()

    log.append(topic, [Record(b"%d" % n, partition=n % 2) for n in range(20, 40)])
    second = closing(service.join(log, f"g-{topic}", [topic], "second"))
    late = read(second, 20)

    assert sorted(values(early) + values(late)) == list(range(40))
    assert second.assignment() == {(topic, 0), (topic, 1)}


def test_two_members_never_own_the_same_partition(
    backend: Backend, log: Log, make_topic: MakeTopic, service: Service, closing
) -> None:
    """While members come and go each partition has one owner, and every record is read once."""
    topic = make_topic(6)
    group = f"g-{topic}"
    everything = {(topic, partition) for partition in range(6)}
    members = [closing(service.join(log, group, [topic], "first"))]
    seen: list[Consumed] = []
    numbers = itertools.count()

    def turn_until_settled() -> None:
        deadline_s = time.monotonic() + HANDOVER_S
        settled = 0
        while settled < 5 and time.monotonic() < deadline_s:
            number = next(numbers)
            log.append(topic, [Record(b"%d" % number, partition=number % 6)])
            for member in members:
                found = member.poll(0.15)
                service.save(found)
                seen.extend(found)
            owned = [member.assignment() for member in members]
            assert sum(map(len, owned)) == len(set().union(*owned))
            # In the embedded log one member owns all and the others wait; Kafka shares.
            shared = backend.name == "sqlite" or all(owned)
            settled = settled + 1 if shared and set().union(*owned) == everything else 0
        assert settled == 5

    turn_until_settled()
    members.append(closing(service.join(log, group, [topic], "second")))
    turn_until_settled()
    members.pop(0).close()
    turn_until_settled()

    seen += read(members[0], next(numbers) - len(seen))
    assert sorted(values(seen)) == list(range(len(seen)))
    assert members[0].assignment() == everything


def test_killed_member_is_replaced(
    log: Log, log_url: str, make_topic: MakeTopic, service: Service, closing
) -> None:
    """After kill -9 another member owns the partitions by itself and misses no record."""
    topic = make_topic(2)
    log.append(topic, numbered(5))
    member = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.kit.log.member", log_url, f"g-{topic}", topic],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert member.stdout is not None
        lines = [member.stdout.readline() for _ in range(6)]
        assert lines == [b"ready\n", b"0\n", b"1\n", b"2\n", b"3\n", b"4\n"]
        waiting = closing(service.join(log, f"g-{topic}", [topic]))
        if log_url.startswith("sqlite"):
            assert waiting.poll(0.3) == []
            assert waiting.assignment() == set()
    finally:
        member.kill()
        member.communicate()

    assert values(read(waiting, 5, HANDOVER_S)) == list(range(5))
    assert waiting.assignment() == {(topic, 0), (topic, 1)}


def test_callbacks_come_in_the_polling_thread_and_their_errors_too(
    log: Log, make_topic: MakeTopic, closing
) -> None:
    """A service whose store fails learns it from poll; its member starts anew with the next."""
    topic = make_topic()
    log.append(topic, numbered(3))
    calls: list[tuple[str, int]] = []

    def on_assigned(_: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        calls.append(("assigned", threading.get_ident()))
        if len(calls) == 1:
            raise RuntimeError("the store is away")
        return {(topic, 0): 1}

    def on_revoked(_: Sequence[TopicPartition]) -> None:
        calls.append(("revoked", threading.get_ident()))

    consumer = closing(log.consumer(f"g-{topic}", [topic], on_assigned, on_revoked))
    with pytest.raises(RuntimeError, match="the store is away"):
        read(consumer, 1)
    assert consumer.assignment() == set()

    assert values(read(consumer, 2)) == [1, 2]
    consumer.close()
    here = threading.get_ident()
    assert calls == [("assigned", here), ("assigned", here), ("revoked", here)]


def test_trimmed_position_is_told_with_its_numbers(
    backend: Backend, log: Log, make_topic: MakeTopic, service: Service, closing, caplog
) -> None:
    """Records lost to retention are never skipped silently: the warning counts them."""
    topic = make_topic(retention_s=60)
    log.append(topic, numbered(5))
    backend.drop_before(topic, 5)
    log.append(topic, [Record(b"5"), Record(b"6")])
    service.stored = {(topic, 0): 2}

    with caplog.at_level(logging.WARNING):
        assert values(read(closing(service.join(log, f"g-{topic}", [topic])), 2)) == [5, 6]

    [warning] = [line.getMessage() for line in caplog.records if "out of range" in line.message]
    assert f"topic={topic} partition=0 position=2 start=5 end=" in warning
    assert "3 records are lost" in warning


def test_position_beyond_the_end_starts_over(
    log: Log, make_topic: MakeTopic, service: Service, closing, caplog
) -> None:
    """A log that is younger than its consumer's position is read from the start, with a warning."""
    topic = make_topic()
    log.append(topic, numbered(3))
    service.stored = {(topic, 0): 99}

    with caplog.at_level(logging.WARNING):
        assert values(read(closing(service.join(log, f"g-{topic}", [topic])), 3)) == [0, 1, 2]
    assert "position=99 start=0 end=3" in caplog.text


def test_from_the_beginning_needs_no_warning(
    backend: Backend, log: Log, make_topic: MakeTopic, service: Service, closing, caplog
) -> None:
    """A service that has read nothing yet starts at the oldest record there is."""
    topic = make_topic(retention_s=60)
    log.append(topic, numbered(4))
    backend.drop_before(topic, 4)
    log.append(topic, [Record(b"4")])

    assert values(read(closing(service.join(log, f"g-{topic}", [topic])), 1)) == [4]
    assert "out of range" not in caplog.text
