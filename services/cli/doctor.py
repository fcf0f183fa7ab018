"""`meterfleet doctor`: looks at the parts of a platform and says what is wrong and what to do."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import httpx
from rich.console import Console
from rich.table import Table

from services.cli.client import KEY_VARIABLE, Platform, known_key, platform_at
from services.cli.ports import Ports
from services.cli.serve import Service
from services.cli.settings import TreeSettings
from services.cli.tree import running_pid
from services.kit.clock import SystemClock
from services.kit.errors import MeterfleetError
from services.kit.settings import load

#: Below this PostgreSQL and the log may stop with the disk.
DISK_FREE_MIN_GB = 2
SKEW_MAX_S = 5.0
LAG_MAX_RECORDS = 1_000

State = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: What was looked at.
        state: How it is.
        detail: What was found.
        remedy: What to do about it, empty where nothing is to be done.
    """

    part: str
    state: State
    detail: str
    remedy: str = ""


def run(*, as_json: bool) -> None:
    """Look at everything and print it.

    Raises:
        SystemExit: With 1 if something fails.
    """
    settings = load(TreeSettings)
    findings = examine(settings)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        _show(findings)
    if any(finding.state == "failure" for finding in findings):
        raise SystemExit(1)


def examine(settings: TreeSettings) -> list[Finding]:
    """Look at the machine, the processes and what they know."""
    ports = Ports(settings.port_base)
    data = settings.data_dir.absolute()
    findings = [_python(), _disk(data), _tree(data)]
    findings += [_service(ports, service) for service in Service]
    key = known_key(data)
    if key is None:
        text = f"no API key: set {KEY_VARIABLE} to look further"
        return [*findings, Finding("readings", "warning", text, "see `meterfleet up`")]
    platform = platform_at(ports, key)
    looks: list[Callable[[Platform], Finding]] = [_storage, _readings, _clock]
    return [*findings, *(_careful(look, platform) for look in looks)]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"{version}, {os.cpu_count()} cores")


def _disk(data: Path) -> Finding:
    there = next(path for path in (data, *data.parents) if path.exists())
    free_gb = shutil.disk_usage(there).free / 1e9
    enough = free_gb >= DISK_FREE_MIN_GB
    remedy = "" if enough else "free space or move METERFLEET_DATA_DIR"
    return Finding(
        "disk", "ok" if enough else "failure", f"{free_gb:.1f} GB free at {there}", remedy
    )


def _tree(data: Path) -> Finding:
    pid = running_pid(data)
    if pid is None:
        text = f"no `meterfleet up` works on {data}"
        return Finding("process tree", "warning", text, "start it, or look at your deployment")
    return Finding("process tree", "ok", f"process {pid} serves {data}")


def _service(ports: Ports, service: Service) -> Finding:
    url = f"{ports.url(service)}/readyz"
    try:
        answer = httpx.get(url, timeout=5)
    except httpx.TransportError as error:
        remedy = f"read data/logs/{service}.log, or set METERFLEET_PORT_BASE"
        return Finding(str(service), "failure", f"{url}: {error}", remedy)
    if answer.status_code == 200:
        return Finding(str(service), "ok", f"ready at {ports.url(service)}")
    return Finding(
        str(service), "failure", answer.json().get("detail", "not ready"), "read its log"
    )


def _careful(look: Callable[[Platform], Finding], platform: Platform) -> Finding:
    try:
        return look(platform)
    except MeterfleetError as error:
        return Finding(look.__name__.strip("_"), "failure", error.detail, "see the services above")


def _storage(platform: Platform) -> Finding:
    storage = platform.get(platform.ingest_url, "/v1/storage")
    text = (
        f"{storage['engine']}, chunks of {storage['chunk_interval_days']} days,"
        f" {storage['partitions']} partitions"
    )
    return Finding("storage", "ok", text)


def _readings(platform: Platform) -> Finding:
    tally = platform.get(platform.ingest_url, "/v1/tally")
    text = (
        f"{tally['received']:,} in = {tally['stored']:,} stored"
        f" + {tally['duplicates']:,} duplicates + {tally['quarantined']:,} in quarantine;"
        f" {tally['records_behind']:,} records behind"
    )
    if tally["records_behind"] > LAG_MAX_RECORDS:
        return Finding("readings", "warning", text, "add pipeline workers up to the partitions")
    if tally["quarantined"]:
        return Finding("readings", "warning", text, "look at the console's quarantine page")
    return Finding("readings", "ok", text)


def _clock(platform: Platform) -> Finding:
    answer = httpx.get(f"{platform.ingest_url}/healthz", timeout=5)
    served_s = parsedate_to_datetime(answer.headers["date"]).timestamp()
    skew_s = abs(served_s - SystemClock().now_ms() / 1000)
    state: State = "ok" if skew_s <= SKEW_MAX_S else "warning"
    remedy = "" if state == "ok" else "set the clocks: readings ahead of time are put aside (V24)"
    return Finding("clock", state, f"ingest differs by {skew_s:.0f} s", remedy)


def _show(findings: list[Finding]) -> None:
    colours = {"ok": "green", "warning": "yellow", "failure": "bold red"}
    table = Table("part", "state", "found", "what to do", box=None)
    for finding in findings:
        state = f"[{colours[finding.state]}]{finding.state}[/]"
        table.add_row(finding.part, state, finding.detail, finding.remedy)
    Console().print(table)
