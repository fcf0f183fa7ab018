"""Loads the demo city into a running platform, once: the one-shot service of docker-compose.yml.

It is a client like any other: it makes the organisation with the platform's key, and everything
else with that organisation's own. Prints the key to sign in with.
"""

from __future__ import annotations

import sys

from pydantic import Field, SecretStr

from services.cli.city import build_city, open_city
from services.cli.client import Platform
from services.cli.progress import Steps
from services.cli.settings import TreeSettings
from services.kit.clock import SystemClock
from services.kit.errors import MeterfleetError
from services.kit.settings import load

TENANT = "demo"


class LoaderSettings(TreeSettings):
    """Where the platform answers, and how large a city it gets."""

    devices_url: str = Field("http://127.0.0.1:8081", description="HTTP API of devices.")
    ingest_url: str = Field("http://127.0.0.1:8082", description="HTTP API of ingest.")
    alerts_url: str = Field("http://127.0.0.1:8083", description="HTTP API of alerts.")
    billing_url: str = Field("http://127.0.0.1:8084", description="HTTP API of billing.")
    ingest_target: str = Field("127.0.0.1:9082", description="gRPC address of ingest.")
    platform_key: SecretStr = Field(SecretStr(""), description="Key of the platform's operator.")


def platform_of(settings: LoaderSettings, key: str) -> Platform:
    """The services as the holder of a key sees them."""
    return Platform(
        key=key,
        devices_url=settings.devices_url,
        ingest_url=settings.ingest_url,
        alerts_url=settings.alerts_url,
        billing_url=settings.billing_url,
    )


def main() -> None:
    """Make the organisation and its city; do nothing if it is there."""
    settings = load(LoaderSettings)
    operator = platform_of(settings, settings.platform_key.get_secret_value())
    try:
        made = operator.post(
            settings.devices_url, "/v1/organisations", {"name": TENANT, "kind": "utility"}
        )
    except MeterfleetError as error:
        if error.code != "organisation.exists":
            raise
        print(f"organisation {TENANT!r} is there; `docker compose down --volumes` begins anew")
        return
    key = made["admin_key"]
    # First of all, because it is shown once: a city that fails half-way can still be looked at.
    print(f"sign in at http://127.0.0.1:8080 with {key}", flush=True)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    city, _ = open_city(settings, SystemClock().now_ms())
    with Steps() as steps:
        run = build_city(city, platform_of(settings, key), settings.ingest_target, steps)
    print(f"{len(city.plan.meters)} meters, {run['issued']} bills")


if __name__ == "__main__":
    try:
        main()
    except MeterfleetError as error:
        sys.exit(f"{error.code}: {error.detail}")
