"""Settings of the process tree that `meterfleet up` and `meterfleet demo` start."""

from __future__ import annotations

from pydantic import Field, SecretStr

from services.kit.settings import KitSettings


class TreeSettings(KitSettings):
    """Everything on one machine; what is not given is embedded."""

    database_url: SecretStr = Field(
        SecretStr(""), description="A PostgreSQL of yours; empty: the embedded one."
    )
    log_url: str = Field("", description="A Kafka of yours; empty: the embedded log.")
    port_base: int = Field(
        8080,
        ge=1024,
        le=64_000,
        description="HTTP ports are base … base + 5, gRPC ports base + 1001 … base + 1004.",
    )
    demo_meters: int = Field(240, ge=24, le=10_000, description="Meters of the demo city.")
    alerts_quiet_s: int = Field(
        3_600, ge=0, le=7 * 86_400, description="As the alerts service's; the demo city takes 60."
    )
    demo_seed: int = Field(7, description="Seed of the demo city: the same city every time.")
