"""A whole platform for tests: every service in its own process, with a small demo city."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.cli.city import City, Living, build_city, open_city
from services.cli.client import Platform, platform_at
from services.cli.ports import free_ports
from services.cli.progress import Steps
from services.cli.serve import Service
from services.cli.settings import TreeSettings
from services.cli.tree import Tree
from services.kit.clock import SystemClock


@dataclass(frozen=True)
class Demo:
    """A running platform with its city.

    Attributes:
        tree: The processes.
        platform: The four services as the demo's administrator sees them.
        city: What was planted.
        run: What billing said of the city's last month.
    """

    tree: Tree
    platform: Platform
    city: City
    run: dict[str, Any]


@pytest.fixture(scope="session")
def passable() -> Iterator[Path]:
    """A folder for platforms: pytest closes its own to other accounts, PostgreSQL's among them."""
    with tempfile.TemporaryDirectory(prefix="meterfleet-e2e-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def demo(passable: Path) -> Iterator[Demo]:
    """The embedded default with a city of 48 supplies."""
    ports = free_ports()
    folder = passable / "platform"
    settings = TreeSettings(data_dir=folder, port_base=ports.base, demo_meters=48, alerts_quiet_s=5)
    tree = Tree(settings, ports)
    try:
        with Steps() as steps:
            tree.start(steps.say)
            platform = platform_at(ports, tree.admin_key)
            city, _ = open_city(settings, SystemClock().now_ms())
            target = ports.target(Service.INGEST)
            run = build_city(city, platform, target, steps)
        living = Living(city, platform, target, SystemClock().now_ms)
        living.start()
        yield Demo(tree, platform, city, run)
        living.stop()
    finally:
        tree.stop()


@pytest.fixture(scope="session")
def console_url(demo: Demo) -> str:
    """Where the demo's console is."""
    return demo.tree.ports.url(Service.CONSOLE)
