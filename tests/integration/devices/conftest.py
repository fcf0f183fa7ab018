"""Fixtures of the registry's integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.devices.world import World, running


@pytest.fixture(scope="module")
def world(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running registry on a database of its own, one for each test module."""
    folder: Path = tmp_path_factory.mktemp("devices")
    with running(database_url, folder) as world:
        yield world
