"""Settings every process has: read once from the environment, all faults reported at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kit.errors import Fault, InvalidInputError


class KitSettings(BaseSettings):
    """Settings shared by all processes; every name is read from METERFLEET_<NAME>.

    A service's own settings class adds to these. Ports of one machine are listed in
    `docs/operate.md`.
    """

    model_config = SettingsConfigDict(env_prefix="METERFLEET_", extra="ignore", frozen=True)

    database_url: SecretStr = Field(
        SecretStr("postgresql://postgres@127.0.0.1:5432/postgres"),
        description="PostgreSQL 15 or later, with or without TimescaleDB.",
    )
    log_url: str = Field(
        "sqlite:///data/log/log.db",
        description="kafka://host:port[,host:port] or sqlite:///absolute/path.",
    )
    log_partitions: int = Field(4, ge=1, le=10_000, description="Partitions of new reading topics.")
    data_dir: Path = Field(Path("data"), description="Where the embedded parts keep their files.")
    host: str = Field("127.0.0.1", description="Address the process listens on.")
    http_port: int = Field(0, ge=0, le=65535, description="HTTP port; 0 is the service's own.")
    grpc_port: int = Field(0, ge=0, le=65535, description="gRPC port; 0 is the service's own.")
    internal_token: SecretStr = Field(
        SecretStr(""), description="Shared secret with which services call one another."
    )
    identity_target: str = Field(
        "127.0.0.1:9081", description="gRPC address of the service that knows API keys."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What is less important is not logged."
    )
    log_format: Literal["auto", "json", "pretty"] = Field(
        "auto", description="auto: pretty on a terminal, JSON elsewhere."
    )


SettingsT = TypeVar("SettingsT", bound=KitSettings)


def load(kind: type[SettingsT], **overrides: Any) -> SettingsT:
    """Read settings of `kind` from the environment.

    Raises:
        InvalidInputError: With one fault for every setting that is wrong.
    """
    try:
        return kind(**overrides)
    except ValidationError as error:
        faults = [
            Fault(
                where="METERFLEET_" + "_".join(str(part) for part in item["loc"]).upper(),
                code="settings.invalid",
                detail=item["msg"],
            )
            for item in error.errors(include_input=False, include_url=False)
        ]
        raise InvalidInputError(
            "settings are wrong: " + "; ".join(f"{f.where}: {f.detail}" for f in faults),
            faults=faults,
            code="settings.invalid",
        ) from error
