"""The log port: append with a key, consume with positions kept by the consumer.

    log = open_log("sqlite:///var/lib/meterfleet/log.db")
    log.ensure_topics([Topic("readings.received", partitions=12, retention_s=7 * 86400)])
    log.append("readings.received", [Record(value=batch, key=meter)])

What is guaranteed stands in `port.py`, at the methods of `Log` and `Consumer`.
"""

from services.kit.log.open import open_log
from services.kit.log.partitioning import partition_of
from services.kit.log.port import (
    APPEND_BYTES_MAX,
    RECORD_BYTES_MAX,
    Consumed,
    Consumer,
    Log,
    LogError,
    LogRecordInvalidError,
    LogRecordTooLargeError,
    LogUnavailableError,
    LogUrlError,
    OnAssigned,
    OnRevoked,
    PartitionNotAssignedError,
    Pending,
    Position,
    Record,
    Topic,
    TopicPartition,
    UnknownTopicError,
)

__all__ = [
    "APPEND_BYTES_MAX",
    "RECORD_BYTES_MAX",
    "Consumed",
    "Consumer",
    "Log",
    "LogError",
    "LogRecordInvalidError",
    "LogRecordTooLargeError",
    "LogUnavailableError",
    "LogUrlError",
    "OnAssigned",
    "OnRevoked",
    "PartitionNotAssignedError",
    "Pending",
    "Position",
    "Record",
    "Topic",
    "TopicPartition",
    "UnknownTopicError",
    "open_log",
    "partition_of",
]
