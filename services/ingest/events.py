"""What ingest consumes and publishes, and how readings find their partition."""

from __future__ import annotations

import zlib

from services.kit.log import Topic

RECEIVED = "readings.received"
VALIDATED = "readings.validated"
CORRECTED = "usage.corrected"
METERS = "meters.changed"

#: Names under which positions are kept.
PIPELINE = "pipeline"
KEEPER = "ingest-meters"

_WEEK_S = 7 * 86_400


def topics(partitions: int) -> list[Topic]:
    """The topics ingest works with."""
    return [
        Topic(RECEIVED, partitions, retention_s=_WEEK_S),
        Topic(VALIDATED, partitions, retention_s=_WEEK_S),
        Topic(CORRECTED, partitions, retention_s=_WEEK_S),
        Topic(METERS, partitions, compacted=True),
    ]


def partition_of(tenant_id: int, canonical: str, partitions: int) -> int:
    """The partition of a meter: CRC-32 of tenant and canonical name, so every door agrees."""
    return zlib.crc32(f"{tenant_id}:{canonical}".encode()) % partitions
