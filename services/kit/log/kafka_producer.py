"""Appends to Kafka: one idempotent producer for all threads, with a bound on what is under way."""

import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer, errors

from services.kit.log.kafka_client import Cluster, make_client, translate, translated
from services.kit.log.port import (
    ASYNC_BLOCK_S,
    BUFFER_BYTES_MAX,
    RETRY_AFTER_S,
    LogUnavailableError,
    Position,
    Record,
)

_log = logging.getLogger(__name__)

# How long the producer tries on its own, through elections and restarts of brokers. Longer than
# an append waits by default: a record may arrive after its caller has given up, never twice from
# one call.
DELIVERY_TIMEOUT_S = 30

# Records that gather for one partition while a request is under way go as one batch, up to this
# size before compression; one that is larger goes alone. Below the broker's 1 MiB for a batch even
# when nothing can be compressed.
BATCH_BYTES_MAX = 512 * 1024

# One request carries the batches of many partitions.
REQUEST_BYTES_MAX = 8 * 1024 * 1024

# How long `close` waits for what was handed over before.
CLOSE_WAIT_S = 10.0

# Failures that concern one record or pass by themselves; after any other one the idempotent
# producer's sequence may be broken for good, and a new producer takes its place.
_HARMLESS = (
    errors.RetriableError,
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.InvalidRecordError,
    errors.AuthorizationError,
)


def _options(cluster: Cluster, bootstrap_timeout_s: float) -> dict[str, Any]:
    """Give every option that decides durability by name, whatever the library's defaults are."""
    return {
        **cluster.options(bootstrap_timeout_s),
        # Confirmed by all replicas in sync, of which the topic demands min.insync.replicas.
        "acks": "all",
        # A retried request is recognised by its sequence number: no record twice, order kept.
        "enable_idempotence": True,
        # Retry for as long as the delivery time-out allows.
        "retries": float("inf"),
        "delivery_timeout_ms": DELIVERY_TIMEOUT_S * 1000,
        # The most that idempotence allows with order kept. The library itself keeps one batch of a
        # partition under way, so this bounds the requests for different partitions.
        "max_in_flight_requests_per_connection": 5,
        # Batches are columns of numbers: lz4 takes a third off them at 400 MB/s.
        "compression_type": "lz4",
        "batch_size": BATCH_BYTES_MAX,
        "max_request_size": REQUEST_BYTES_MAX,
        # Send at once; batches form while requests are under way.
        "linger_ms": 0,
        # A misspelt topic is an error, not a new topic with the broker's defaults.
        "allow_auto_create_topics": False,
        "max_block_ms": round(ASYNC_BLOCK_S * 1000),
        "metrics_enabled": False,
    }


class Room:
    """Bounds the bytes handed over and not yet confirmed: the library itself has no bound."""

    def __init__(self, bytes_max: int) -> None:
        self._freed = threading.Condition()
        self._free_bytes = bytes_max

    def take(self, size_bytes: int, timeout_s: float) -> None:
        """Wait for room.

        Raises:
            LogUnavailableError: there was none in time.
        """
        with self._freed:
            if not self._freed.wait_for(lambda: self._free_bytes >= size_bytes, timeout_s):
                raise LogUnavailableError(
                    "The log's buffer is full; nothing was written.", retry_after_s=RETRY_AFTER_S
                )
            self._free_bytes -= size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Free room for the next append."""
        with self._freed:
            self._free_bytes += size_bytes
            self._freed.notify_all()


class KafkaPending:
    """An append under way in Kafka (see `Pending`)."""

    def __init__(self, producer: "Producer", kafka: Any, size_bytes: int) -> None:
        self._producer = producer
        self._kafka = kafka
        self._size_bytes = size_bytes
        self._futures: list[Any] = []
        self._lock = threading.Lock()
        # One more than the records, for the sending itself: else the first records could be
        # confirmed, and the room be given back, before the last are sent.
        self._open = 1
        self._done = threading.Event()

    def watch(self, future: Any) -> None:
        """Count a record that is on its way."""
        self._futures.append(future)
        with self._lock:
            self._open += 1
        future.add_both(self._settle)

    def sent(self) -> None:
        """Say that all records are on their way."""
        self._settle(None)

    def wait(self, timeout_s: float) -> list[Position]:
        """Wait until the records are durable (see `Pending.wait`)."""
        if not self._done.wait(timeout_s):
            raise LogUnavailableError(
                f"Kafka did not confirm in {timeout_s:.1f} s; the records may still be written.",
                retry_after_s=RETRY_AFTER_S,
            )
        for future in self._futures:
            if future.exception is not None:
                self._producer.failed(self._kafka, future.exception)
                raise translate(future.exception) from future.exception
        return [Position(future.value.partition, future.value.offset) for future in self._futures]

    def _settle(self, _: object) -> None:
        with self._lock:
            self._open -= 1
            is_last = self._open == 0
        if is_last:
            self._producer.room.give_back(self._size_bytes)
            self._done.set()


class Producer:
    """The producer of one open log; made with the first append, replaced when it broke."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._making = threading.Lock()
        self._kafka: Any = None
        self._closed = False
        self.room = Room(BUFFER_BYTES_MAX)

    def send(
        self,
        topic: str,
        records: Sequence[tuple[Record, int, bytes | None]],
        size_bytes: int,
        timeout_s: float,
    ) -> KafkaPending:
        """Hand over records with partition and value (None is a tombstone), in order.

        Raises:
            LogUnavailableError: no broker or no room within `timeout_s`.
        """
        deadline_s = time.monotonic() + timeout_s
        kafka = self._get(timeout_s)
        self.room.take(size_bytes, max(0.0, deadline_s - time.monotonic()))
        pending = KafkaPending(self, kafka, size_bytes)
        try:
            with translated():
                for record, partition, value in records:
                    future = kafka.send(
                        topic,
                        value=value,
                        key=record.key or None,
                        headers=list(record.headers),
                        partition=partition,
                    )
                    pending.watch(future)
        finally:
            pending.sent()
        return pending

    def failed(self, kafka: Any, error: BaseException) -> None:
        """Replace the producer after an error that may have broken it."""
        if isinstance(error, _HARMLESS):
            return
        with self._making:
            if self._kafka is not kafka:
                return
            self._kafka = None
        _log.warning("log producer replaced after %s: %s", type(error).__name__, error)
        _close(kafka, timeout_s=1.0)

    def close(self) -> None:
        """Send what was handed over, within CLOSE_WAIT_S, and disconnect; idempotent."""
        with self._making:
            self._closed = True
            kafka, self._kafka = self._kafka, None
        if kafka is not None:
            _close(kafka, CLOSE_WAIT_S)

    def _get(self, timeout_s: float) -> Any:
        """Give the producer, made at need; one thread makes it, the others wait no longer."""
        kafka = self._kafka
        if kafka is not None:
            return kafka
        deadline_s = time.monotonic() + timeout_s
        if not self._making.acquire(timeout=timeout_s):
            raise LogUnavailableError(
                "No Kafka broker has answered; nothing was written.", retry_after_s=RETRY_AFTER_S
            )
        try:
            if self._closed:
                raise LogUnavailableError(
                    "The log is closed; nothing was written.", retry_after_s=RETRY_AFTER_S
                )
            if self._kafka is None:
                left_s = max(0.0, deadline_s - time.monotonic())
                self._kafka, _ = make_client(KafkaProducer, _options(self._cluster, left_s))
            return self._kafka
        finally:
            self._making.release()


def _close(kafka: Any, timeout_s: float) -> None:
    with contextlib.suppress(errors.KafkaError):
        kafka.close(timeout=timeout_s)
        return
    # With brokers away the library's close gives up before it has stopped its thread.
    _log.warning("log producer closed with records under way")
    kafka._sender.force_close()  # noqa: SLF001 – there is no public way
