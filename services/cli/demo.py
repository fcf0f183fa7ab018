"""`meterfleet demo`: real registers through the whole flow, from a file to bills, all counted.

Everything runs as `meterfleet up` runs it, in a data directory of its own. The numbers must add up:
every reading of the file is stored, a duplicate or in quarantine, and what is billed is what the
continuous registers moved, to the litre; else the exit code is 1.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from services.billing.templates import load as load_tariff
from services.cli.client import Platform, platform_at, wait_until_drained
from services.cli.feed import usage
from services.cli.own_tree import own_tree
from services.cli.progress import Steps
from services.cli.serve import Service
from services.cli.tree import Tree
from services.devices import templates
from services.kit.clock import to_ms
from services.kit.errors import InvalidInputError
from services.kit.money import scaled_to_decimal

OBIS = "8-0:1.0.0"
MAKER = "DEMO"
DAY_MS = 86_400_000
#: Long enough for a slow machine: 822,433 readings take about 20 s on two cores.
DRAIN_TIMEOUT_S = 1800.0
_TYPES = {".parquet": "application/vnd.apache.parquet", ".csv": "text/csv"}


@dataclass(frozen=True, slots=True)
class _File:
    """What the demo needs to know of the file before it registers meters."""

    path: Path
    content_type: str
    meters: tuple[str, ...]
    first: date
    after_last: date


def run(path: Path, *, zone: str, data_dir: Path | None, as_json: bool) -> None:
    """Run the demo and print its result.

    Raises:
        SystemExit: With 1 if the numbers do not add up.
    """
    start_s = time.monotonic()
    file = _look(path)
    with Steps() as steps, own_tree(steps, data_dir) as tree:
        result = _flow(tree, file, zone, steps)
    result["elapsed_s"] = round(time.monotonic() - start_s, 1)
    if as_json:
        print(json.dumps(result))
    else:
        _print(result)
    if not result["adds_up"]:
        raise SystemExit(1)


def _flow(tree: Tree, file: _File, zone: str, steps: Steps) -> dict[str, Any]:
    platform = platform_at(tree.ports, tree.admin_key)
    with steps.counting("registering meters", len(file.meters)) as counting:
        points = _register(platform, file, zone)
        counting.at(len(points))
    with steps.counting("sending the file"):
        sent = platform.post_file(
            "/v1/imports", file.path.read_bytes(), file.content_type,
            meter="meter", at="ts", value="reading_l", obis=OBIS, unit="L", zone=zone,
        )  # fmt: skip
    with steps.counting("storing and validating", sent["readings"]) as counting:
        tally = wait_until_drained(
            platform, lambda now: counting.at(now["received"]), DRAIN_TIMEOUT_S
        )
    with steps.counting("billing"):
        run_ = platform.post(
            platform.billing_url,
            "/v1/bill-runs",
            {
                "from_date": file.first.isoformat(),
                "to_date": file.after_last.isoformat(),
                "accept_partial": True,
            },
        )
    with steps.counting("reading the registers"):
        registers_m3 = _registers(tree, points, file)
    return _result(platform, tally, run_, registers_m3)


def _result(
    platform: Platform, tally: dict[str, Any], run_: dict[str, Any], registers_m3: Decimal
) -> dict[str, Any]:
    alerts = Counter(a["kind"] for a in platform.pages(platform.alerts_url, "/v1/alerts"))
    summary = platform.get(platform.billing_url, "/v1/summary")
    billed_m3 = Decimal(summary["quantities"].get("m3", "0"))
    total = tally["stored"] + tally["duplicates"] + tally["quarantined"]
    return {
        "readings_in": tally["received"],
        "stored": tally["stored"],
        "duplicates": tally["duplicates"],
        "quarantined": tally["quarantined"],
        "alerts": dict(sorted(alerts.items())),
        "bills": run_["issued"] + run_["already_issued"],
        "held": run_["held"],
        "billed_m3": float(billed_m3),
        "registers_m3": float(registers_m3),
        "billed": summary["billed"],
        "adds_up": tally["received"] == total and billed_m3 == registers_m3,
    }


def _register(platform: Platform, file: _File, zone: str) -> list[dict[str, Any]]:
    """A product, meters at service points, and an account with an agreement for each."""
    devices, billing = platform.devices_url, platform.billing_url
    product = templates.load("water") | {"code": "demo-water", "maker": MAKER}
    platform.post(devices, "/v1/products", product)
    meters = [{"maker": MAKER, "serial": m, "product": "demo-water"} for m in file.meters]
    platform.post_bulk(devices, "/v1/meters", "meters", meters)
    names = {meter: f"SP-{meter}" for meter in file.meters}
    points = platform.post_bulk(
        devices, "/v1/service-points", "service_points",
        [{"name": n, "commodity": "water", "time_zone": zone} for n in names.values()],
    )  # fmt: skip
    since = datetime(file.first.year, file.first.month, file.first.day, tzinfo=ZoneInfo(zone))
    platform.post_bulk(
        devices, "/v1/installations", "installations",
        [
            {"meter": f"{MAKER}:{m}", "service_point": n, "from": since.isoformat()}
            for m, n in names.items()
        ],
    )  # fmt: skip
    tariff = load_tariff("water-household")
    platform.post(billing, "/v1/tariffs", tariff)
    accounts = [{"number": f"A-{m}", "name": f"Customer {m}"} for m in file.meters]
    platform.post_bulk(billing, "/v1/accounts", "accounts", accounts)
    platform.post_bulk(
        billing, "/v1/agreements", "agreements",
        [
            {
                "account": account["number"],
                "service_point_id": point["service_point_id"],
                "service_point": point["name"],
                "tariff": tariff["code"],
                "from": file.first.isoformat(),
            }
            for account, point in zip(accounts, points, strict=True)
        ],
    )  # fmt: skip
    return points


def _registers(tree: Tree, points: list[dict[str, Any]], file: _File) -> Decimal:
    """What all continuous registers moved over the file's whole time, asked apart from billing."""
    edges = [
        datetime.combine(day, datetime.min.time(), UTC) for day in (file.first, file.after_last)
    ]
    boundaries = [to_ms(edges[0]) - 2 * DAY_MS, to_ms(edges[1]) + 2 * DAY_MS]
    target = tree.ports.target(Service.INGEST)
    ids = [point["service_point_id"] for point in points]
    return sum(
        (
            scaled_to_decimal(channel.quantity[0], channel.scaler)
            for answer in usage(target, tree.admin_key, ids, boundaries)
            for channel in answer.channels
        ),
        Decimal(0),
    )


def _look(path: Path) -> _File:
    """Meters and days of a file with columns meter, ts, reading_l."""
    content_type = _TYPES.get(path.suffix)
    if content_type is None:
        raise InvalidInputError(f"{path}: a file ends with {' or '.join(_TYPES)}", code="file.type")
    table = (
        pyarrow.parquet.read_table(path)
        if path.suffix == ".parquet"
        else pyarrow.csv.read_csv(path)
    )
    missing = {"meter", "ts", "reading_l"} - set(table.column_names)
    if missing:
        raise InvalidInputError(f"{path} has no column {sorted(missing)}", code="file.column")
    meters = pc.unique(pc.cast(table["meter"], pa.string())).to_pylist()
    span = pc.min_max(pc.cast(table["ts"], pa.timestamp("s"), safe=False))
    first, last = (span[name].as_py().replace(tzinfo=UTC).date() for name in ("min", "max"))
    month_after = (last.replace(day=1) + timedelta(days=32)).replace(day=1)
    return _File(path, content_type, tuple(meters), first.replace(day=1), month_after)


def _print(result: dict[str, Any]) -> None:
    print(f"readings in    {result['readings_in']:>12,}")
    for name in ("stored", "duplicates", "quarantined"):
        print(f"  {name:<12} {result[name]:>12,}")
    print(f"alerts         {sum(result['alerts'].values()):>12,}")
    for kind, count in result["alerts"].items():
        print(f"  {kind:<12} {count:>12,}")
    print(f"bills          {result['bills']:>12,}")
    print(f"billed         {result['billed_m3']:>12,.3f} m³, registers moved "
          f"{result['registers_m3']:,.3f} m³")  # fmt: skip
    print("everything adds up" if result["adds_up"] else "THE NUMBERS DO NOT ADD UP")
    print(f"took           {result['elapsed_s']:>12,.1f} s")
