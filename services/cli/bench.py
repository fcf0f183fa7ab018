"""`meterfleet bench ingest`: what the road costs, beside the ceiling, in one run on one machine.

Three roads take the same readings into the same database, one after the other, several times:

- ceiling: bare binary COPY into a table with the same columns and key, in the pipeline's portions;
- grpc: the gRPC door, the log, the pipeline with its rules, the store, the detectors;
- json: the HTTP door with JSON rows, then the same way (a tenth of the readings).

A road's time is from the first byte sent until the pipeline and the detectors have committed the
last reading; lost and duplicated are counted against what was acknowledged.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from services.cli.client import Platform, platform_at, wait_until_drained
from services.cli.feed import send
from services.cli.own_tree import own_tree
from services.cli.progress import Steps
from services.cli.serve import Service
from services.cli.tree import Tree
from services.devices import templates
from services.ingest.store.ceiling import bytes_per_reading, copy_ceiling
from services.kit.clock import SystemClock, to_rfc3339
from services.kit.db import Database, connect
from services.metering.batch import RECORD_READINGS_MAX, ChannelRef, ReadingBatch
from services.metering.simulator import UniformLoad

OBIS = "8-0:1.0.0"
MAKER = "BENCH"
JSON_ROWS = 5_000
JSON_SHARE = 10
INTERVAL_S = 900
#: Of each six hours, registers move in four and a half.
DAY_PART, MOVING = 24, 18
HOUR_MS = 3_600_000
DRAIN_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Road:
    """One road of one run."""

    readings: int
    elapsed_s: float
    lost: int = 0
    duplicated: int = 0

    @property
    def per_s(self) -> float:
        """Readings a second."""
        return self.readings / self.elapsed_s


class Fleet:
    """Meters of a bench and their readings, run by run later in time."""

    def __init__(self, meters: int, start_ms: int) -> None:
        self.meters = meters
        self._start_ms = start_ms
        self._load = UniformLoad(1)
        self._names = tuple(f"{MAKER}:{number}" for number in range(meters))
        self._slot = 0

    def batches(self, readings: int) -> Iterator[ReadingBatch]:
        """About so many readings, interval by interval, in records of the usual size."""
        for _ in range(max(1, readings // self.meters)):
            # Taps that never rest are leaks: they would measure how fast 10,000 alerts are raised.
            moved = self._slot // DAY_PART * MOVING + min(self._slot % DAY_PART, MOVING - 1)
            at_ms = self._start_ms + self._slot * INTERVAL_S * 1000
            for first in range(0, self.meters, RECORD_READINGS_MAX):
                number = np.arange(first, min(first + RECORD_READINGS_MAX, self.meters))
                size = len(number)
                yield ReadingBatch(
                    meters=self._names[first : first + size],
                    channels=(ChannelRef(OBIS, "m3", -3),),
                    meter=np.arange(size, dtype=np.int32),
                    channel=np.zeros(size, dtype=np.int32),
                    at_ms=np.full(size, at_ms, dtype=np.int64),
                    value=self._load.values(number.astype(np.int64), moved),
                )
            self._slot += 1


def run(*, readings: int, meters: int, runs: int, as_json: bool) -> None:
    """Run the bench and print medians and spreads.

    Raises:
        SystemExit: With 1 if a reading was lost or doubled.
    """
    with Steps() as steps, own_tree(steps) as tree:
        result = measure(tree, steps, readings=readings, meters=meters, runs=runs)
    if as_json:
        print(json.dumps(result))
    else:
        _show(result)
    if result["grpc"]["lost"] or result["grpc"]["duplicated"]:
        raise SystemExit(1)


def measure(tree: Tree, steps: Steps, *, readings: int, meters: int, runs: int) -> dict[str, Any]:
    """Run all roads `runs` times, in turns, so that the machine's mood touches all alike."""
    platform = platform_at(tree.ports, tree.admin_key)
    hour_ms = SystemClock().now_ms() // HOUR_MS * HOUR_MS
    slots = (runs + 1) * (readings + readings // JSON_SHARE) // meters + 2
    fleet = Fleet(meters, hour_ms - slots * INTERVAL_S * 1000)
    with steps.counting("registering", meters) as counting:
        _register(platform, meters)
        counting.at(meters)
    database = Database(connect(tree.database_url, name="bench"))
    roads: dict[str, list[Road]] = {"ceiling": [], "grpc": [], "json": []}
    cpu_s: dict[str, float] = {}
    try:
        # The first run warms caches and makes partitions; it does not count.
        for number in range(runs + 1):
            with steps.counting(f"run {number} of {runs}" if number else "warming up"):
                before = _cpu_s(tree)
                one = {
                    "grpc": _grpc_road(tree, platform, fleet, readings),
                    "json": _json_road(platform, fleet, readings // JSON_SHARE),
                }
                spent = {name: after - before[name] for name, after in _cpu_s(tree).items()}
                one["ceiling"] = _ceiling(database, fleet, readings)
            if number:
                for name, road in one.items():
                    roads[name].append(road)
                cpu_s = {name: cpu_s.get(name, 0.0) + value for name, value in spent.items()}
        stored_bytes = bytes_per_reading(database)
        engine = platform.get(platform.ingest_url, "/v1/storage")["engine"]
    finally:
        database.close()
    return _summary(roads, cpu_s, stored_bytes, engine, meters)


def _summary(
    roads: dict[str, list[Road]],
    cpu_s: dict[str, float],
    stored_bytes: float,
    engine: str,
    meters: int,
) -> dict[str, Any]:
    ceiling = statistics.median(road.per_s for road in roads["ceiling"])
    result: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores",
        "engine": engine,
        "meters": meters,
        "runs": len(roads["grpc"]),
        "bytes_per_reading": round(stored_bytes, 1),
        "cpu_s_by_process": {name: round(value, 1) for name, value in sorted(cpu_s.items())},
    }
    for name, taken in roads.items():
        rates = sorted(road.per_s for road in taken)
        rate = statistics.median(rates)
        result[name] = {
            "readings_per_s": round(rate),
            "min": round(rates[0]),
            "max": round(rates[-1]),
            "ceiling_readings_per_s": round(ceiling),
            "ratio": round(rate / ceiling, 3),
            "readings": sum(road.readings for road in taken),
            "lost": sum(road.lost for road in taken),
            "duplicated": sum(road.duplicated for road in taken),
        }
    return result


def _register(platform: Platform, meters: int) -> None:
    product = templates.load("water") | {"code": "bench-water", "maker": MAKER}
    platform.post(platform.devices_url, "/v1/products", product)
    platform.post_bulk(
        platform.devices_url, "/v1/meters", "meters",
        [{"maker": MAKER, "serial": str(n), "product": "bench-water"} for n in range(meters)],
    )  # fmt: skip


def _grpc_road(tree: Tree, platform: Platform, fleet: Fleet, readings: int) -> Road:
    batches = list(fleet.batches(readings))
    before = platform.get(platform.ingest_url, "/v1/tally")
    start_s = time.perf_counter()
    sent = send(tree.ports.target(Service.INGEST), platform.key, batches)
    return _arrived(platform, before, sent, start_s)


def _json_road(platform: Platform, fleet: Fleet, readings: int) -> Road:
    bodies = [body for batch in fleet.batches(readings) for body in _bodies(batch)]
    before = platform.get(platform.ingest_url, "/v1/tally")
    start_s = time.perf_counter()
    sent = 0
    for body in bodies:
        sent += platform.post(platform.ingest_url, "/v1/readings", body)["readings"]
    return _arrived(platform, before, sent, start_s)


def _bodies(batch: ReadingBatch) -> Iterator[dict[str, Any]]:
    at = to_rfc3339(int(batch.at_ms[0]))
    rows = [
        {"meter": name, "obis": OBIS, "at": at, "value": f"{value / 1000:.3f}", "unit": "m3"}
        for name, value in zip(batch.meters, batch.value.tolist(), strict=True)
    ]
    for start in range(0, len(rows), JSON_ROWS):
        yield {"readings": rows[start : start + JSON_ROWS]}


def _arrived(platform: Platform, before: dict[str, Any], sent: int, start_s: float) -> Road:
    """Wait until all was committed and hold what came against what was acknowledged."""
    after = wait_until_drained(platform, lambda _: None, DRAIN_TIMEOUT_S)
    elapsed_s = time.perf_counter() - start_s
    stored = after["stored"] - before["stored"]
    put_aside = after["quarantined"] - before["quarantined"]
    return Road(sent, elapsed_s, max(0, sent - stored - put_aside), max(0, stored - sent))


def _ceiling(database: Database, fleet: Fleet, readings: int) -> Road:
    """Bare COPY of as many rows as the grpc road took."""
    count = max(1, readings // fleet.meters) * fleet.meters
    elapsed_s = copy_ceiling(database, count, fleet.meters, INTERVAL_S)
    return Road(count, elapsed_s)


def _cpu_s(tree: Tree) -> dict[str, float]:
    """CPU seconds spent so far, by process; the database's as one, if it is ours."""
    spent = {}
    for service in Service:
        times = psutil.Process(tree.pid_of(service)).cpu_times()
        spent[str(service)] = times.user + times.system
    spent["sender"] = sum(psutil.Process().cpu_times()[:2])
    if tree.postgres_pid is not None:
        server = psutil.Process(tree.postgres_pid)
        each = [p.cpu_times() for p in (server, *server.children())]
        # Backends that ended are counted with the postmaster, as its children.
        spent["postgres"] = sum(t.user + t.system for t in each)
        spent["postgres"] += each[0].children_user + each[0].children_system
    return spent


def _show(result: dict[str, Any]) -> None:
    table = Table("road", "readings/s", "spread", "of the ceiling", "lost", "doubled")
    for name in ("ceiling", "grpc", "json"):
        road = result[name]
        table.add_row(
            name,
            f"{road['readings_per_s']:,}",
            f"{road['min']:,} to {road['max']:,}",
            f"{road['ratio']:.2f}",
            str(road["lost"]),
            str(road["duplicated"]),
        )
    console = Console()
    console.print(table)
    console.print(
        f"{result['engine']}, {result['meters']:,} meters, medians of {result['runs']} runs on"
        f" {result['machine']}; {result['bytes_per_reading']} bytes a reading"
    )
    spent = ", ".join(f"{name} {value}" for name, value in result["cpu_s_by_process"].items())
    console.print(f"CPU seconds of the grpc and json roads together: {spent}")
