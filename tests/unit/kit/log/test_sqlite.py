"""What only the embedded log has to keep: one file, many processes, bounded space."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kit.log import Consumed, LogUnavailableError, Record, Topic
from services.kit.log import sqlite_trim as trim_module
from services.kit.log import sqlite_writer as writer_module
from services.kit.log.sqlite import SqliteLog
from services.kit.log.sqlite_file import LogFile

ROOT = Path(__file__).parents[4]
HOUR_MS = 3600 * 1000

# Appends numbered records one by one and says each number once it was confirmed.
APPENDER = """
import sys
from services.kit.log import Record, open_log
url, name, count = sys.argv[1:]
log = open_log(url)
for number in range(int(count)):
    log.append("t", [Record(b"%d" % number + bytes(2000), name.encode())])
    print(number, flush=True)
log.close()
"""


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_ms(self) -> int:
        """The set instant."""
        return self.ms


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[SqliteLog]:
    """A log in a fresh file."""
    opened = SqliteLog(tmp_path / "log.db", clock.now_ms)
    yield opened
    opened.close()


def read_all(log: SqliteLog, topic: str) -> list[Consumed]:
    """Everything a topic holds."""
    reader = log.reader(topic)
    records: list[Consumed] = []
    while found := reader.poll(0):
        records += found
    reader.close()
    return records


def appender(path: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    """A process that appends."""
    return subprocess.Popen(
        [sys.executable, "-c", APPENDER, f"sqlite://{path}", name, str(count)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )


def test_four_processes_append_to_one_file(log: SqliteLog, tmp_path: Path) -> None:
    """Processes share the file: nothing lost or doubled, each one's order kept."""
    log.ensure_topics([Topic("t", 3)])
    processes = [appender(tmp_path / "log.db", f"p{number}", 60) for number in range(4)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0

    records = read_all(log, "t")
    assert len(records) == 240
    for number in range(4):
        own = [r for r in records if r.key == b"p%d" % number]
        assert [int(r.value[:2].rstrip(b"\0")) for r in own] == list(range(60))
    for partition, end in log.end_offsets("t").items():
        offsets = [r.offset for r in records if r.partition == partition]
        assert offsets == list(range(end))


def test_killed_appender_loses_nothing_it_confirmed(log: SqliteLog, tmp_path: Path) -> None:
    """Kill -9 in the middle of appending: every confirmed record stands, and others go on."""
    log.ensure_topics([Topic("t", 1)])
    for round_number in range(3):
        process = appender(tmp_path / "log.db", f"r{round_number}", 100_000)
        assert process.stdout is not None
        for _ in range(30):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        # The last line may have been cut off by the kill.
        confirmed = 30 + rest.count(b"\n")

        own = [r for r in read_all(log, "t") if r.key == b"r%d" % round_number]
        assert len(own) in {confirmed, confirmed + 1}
        log.append("t", [Record(b"after")], timeout_s=2.0)


def test_appends_of_many_threads_share_a_commit(log: SqliteLog) -> None:
    """Group commit: while one transaction is synced, those that come meanwhile join the next."""
    log.ensure_topics([Topic("t", 1)])
    log.append("t", [Record(b"first")])
    before = log._writer.commits.count
    pending = [log.append_async("t", [Record(bytes(1000))]) for _ in range(400)]
    for append in pending:
        append.wait(20.0)
    assert log._writer.commits.count - before < 100


def test_buffer_is_bounded(log: SqliteLog, tmp_path: Path, monkeypatch) -> None:
    """A producer faster than the disk is held back, then refused, and never fills the memory."""
    monkeypatch.setattr(writer_module, "BUFFER_BYTES_MAX", 10_000)
    monkeypatch.setattr(writer_module, "ASYNC_BLOCK_S", 0.2)
    log.ensure_topics([Topic("t", 1)])
    with LogFile(tmp_path / "log.db").write_lock():
        taken = [log.append_async("t", [Record(bytes(4000))])]
        time.sleep(0.1)
        taken += [log.append_async("t", [Record(bytes(4000))]) for _ in range(3)]
        with pytest.raises(LogUnavailableError, match="buffer is full"):
            log.append_async("t", [Record(bytes(4000))])
        with pytest.raises(LogUnavailableError, match="nothing was written"):
            taken[-1].wait(0.1)
    for append in taken[:-1]:
        append.wait(10.0)

    assert log.end_offsets("t") == {0: 3}
    with pytest.raises(LogUnavailableError, match="nothing was written"):
        taken[-1].wait(0.1)


def test_full_disk_is_an_error_and_passes(log: SqliteLog, tmp_path: Path) -> None:
    """What SQLite cannot write is refused whole, and the next append works again."""
    log.ensure_topics([Topic("t", 1)])
    log.append("t", [Record(b"before")])
    with sqlite3.connect(tmp_path / "log.db", isolation_level=None) as foreign:
        foreign.execute(
            "CREATE TRIGGER full BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'disk'); END"
        )
        with pytest.raises(LogUnavailableError, match="disk"):
            log.append("t", [Record(b"x"), Record(b"y")])
        foreign.execute("DROP TRIGGER full")
    foreign.close()
    log.append("t", [Record(b"after")])

    assert [r.value for r in read_all(log, "t")] == [b"before", b"after"]


def test_close_writes_what_was_handed_over(tmp_path: Path, clock: Clock) -> None:
    """An orderly end loses nothing, even what nobody waited for."""
    log = SqliteLog(tmp_path / "log.db", clock.now_ms)
    log.ensure_topics([Topic("t", 1)])
    for _ in range(50):
        log.append_async("t", [Record(bytes(5000))])
    log.close()
    assert log.end_offsets("t") == {0: 50}


def test_records_of_another_process_are_seen_soon(log: SqliteLog, tmp_path: Path) -> None:
    """A waiting consumer sees what another opens and appends within a tenth of a second or two."""
    log.ensure_topics([Topic("t", 1)])
    other = SqliteLog(tmp_path / "log.db", lambda: 0)
    reader = log.reader("t")
    assert reader.poll(0.2) == []
    appended_s: list[float] = []

    def append() -> None:
        other.append("t", [Record(b"v")])
        appended_s.append(time.monotonic())

    timer = threading.Timer(0.3, append)
    timer.start()
    assert len(reader.poll(5.0)) == 1
    seen_s = time.monotonic()
    timer.join()
    assert seen_s - appended_s[0] < 0.2
    reader.close()
    other.close()


# The writer trims by itself as well, so these tests say what is left and not how much went when.


def test_age_trims_from_the_beginning(log: SqliteLog, clock: Clock) -> None:
    """Retention removes what is too old, and only in topics that have one."""
    log.ensure_topics([Topic("short", 2, retention_s=3600), Topic("ever", 1)])
    for _ in range(3):
        log.append("short", [Record(b"v", partition=0), Record(b"v", partition=1)])
        log.append("ever", [Record(b"v")])
        clock.ms += HOUR_MS

    log.trim()
    assert log.start_offsets("short") == {0: 2, 1: 2}
    assert log.end_offsets("short") == {0: 3, 1: 3}
    assert [r.offset for r in read_all(log, "short")] == [2, 2]
    assert log.start_offsets("ever") == {0: 0}
    assert log.trim() == 0


def test_trimmed_partition_goes_on_counting(log: SqliteLog, clock: Clock) -> None:
    """An offset is never used twice, even when everything before it is gone."""
    log.ensure_topics([Topic("t", 1, retention_s=60)])
    log.append("t", [Record(b"v")] * 5)
    clock.ms += HOUR_MS
    log.trim()

    assert log.append("t", [Record(b"w")])[0].offset == 5
    assert [(r.offset, r.value) for r in read_all(log, "t")] == [(5, b"w")]


def test_size_trims_the_oldest(tmp_path: Path, clock: Clock) -> None:
    """With a bound on size a partition keeps its newest records, however young the old ones are."""
    log = SqliteLog(tmp_path / "log.db", clock.now_ms, retention_bytes=10_000)
    log.ensure_topics([Topic("t", 1, retention_s=3600), Topic("ever", 1)])
    for topic in ("t", "ever"):
        log.append(topic, [Record(bytes(1000))] * 25)

    log.trim()
    assert log.start_offsets("t") == {0: 15}
    assert log.start_offsets("ever") == {0: 0}
    log.close()


def test_writer_trims_by_itself(log: SqliteLog, clock: Clock, monkeypatch) -> None:
    """Nobody has to call for it: appending is enough, in steps that keep appends short."""
    monkeypatch.setattr(trim_module, "STEP_RECORDS_MAX", 10)
    log.ensure_topics([Topic("t", 1, retention_s=60)])
    log.append("t", [Record(b"v")] * 35)
    clock.ms += HOUR_MS
    for _ in range(5):
        log.append("t", [Record(b"w")])
    deadline_s = time.monotonic() + 5
    while log.start_offsets("t") != {0: 35} and time.monotonic() < deadline_s:
        log.append("t", [Record(b"w")])
    assert log.start_offsets("t") == {0: 35}


def test_compaction_keeps_the_latest_and_the_positions(log: SqliteLog) -> None:
    """Superseded records go at once, offsets stay: gaps, and no consumer thrown out of range."""
    log.ensure_topics([Topic("t", 1, compacted=True)])
    reader = log.reader("t")
    log.append("t", [Record(b"1", b"a"), Record(b"1", b"b"), Record(b"1", b"c")])
    assert len(reader.poll(0, max_records=2)) == 2
    log.append("t", [Record(b"2", b"a"), Record(b"2", b"c"), Record(b"3", b"c")])

    assert [(r.offset, r.key, r.value) for r in reader.poll(0)] == [
        (3, b"a", b"2"),
        (5, b"c", b"3"),
    ]
    assert [(r.offset, r.key) for r in read_all(log, "t")] == [(1, b"b"), (3, b"a"), (5, b"c")]
    assert log.start_offsets("t") == {0: 0}
    reader.close()


def test_tombstone_deletes_the_key_and_fades(log: SqliteLog, clock: Clock) -> None:
    """A deletion is seen by who reads on, for a day; then nothing is left of the key."""
    log.ensure_topics([Topic("t", 1, compacted=True)])
    log.append("t", [Record(b"1", b"a"), Record(b"1", b"b")])
    log.append("t", [Record(b"", b"a")])
    assert [(r.key, r.value) for r in read_all(log, "t")] == [(b"b", b"1"), (b"a", b"")]
    assert log.trim() == 0

    clock.ms += 25 * HOUR_MS
    log.trim()
    assert [(r.key, r.value) for r in read_all(log, "t")] == [(b"b", b"1")]
    log.append("t", [Record(b"new", b"a")])
    assert [(r.key, r.value) for r in read_all(log, "t")] == [(b"b", b"1"), (b"a", b"new")]


def test_poll_is_bounded_in_bytes(log: SqliteLog, monkeypatch) -> None:
    """A backlog of large records comes in portions, and all of it comes."""
    monkeypatch.setattr("services.kit.log.sqlite_consumer.POLL_BYTES_MAX", 100_000)
    log.ensure_topics([Topic("t", 2)])
    log.append("t", [Record(bytes(40_000), partition=number % 2) for number in range(12)])
    reader = log.reader("t")
    portions = []
    while found := reader.poll(0):
        portions.append(len(found))
    assert portions == [3, 3, 3, 3]
    reader.close()


def test_no_partition_starves(log: SqliteLog) -> None:
    """With a backlog everywhere, polls of one record take partitions in turn."""
    log.ensure_topics([Topic("t", 3)])
    log.append("t", [Record(b"v", partition=number % 3) for number in range(9)])
    reader = log.reader("t")
    served = [reader.poll(0, max_records=1)[0].partition for _ in range(6)]
    assert sorted(served) == [0, 0, 1, 1, 2, 2]
    reader.close()


def test_durability_is_asked_for_by_name(tmp_path: Path) -> None:
    """The file is in write-ahead mode, and each connection syncs at each commit."""
    connection = LogFile(tmp_path / "log.db").connect()
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (5000,)
    connection.close()
