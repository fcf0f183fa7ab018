"""The embedded log: one SQLite file in write-ahead mode, shared by the processes of one machine.

Append: group commit by one writer thread in each process (`sqlite_writer.py`). Read: cheap looks at
the file (`sqlite_consumer.py`). Space: `sqlite_trim.py`. The file never shrinks, freed pages are
used again. It must lie on a local disk: locks of network file systems cannot be trusted.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

from services.kit.log.partitioning import choose_partition
from services.kit.log.port import (
    Consumer,
    OnAssigned,
    OnRevoked,
    Position,
    Record,
    Topic,
    UnknownTopicError,
    check_name,
    check_sizes,
)
from services.kit.log.sqlite_consumer import SqliteConsumer, join_group, partitions_of
from services.kit.log.sqlite_file import LogFile, transaction
from services.kit.log.sqlite_trim import STEP_RECORDS_MAX, Trimmer
from services.kit.log.sqlite_writer import Handover, Slots, SqlitePending, Writer

_log = logging.getLogger(__name__)


class SqliteLog:
    """The log in one file (see `Log` for the contract).

    Args:
        path: the database; its folder is made when missing, lock files lie beside it.
        now_ms: the clock that stamps records and decides their age, milliseconds since 1970 UTC.
        retention_bytes: what one partition of a topic with retention may hold; None has no bound.

    Raises:
        LogUnavailableError: the file cannot be opened.
    """

    def __init__(
        self, path: Path, now_ms: Callable[[], int], retention_bytes: int | None = None
    ) -> None:
        self._file = LogFile(path)
        self._trimmer = Trimmer(self._file, now_ms, retention_bytes)
        self._writer = Writer(self._file, now_ms, self._trimmer)
        self._slots: dict[str, Slots] = {}
        self._slots_lock = threading.Lock()

    def ensure_topics(self, topics: Sequence[Topic]) -> None:
        """Make the topics that are missing (see `Log.ensure_topics`)."""
        with (
            self._file.connection() as connection,
            self._file.write_lock(),
            transaction(connection, "IMMEDIATE"),
        ):
            for topic in topics:
                row = connection.execute(
                    "SELECT partitions FROM topics WHERE name = ?", (topic.name,)
                ).fetchone()
                if row is None:
                    connection.execute(
                        "INSERT INTO topics VALUES (?, ?, ?, ?)",
                        (topic.name, topic.partitions, topic.compacted, topic.retention_s),
                    )
                    connection.executemany(
                        "INSERT INTO slots (topic, partition) VALUES (?, ?)",
                        [(topic.name, partition) for partition in range(topic.partitions)],
                    )
                elif row[0] != topic.partitions:
                    _log.warning(
                        "log topic %s has %d partitions, %d were asked for; left as it is",
                        topic.name,
                        row[0],
                        topic.partitions,
                    )

    def partitions(self, topic: str) -> int:
        """Give the number of partitions (see `Log.partitions`)."""
        return len(self._slots_of(topic).of_partition)

    def append(
        self, topic: str, records: Sequence[Record], timeout_s: float = 10.0
    ) -> list[Position]:
        """Append and return only when every record is durable (see `Log.append`)."""
        return self.append_async(topic, records).wait(timeout_s)

    def append_async(self, topic: str, records: Sequence[Record]) -> SqlitePending:
        """Hand records over in order (see `Log.append_async`)."""
        size_bytes = check_sizes(topic, records)
        slots = self._slots_of(topic)
        partitions = [
            choose_partition(topic, len(slots.of_partition), record, compacted=slots.compacted)
            for record in records
        ]
        future: Future[list[Position]] = Future()
        return self._writer.submit(Handover(slots, records, partitions, size_bytes, future))

    def consumer(
        self, group: str, topics: Sequence[str], on_assigned: OnAssigned, on_revoked: OnRevoked
    ) -> Consumer:
        """Join a group (see `Log.consumer`); one member owns all partitions at a time."""
        slots = partitions_of({topic: self._slots_of(topic).of_partition for topic in topics})
        membership = join_group(self._file, check_name(group), on_assigned, on_revoked)
        return SqliteConsumer(self._file, slots, self._writer.commits, membership)

    def reader(self, topic: str) -> Consumer:
        """Read all partitions from the beginning (see `Log.reader`)."""
        slots = partitions_of({topic: self._slots_of(topic).of_partition})
        return SqliteConsumer(self._file, slots, self._writer.commits, None)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Give the offset the next record of each partition will get (see `Log.end_offsets`)."""
        return self._offsets(topic, "end_offset")

    def start_offsets(self, topic: str) -> dict[int, int]:
        """Give the oldest offset of each partition (see `Log.start_offsets`)."""
        return self._offsets(topic, "start_offset")

    def trim(self) -> int:
        """Remove at once all that retention allows and say how many records went.

        The writer does this by itself while records are appended; this is for tests and tools.

        Raises:
            LogUnavailableError: the file cannot be written now.
        """
        removed = 0
        with self._file.connection() as connection:
            while True:
                step = self._trimmer.step(connection)
                removed += step
                if step < STEP_RECORDS_MAX:
                    return removed

    def close(self) -> None:
        """Write what was handed over and let go (see `Log.close`)."""
        self._writer.close()

    def _offsets(self, topic: str, column: str) -> dict[int, int]:
        self._slots_of(topic)
        with self._file.connection() as connection:
            return dict(
                connection.execute(
                    f"SELECT partition, {column} FROM slots WHERE topic = ?",  # noqa: S608 – one of two words above
                    (topic,),
                ).fetchall()
            )

    def _slots_of(self, topic: str) -> Slots:
        """Look a topic up, in memory after the first time: slots never change."""
        with self._slots_lock:
            known = self._slots.get(topic)
        if known is not None:
            return known
        with self._file.connection() as connection:
            row = connection.execute(
                "SELECT compacted FROM topics WHERE name = ?", (topic,)
            ).fetchone()
            slots = connection.execute(
                "SELECT slot FROM slots WHERE topic = ? ORDER BY partition", (topic,)
            ).fetchall()
        if row is None:
            raise UnknownTopicError(f"The log has no topic {topic!r}.")
        found = Slots(topic, bool(row[0]), tuple(slot for (slot,) in slots))
        with self._slots_lock:
            self._slots[topic] = found
        return found
