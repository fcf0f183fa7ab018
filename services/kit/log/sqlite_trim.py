"""Frees the embedded log of what is too old, too much, or a tombstone that everybody has seen.

Like Kafka it never asks whether somebody still wants to read a record: retention is a promise of
the topic. A consumer that comes too late is told so with a warning that names both offsets.
"""

import sqlite3
from collections.abc import Callable

from services.kit.log.sqlite_file import OFFSET_BITS, LogFile, transaction

# How often the writer of each process looks for work; a look without work writes nothing.
INTERVAL_S = 30

# One transaction removes at most this many records: appends wait for it a few milliseconds.
STEP_RECORDS_MAX = 500

# How long a deleted key stays visible as a tombstone: what Kafka's `delete.retention.ms` has as
# its default. A cache that was away for longer is filled anew from the beginning.
TOMBSTONE_S = 24 * 3600


class Trimmer:
    """Removes records, a bounded number in each step.

    Attributes:
        retention_bytes: what one partition of a topic with retention may hold; None has no bound.
    """

    def __init__(
        self, file: LogFile, now_ms: Callable[[], int], retention_bytes: int | None
    ) -> None:
        self._file = file
        self._now_ms = now_ms
        self.retention_bytes = retention_bytes
        self._due_ms = 0

    def step_if_due(self, connection: sqlite3.Connection) -> None:
        """Do one step when the interval is over; the next follows at once while work is left."""
        now_ms = self._now_ms()
        if now_ms >= self._due_ms and self.step(connection) < STEP_RECORDS_MAX:
            self._due_ms = now_ms + INTERVAL_S * 1000

    def step(self, connection: sqlite3.Connection) -> int:
        """Remove at most STEP_RECORDS_MAX records in one transaction and say how many it were."""
        now_ms = self._now_ms()
        # Looking needs no lock, so an idle log is not disturbed.
        slots = self._trimmable(connection)
        removed = 0
        with self._file.write_lock(), transaction(connection, "IMMEDIATE"):
            for slot, retention_s in slots:
                left = STEP_RECORDS_MAX - removed
                if left > 0:
                    removed += self._trim_slot(connection, slot, now_ms - retention_s * 1000, left)
            if removed < STEP_RECORDS_MAX:
                left = STEP_RECORDS_MAX - removed
                removed += _drop_tombstones(connection, now_ms - TOMBSTONE_S * 1000, left)
        return removed

    def _trimmable(self, connection: sqlite3.Connection) -> list[tuple[int, int]]:
        rows: list[tuple[int, int]] = connection.execute(
            "SELECT slot, retention_s FROM slots JOIN topics ON name = topic"
            " WHERE retention_s IS NOT NULL AND start_offset < end_offset"
        ).fetchall()
        return rows

    def _trim_slot(
        self, connection: sqlite3.Connection, slot: int, oldest_ms: int, records_max: int
    ) -> int:
        """Take records from the partition's beginning until age and size are in bounds."""
        row = connection.execute("SELECT size_bytes FROM slots WHERE slot = ?", (slot,)).fetchone()
        size_bytes: int = row[0]
        last_id = None
        removed = 0
        for record_id, timestamp_ms, record_bytes in connection.execute(
            "SELECT id, timestamp_ms, length(value) + length(key) FROM records"
            " WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (slot << OFFSET_BITS, slot + 1 << OFFSET_BITS, records_max),
        ):
            too_much = self.retention_bytes is not None and size_bytes > self.retention_bytes
            if timestamp_ms >= oldest_ms and not too_much:
                break
            last_id = record_id
            size_bytes -= record_bytes
            removed += 1
        if last_id is not None:
            connection.execute(
                "DELETE FROM records WHERE id >= ? AND id <= ?", (slot << OFFSET_BITS, last_id)
            )
            start_offset = last_id - (slot << OFFSET_BITS) + 1
            connection.execute(
                "UPDATE slots SET start_offset = ?, size_bytes = ? WHERE slot = ?",
                (start_offset, size_bytes, slot),
            )
        return removed


def _drop_tombstones(connection: sqlite3.Connection, oldest_ms: int, records_max: int) -> int:
    """Forget keys that were deleted before `oldest_ms`."""
    rows = connection.execute(
        "SELECT id, key FROM records JOIN tombstones USING (id) WHERE timestamp_ms < ? LIMIT ?",
        (oldest_ms, records_max),
    ).fetchall()
    ids = [(record_id,) for record_id, _ in rows]
    connection.executemany(
        "DELETE FROM latest WHERE slot = ? AND key = ?",
        [(record_id >> OFFSET_BITS, key) for record_id, key in rows],
    )
    connection.executemany("DELETE FROM records WHERE id = ?", ids)
    connection.executemany("DELETE FROM tombstones WHERE id = ?", ids)
    return len(ids)
