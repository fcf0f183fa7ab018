"""Settings of the registry."""

from __future__ import annotations

from pydantic import Field, SecretStr

from services.kit.settings import KitSettings


class DevicesSettings(KitSettings):
    """The registry of organisations, products and meters."""

    http_port: int = Field(8081, ge=0, le=65535, description="HTTP port.")
    grpc_port: int = Field(9081, ge=0, le=65535, description="gRPC port.")
    platform_key: SecretStr = Field(
        SecretStr(""),
        description="API key of the platform's own operator, who makes organisations; "
        "empty: nobody can.",
    )
