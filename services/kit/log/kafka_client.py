"""What every connection to Kafka has in common: its options, its first contact and its errors."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import errors
from kafka.net.compat import KafkaNetClient

from services.kit.log.port import (
    RETRY_AFTER_S,
    LogError,
    LogRecordInvalidError,
    LogRecordTooLargeError,
    LogUnavailableError,
    UnknownTopicError,
)

# A request that got no answer for this long is sent again, to another broker where there is one.
REQUEST_TIMEOUT_S = 10

# After a broker refused a connection: first and longest pause before it is tried again.
RECONNECT_MIN_S = 0.05
RECONNECT_MAX_S = 2.0

_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)
_UNKNOWN_TOPIC = (errors.UnknownTopicOrPartitionError, errors.UnknownTopicIdError)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the brokers are and what its topics are made with.

    Attributes:
        servers: `host:port` of the brokers to ask first.
        replication: copies of each partition of a new topic.
        min_insync: how many copies must have a record before it is confirmed.
    """

    servers: Sequence[str]
    replication: int
    min_insync: int

    def options(self, bootstrap_timeout_s: float) -> dict[str, Any]:
        """Give the options for a client whose first contact may take `bootstrap_timeout_s`."""
        return {
            "bootstrap_servers": list(self.servers),
            "bootstrap_timeout_ms": max(1, round(bootstrap_timeout_s * 1000)),
            "request_timeout_ms": REQUEST_TIMEOUT_S * 1000,
            "reconnect_backoff_ms": round(RECONNECT_MIN_S * 1000),
            "reconnect_backoff_max_ms": round(RECONNECT_MAX_S * 1000),
            # A new leader must be known within seconds of its election at the latest; a refused
            # request refreshes at once.
            "metadata_max_age_ms": 30_000,
        }


def make_client(kind: Callable[..., Any], options: dict[str, Any]) -> tuple[Any, Any]:
    """Make a consumer, producer or admin of the library, with the network client under it.

    The constructors contact the brokers and, when that fails, leave their sockets and their thread
    behind; so the network client is watched as it is made and closed here in that case.

    Raises:
        LogUnavailableError: no broker answered in time.
    """
    made: list[Any] = []

    def watch(**configs: Any) -> Any:
        made.append(KafkaNetClient(**configs))
        return made[-1]

    try:
        with translated():
            return kind(**options, kafka_client=watch), made[-1]
    except BaseException:
        for client in made:
            client.close()
        raise


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn the library's errors into those of the port."""
    try:
        yield
    except errors.KafkaError as error:
        raise translate(error) from error


def translate(error: BaseException) -> LogError:
    """Give the error of the port that says what the library's error means for the caller."""
    if isinstance(error, _TOO_LARGE):
        return LogRecordTooLargeError(f"The broker refused a record for its size: {error}.")
    if isinstance(error, errors.InvalidRecordError):
        return LogRecordInvalidError(f"The broker refused a record: {error}.")
    if isinstance(error, _UNKNOWN_TOPIC):
        return UnknownTopicError(f"Kafka has no such topic: {error}.")
    # What stays can pass without a change of code: brokers away, too few replicas in sync, a
    # credential that is being rotated.
    return LogUnavailableError(
        f"Kafka did not confirm: {type(error).__name__}: {error}.", retry_after_s=RETRY_AFTER_S
    )
