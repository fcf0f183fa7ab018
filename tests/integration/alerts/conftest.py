"""Fixtures of the alerts service's integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.alerts.world import World, running


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """An empty schema and an empty log for each test."""
    with running(database_url, tmp_path) as world:
        yield world
