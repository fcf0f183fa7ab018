"""A demo city: a small fictional town with every commodity and one fault of every kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from services.kit.errors import Fault, InvalidInputError
from services.kit.money import scaled_to_decimal
from services.metering.products import Product
from services.metering.simulator.counter import bell, hashed, uniform
from services.metering.simulator.fleet import (
    METERS_MAX,
    FaultKind,
    FleetPlan,
    PlantedFault,
    Supply,
    VirtualMeter,
    least_digits,
    main_channel,
    role,
)
from services.metering.simulator.shapes import Role
from services.metering.simulator.simulation import Simulation
from services.metering.simulator.weather import DAY_MS, HOUR_MS

NAME = "puerto-almena"
TIME_ZONE = "Europe/Madrid"
#: Fewer would leave too few water meters for the planted faults.
METERS_MIN = 24
#: Shorter histories would cut the planted faults below what any rule can see.
HISTORY_DAYS_MIN = 14
SEND_SPREAD_S = 600

_SHARES = {"water": 100, "gas": 40, "electricity": 70, "heat": 30}
_MEDIUM = {"water": 8, "gas": 7, "electricity": 1, "heat": 6}
_STREETS = (
    "Calle Mayor",
    "Calle del Olmo",
    "Calle de la Fuente",
    "Calle del Molino",
    "Calle de los Pescadores",
    "Calle de San Telmo",
    "Avenida del Puerto",
    "Avenida de la Estacion",
    "Camino de la Huerta",
    "Plaza del Trigo",
    "Paseo del Faro",
    "Ronda de Levante",
)
_ZONES = {
    "water": ("DMA Puerto", "DMA Casco Viejo", "DMA Ensanche", "DMA Huerta"),
    "gas": ("Gas district Norte", "Gas district Sur"),
    "electricity": ("Feeder Faro", "Feeder Molino", "Feeder Estacion", "Feeder Levante"),
    "heat": ("Heat substation Ensanche", "Heat substation Estacion"),
}
#: What a household uses in a day, in litres or Wh, to give meters a past.
_TYPICAL_DAY = {
    ("water", Role.USE): 280,
    ("gas", Role.USE): 1_200,
    ("electricity", Role.USE): 7_000,
    ("electricity", Role.EXPORT): 5_500,
    ("heat", Role.USE): 10_500,
    ("heat", Role.VOLUME): 300,
}


@dataclass(frozen=True, slots=True)
class _Planned:
    """A fault of the demo: where, when as shares of the history, how much."""

    commodity: str
    number: int
    kind: FaultKind
    start: float
    end: float | None = None
    hours: int | None = None
    litres_per_h: int = 0


_FAULTS = (
    _Planned("water", 0, FaultKind.LEAK, 0.20, 0.45, litres_per_h=15),
    _Planned("water", 1, FaultKind.LEAK, 0.55, 0.72, litres_per_h=35),
    _Planned("water", 2, FaultKind.LEAK, 0.80, None, litres_per_h=22),
    _Planned("water", 3, FaultKind.BURST, 0.62, hours=5, litres_per_h=1_400),
    _Planned("water", 4, FaultKind.BACKFLOW, 0.40, hours=3),
    _Planned("water", 5, FaultKind.OFFLINE, 0.28, 0.42),
    _Planned("water", 6, FaultKind.OFFLINE, 0.82, None),
    _Planned("water", 7, FaultKind.WILD, 0.50),
    _Planned("gas", 0, FaultKind.ROLLOVER, 0.35),
    _Planned("electricity", 0, FaultKind.STUCK, 0.45, 0.90),
)
_EXCHANGED = ("water", 8, 0.66)


@dataclass(frozen=True, slots=True)
class Installation:
    """A meter on a supply, as the registry wants it told.

    Attributes:
        meter: Identifier, `maker:serial`.
        service_point: Name of the supply.
        from_ms: Since when.
        to_ms: Until when, None while it lasts.
        first_register: Register of the first channel at the beginning, in its unit.
        last_register: The same at the end; None while it lasts.
    """

    meter: str
    service_point: str
    from_ms: int
    to_ms: int | None
    first_register: Decimal
    last_register: Decimal | None


def demo_city(
    products: Sequence[Product],
    *,
    seed: int,
    start_ms: int,
    end_ms: int,
    meters: int = 240,
) -> FleetPlan:
    """A fictional town with a history of planted faults.

    Of 240 supplies, 100 are of water, 40 of gas, 70 of electricity (every fifth exports), 30 of
    heat. Planted are three leaks (one still runs at the end), a burst, a backflow, a wild read,
    two meters offline (one still is), a stuck one, a rollover, and one meter is exchanged; each
    concerns another supply. A supply is the same however many others there are.

    Args:
        products: One or more of each commodity; several of one take turns.
        seed: Decides people, weather and habits.
        start_ms: Where the history begins; midnight UTC.
        end_ms: Where it ends: faults are planted between the two. The town lives on after it.
        meters: Supplies, from `METERS_MIN`; the exchanged meter is one device more.

    Raises:
        InvalidInputError: A commodity without a product, or a bound is passed; all at once.
    """
    catalogue = _catalogue(products)
    faults = _argument_faults(catalogue, start_ms, end_ms, meters)
    if faults:
        text = f"{len(faults)} faults in what was asked of the demo city"
        raise InvalidInputError(text, faults=faults, code="city.invalid")
    supplies: list[Supply] = []
    devices: list[VirtualMeter] = []
    for commodity, count in _counts(meters).items():
        for number in range(count):
            kinds = catalogue[commodity]
            supplies.append(_supply(seed, commodity, number))
            devices += _devices(
                kinds[number % len(kinds)],
                supplies[-1],
                number,
                len(supplies) - 1,
                start_ms,
                end_ms,
            )
    first = {d.product.commodity: n for n, d in reversed(list(enumerate(devices)))}
    planted = [_plant(f, devices[first[f.commodity] + f.number], start_ms, end_ms) for f in _FAULTS]
    return FleetPlan(
        name=NAME,
        seed=seed,
        time_zone=TIME_ZONE,
        start_ms=start_ms,
        supplies=tuple(supplies),
        meters=tuple(devices),
        faults=tuple(planted),
        send_spread_s=SEND_SPREAD_S,
    )


def installations(plan: FleetPlan) -> list[Installation]:
    """Which meter was where, with the registers read when it came and went."""
    simulation = Simulation(plan)

    def register(index: int, at_ms: int | None) -> Decimal | None:
        channel = plan.meters[index].product.channels[0]
        value = None if at_ms is None else simulation.register_at(index, channel.number, at_ms)
        return None if value is None else scaled_to_decimal(value, channel.scaler)

    return [
        Installation(
            meter=meter.identifier,
            service_point=plan.supplies[meter.supply].name,
            from_ms=meter.first_ms,
            to_ms=meter.last_ms,
            first_register=register(index, meter.first_ms) or Decimal(0),
            last_register=register(index, meter.last_ms),
        )
        for index, meter in enumerate(plan.meters)
    ]


def _catalogue(products: Sequence[Product]) -> dict[str, list[Product]]:
    usable = [product for product in products if main_channel(product) is not None]
    return {c: [p for p in usable if p.commodity == c] for c in _SHARES}


def _argument_faults(
    catalogue: dict[str, list[Product]], start_ms: int, end_ms: int, meters: int
) -> list[Fault]:
    faults = [
        Fault("/products", "city.product", f"no {commodity} product with a register of use")
        for commodity, found in catalogue.items()
        if not found
    ]
    if not METERS_MIN <= meters < METERS_MAX:
        text = f"{meters} is not within {METERS_MIN}…{METERS_MAX - 1}"
        faults.append(Fault("/meters", "city.meters", text))
    if end_ms - start_ms < HISTORY_DAYS_MIN * DAY_MS:
        text = f"the history must be {HISTORY_DAYS_MIN} days long or longer"
        faults.append(Fault("/end_ms", "city.history", text))
    return faults


def _counts(meters: int) -> dict[str, int]:
    """Supplies by commodity, water taking what the shares leave over."""
    whole = sum(_SHARES.values())
    counts = {commodity: meters * share // whole for commodity, share in _SHARES.items()}
    counts["water"] += meters - sum(counts.values())
    return counts


def _supply(seed: int, commodity: str, number: int) -> Supply:
    key = int(hashed(seed, _MEDIUM[commodity], number)[0] >> np.uint64(1))
    chance = uniform(hashed(key, np.arange(200, 206))).tolist()
    persons = 1 + sum(chance[0] > limit for limit in (0.26, 0.56, 0.76, 0.93))
    area_m2 = 55 + 14 * persons + 12 * float(bell(hashed(key, 206))[0])
    street = int(chance[1] * len(_STREETS))
    zones = _ZONES[commodity]
    return Supply(
        name=f"{commodity}-{number + 1:05d}",
        commodity=commodity,
        key=key,
        persons=persons,
        area_m2=round(area_m2, 1),
        pv_kw=round(2 + 3 * chance[2], 1) if commodity == "electricity" and number % 5 == 4 else 0,
        cooled=chance[3] < 0.6,
        address=f"{_STREETS[street]} {1 + int(chance[4] * 90)}",
        # Streets belong to one zone, as pipes and cables follow them.
        zone=zones[street % len(zones)],
    )


def _devices(
    product: Product, supply: Supply, number: int, index: int, start_ms: int, end_ms: int
) -> list[VirtualMeter]:
    """The meter of a supply, or both where it is exchanged during the history."""
    medium = _MEDIUM[supply.commodity]
    serial = f"{medium}{number + 1:07d}"
    past = _past_registers(product, supply)
    if (supply.commodity, number) != _EXCHANGED[:2]:
        return [VirtualMeter(product, serial, index, past, start_ms)]
    at_ms = _instant(product, start_ms, end_ms, _EXCHANGED[2])
    new = (0,) * len(product.channels)
    return [
        VirtualMeter(product, serial, index, past, start_ms, at_ms),
        VirtualMeter(product, f"{medium}9{number + 1:06d}", index, new, at_ms),
    ]


def _past_registers(product: Product, supply: Supply) -> tuple[int, ...]:
    """Registers of a meter that has been there for half a year to eight years."""
    days = 180 + 2_740 * float(uniform(hashed(supply.key, 210))[0])
    registers = []
    for channel in product.channels:
        kind = role(channel)
        typical = Fraction(0)
        if kind is not None and (kind is not Role.EXPORT or supply.pv_kw):
            typical = _TYPICAL_DAY[product.commodity, kind] * least_digits(channel)
        registers.append(int(days * typical) % (10**channel.digits * 4 // 5))
    return tuple(registers)


def _instant(product: Product, start_ms: int, end_ms: int, share: float) -> int:
    """A full hour at which all channels are read, `share` of the way through the history."""
    grid_ms = math.lcm(HOUR_MS, *(channel.interval_s * 1000 for channel in product.channels))
    return start_ms + int((end_ms - start_ms) * share) // grid_ms * grid_ms


def _plant(planned: _Planned, meter: VirtualMeter, start_ms: int, end_ms: int) -> PlantedFault:
    begin_ms = _instant(meter.product, start_ms, end_ms, planned.start)
    finish_ms = None
    if planned.end is not None:
        finish_ms = _instant(meter.product, start_ms, end_ms, planned.end)
    elif planned.hours is not None:
        steps_ms = [channel.interval_s * 1000 for channel in meter.product.channels]
        finish_ms = begin_ms + max(planned.hours * HOUR_MS, *steps_ms)
    magnitude = _magnitude(planned, meter.product)
    return PlantedFault(meter.identifier, planned.kind, begin_ms, finish_ms, magnitude)


def _magnitude(planned: _Planned, product: Product) -> int:
    channel = main_channel(product)
    assert channel is not None, "the catalogue has only products with a main channel"
    if planned.kind is FaultKind.WILD:
        third_of_dial = int(10**channel.digits) // 3
        return min(1_000 * channel.rate_max_per_h, third_of_dial)
    if planned.kind is FaultKind.BACKFLOW:
        # Within what the product takes for backflow, else it would be a step in the register.
        return max(channel.reverse_max // 4, 1)
    flow = int(planned.litres_per_h * least_digits(channel))
    half_limit = channel.rate_max_per_h // 2
    return min(flow, half_limit)
