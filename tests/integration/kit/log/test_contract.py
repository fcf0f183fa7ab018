"""The contract of the log port, the same for every backend (see `services/kit/log/port.py`)."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.kit.log import (
    APPEND_BYTES_MAX,
    RECORD_BYTES_MAX,
    Log,
    LogRecordInvalidError,
    LogRecordTooLargeError,
    LogUnavailableError,
    Position,
    Record,
    Topic,
    UnknownTopicError,
    open_log,
    partition_of,
)
from tests.stack_fixtures import FIRST_START_S

from .conftest import Backend, MakeTopic
from .consuming import Service, numbered, read, values

pytestmark = pytest.mark.timeout(FIRST_START_S)

ROOT = Path(__file__).parents[4]

# A member that is killed is missed after Kafka's session time-out of 10 s, and a rebalance more.
HANDOVER_S = 40.0


def test_append_gives_the_position_of_every_record(log: Log, make_topic: MakeTopic) -> None:
    """Positions come in the order of the records, and offsets rise from zero in each partition."""
    topic = make_topic(2)
    records = [Record(b"v", partition=partition) for partition in (0, 1, 1, 0)]

    assert log.append(topic, records) == [
        Position(0, 0),
        Position(1, 0),
        Position(1, 1),
        Position(0, 1),
    ]
    assert log.append(topic, records[:1]) == [Position(0, 2)]
    assert log.append(topic, []) == []


def test_record_comes_back_whole(log: Log, make_topic: MakeTopic, closing) -> None:
    """Key, value, headers in their order and the instant of the append survive the log."""
    topic = make_topic(3)
    began_ms = time.time() * 1000
    headers = (("tenant", b"t1"), ("digest", bytes(range(256))), ("tenant", b"again"))
    [position] = log.append(topic, [Record(b"\x00\xffvalue", b"key", headers=headers)])

    [found] = read(closing(log.reader(topic)), 1)

    assert (found.topic, found.partition, found.offset) == (topic, position.partition, 0)
    assert (found.key, found.value, found.headers) == (b"key", b"\x00\xffvalue", headers)
    assert began_ms - 1000 < found.timestamp_ms < time.time() * 1000 + 1000


def test_order_is_kept_within_a_partition(log: Log, make_topic: MakeTopic, closing) -> None:
    """What is appended later, in one call or the next, is read later."""
    topic = make_topic()
    for start in range(0, 300, 30):
        log.append(topic, [Record(b"%d" % number) for number in range(start, start + 30)])

    records = read(closing(log.reader(topic)), 300)

    assert values(records) == list(range(300))
    assert [record.offset for record in records] == list(range(300))


def test_appended_records_outlive_the_log_object(
    log: Log, log_url: str, make_topic: MakeTopic, closing
) -> None:
    """What was confirmed is there for whoever opens the log next."""
    topic = make_topic()
    other = open_log(log_url)
    other.append(topic, numbered(10))
    other.close()

    assert values(read(closing(log.reader(topic)), 10)) == list(range(10))


def test_key_decides_the_partition_alike_everywhere(log: Log, make_topic: MakeTopic) -> None:
    """A key's partition is a fixed function, the same in each backend and in Kafka's own tools."""
    topic = make_topic(12)
    keys = [b"", b"m", b"meter-1", b"meter-22", b"tenant/meter/333"]

    positions = log.append(topic, [Record(b"v", key) for key in keys])

    assert [position.partition for position in positions] == [9, 8, 4, 6, 1]
    assert [partition_of(key, 12) for key in keys] == [9, 8, 4, 6, 1]


def test_explicit_partition_wins_over_the_key(log: Log, make_topic: MakeTopic) -> None:
    """A producer may choose the partition itself; one that does not exist is refused."""
    topic = make_topic(3)
    assert log.append(topic, [Record(b"v", b"k", partition=2)]) == [Position(2, 0)]
    for absent in (3, -1):
        with pytest.raises(LogRecordInvalidError, match="3 partitions"):
            log.append(topic, [Record(b"v", b"k", partition=absent)])
    assert sum(log.end_offsets(topic).values()) == 1


def test_ensure_topics_is_idempotent_and_safe_at_once(
    log: Log, log_url: str, make_topic: MakeTopic, caplog
) -> None:
    """Services that start together make a topic once, and nobody changes one that exists."""
    topic = f"{make_topic()}-more"

    def make(_: int) -> None:
        other = open_log(log_url)
        other.ensure_topics([Topic(topic, 3)])
        other.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))
    log.append(topic, numbered(1))
    log.ensure_topics([Topic(topic, 5)])

    assert log.partitions(topic) == 3
    assert sum(log.end_offsets(topic).values()) == 1
    assert "has 3 partitions, 5 were asked for" in caplog.text


def test_unknown_topic_is_an_error_and_not_a_new_topic(log: Log, make_topic: MakeTopic) -> None:
    """A misspelt name is told at once by every method, with the name in it."""
    make_topic()
    absent = "no-such-topic"
    attempts: list[Callable[[], object]] = [
        lambda: log.append(absent, numbered(1)),
        lambda: log.append_async(absent, numbered(1)),
        lambda: log.partitions(absent),
        lambda: log.end_offsets(absent),
        lambda: log.start_offsets(absent),
        lambda: log.reader(absent),
        lambda: log.consumer("g", [absent], lambda _: {}, lambda _: None),
    ]
    for attempt in attempts:
        with pytest.raises(UnknownTopicError, match=absent):
            attempt()


def test_too_large_is_refused_and_nothing_is_written(
    log: Log, make_topic: MakeTopic, closing
) -> None:
    """One byte over the bound is refused with the size; the largest record allowed passes whole."""
    topic = make_topic()
    overhead_bytes = Record(b"").size_bytes()
    largest = random.Random(7).randbytes(RECORD_BYTES_MAX - overhead_bytes)

    with pytest.raises(LogRecordTooLargeError, match="1000001 bytes"):
        log.append(topic, [Record(b"small"), Record(largest + b"x")])
    with pytest.raises(LogRecordTooLargeError, match=str(APPEND_BYTES_MAX)):
        log.append(topic, [Record(largest)] * 34)
    assert log.end_offsets(topic) == {0: 0}

    log.append(topic, [Record(largest), Record(b"after")])
    assert [found.value for found in read(closing(log.reader(topic)), 2)] == [largest, b"after"]


def test_appends_of_eight_threads_keep_each_threads_order(
    log: Log, make_topic: MakeTopic, closing
) -> None:
    """One log may be shared: nothing is lost, doubled or reordered between threads."""
    topic = make_topic(2)

    def produce(thread: int) -> list[Position]:
        return [
            position
            for number in range(25)
            for position in log.append(topic, [Record(b"%d" % number, b"thread-%d" % thread)])
        ]

    with ThreadPoolExecutor(8) as pool:
        positions = [position for found in pool.map(produce, range(8)) for position in found]

    records = read(closing(log.reader(topic)), 200)
    assert len(set(positions)) == 200
    assert {Position(found.partition, found.offset) for found in records} == set(positions)
    for thread in range(8):
        own = [found for found in records if found.key == b"thread-%d" % thread]
        assert values(sorted(own, key=lambda found: found.offset)) == list(range(25))


def test_append_async_overlaps_and_keeps_the_order(
    log: Log, make_topic: MakeTopic, closing
) -> None:
    """Many appends may be under way at once; waiting in any order gives each its own positions."""
    topic = make_topic()
    log.append(topic, [Record(b"0")])
    pending = [log.append_async(topic, [Record(b"%d" % number)]) for number in range(1, 200)]

    for number, append in reversed(list(enumerate(pending, start=1))):
        assert append.wait(20.0) == [Position(0, number)]
        assert append.wait(20.0) == [Position(0, number)]
    assert values(read(closing(log.reader(topic)), 200)) == list(range(200))


def test_offsets_tell_start_and_end(backend: Backend, log: Log, make_topic: MakeTopic) -> None:
    """The end is the next record's offset; the start moves when retention removes records."""
    topic = make_topic(2, retention_s=60)
    assert (log.start_offsets(topic), log.end_offsets(topic)) == ({0: 0, 1: 0}, {0: 0, 1: 0})
    log.append(topic, [Record(b"v", partition=0)] * 3)

    assert (log.start_offsets(topic), log.end_offsets(topic)) == ({0: 0, 1: 0}, {0: 3, 1: 0})

    backend.drop_before(topic, 3)
    assert (log.start_offsets(topic), log.end_offsets(topic)) == ({0: 3, 1: 0}, {0: 3, 1: 0})


def test_compacted_topic_fills_a_cache(log: Log, make_topic: MakeTopic, closing) -> None:
    """Read from the beginning, a compacted topic gives the latest value of each key that lives."""
    topic = make_topic(3, compacted=True)
    keys = [b"meter-%d" % number for number in range(20)]
    for version in (b"1", b"2", b"3"):
        log.append(topic, [Record(version, key) for key in keys])
    log.append(topic, [Record(b"", key) for key in keys[:5]])
    ends = log.end_offsets(topic)

    reader = closing(log.reader(topic))
    assert reader.assignment() == {(topic, partition) for partition in range(3)}
    cache: dict[bytes, bytes] = {}
    reached = dict.fromkeys(ends, 0)
    deadline_s = time.monotonic() + 20
    while reached != ends and time.monotonic() < deadline_s:
        for found in reader.poll(0.5):
            cache[found.key] = found.value
            reached[found.partition] = found.offset + 1
            if not found.value:
                del cache[found.key]

    assert reached == ends
    assert cache == dict.fromkeys(keys[5:], b"3")
    with pytest.raises(LogRecordInvalidError, match="key"):
        log.append(topic, [Record(b"v")])


def test_empty_value_is_a_value_elsewhere(log: Log, make_topic: MakeTopic, closing) -> None:
    """Only a compacted topic has tombstones: an empty record of another topic is kept."""
    topic = make_topic()
    log.append(topic, [Record(b""), Record(b"", b"k")])
    assert [(r.key, r.value) for r in read(closing(log.reader(topic)), 2)] == [
        (b"", b""),
        (b"k", b""),
    ]


def test_closed_log_and_consumer_refuse(
    log: Log, log_url: str, make_topic: MakeTopic, service: Service
) -> None:
    """Use after close is an error of its own, and closing twice is none."""
    topic = make_topic()
    consumer = service.join(log, f"g-{topic}", [topic])
    consumer.close()
    consumer.close()
    with pytest.raises(LogUnavailableError, match="closed"):
        consumer.poll(0.1)

    other = open_log(log_url)
    other.append(topic, numbered(1))
    other.close()
    other.close()
    with pytest.raises(LogUnavailableError, match="closed"):
        other.append(topic, numbered(1))
    assert log.end_offsets(topic) == {0: 1}


def test_unavailable_log_is_told_in_time(backend: Backend, tmp_path: Path) -> None:
    """A log that cannot confirm costs the caller its time-out and no more, then says 503."""
    if backend.name == "kafka":
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            log = open_log(f"kafka://127.0.0.1:{closed.getsockname()[1]}")
            began_s = time.monotonic()
            with pytest.raises(LogUnavailableError) as caught:
                log.append("t", numbered(1), timeout_s=1.5)
    else:
        log = open_log(backend.url)
        log.ensure_topics([Topic("t", 1)])
        with _stopped_writer(tmp_path / "log.db"):
            began_s = time.monotonic()
            with pytest.raises(LogUnavailableError) as caught:
                log.append("t", numbered(1), timeout_s=1.5)
            elapsed_s = time.monotonic() - began_s
    elapsed_s = time.monotonic() - began_s
    log.close()

    assert 1.0 < elapsed_s < 4.0
    assert (caught.value.code, caught.value.status) == ("log.unavailable", 503)
    assert caught.value.retry_after_s


def _stopped_writer(path: Path):
    """Another process that sits on the file's right to write."""
    code = (
        "import pathlib, sys; from services.kit.log.sqlite_file import LogFile\n"
        "with LogFile(pathlib.Path(sys.argv[1])).write_lock():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    return holder
