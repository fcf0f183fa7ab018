"""The log port: what a service may ask of the append-only log, whichever backend holds it.

A log has topics, a topic has partitions, a partition is a sequence of records with rising offsets.
Producers append, consumers read on from positions which they keep in their own database. Two
backends keep this contract, Kafka (`kafka.py`) and one SQLite file (`sqlite.py`);
`tests/integration/kit/log/test_contract.py` holds both to it.

Error tree::

    MeterfleetError
    └── LogError                       log.error                   500
        ├── LogUnavailableError        log.unavailable             503  also an UnavailableError
        ├── LogRecordTooLargeError     log.record_too_large        413  also a TooLargeError
        ├── LogRecordInvalidError      log.record_invalid          500  a fault of the calling code
        ├── UnknownTopicError          log.unknown_topic           500
        ├── PartitionNotAssignedError  log.partition_not_assigned  409
        └── LogUrlError                log.url_invalid             500
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.kit.errors import MeterfleetError, TooLargeError, UnavailableError

# Below Kafka's default `message.max.bytes` of 1,048,588 with room for the batch's own header, so
# that one bound holds for both backends without touching a broker's settings.
RECORD_BYTES_MAX = 1_000_000

# The largest single append. With the buffer below it bounds the memory a producer can hold.
APPEND_BYTES_MAX = 32 * 1024 * 1024

# Bytes handed over and not yet durable, per open log. A producer that is faster than the disk or
# the brokers is held back here instead of filling the memory.
BUFFER_BYTES_MAX = 64 * 1024 * 1024

# How long `append_async` may block for room in the buffer or for the first contact with a broker.
ASYNC_BLOCK_S = 10.0

# One poll hands out at most this much, so a backlog of large records cannot fill the memory. It
# is exceeded by at most one record.
POLL_BYTES_MAX = 32 * 1024 * 1024

# What a record costs beside its bytes, for the bounds above: many empty records are no free lunch.
RECORD_OVERHEAD_BYTES = 64

# What a caller is told to wait after LogUnavailableError, in seconds.
RETRY_AFTER_S = 2.0

# Kafka's own rule for topic names; groups follow it because they name lock files in SQLite.
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")

TopicPartition = tuple[str, int]
OnAssigned = Callable[[Sequence[TopicPartition]], Mapping[TopicPartition, int]]
OnRevoked = Callable[[Sequence[TopicPartition]], None]


class LogError(MeterfleetError):
    """Anything the log refuses or cannot do."""

    code = "log.error"
    status = 500
    title = "The log failed"


class LogUnavailableError(LogError, UnavailableError):
    """The log did not confirm in time.

    After an append the outcome is unknown unless the detail says that nothing was written:
    appending again may write a record twice, never lose one.
    """

    code = "log.unavailable"
    status = 503
    title = "The log did not confirm in time; try again later"


class LogRecordTooLargeError(LogError, TooLargeError):
    """A record exceeds RECORD_BYTES_MAX or an append exceeds APPEND_BYTES_MAX; nothing written."""

    code = "log.record_too_large"
    status = 413
    title = "A record or an append is too large for the log"


class LogRecordInvalidError(LogError):
    """A record names a partition the topic has not, or lacks the key compaction needs."""

    code = "log.record_invalid"
    status = 500
    title = "A record does not fit its topic"


class UnknownTopicError(LogError):
    """The topic does not exist; `ensure_topics` makes it."""

    code = "log.unknown_topic"
    status = 500
    title = "The log has no such topic"


class PartitionNotAssignedError(LogError):
    """A consumer was asked to seek in a partition which it does not own (any more)."""

    code = "log.partition_not_assigned"
    status = 409
    title = "The partition is not assigned to this consumer"


class LogUrlError(LogError):
    """The log's URL cannot be understood."""

    code = "log.url_invalid"
    status = 500
    title = "The log's URL is not understood"


@dataclass(frozen=True, slots=True)
class Record:
    """What a producer appends.

    Attributes:
        value: the payload; empty in a compacted topic means "this key is gone" (a tombstone).
        key: orders and compacts; records of one key keep their order. An empty key hashes like
            any other, so records without key all go to the same partition.
        partition: an explicit partition; None chooses by the hash of the key.
        headers: small named values beside the payload, kept in order.
    """

    value: bytes
    key: bytes = b""
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()

    def size_bytes(self) -> int:
        """Say what this record counts against the bounds of this module."""
        headers_bytes = sum(len(name.encode()) + len(value) for name, value in self.headers)
        return len(self.value) + len(self.key) + headers_bytes + RECORD_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Consumed:
    """What a consumer gets: one record and where it stood; `timestamp_ms` is its append, in UTC."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where an appended record stands."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Topic:
    """What `ensure_topics` makes.

    Attributes:
        name: letters, digits, dot, dash and underscore.
        partitions: how many; the key's partition depends on it, so choose it once.
        compacted: keep the latest record of each key for ever, instead of all for a while.
        retention_s: age after which records of a topic that is not compacted may go; None keeps
            them for ever.
    """

    name: str
    partitions: int
    compacted: bool = False
    retention_s: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no backend could make."""
        check_name(self.name)
        if not 1 <= self.partitions <= 10_000:
            raise LogRecordInvalidError(f"Topic {self.name}: 1 to 10,000 partitions are possible.")
        if self.compacted and self.retention_s is not None:
            raise LogRecordInvalidError(
                f"Topic {self.name}: a compacted topic keeps its keys, it has no retention."
            )


class Pending(Protocol):
    """An append under way."""

    def wait(self, timeout_s: float) -> list[Position]:
        """Wait until every record is durable and give their positions in the order appended.

        Raises:
            LogUnavailableError: not confirmed within `timeout_s`.
        """
        ...


class Consumer(Protocol):
    """Reads records in order, for one thread at a time."""

    def poll(self, timeout_s: float, max_records: int = 500) -> list[Consumed]:
        """Give what is next in the partitions owned, waiting up to `timeout_s` for the first.

        Records of one partition come in the order of their offsets, which may have gaps. The
        callbacks given to `Log.consumer` are called in the thread that polls, from here and from
        `close`; what they raise comes out here, and the member then gives its partitions back and
        joins anew with the next poll. A position that lies outside of what the log still holds is
        moved to the oldest record, with a warning that names both offsets. An unreachable log
        gives an empty list for as long as it lasts. At most `max_records` and about
        POLL_BYTES_MAX bytes are given.

        Raises:
            LogUnavailableError: the consumer is closed, or the brokers refuse it for good.
        """
        ...

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read on from `offset` in an owned partition with the next poll.

        Raises:
            PartitionNotAssignedError: the partition is not owned (any more).
        """
        ...

    def assignment(self) -> set[TopicPartition]:
        """Give the partitions owned at this moment; empty for a member that waits its turn."""
        ...

    def close(self) -> None:
        """Hand over: calls `on_revoked` for what is owned and leaves the group. Idempotent."""
        ...


class Log(Protocol):
    """One log, safe to share between threads; open it after a fork, not before."""

    def ensure_topics(self, topics: Sequence[Topic]) -> None:
        """Make the topics that are missing; idempotent, and safe from several processes at once.

        A topic that exists stays as it is; a different number of partitions is logged as a warning,
        because growing a topic moves its keys and is the operator's decision.

        Raises:
            LogUnavailableError: the log does not answer.
        """
        ...

    def partitions(self, topic: str) -> int:
        """Give the number of partitions.

        Raises:
            UnknownTopicError: there is no such topic.
            LogUnavailableError: the log does not answer.
        """
        ...

    def append(
        self, topic: str, records: Sequence[Record], timeout_s: float = 10.0
    ) -> list[Position]:
        """Append and return only when every record is durable, with their positions in order.

        Durable means: on all in-sync replicas, at least `min_insync` of them (Kafka), or fsynced to
        the write-ahead log (SQLite). Records of one call that go to one partition keep their order,
        and so do calls that follow each other in one thread. A call is not atomic: after an error a
        part of its records may stand in the log.

        Raises:
            LogUnavailableError: not confirmed within `timeout_s`; ask again later.
            LogRecordTooLargeError: beyond RECORD_BYTES_MAX or APPEND_BYTES_MAX, nothing written.
            LogRecordInvalidError: no such partition, or no key in a compacted topic.
            UnknownTopicError: there is no such topic.
        """
        ...

    def append_async(self, topic: str, records: Sequence[Record]) -> Pending:
        """Hand records over in order and return before they are durable.

        Blocks at most ASYNC_BLOCK_S when BUFFER_BYTES_MAX bytes are already under way.

        Raises:
            LogUnavailableError: no room in time, or no broker ever answered.
            LogRecordTooLargeError: as in `append`.
            LogRecordInvalidError: as in `append`.
            UnknownTopicError: as in `append`.
        """
        ...

    def consumer(
        self, group: str, topics: Sequence[str], on_assigned: OnAssigned, on_revoked: OnRevoked
    ) -> Consumer:
        """Join a group whose members share the topics' partitions, each owned by one at a time.

        `on_assigned` is called with the partitions newly owned and returns the next offset to read
        of each, which the service keeps in its own database; one that is missing in the answer is
        read from its beginning. `on_revoked` is called when partitions go, before another member
        can own them if the member is alive; a member that was cut off learns of it late, so what it
        writes must be fenced by its own database. All members of a group name the same topics.

        Raises:
            UnknownTopicError: one of the topics does not exist.
            LogUnavailableError: the log does not answer.
        """
        ...

    def reader(self, topic: str) -> Consumer:
        """Read all partitions from the beginning, without a group: to fill a cache.

        Compare with `end_offsets`, taken first, to know when the cache has caught up.

        Raises:
            UnknownTopicError: there is no such topic.
            LogUnavailableError: the log does not answer.
        """
        ...

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Give for each partition the offset which the next record will get at the least.

        Raises:
            UnknownTopicError: there is no such topic.
            LogUnavailableError: the log does not answer.
        """
        ...

    def start_offsets(self, topic: str) -> dict[int, int]:
        """Give for each partition the oldest offset that may still be read.

        Raises:
            UnknownTopicError: there is no such topic.
            LogUnavailableError: the log does not answer.
        """
        ...

    def close(self) -> None:
        """Wait shortly for what is under way and let go of everything; consumers close apart."""
        ...


def check_name(name: str) -> str:
    """Give back the name of a topic or group, or refuse it.

    Raises:
        LogRecordInvalidError: the name is empty, too long or has other characters.
    """
    if not _NAME.fullmatch(name) or name in {".", ".."}:
        raise LogRecordInvalidError(
            f"{name!r} is no name for a topic or group: "
            "1 to 200 letters, digits, dots, dashes and underscores."
        )
    return name


def check_sizes(topic: str, records: Sequence[Record]) -> int:
    """Hold records to the bounds and give their total size in bytes.

    Raises:
        LogRecordTooLargeError: one record or all of them together are too large.
    """
    total_bytes = 0
    for index, record in enumerate(records):
        size_bytes = record.size_bytes()
        if size_bytes > RECORD_BYTES_MAX:
            raise LogRecordTooLargeError(
                f"Record {index} for {topic} has {size_bytes} bytes, {RECORD_BYTES_MAX} are the "
                "most."
            )
        total_bytes += size_bytes
    if total_bytes > APPEND_BYTES_MAX:
        raise LogRecordTooLargeError(
            f"{len(records)} records for {topic} have {total_bytes} bytes, an append takes "
            f"{APPEND_BYTES_MAX} at most."
        )
    return total_bytes
