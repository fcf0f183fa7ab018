"""Settings of the ingest service (doors and usage) and of its pipeline worker."""

from __future__ import annotations

from pydantic import Field

from services.kit.settings import KitSettings


class IngestSettings(KitSettings):
    """Doors for readings and the read side."""

    http_port: int = Field(8082, ge=0, le=65535, description="HTTP port.")
    grpc_port: int = Field(9082, ge=0, le=65535, description="gRPC port.")


class PipelineSettings(KitSettings):
    """The worker that owns partitions of readings.received."""

    http_port: int = Field(8085, ge=0, le=65535, description="HTTP port of health and metrics.")
    pipeline_group_readings: int = Field(
        50_000, ge=1, le=1_000_000, description="Readings committed together at most."
    )
    chunk_interval_days: int = Field(
        7, ge=1, le=366, description="Span of a partition or chunk of readings."
    )
