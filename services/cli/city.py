"""The demo city: registered, given a history, billed, and kept living."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from services.billing.templates import load as load_tariff
from services.cli.client import Platform, wait_until_drained
from services.cli.feed import send
from services.cli.progress import Steps
from services.cli.settings import TreeSettings
from services.devices import templates
from services.kit.clock import to_ms, to_rfc3339
from services.kit.errors import MeterfleetError
from services.kit.money import decimal_to_text
from services.metering.products import Product, from_document
from services.metering.simulator import FleetPlan, Live, Simulation, demo_city, installations

TARIFFS = {
    "water": "water-household",
    "gas": "gas-household",
    "electricity": "electricity-2td",
    "heat": "heat-district",
}
LIVE_EVERY_S = 5.0
DRAIN_TIMEOUT_S = 1800.0
_PEOPLE = ("Garcia", "Ferrer", "Molina", "Soler", "Ibarra", "Vidal", "Navarro", "Costa", "Reyes")


@dataclass(slots=True)
class City:
    """A city on a data directory: the same plan at every start.

    Attributes:
        plan: Who lives there and what is planted.
        history_end_ms: Where faults stop being planted; the city lives on after it.
        sent_until_ms: Readings due before this were sent.
        billed_month: First day of the month that was billed at the start.
        path: Where this is kept.
    """

    plan: FleetPlan
    history_end_ms: int
    sent_until_ms: int
    billed_month: date
    path: Path

    def keep(self) -> None:
        """Write down how far the city has been sent."""
        document = {
            "history_end_ms": self.history_end_ms,
            "sent_until_ms": self.sent_until_ms,
            "billed_month": self.billed_month.isoformat(),
        }
        self.path.write_text(json.dumps(document))


def open_city(settings: TreeSettings, now_ms: int) -> tuple[City, bool]:
    """The city of a data directory, and whether it is new."""
    path = settings.data_dir / "city.json"
    known = json.loads(path.read_text()) if path.exists() else None
    history_end_ms = known["history_end_ms"] if known else now_ms // 3_600_000 * 3_600_000
    month = date.fromisoformat(known["billed_month"]) if known else _last_month(now_ms)
    start = datetime(month.year, month.month, 1, tzinfo=UTC) - timedelta(days=1)
    plan = demo_city(
        _products(),
        seed=settings.demo_seed,
        start_ms=to_ms(start),
        end_ms=history_end_ms,
        meters=settings.demo_meters,
    )
    sent = known["sent_until_ms"] if known else plan.start_ms
    return City(plan, history_end_ms, sent, month, path), known is None


def build_city(city: City, platform: Platform, target: str, steps: Steps) -> dict[str, Any]:
    """Register the city, send its history, bill its last month; returns the bill run."""
    with steps.counting("registering the city", len(city.plan.meters)) as counting:
        _register(city.plan, platform)
        counting.at(len(city.plan.meters))
    simulation = Simulation(city.plan)
    with steps.counting("sending its history") as counting:
        batches = simulation.batches(city.plan.start_ms, city.history_end_ms)
        total = send(target, platform.key, batches, counting.at)
    with steps.counting("storing and validating", total) as counting:
        wait_until_drained(platform, lambda now: counting.at(now["received"]), DRAIN_TIMEOUT_S)
    with steps.counting("billing last month"):
        run: dict[str, Any] = platform.post(
            platform.billing_url,
            "/v1/bill-runs",
            {
                "from_date": city.billed_month.isoformat(),
                "to_date": _next_month(city.billed_month).isoformat(),
            },
        )
    city.sent_until_ms = city.history_end_ms
    city.keep()
    return run


class Living(threading.Thread):
    """Sends what the city's meters read, as time goes on."""

    def __init__(
        self, city: City, platform: Platform, target: str, now_ms: Callable[[], int]
    ) -> None:
        super().__init__(name="city", daemon=True)
        self._city = city
        self._platform = platform
        self._target = target
        self._now_ms = now_ms
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Send until told to stop; what could not be sent is sent later."""
        live = Live(self._city.plan, self._city.sent_until_ms)
        waiting = []
        while not self._stop_asked.is_set():
            now_ms = self._now_ms()
            waiting += live.due(now_ms)
            if waiting:
                try:
                    send(self._target, self._platform.key, waiting)
                except MeterfleetError:
                    # The service is being started again; duplicates would be dropped.
                    self._stop_asked.wait(1)
                    continue
                waiting = []
                self._city.sent_until_ms = now_ms
                self._city.keep()
            self._stop_asked.wait(LIVE_EVERY_S)

    def stop(self) -> None:
        """Stop after the batch at hand."""
        self._stop_asked.set()
        self.join(15)


def _products() -> list[Product]:
    return [from_document(templates.load(name)) for name in templates.names()]


def _register(plan: FleetPlan, platform: Platform) -> None:
    devices = platform.devices_url
    for name in templates.names():
        platform.post(devices, "/v1/products", templates.load(name))
    platform.post_bulk(
        devices, "/v1/meters", "meters",
        [
            {"maker": m.product.maker, "serial": m.serial, "product": m.product.code}
            for m in plan.meters
        ],
    )  # fmt: skip
    points = platform.post_bulk(
        devices, "/v1/service-points", "service_points",
        [
            {
                "name": supply.name,
                "commodity": supply.commodity,
                "time_zone": plan.time_zone,
                "address": supply.address,
                "zone": supply.zone,
            }
            for supply in plan.supplies
        ],
    )  # fmt: skip
    platform.post_bulk(
        devices, "/v1/installations", "installations",
        [_installation(one) for one in installations(plan)],
    )  # fmt: skip
    _contract(plan, platform, points)


def _installation(one: Any) -> dict[str, Any]:
    body = {
        "meter": one.meter,
        "service_point": one.service_point,
        "from": to_rfc3339(one.from_ms),
        "first_register": decimal_to_text(one.first_register),
    }
    if one.to_ms is not None:
        body["to"] = to_rfc3339(one.to_ms)
        body["last_register"] = decimal_to_text(one.last_register)
    return body


def _contract(plan: FleetPlan, platform: Platform, points: list[dict[str, Any]]) -> None:
    billing = platform.billing_url
    for name in TARIFFS.values():
        platform.post(billing, "/v1/tariffs", load_tariff(name))
    accounts = [
        {"number": f"A-{n + 1:05}", "name": f"Household {_PEOPLE[n % len(_PEOPLE)]} {n + 1}"}
        for n in range(len(plan.supplies))
    ]
    platform.post_bulk(billing, "/v1/accounts", "accounts", accounts)
    since = datetime.fromtimestamp(plan.start_ms / 1000, UTC).date() + timedelta(days=1)
    platform.post_bulk(
        billing, "/v1/agreements", "agreements",
        [
            {
                "account": account["number"],
                "service_point_id": point["service_point_id"],
                "service_point": point["name"],
                "tariff": load_tariff(TARIFFS[supply.commodity])["code"],
                "from": since.isoformat(),
            }
            for account, point, supply in zip(accounts, points, plan.supplies, strict=True)
        ],
    )  # fmt: skip


def _last_month(now_ms: int) -> date:
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


def _next_month(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)
