"""Settings of the console, read from METERFLEET_<NAME>."""

from __future__ import annotations

import ipaddress
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from services.kit.settings import KitSettings

#: A shorter secret could be guessed; `openssl rand -base64 32` gives 44 characters.
SESSION_SECRET_CHARS_MIN = 32


class ConsoleSettings(KitSettings):
    """Where the four services answer, and how visitors are recognised."""

    http_port: int = Field(8080, ge=0, le=65535, description="Port of the web pages.")
    devices_url: str = Field("http://127.0.0.1:8081", description="HTTP API of devices.")
    ingest_url: str = Field("http://127.0.0.1:8082", description="HTTP API of ingest.")
    alerts_url: str = Field("http://127.0.0.1:8083", description="HTTP API of alerts.")
    billing_url: str = Field("http://127.0.0.1:8084", description="HTTP API of billing.")
    session_secret: SecretStr = Field(
        SecretStr(""),
        description="Seals the session cookie; the same in all replicas. Empty: made at start, "
        "so that a restart signs everybody out.",
    )
    auto_login_key: SecretStr = Field(
        SecretStr(""),
        description="API key of visitors who have not signed in; only on a loopback address.",
    )
    secure_cookie: bool = Field(
        False, description="Set behind TLS: the browser then never sends the cookie in the clear."
    )

    @field_validator("session_secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value()) < SESSION_SECRET_CHARS_MIN:
            raise ValueError(f"needs at least {SESSION_SECRET_CHARS_MIN} characters, or none")
        return secret

    @model_validator(mode="after")
    def _nobody_else_logs_in(self) -> Self:
        if self.auto_login_key.get_secret_value() and not is_loopback(self.host):
            raise ValueError("auto_login_key is for a host of 127.0.0.1, ::1 or localhost only")
        return self


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    name = host.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
