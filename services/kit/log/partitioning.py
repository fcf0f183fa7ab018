"""Which partition a key belongs to: Kafka's murmur2, so both backends and Java tools agree."""

import struct

from services.kit.log.port import LogRecordInvalidError, Record

_SEED = 0x9747B28C
_MIX = 0x5BD1E995
_MASK = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Give the partition of a key, the same in every backend, process and release."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Hash as Kafka's Java client does (`Utils.murmur2`), as an unsigned 32-bit number.

    Written out here because the embedded backend must work without loading a Kafka client.
    """
    length = len(data)
    words = length // 4
    state = _SEED ^ length
    for word in struct.unpack_from(f"<{words}I", data):
        mixed = word * _MIX & _MASK
        mixed ^= mixed >> 24
        state = (state * _MIX & _MASK) ^ (mixed * _MIX & _MASK)
    tail = data[words * 4 :]
    if tail:
        state = (state ^ int.from_bytes(tail, "little")) * _MIX & _MASK
    state ^= state >> 13
    state = state * _MIX & _MASK
    return state ^ (state >> 15)


def choose_partition(topic: str, partitions: int, record: Record, *, compacted: bool) -> int:
    """Choose the partition of a record, and refuse what does not fit its topic.

    Raises:
        LogRecordInvalidError: there is no such partition, or compaction lacks its key.
    """
    if compacted and not record.key:
        raise LogRecordInvalidError(f"{topic} is compacted, a record needs a key.")
    if record.partition is None:
        return partition_of(record.key, partitions)
    if not 0 <= record.partition < partitions:
        raise LogRecordInvalidError(
            f"{topic} has {partitions} partitions, there is no {record.partition}."
        )
    return record.partition
