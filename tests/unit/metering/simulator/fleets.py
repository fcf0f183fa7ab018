"""Products and small fleets for the simulator's tests."""

from __future__ import annotations

import numpy as np

from services.metering.products import Channel, ChannelKind, Product
from services.metering.simulator import (
    FaultKind,
    FleetPlan,
    PlantedFault,
    Readings,
    Supply,
    VirtualMeter,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
#: 2026-01-01T00:00:00Z, a Thursday.
START_MS = 1_767_225_600_000


def channel(number, obis, unit, scaler, interval_s, *, digits=9, kind=ChannelKind.REGISTER):
    """A channel with limits wide enough for every test."""
    return Channel(number, obis, unit, scaler, kind, digits, interval_s, 5_000, 2_500)


def product(commodity, *channels):
    """A product of one maker."""
    return Product(f"test-{commodity}", "Testa", f"Testa {commodity}", commodity, channels)


WATER = product("water", channel(1, "8-0:1.0.0", "m3", -3, 3600))
GAS = product("gas", channel(1, "7-0:3.0.0", "m3", -2, 3600, digits=7))
ELECTRICITY = product(
    "electricity",
    channel(1, "1-0:1.8.0", "kWh", -3, 900),
    channel(2, "1-0:2.8.0", "kWh", -3, 900),
)
HEAT = product(
    "heat",
    channel(1, "6-0:1.0.0", "kWh", -2, 3600),
    channel(2, "6-0:2.0.0", "m3", -3, 3600),
)
PRODUCTS = (WATER, GAS, ELECTRICITY, HEAT)


def fleet(count=12, *, products=PRODUCTS, faults=(), spread_s=0, pv_kw=0.0, persons=None):
    """`count` meters that take turns in `products`, all there since `START_MS`."""
    supplies, meters = [], []
    for n in range(count):
        kind = products[n % len(products)]
        people = persons or 1 + n % 4
        supplies.append(Supply(f"s{n}", kind.commodity, 7_919 * n + 5, people, 90.0, pv_kw))
        meters.append(VirtualMeter(kind, f"{n:04d}", n, (1_000,) * len(kind.channels), START_MS))
    return FleetPlan(
        "test", 11, "Europe/Madrid", START_MS, tuple(supplies), tuple(meters), faults, spread_s
    )


def faulty(kind, start_day, end_day=None, magnitude=0, *, one=WATER, **options):
    """One meter with one fault, days counted from `START_MS`."""
    end_ms = None if end_day is None else START_MS + round(end_day * 24) * HOUR_MS
    start_ms = START_MS + round(start_day * 24) * HOUR_MS
    planted = PlantedFault("Testa:0000", FaultKind(kind), start_ms, end_ms, magnitude)
    return fleet(1, products=(one,), faults=(planted,), **options)


def columns(readings: Readings) -> list[list[int]]:
    """The columns as lists, for comparing."""
    return [
        column.tolist()
        for column in (
            readings.due_ms,
            readings.at_ms,
            readings.meter,
            readings.channel,
            readings.value,
        )
    ]


def series(readings: Readings, meter: int = 0, number: int = 1):
    """Instants and values of one channel in order of time, second copies included."""
    mine = (readings.meter == meter) & (readings.channel == number)
    order = np.argsort(readings.at_ms[mine], kind="stable")
    return readings.at_ms[mine][order], readings.value[mine][order]
