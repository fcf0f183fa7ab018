"""The log in Kafka, by kafka-python 3.

Brokers are contacted when they are first needed, so a service starts while they are away. Topics:
`kafka_admin.py`; appends: `kafka_producer.py`; reading: `kafka_consumer.py`.
"""

import time
from collections.abc import Sequence

from kafka import OffsetSpec

from services.kit.log.kafka_admin import Admin
from services.kit.log.kafka_client import Cluster
from services.kit.log.kafka_consumer import KafkaMember, KafkaReader
from services.kit.log.kafka_producer import KafkaPending, Producer
from services.kit.log.partitioning import choose_partition
from services.kit.log.port import (
    ASYNC_BLOCK_S,
    Consumer,
    OnAssigned,
    OnRevoked,
    Position,
    Record,
    Topic,
    check_name,
    check_sizes,
)

# How long a question about a topic may take, the first contact included.
ANSWER_S = 10.0


class KafkaLog:
    """The log in a Kafka cluster (see `Log` for the contract); opening it contacts nobody.

    Args:
        servers: `host:port` of the brokers to ask first.
        replication: copies of each partition of the topics made here.
        min_insync: how many of them must have a record before it is confirmed.
    """

    def __init__(self, servers: Sequence[str], *, replication: int, min_insync: int) -> None:
        self._cluster = Cluster(servers, replication, min_insync)
        self._producer = Producer(self._cluster)
        self._admin = Admin(self._cluster)

    def ensure_topics(self, topics: Sequence[Topic]) -> None:
        """Make the topics that are missing (see `Log.ensure_topics`)."""
        self._admin.ensure(topics)

    def partitions(self, topic: str) -> int:
        """Give the number of partitions (see `Log.partitions`)."""
        return self._admin.info(topic, ANSWER_S).partitions

    def append(
        self, topic: str, records: Sequence[Record], timeout_s: float = 10.0
    ) -> list[Position]:
        """Append and return only when every record is durable (see `Log.append`)."""
        deadline_s = time.monotonic() + timeout_s
        pending = self._send(topic, records, timeout_s)
        return pending.wait(max(0.0, deadline_s - time.monotonic()))

    def append_async(self, topic: str, records: Sequence[Record]) -> KafkaPending:
        """Hand records over in order (see `Log.append_async`)."""
        return self._send(topic, records, ASYNC_BLOCK_S)

    def consumer(
        self, group: str, topics: Sequence[str], on_assigned: OnAssigned, on_revoked: OnRevoked
    ) -> Consumer:
        """Join a group (see `Log.consumer`), by Kafka's cooperative group protocol."""
        for topic in topics:
            self._admin.info(topic, ANSWER_S)
        return KafkaMember(self._cluster, check_name(group), topics, on_assigned, on_revoked)

    def reader(self, topic: str) -> Consumer:
        """Read all partitions from the beginning (see `Log.reader`)."""
        count = self._admin.info(topic, ANSWER_S).partitions
        reader = KafkaReader(self._cluster, {"group_id": None})
        reader.read_from_start((topic, partition) for partition in range(count))
        return reader

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Give the offset the next record of each partition will get (see `Log.end_offsets`)."""
        return self._admin.offsets(topic, OffsetSpec.LATEST, ANSWER_S)

    def start_offsets(self, topic: str) -> dict[int, int]:
        """Give the oldest offset of each partition (see `Log.start_offsets`)."""
        return self._admin.offsets(topic, OffsetSpec.EARLIEST, ANSWER_S)

    def close(self) -> None:
        """Send what was handed over and disconnect (see `Log.close`)."""
        self._producer.close()
        self._admin.close()

    def _send(self, topic: str, records: Sequence[Record], timeout_s: float) -> KafkaPending:
        deadline_s = time.monotonic() + timeout_s
        size_bytes = check_sizes(topic, records)
        info = self._admin.info(topic, timeout_s)
        prepared = [
            (
                record,
                choose_partition(topic, info.partitions, record, compacted=info.compacted),
                # Kafka marks a deletion in a compacted topic by having no value at all.
                None if info.compacted and not record.value else record.value,
            )
            for record in records
        ]
        left_s = max(0.0, deadline_s - time.monotonic())
        return self._producer.send(topic, prepared, size_bytes, left_s)
