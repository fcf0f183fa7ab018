"""`meterfleet loadtest`: a load test with proof, against a platform of its own or a given one."""

from __future__ import annotations

import importlib.resources
import json
from pathlib import Path

from rich.console import Console

from loadtest.errors import LoadTestError
from loadtest.report import Report
from loadtest.run import LoadTest
from loadtest.run import run as run_test
from loadtest.scenario import load as load_scenario
from services.cli.client import KEY_VARIABLE, known_key
from services.cli.own_tree import own_tree
from services.cli.ports import Ports
from services.cli.progress import Steps
from services.cli.serve import Service
from services.cli.settings import TreeSettings
from services.kit.errors import MeterfleetError, UnauthenticatedError
from services.kit.settings import load


def run(scenario: Path | None, *, running: bool, as_json: bool) -> None:
    """Run a scenario and print its report.

    Args:
        scenario: A scenario file; None is the one that comes with the platform.
        running: Against the platform that runs on METERFLEET_PORT_BASE; else against its own.
        as_json: Whether to print JSON.

    Raises:
        SystemExit: With 1 if anything was lost, doubled or altered.
    """
    path = scenario or Path(str(importlib.resources.files("loadtest") / "scenarios/steady.yaml"))
    with Steps() as steps:
        try:
            if running:
                report = _against_running(path, steps)
            else:
                with own_tree(steps) as tree:
                    report = _against(path, tree.ports, tree.admin_key, steps)
        except LoadTestError as error:
            raise MeterfleetError(error.detail, code=error.code) from error
    if as_json:
        print(json.dumps(report.as_json()))
    else:
        Console().print(report.table())
    if not report.passed:
        raise SystemExit(1)


def _against_running(path: Path, steps: Steps) -> Report:
    settings = load(TreeSettings)
    key = known_key(settings.data_dir)
    if key is None:
        raise UnauthenticatedError(f"set {KEY_VARIABLE} to an operator's API key")
    return _against(path, Ports(settings.port_base), key, steps)


def _against(path: Path, ports: Ports, key: str, steps: Steps) -> Report:
    test = LoadTest(
        scenario=load_scenario(path),
        ingest=ports.target(Service.INGEST),
        ingest_url=ports.url(Service.INGEST),
        devices_url=ports.url(Service.DEVICES),
        key=key,
    )
    with steps.counting("load test") as counting:
        return run_test(test, counting.named)
