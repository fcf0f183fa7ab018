"""Settings of the alerts service."""

from __future__ import annotations

from pydantic import Field

from services.kit.settings import KitSettings


class AlertsSettings(KitSettings):
    """Detectors and the life of alerts."""

    http_port: int = Field(8083, ge=0, le=65535, description="HTTP port.")
    grpc_port: int = Field(9083, ge=0, le=65535, description="gRPC port.")
    alerts_commit_readings: int = Field(
        500_000, ge=1, le=10_000_000, description="State is stored after so many readings."
    )
    alerts_commit_s: float = Field(
        30.0, gt=0, le=600, description="State is stored after so many seconds at the latest."
    )
    alerts_quiet_s: int = Field(
        3_600,
        ge=0,
        le=7 * 86_400,
        description="A meter whose time is up is raised as not reporting only after the doors have "
        "heard nothing of it for so many seconds, so that a load of history raises nothing.",
    )
    alerts_meters_wait_s: float = Field(
        5.0, ge=0, le=60, description="How long readings wait for a meter the registry just made."
    )
