"""`meterfleet up`: everything on one machine, with a demo city, until Ctrl-C."""

from __future__ import annotations

import json
import signal
import threading
from typing import Any

from rich.console import Console
from rich.table import Table

from services.cli.city import Living, build_city, open_city
from services.cli.client import Platform, platform_at
from services.cli.ports import Ports
from services.cli.progress import Steps
from services.cli.serve import Service
from services.cli.settings import TreeSettings
from services.cli.tree import Tree
from services.kit.clock import SystemClock
from services.kit.settings import load

CITY_QUIET_S = 60


def run(*, with_demo: bool, as_json: bool) -> None:
    """Start, show a summary, serve, stop cleanly."""
    # The city's history comes in order of time: a silent meter is known for one after a minute.
    settings = load(TreeSettings, **({"alerts_quiet_s": CITY_QUIET_S} if with_demo else {}))
    tree = Tree(settings, Ports(settings.port_base))
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop(asked))
    clock = SystemClock()
    living: Living | None = None
    try:
        with Steps() as steps:
            with steps.counting("starting the platform"):
                tree.start(steps.say)
            platform = platform_at(tree.ports, tree.admin_key)
            if with_demo:
                city, is_new = open_city(settings, clock.now_ms())
                if is_new:
                    build_city(city, platform, tree.ports.target(Service.INGEST), steps)
                target = tree.ports.target(Service.INGEST)
                living = Living(city, platform, target, clock.now_ms)
                living.start()
        _show(tree, platform, as_json=as_json)
        asked.wait()
    except _StopAskedError:
        pass
    finally:
        # A second Ctrl-C while stopping must not leave a database behind.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        Console(stderr=True).print("stopping …")
        if living is not None:
            living.stop()
        tree.stop()


class _StopAskedError(Exception):
    """Ctrl-C while still starting."""


def _stop(asked: threading.Event) -> None:
    if asked.is_set():
        return
    asked.set()
    raise _StopAskedError


def _show(tree: Tree, platform: Platform, *, as_json: bool) -> None:
    summary = summary_of(tree, platform)
    if as_json:
        print(json.dumps(summary), flush=True)
        return
    console = Console()
    table = Table(title="Meterfleet is up", title_justify="left", show_header=False)
    table.add_row("console", f"[bold]{summary['console']}[/]")
    for name, url in summary["apis"].items():
        table.add_row(f"{name} API", f"{url}/docs")
    table.add_row("meters", _counts(summary["meters"]))
    readings = summary["readings"]
    table.add_row(
        "readings",
        f"{readings['stored']:,} stored, {readings['duplicates']:,} duplicates,"
        f" {readings['quarantined']:,} in quarantine",
    )
    table.add_row("open alerts", _counts(summary["alerts"]) or "none")
    bills = summary["bills"]
    billed = ", ".join(f"{total} {currency}" for currency, total in bills["billed"].items())
    table.add_row("bills", f"{bills['bills']:,} issued ({billed or '0'}), {bills['held']:,} held")
    table.add_row("API key", summary["api_key"])
    table.add_row("data", summary["data_dir"])
    table.add_row("log files", summary["log_dir"])
    console.print(table)
    console.print("Ctrl-C stops everything; the data stays.")


def summary_of(tree: Tree, platform: Platform) -> dict[str, Any]:
    """What is there, by one question to each service."""
    devices = platform.get(platform.devices_url, "/v1/summary")
    alerts = platform.get(platform.alerts_url, "/v1/summary")
    bills = platform.get(platform.billing_url, "/v1/summary")
    tally = platform.get(platform.ingest_url, "/v1/tally")
    served = (Service.DEVICES, Service.INGEST, Service.ALERTS, Service.BILLING)
    return {
        "console": tree.ports.url(Service.CONSOLE),
        "apis": {str(service): tree.ports.url(service) for service in served},
        "api_key": platform.key,
        "data_dir": str(tree.settings.data_dir.absolute()),
        "log_dir": str(tree.log_dir),
        "meters": devices["by_commodity"],
        "readings": {k: tally[k] for k in ("received", "stored", "duplicates", "quarantined")},
        "alerts": alerts["by_kind"],
        "bills": {"bills": bills["bills"], "held": bills["held"], "billed": bills["billed"]},
    }


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
