"""Runs one scenario against a platform: `python -m loadtest.run SCENARIO --key …`.

Exit codes: 0 nothing lost, doubled or altered; 1 something was; 2 the scenario or the command line
is wrong; 3 a service refused the test or did not answer.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from loadtest import check, driver, report, services
from loadtest.clock import Clock, MachineClock
from loadtest.errors import LoadTestError, ScenarioError
from loadtest.ledger import Ledger
from loadtest.report import Report
from loadtest.scenario import Scenario, load
from loadtest.traffic import Traffic

KEY_VARIABLE = "METERFLEET_KEY"
EXIT_PASSED, EXIT_FAILED, EXIT_INVALID, EXIT_UNAVAILABLE = 0, 1, 2, 3
#: Registered last, so known last: ingest is asked for these before the first batch.
_LAST_METERS = 20


@dataclass(frozen=True, slots=True)
class LoadTest:
    """A load test to run.

    Attributes:
        scenario: What to send.
        ingest: Host and port of ingest's gRPC.
        ingest_url: Base URL of ingest's HTTP.
        devices_url: Base URL of the registry's HTTP.
        key: API key of an operator; its tenant should have no other traffic meanwhile.
        clock: Keeps the schedule.
    """

    scenario: Scenario
    ingest: str
    ingest_url: str
    devices_url: str
    key: str
    clock: Clock = field(default_factory=MachineClock)


def run(config: LoadTest, progress: driver.Progress | None = None) -> Report:
    """Register a fleet, send its readings on schedule, and check what became of them.

    Args:
        config: What to run against what.
        progress: Told what is being done and how far it is.

    Raises:
        ServiceError: A service refused the test or did not answer.
    """
    scenario, clock = config.scenario, config.clock
    started_at_ms = clock.now_ms()
    traffic = Traffic(scenario, f"{started_at_ms:x}", started_at_ms)
    devices = services.Http(config.devices_url, config.key)
    ingest = services.Http(config.ingest_url, config.key)
    try:
        ids = services.register_fleet(devices, traffic, progress)
        sample = sample_of(traffic)
        services.await_known(ingest, [ids[n] for n in [*sample, *list(ids)[-_LAST_METERS:]]], clock)
        view = services.HttpStoreView(ingest, ids)
        ledger = Ledger(scenario.meters, scenario.slots)
        before = view.tally()
        done = driver.drive(config.ingest, config.key, traffic, ledger, clock, progress)
        findings = examine(view, ledger, traffic, before, clock, progress)
    finally:
        devices.close()
        ingest.close()
    return Report(scenario, done, findings, report.machine(), started_at_ms)


def sample_of(traffic: Traffic) -> list[int]:
    """The registered meters to compare one by one, spread over the fleet."""
    known = np.flatnonzero(traffic.known)
    count = min(traffic.scenario.sample_meters, len(known))
    places = np.linspace(0, len(known) - 1, count).astype(np.int64)
    chosen: list[int] = known[places].tolist()
    return chosen


def examine(
    view: check.StoreView,
    ledger: Ledger,
    traffic: Traffic,
    before: check.Tally,
    clock: Clock,
    progress: driver.Progress | None = None,
) -> check.Findings:
    """Wait for the pipeline and reconcile a run's ledger with what a view shows.

    Args:
        view: How to look at what is stored.
        ledger: What was sent and acknowledged.
        traffic: What was to be sent.
        before: The view's tally before the run.
        clock: Waits and measures.
        progress: Told what is being done and how far it is.
    """
    expected = ledger.expected(traffic.known)
    tally, settled, settle_s = check.settle(
        view, before, expected.acknowledged, clock, traffic.scenario.settle_s, progress
    )
    sample = check.compare(view, ledger, traffic, sample_of(traffic))
    return check.reconcile(expected, tally, sample, settled=settled, settle_s=settle_s)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        config = LoadTest(
            scenario=load(options.scenario),
            ingest=options.ingest,
            ingest_url=options.ingest_url,
            devices_url=options.devices_url,
            key=options.key,
        )
        done = _run_with_progress(config, console)
    except LoadTestError as error:
        if options.json:
            print(json.dumps({"error": error.as_problem()}, indent=2))
        else:
            console.print(f"{error.code}: {error.detail}", style="bold red", markup=False)
        return EXIT_INVALID if isinstance(error, ScenarioError) else EXIT_UNAVAILABLE
    if options.json:
        print(json.dumps(done.as_json(), indent=2))
    else:
        Console().print(done.table())
    return EXIT_PASSED if done.passed else EXIT_FAILED


def _run_with_progress(config: LoadTest, console: Console) -> Report:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} of {task.total:,}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done)

        return run(config, show)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest.run", description=__doc__)
    parser.add_argument("scenario", type=Path, help="a scenario file")
    parser.add_argument("--ingest", default="127.0.0.1:9082", help="gRPC of ingest")
    parser.add_argument("--ingest-url", default="http://127.0.0.1:8082", help="HTTP of ingest")
    parser.add_argument("--devices-url", default="http://127.0.0.1:8081", help="HTTP of devices")
    key = os.environ.get(KEY_VARIABLE)
    text = f"API key of an operator; {KEY_VARIABLE} keeps it out of the process list"
    parser.add_argument("--key", default=key, required=key is None, help=text)
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
