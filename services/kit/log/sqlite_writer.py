"""The one thread of a process that writes to the embedded log, and what it does in a transaction.

Appenders of all threads hand their records over and wait; the writer takes whatever has gathered
meanwhile into one transaction (group commit), so the price of an fsync is shared by all of them.
"""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import closing
from dataclasses import dataclass

import msgspec

from services.kit.log.port import (
    ASYNC_BLOCK_S,
    BUFFER_BYTES_MAX,
    LogUnavailableError,
    Position,
    Record,
)
from services.kit.log.sqlite_file import OFFSET_BITS, LogFile, transaction, unavailable
from services.kit.log.sqlite_trim import Trimmer

_log = logging.getLogger(__name__)

# One transaction takes at most this much (it exceeds it by at most one append), so that other
# processes get their turn and a crash has little to roll back.
GROUP_BYTES_MAX = 8 * 1024 * 1024

# How long `close` waits for what was handed over before.
CLOSE_WAIT_S = 10.0

# How long an idle writer sleeps before it looks whether anything has grown too old.
IDLE_S = 5.0

_encode_headers = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Slots:
    """What the writer must know of a topic: the number of the slot of each partition."""

    topic: str
    compacted: bool
    of_partition: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Handover:
    """Records with their partitions chosen, on their way to the writer."""

    slots: Slots
    records: Sequence[Record]
    partitions: Sequence[int]
    size_bytes: int
    future: Future[list[Position]]


class SqlitePending:
    """An append under way in the embedded log (see `Pending`)."""

    def __init__(self, future: Future[list[Position]]) -> None:
        self._future = future

    def wait(self, timeout_s: float) -> list[Position]:
        """Wait until the records are durable (see `Pending.wait`)."""
        try:
            return self._future.result(timeout_s)
        except FutureTimeoutError:
            # Still in the queue: then it can be taken back, and the caller may know for certain.
            if self._future.cancel():
                raise unavailable(
                    f"The log took nothing in {timeout_s:.1f} s; nothing was written."
                ) from None
            raise unavailable(
                f"The log did not confirm in {timeout_s:.1f} s; the records may still be written."
            ) from None
        except CancelledError:
            raise unavailable("This append was given up; nothing was written.") from None


class Writer:
    """Takes appends of all threads and commits them in groups, in the order they came.

    The thread starts with the first append, so a process that only reads has none.
    """

    def __init__(self, file: LogFile, now_ms: Callable[[], int], trimmer: Trimmer) -> None:
        self._file = file
        self._now_ms = now_ms
        self._trimmer = trimmer
        self._changed = threading.Condition()
        self._queue: deque[Handover] = deque()
        self._queued_bytes = 0
        self._closed = False
        self._thread: threading.Thread | None = None
        self.commits = Signal()

    def submit(self, handover: Handover) -> SqlitePending:
        """Queue records behind all that were queued before.

        Raises:
            LogUnavailableError: no room for ASYNC_BLOCK_S seconds, or the log is closed.
        """
        with self._changed:
            has_room = self._changed.wait_for(
                lambda: self._closed or self._queued_bytes < BUFFER_BYTES_MAX, ASYNC_BLOCK_S
            )
            if self._closed:
                raise unavailable("The log is closed; nothing was written.")
            if not has_room:
                raise unavailable("The log's buffer is full; nothing was written.")
            self._queue.append(handover)
            self._queued_bytes += handover.size_bytes
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return SqlitePending(handover.future)

    def close(self) -> None:
        """Write what was handed over, within CLOSE_WAIT_S, and end the thread; idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(CLOSE_WAIT_S)
            if self._thread.is_alive():
                _log.warning("log writer of %s did not end in %s s", self._file.path, CLOSE_WAIT_S)

    def _run(self) -> None:
        with closing(self._file.connect()) as connection:
            while (group := self._take()) is not None:
                if group:
                    self._write(connection, group)
                self._trim(connection)

    def _take(self) -> list[Handover] | None:
        """Wait for work: a group to write, an empty one when idle, None when closed and done."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed, IDLE_S)
            if self._closed and not self._queue:
                return None
            group: list[Handover] = []
            taken_bytes = 0
            while self._queue and taken_bytes < GROUP_BYTES_MAX:
                handover = self._queue.popleft()
                taken_bytes += handover.size_bytes
                group.append(handover)
            self._queued_bytes -= taken_bytes
            self._changed.notify_all()
            return group

    def _write(self, connection: sqlite3.Connection, group: Iterable[Handover]) -> None:
        """Commit a group and tell its appenders; after COMMIT returns, the records are durable."""
        alive = [handover for handover in group if handover.future.set_running_or_notify_cancel()]
        if not alive:
            return
        try:
            with self._file.write_lock(), transaction(connection, "IMMEDIATE"):
                now_ms = self._now_ms()
                results = [insert(connection, handover, now_ms) for handover in alive]
        except (sqlite3.Error, OSError) as error:
            _log.warning("log %s refused a write: %s", self._file.path, error)
            self._fail(alive, unavailable(f"The log {self._file.path} failed: {error}."))
        except BaseException as error:
            self._fail(alive, unavailable(f"The log's writer broke: {error!r}."))
            raise
        else:
            for handover, positions in zip(alive, results, strict=True):
                handover.future.set_result(positions)
            self.commits.notify()

    def _fail(self, group: Iterable[Handover], error: LogUnavailableError) -> None:
        for handover in group:
            handover.future.set_exception(error)

    def _trim(self, connection: sqlite3.Connection) -> None:
        try:
            self._trimmer.step_if_due(connection)
        except (sqlite3.Error, OSError) as error:
            # Space is freed a little later; appends must go on.
            _log.warning("log %s could not be trimmed: %s", self._file.path, error)


class Signal:
    """Tells consumers of the same process at once that something was committed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.count = 0

    def notify(self) -> None:
        """Wake all who wait."""
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait(self, seen: int, timeout_s: float) -> None:
        """Wait until the count is no longer `seen`, at most `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self.count != seen, timeout_s)


def insert(connection: sqlite3.Connection, handover: Handover, now_ms: int) -> list[Position]:
    """Write one append inside the transaction that is open and give its positions."""
    slots = handover.slots
    ends: dict[int, int] = {}
    grown_bytes: dict[int, int] = {}
    rows: list[tuple[int, int, bytes, bytes | None, bytes]] = []
    positions: list[Position] = []
    for record, partition in zip(handover.records, handover.partitions, strict=True):
        slot = slots.of_partition[partition]
        if slot not in ends:
            ends[slot] = _end_offset(connection, slot)
            grown_bytes[slot] = 0
        offset = ends[slot]
        headers = _encode_headers(record.headers) if record.headers else None
        rows.append((slot << OFFSET_BITS | offset, now_ms, record.key, headers, record.value))
        positions.append(Position(partition, offset))
        ends[slot] = offset + 1
        grown_bytes[slot] += len(record.value) + len(record.key)
    connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
    if slots.compacted:
        _compact(connection, rows)
    connection.executemany(
        "UPDATE slots SET end_offset = ?, size_bytes = size_bytes + ? WHERE slot = ?",
        [(end, grown_bytes[slot], slot) for slot, end in ends.items()],
    )
    return positions


def _end_offset(connection: sqlite3.Connection, slot: int) -> int:
    row = connection.execute("SELECT end_offset FROM slots WHERE slot = ?", (slot,)).fetchone()
    end_offset: int = row[0]
    return end_offset


def _compact(
    connection: sqlite3.Connection, rows: Sequence[tuple[int, int, bytes, bytes | None, bytes]]
) -> None:
    """Drop what the new records supersede: a compacted topic never holds a key twice."""
    for record_id, _, key, _, value in rows:
        slot = record_id >> OFFSET_BITS
        superseded = connection.execute(
            "SELECT id FROM latest WHERE slot = ? AND key = ?", (slot, key)
        ).fetchone()
        if superseded is not None:
            connection.execute("DELETE FROM records WHERE id = ?", superseded)
            connection.execute("DELETE FROM tombstones WHERE id = ?", superseded)
        connection.execute("INSERT OR REPLACE INTO latest VALUES (?, ?, ?)", (slot, key, record_id))
        if not value:
            connection.execute("INSERT INTO tombstones VALUES (?)", (record_id,))
