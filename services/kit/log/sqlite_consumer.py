"""Consumers of the embedded log: one member of a group owns all partitions at a time.

Ownership is a flock on a file beside the database. The kernel frees it the moment its process ends,
kill -9 included, and the next member that polls takes over.
"""

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from services.kit.log.port import (
    POLL_BYTES_MAX,
    Consumed,
    OnAssigned,
    OnRevoked,
    PartitionNotAssignedError,
    TopicPartition,
)
from services.kit.log.sqlite_file import (
    OFFSET_BITS,
    LogFile,
    open_lock,
    transaction,
    unavailable,
)
from services.kit.log.sqlite_writer import Signal

_log = logging.getLogger(__name__)

# Between two looks at a quiet file: records of another process are seen after 20 to 50 ms, and a
# look costs some microseconds. Records of the same process are signalled at once.
BACKOFF_MIN_S = 0.02
BACKOFF_MAX_S = 0.05

_decode_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...]).decode


@dataclass(frozen=True, slots=True)
class Membership:
    """What makes a consumer a member of a group, rather than a reader on its own."""

    lock_fd: int
    on_assigned: OnAssigned
    on_revoked: OnRevoked


class SqliteConsumer:
    """Reads partitions of the embedded log, in a group or alone (see `Consumer`)."""

    def __init__(
        self,
        file: LogFile,
        slots: Mapping[TopicPartition, int],
        commits: Signal,
        membership: Membership | None,
    ) -> None:
        self._slots = dict(slots)
        self._commits = commits
        self._membership = membership
        self._path = file.path
        self._connection = file.connect()
        self._next: dict[TopicPartition, int] = {}
        # The file's version at which everything was read; None when there may be something to read.
        self._drained_at: int | None = None
        self._turn = 0
        self._closed = False
        if membership is None:
            self._next = dict.fromkeys(self._slots, 0)

    def poll(self, timeout_s: float, max_records: int = 500) -> list[Consumed]:
        """Give what is next (see `Consumer.poll`).

        Raises:
            LogUnavailableError: the consumer is closed.
        """
        if self._closed:
            raise unavailable("The consumer is closed.")
        deadline_s = time.monotonic() + timeout_s
        backoff_s = BACKOFF_MIN_S
        while True:
            seen = self._commits.count
            records = self._fetch(max_records) if self._owns() else []
            left_s = deadline_s - time.monotonic()
            if records or left_s <= 0:
                return records
            self._commits.wait(seen, min(backoff_s, left_s))
            backoff_s = min(backoff_s * 1.5, BACKOFF_MAX_S)

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read on from `offset` (see `Consumer.seek`)."""
        if (topic, partition) not in self._next:
            raise PartitionNotAssignedError(f"{topic}/{partition} is not assigned here.")
        self._next[topic, partition] = offset
        self._drained_at = None

    def assignment(self) -> set[TopicPartition]:
        """Give the partitions owned at this moment (see `Consumer.assignment`)."""
        return set(self._next)

    def close(self) -> None:
        """Hand over (see `Consumer.close`)."""
        if self._closed:
            return
        self._closed = True
        owned = sorted(self._next)
        self._next = {}
        try:
            if owned and self._membership is not None:
                self._membership.on_revoked(owned)
        finally:
            if self._membership is not None:
                # Closing the descriptor frees the lock.
                os.close(self._membership.lock_fd)
            self._connection.close()

    def _owns(self) -> bool:
        """Own the partitions, or try to: true when this member may read."""
        if self._membership is None or self._next:
            return True
        try:
            fcntl.flock(self._membership.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        assigned = sorted(self._slots)
        try:
            positions = self._membership.on_assigned(assigned)
        except BaseException:
            fcntl.flock(self._membership.lock_fd, fcntl.LOCK_UN)
            raise
        self._next = {owned: positions.get(owned, 0) for owned in assigned}
        self._drained_at = None
        return True

    def _fetch(self, max_records: int) -> list[Consumed]:
        """Read once, without waiting."""
        try:
            # Read before the rows: a commit in between makes another look, never a miss.
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if version == self._drained_at:
                return []
            with transaction(self._connection, "DEFERRED"):
                records = self._read(max_records)
        except sqlite3.Error as error:
            # As with brokers that are away: nothing to give, and the next poll tries again.
            _log.warning("log %s cannot be read: %s", self._path, error)
            return []
        if not records:
            self._drained_at = version
        return records

    def _read(self, max_records: int) -> list[Consumed]:
        """Read the partitions that have something, each time beginning with another one."""
        waiting = self._waiting()
        records: list[Consumed] = []
        room_bytes = POLL_BYTES_MAX
        self._turn += 1
        for index in range(len(waiting)):
            if room_bytes <= 0 or len(records) >= max_records:
                break
            owned = waiting[(index + self._turn) % len(waiting)]
            room_bytes -= self._read_partition(
                owned, max_records - len(records), room_bytes, records
            )
        return records

    def _waiting(self) -> list[TopicPartition]:
        """Say which partitions lie behind their end, and mend positions that are gone."""
        by_slot = {slot: owned for owned, slot in self._slots.items()}
        waiting = []
        for slot, start_offset, end_offset in self._connection.execute(
            "SELECT slot, start_offset, end_offset FROM slots"
        ):
            owned = by_slot.get(slot)
            if owned is None or owned not in self._next:
                continue
            position = self._next[owned]
            if not start_offset <= position <= end_offset:
                self._warn_out_of_range(owned, position, start_offset, end_offset)
                self._next[owned] = position = start_offset
            if position < end_offset:
                waiting.append(owned)
        return sorted(waiting)

    def _warn_out_of_range(
        self, owned: TopicPartition, position: int, start_offset: int, end_offset: int
    ) -> None:
        if position == 0:
            # "From the beginning" is what was asked for.
            return
        _log.warning(
            "log position out of range: topic=%s partition=%d position=%d start=%d end=%d; "
            "reading on from %d, %d records are lost to this consumer",
            *owned,
            position,
            start_offset,
            end_offset,
            start_offset,
            max(0, start_offset - position),
        )

    def _read_partition(
        self, owned: TopicPartition, max_records: int, room_bytes: int, into: list[Consumed]
    ) -> int:
        """Read one partition on from its position; gives the bytes read."""
        topic, partition = owned
        first_id = self._slots[owned] << OFFSET_BITS
        cursor = self._connection.execute(
            "SELECT id, timestamp_ms, key, headers, value FROM records"
            " WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (first_id + self._next[owned], first_id + (1 << OFFSET_BITS), max_records),
        )
        read_bytes = 0
        for record_id, timestamp_ms, key, packed, value in cursor:
            headers = _decode_headers(packed) if packed is not None else ()
            offset = record_id - first_id
            into.append(Consumed(topic, partition, offset, key, value, headers, timestamp_ms))
            self._next[owned] = offset + 1
            read_bytes += len(value) + len(key)
            if read_bytes >= room_bytes:
                break
        cursor.close()
        return read_bytes


def join_group(
    file: LogFile, group: str, on_assigned: OnAssigned, on_revoked: OnRevoked
) -> Membership:
    """Prepare to be a member: the lock itself is taken by polling.

    Raises:
        LogUnavailableError: the lock's file cannot be made.
    """
    try:
        lock_fd = open_lock(file.path, f"group-{group}")
    except OSError as error:
        raise unavailable(f"The group {group} cannot be joined: {error}.") from error
    return Membership(lock_fd, on_assigned, on_revoked)


def partitions_of(slots: Mapping[str, Sequence[int]]) -> dict[TopicPartition, int]:
    """Flatten the slots of topics to one mapping from partition to slot."""
    return {
        (topic, partition): slot
        for topic, of_topic in slots.items()
        for partition, slot in enumerate(of_topic)
    }
