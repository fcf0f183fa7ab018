"""Asks Kafka about topics and makes them, one question at a time.

kafka-python's admin client refuses questions of many threads at once ("No node_id provided" while
its connection is full), and its calls know no time-out of the caller; a single worker mends both.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, TypeVar

from kafka import KafkaAdminClient, OffsetSpec, errors
from kafka import TopicPartition as KafkaPartition
from kafka.admin import ConfigResource, ConfigResourceType

from services.kit.log.kafka_client import Cluster, make_client, translate
from services.kit.log.port import (
    RETRY_AFTER_S,
    LogError,
    LogUnavailableError,
    Topic,
    UnknownTopicError,
    check_name,
)

_log = logging.getLogger(__name__)

# How long a new topic may take until every partition has a leader.
CREATE_S = 30.0

# Between two tries while a broker is not ready.
RETRY_S = 0.1

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """What an append must know of a topic."""

    partitions: int
    compacted: bool


class Admin:
    """The admin client of one open log; made with the first question."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._client: Any = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="log-admin")
        self._closed = threading.Event()
        # Topics are few, and fixed in number by the code that uses them. A topic that an operator
        # grows is seen after a restart: until then keys stay where they were.
        self._infos: dict[str, TopicInfo] = {}

    def info(self, topic: str, timeout_s: float) -> TopicInfo:
        """Give what is known of a topic, asked for once.

        Raises:
            UnknownTopicError: there is no such topic.
            LogUnavailableError: no answer within `timeout_s`.
        """
        known = self._infos.get(topic)
        if known is None:
            check_name(topic)
            known = self._ask(lambda client: self._describe(client, topic), timeout_s)
        return known

    def ensure(self, topics: Sequence[Topic]) -> None:
        """Make the topics that are missing (see `Log.ensure_topics`)."""
        self._ask(lambda client: self._ensure(client, topics), CREATE_S)

    def offsets(self, topic: str, spec: OffsetSpec, timeout_s: float) -> dict[int, int]:
        """Give one offset of each partition: the first or the next.

        Raises:
            UnknownTopicError: there is no such topic.
            LogUnavailableError: no answer within `timeout_s`.
        """
        count = self.info(topic, timeout_s).partitions
        wanted = {KafkaPartition(topic, partition): spec for partition in range(count)}
        found = self._ask(lambda client: client.list_partition_offsets(wanted), timeout_s)
        return {owned.partition: position.offset for owned, position in found.items()}

    def close(self) -> None:
        """Disconnect; idempotent."""
        self._closed.set()
        self._worker.shutdown(cancel_futures=True)
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self, work: Callable[[Any], _T], timeout_s: float) -> _T:
        """Let the worker ask, and wait for the answer no longer than `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        answer: Future[_T] | None = None
        # A closed worker refuses; it may close at any moment.
        with contextlib.suppress(RuntimeError):
            answer = self._worker.submit(self._try, work, deadline_s)
        if answer is None or self._closed.is_set():
            raise LogUnavailableError("The log is closed.", retry_after_s=RETRY_AFTER_S)
        try:
            return answer.result(timeout_s)
        except FutureTimeoutError:
            answer.cancel()
            raise LogUnavailableError(
                f"Kafka did not answer in {timeout_s:.1f} s.", retry_after_s=RETRY_AFTER_S
            ) from None

    def _try(self, work: Callable[[Any], _T], deadline_s: float) -> _T:
        """Ask, again and again while the brokers say that they are not ready."""
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            if self._client is None:
                options = self._cluster.options(left_s)
                self._client, _ = make_client(KafkaAdminClient, options)
            try:
                return work(self._client)
            except errors.KafkaError as error:
                is_passing = isinstance(error, errors.RetriableError)
                if not is_passing or left_s <= RETRY_S or self._closed.wait(RETRY_S):
                    raise translate(error) from error

    def _describe(self, client: Any, topic: str) -> TopicInfo:
        if topic in self._infos:
            return self._infos[topic]
        found = client.describe_topics([topic])[0]
        error = errors.for_code(found["error_code"])
        if error is errors.UnknownTopicOrPartitionError:
            raise UnknownTopicError(f"The log has no topic {topic!r}.")
        if error is not errors.NoError:
            raise error
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        configs = client.describe_configs([resource], config_filter="all")["topic"][topic]
        compacted = "compact" in configs["cleanup.policy"]["value"]
        self._infos[topic] = TopicInfo(len(found["partitions"]), compacted)
        return self._infos[topic]

    def _ensure(self, client: Any, topics: Sequence[Topic]) -> None:
        found = client.describe_topics([topic.name for topic in topics])
        counts = {info["name"]: len(info["partitions"]) for info in found if not info["error_code"]}
        for topic in topics:
            count = counts.get(topic.name, topic.partitions)
            if count != topic.partitions:
                _log.warning(
                    "log topic %s has %d partitions, %d were asked for; left as it is",
                    topic.name,
                    count,
                    topic.partitions,
                )
        wanted = {topic.name: self._config(topic) for topic in topics if topic.name not in counts}
        if not wanted:
            return
        result = client.create_topics(wanted, timeout_ms=round(CREATE_S * 1000), raise_errors=False)
        for made in result["topics"]:
            error = errors.for_code(made["error_code"])
            # Another process may have been faster.
            if error not in {errors.NoError, errors.TopicAlreadyExistsError}:
                raise _refusal(made["name"], error, made.get("error_message"))
        client.wait_for_topics(list(wanted), timeout_ms=round(CREATE_S * 1000))

    def _config(self, topic: Topic) -> dict[str, Any]:
        retention_ms = -1 if topic.retention_s is None else topic.retention_s * 1000
        configs = {
            "cleanup.policy": "compact" if topic.compacted else "delete",
            "retention.ms": str(retention_ms),
            # With acks=all, how many copies a confirmed record has at the least.
            "min.insync.replicas": str(self._cluster.min_insync),
            # A replica that lags must never become leader: it would forget confirmed records.
            "unclean.leader.election.enable": "false",
            # Age counts from the append, as in the embedded log, not from a producer's clock.
            "message.timestamp.type": "LogAppendTime",
        }
        return {
            "num_partitions": topic.partitions,
            "replication_factor": self._cluster.replication,
            "configs": configs,
        }


def _refusal(topic: str, error: type[Exception], message: str | None) -> Exception:
    """Say why a topic was not made; settings that the cluster cannot meet need a person."""
    detail = f"Kafka did not make topic {topic}: {error.__name__}: {message}."
    return error(detail) if issubclass(error, errors.RetriableError) else LogError(detail)
