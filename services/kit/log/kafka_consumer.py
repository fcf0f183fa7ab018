"""Consumers of Kafka: the group protocol shares the partitions, positions come from the service.

kafka-python runs its network and the group protocol in a thread of its own, and calls rebalance
listeners there. A service's callbacks do database work, so here they are handed to the thread that
polls: it waits in `_drive` for a worker's result and meanwhile runs the callbacks that come in.
The network thread awaits them without blocking, so heartbeats go on however long they take.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

from kafka import AsyncConsumerRebalanceListener, KafkaConsumer, errors
from kafka import TopicPartition as KafkaPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.future import Future as KafkaFuture

from services.kit.log.kafka_client import Cluster, make_client, translate, translated
from services.kit.log.port import (
    POLL_BYTES_MAX,
    RETRY_AFTER_S,
    Consumed,
    LogUnavailableError,
    OnAssigned,
    OnRevoked,
    PartitionNotAssignedError,
    TopicPartition,
)

_log = logging.getLogger(__name__)

# A member that is not heard of for this long is dead and its partitions go to others. Shorter than
# Kafka's 45 s because a dead pipeline delays readings. A heartbeat is also how a member hears that
# the group moves on, so it comes often.
SESSION_TIMEOUT_S = 10
HEARTBEAT_S = 1

# A member that does not poll for this long is stuck and gives its partitions up.
POLL_INTERVAL_MAX_S = 300

# One partition's share of a fetch; larger than the largest batch, so no record can block it.
PARTITION_FETCH_BYTES_MAX = 4 * 1024 * 1024

# How long leaving a group may take; the brokers find out by themselves after the session time-out.
CLOSE_WAIT_S = 5

BOOTSTRAP_S = 10.0

# The group moved on without us; the next poll joins again.
_MEMBERSHIP = (
    errors.UnknownMemberIdError,
    errors.IllegalGenerationError,
    errors.RebalanceInProgressError,
    errors.RetriableError,
)

_T = TypeVar("_T")


def _options(cluster: Cluster) -> dict[str, Any]:
    return {
        **cluster.options(BOOTSTRAP_S),
        # Positions live in the service's database, in one transaction with what was made of the
        # records; Kafka never hears of them.
        "enable_auto_commit": False,
        # A position that is gone must not be moved silently: "none" raises, and `_mend` moves it to
        # the earliest record with a warning that names the numbers.
        "auto_offset_reset": "none",
        "check_crcs": True,
        "isolation_level": "read_uncommitted",
        "allow_auto_create_topics": False,
        "fetch_min_bytes": 1,
        "fetch_max_wait_ms": 500,
        "fetch_max_bytes": POLL_BYTES_MAX,
        "max_partition_fetch_bytes": PARTITION_FETCH_BYTES_MAX,
        "metrics_enabled": False,
    }


class KafkaReader:
    """Reads given partitions, without a group (see `Consumer`); also the base of group members."""

    def __init__(self, cluster: Cluster, options: dict[str, Any]) -> None:
        self._kafka, self._client = make_client(KafkaConsumer, {**_options(cluster), **options})
        self._owned: set[TopicPartition] = set()
        self._closed = False

    def poll(self, timeout_s: float, max_records: int = 500) -> list[Consumed]:
        """Give what is next (see `Consumer.poll`).

        Raises:
            LogUnavailableError: the consumer is closed, or the brokers refuse it.
        """
        if self._closed:
            raise LogUnavailableError("The consumer is closed.", retry_after_s=RETRY_AFTER_S)
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            records = self._poll_once(left_s, max_records)
            if records or time.monotonic() >= deadline_s:
                return records

    def read_from_start(self, partitions: Iterable[TopicPartition]) -> None:
        """Take partitions without a group, each from its oldest record."""
        assigned = [KafkaPartition(*owned) for owned in partitions]
        self._kafka.assign(assigned)
        self._kafka.seek_to_beginning(*assigned)
        self._owned = {(owned.topic, owned.partition) for owned in assigned}

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read on from `offset` (see `Consumer.seek`)."""
        if (topic, partition) not in self._owned:
            raise PartitionNotAssignedError(f"{topic}/{partition} is not assigned here.")
        self._seek((topic, partition), offset)

    def assignment(self) -> set[TopicPartition]:
        """Give the partitions owned at this moment (see `Consumer.assignment`)."""
        return set(self._owned)

    def close(self) -> None:
        """Let go (see `Consumer.close`)."""
        if not self._closed:
            self._closed = True
            self._owned = set()
            self._kafka.close(autocommit=False, timeout_ms=CLOSE_WAIT_S * 1000)

    def _poll_once(self, timeout_s: float, max_records: int) -> list[Consumed]:
        try:
            return self._fetch(timeout_s, max_records)
        except errors.OffsetOutOfRangeError as error:
            self._mend(error.args[0], {})
        except errors.LogTruncationError as error:
            # Only an unclean election can do this: brokers have lost confirmed records.
            known = {moved: end for moved, end in error.divergent_offsets.items() if end}
            positions = {moved: self._kafka.position(moved) for moved in error.divergent_offsets}
            self._mend(positions, {moved: end.offset for moved, end in known.items()})
        except _MEMBERSHIP as error:
            _log.warning("log poll interrupted: %s: %s", type(error).__name__, error)
            time.sleep(min(timeout_s, 0.1))
        except errors.KafkaError as error:
            raise translate(error) from error
        return []

    def _fetch(self, timeout_s: float, max_records: int) -> list[Consumed]:
        batches = self._kafka.poll(timeout_ms=round(timeout_s * 1000), max_records=max_records)
        return [
            Consumed(
                record.topic,
                record.partition,
                record.offset,
                record.key or b"",
                # A tombstone has no value at all in Kafka.
                record.value or b"",
                tuple((name, bytes(value)) for name, value in record.headers),
                record.timestamp,
            )
            for records in batches.values()
            for record in records
        ]

    def _seek(self, owned: TopicPartition, offset: int) -> None:
        if offset == 0:
            # "From the beginning", wherever that is by now.
            self._kafka.seek_to_beginning(KafkaPartition(*owned))
        else:
            self._kafka.seek(KafkaPartition(*owned), offset)

    def _mend(self, positions: Mapping[Any, int], targets: Mapping[Any, int]) -> None:
        """Move positions that are gone to a target or the oldest record, not silently."""
        gone = [moved for moved in positions if (moved.topic, moved.partition) in self._owned]
        with translated():
            starts = self._kafka.beginning_offsets(gone)
            ends = self._kafka.end_offsets(gone)
        for moved in gone:
            target = targets.get(moved, starts[moved])
            _log.warning(
                "log position out of range: topic=%s partition=%d position=%d start=%d end=%d; "
                "reading on from %d, %d records are lost to this consumer",
                moved.topic,
                moved.partition,
                positions[moved],
                starts[moved],
                ends[moved],
                target,
                max(0, target - positions[moved]),
            )
            self._kafka.seek(moved, target)


class KafkaMember(KafkaReader):
    """A member of a consumer group (see `Log.consumer`)."""

    def __init__(
        self,
        cluster: Cluster,
        group: str,
        topics: Sequence[str],
        on_assigned: OnAssigned,
        on_revoked: OnRevoked,
    ) -> None:
        super().__init__(
            cluster,
            {
                "group_id": group,
                "session_timeout_ms": SESSION_TIMEOUT_S * 1000,
                "heartbeat_interval_ms": HEARTBEAT_S * 1000,
                "max_poll_interval_ms": POLL_INTERVAL_MAX_S * 1000,
                # Members keep what they own through a rebalance: a partition's state costs seconds
                # to rebuild from the store, so only what really moves should pay it.
                "partition_assignment_strategy": [CooperativeStickyAssignor],
            },
        )
        self._topics = list(topics)
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"log-{group}")
        self._failure: BaseException | None = None
        self._subscribe()

    def close(self) -> None:
        """Hand over (see `Consumer.close`)."""
        if self._closed:
            return
        self._closed = True
        try:
            self._drive(lambda: self._kafka.close(autocommit=False, timeout_ms=CLOSE_WAIT_S * 1000))
        except errors.KafkaError as error:
            if self._failure is not None:
                raise self._failure from None
            _log.warning("log consumer left without goodbye: %s", error)
        finally:
            self._owned = set()
            self._worker.shutdown()

    def _fetch(self, timeout_s: float, max_records: int) -> list[Consumed]:
        fetch = super()._fetch
        try:
            return self._drive(lambda: fetch(timeout_s, max_records))
        except errors.KafkaError:
            if self._failure is None:
                raise
        failure, self._failure = self._failure, None
        self._leave()
        raise failure

    def _subscribe(self) -> None:
        self._kafka.subscribe(topics=self._topics, listener=_Listener(self))

    def _leave(self) -> None:
        """Give all partitions back after a callback failed; the next poll joins anew."""
        owned = sorted(self._owned)
        self._owned = set()
        self._kafka.unsubscribe()
        self._subscribe()
        if owned:
            self._on_revoked(owned)

    def _drive(self, work: Callable[[], _T]) -> _T:
        """Let the worker do `work` and run, here, the callbacks that come of it."""
        job: ThreadFuture[_T] = self._worker.submit(work)
        job.add_done_callback(lambda _: self._calls.put(None))
        while (call := self._calls.get()) is not None:
            call()
        return job.result()

    async def hand_over(
        self, callback: Callable[[list[TopicPartition]], None], partitions: Iterable[Any]
    ) -> None:
        """Run a callback in the thread that polls, and wait for it without blocking the network.

        Raises:
            KafkaError: the callback failed; `_fetch` raises its own error in the polling thread.
        """
        owned = sorted((moved.topic, moved.partition) for moved in partitions)
        done = KafkaFuture()

        def call() -> None:
            try:
                callback(owned)
            except BaseException as error:  # noqa: BLE001 – raised again by `_fetch`
                self._failure = error
                done.failure(errors.KafkaError("The callback failed."))
            else:
                done.success(None)
            # The future does not wake the network's thread by itself.
            self._client.wakeup()

        if owned:
            self._calls.put(call)
            await done

    def assigned(self, partitions: list[TopicPartition]) -> None:
        """Ask the service for its positions and read on from there."""
        positions = self._on_assigned(partitions)
        for owned in partitions:
            self._seek(owned, positions.get(owned, 0))
        self._owned.update(partitions)

    def revoked(self, partitions: list[TopicPartition]) -> None:
        """Tell the service what is no longer its own."""
        gone = [owned for owned in partitions if owned in self._owned]
        self._owned.difference_update(gone)
        if gone:
            self._on_revoked(gone)


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    """Passes on what the group protocol decides."""

    def __init__(self, member: KafkaMember) -> None:
        self._member = member

    async def on_partitions_assigned(self, assigned: set[Any]) -> None:
        await self._member.hand_over(self._member.assigned, assigned)

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        await self._member.hand_over(self._member.revoked, revoked)
