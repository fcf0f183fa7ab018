"""Fixtures of ingest's integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.database_fixtures import fresh_database
from tests.ingest_harness import START_MS, batch, meter_event
from tests.integration.ingest.world import World, running

HOURS = 8_760
HOUR_MS = 3_600_000
LITRES_PER_HOUR = 10


@pytest.fixture(scope="module")
def world(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running ingest that knows two water meters of `city`; one for each test module.

    Meter 1 (`A`, at service point 11) has a register for every hour of 2026, 10 litres more each;
    meter 2 (`B`, at service point 12) has 48 hours of 1 litre each.
    """
    folder: Path = tmp_path_factory.mktemp("ingest")
    with running(database_url, folder) as world:
        world.harness.register(
            meter_event(1, "A", addresses=["dev-a"], service_point_id=11),
            meter_event(2, "B", service_point_id=12),
        )
        world.harness.feed(
            batch([("A", START_MS + n * HOUR_MS, n * LITRES_PER_HOUR) for n in range(HOURS)]),
            batch([("B", START_MS + n * HOUR_MS, n) for n in range(48)]),
        )
        yield world


@pytest.fixture(scope="module")
def away(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running ingest whose log does not answer."""
    folder: Path = tmp_path_factory.mktemp("away")
    with running(fresh_database(postgres_server), folder, away=True) as world:
        yield world
