"""Settings of billing."""

from __future__ import annotations

from pydantic import Field

from services.kit.settings import KitSettings


class BillingSettings(KitSettings):
    """The service that turns use into bills."""

    http_port: int = Field(8084, ge=0, le=65535, description="HTTP port.")
    grpc_port: int = Field(9084, ge=0, le=65535, description="gRPC port.")
    ingest_target: str = Field(
        "127.0.0.1:9082", description="gRPC address of the service that knows use."
    )
    billing_known_ppm_min: int = Field(
        950_000,
        ge=0,
        le=1_000_000,
        description="Least share of a period between good readings, in parts per million; "
        "bills below it are held.",
    )
