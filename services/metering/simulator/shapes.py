"""How households use water, gas, electricity and heat: a day's quantity and its course.

Top down: a part of the demand has a daily quantity, a function of (household, day), and weights of
the day's intervals. Only the daily quantities must be added up from the fleet's start, so a window
far into the history costs little more than its own intervals. Quantities are plausible for a
Mediterranean town; they are ours, not taken from a data set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from services.metering.simulator.counter import Floats, UInt64s, bell, hashed, uniform
from services.metering.simulator.weather import Days, Slots

#: People heat when the day's mean is below this, as in common degree-day methods.
HEATING_BASE_C = 17.0
COOLING_BASE_C = 22.0
LITRES_PER_PERSON_DAY = 110.0
#: Energy of water cooled by one kelvin, Wh per litre and kelvin.
WATER_WH_PER_L_K = 1.16
_AWAY_DAYS = 4
#: Keeps a day on which nobody draws anything from being divided by zero.
_TINY = 1e-12


def _by_hour(text: str) -> Floats:
    return np.array(text.split(), dtype=np.float64)


_WATER_BY_HOUR = _by_hour(
    ".15 .05 .03 .03 .04 .15 .6 1.6 1.9 1.4 1.1 1 1 1.2 1.3 .9 .8 .9 1.1 1.4 1.7 1.7 1.2 .5"
)
_COOKING_BY_HOUR = _by_hour(
    ".02 .01 .01 .01 .01 .03 .3 1 .9 .4 .3 .4 1 2 1.8 .6 .3 .3 .4 .8 1.8 2 1 .2"
)
_HEATING_BY_HOUR = _by_hour(
    ".1 .05 .05 .05 .1 .4 1 1.2 1 .7 .6 .6 .7 .8 .8 .7 .7 .9 1.1 1.3 1.4 1.3 .9 .3"
)
_LIVING_BY_HOUR = _by_hour(
    ".3 .15 .1 .1 .1 .15 .4 .9 .9 .8 .8 .9 1.1 1.5 1.5 1.1 .9 .9 1.1 1.5 2.1 2.5 2 1"
)
_COOLING_BY_HOUR = _by_hour(
    ".3 .2 .2 .1 .1 .1 .1 .1 .2 .3 .5 .7 .9 1.2 1.6 1.8 1.8 1.6 1.3 1 1 1 .9 .6"
)


class Role(StrEnum):
    """What a channel measures of a household; USE is in litres or Wh, by commodity."""

    USE = "use"
    EXPORT = "export"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Homes:
    """Households in columns, each of shape (n, 1).

    Attributes:
        key: 64 bits that decide all of a household's chances.
        persons: How many live there.
        area_m2: Heated floor.
        pv_kw: Peak power of the roof, 0 where there is none.
        cooled: 1 where there is air conditioning, else 0.
    """

    key: UInt64s
    persons: Floats
    area_m2: Floats
    pv_kw: Floats
    cooled: Floats

    def trait(self, stream: int) -> Floats:
        """A bell-shaped number of each household that never changes, shape (n, 1)."""
        return bell(hashed(self.key, stream))

    def mood(self, stream: int, days: Days, spread: float) -> Floats:
        """A factor around 1 for each household and day, shape (n, d)."""
        return np.exp(spread * bell(hashed(self.key, stream, days.number)) - spread**2 / 2)

    def draws(self, stream: int, slots: Slots) -> UInt64s:
        """64 bits for each household and interval, shape (n, d, s)."""
        day = hashed(self.key, stream, slots.day)
        return hashed(day[:, :, None], np.arange(slots.hour.shape[1]))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a demand.

    Attributes:
        daily: Quantity of each household and day, shape (n, d), in litres or Wh.
        weights: Weights of the intervals, broadcasting to shape (n, d, s); only ratios count.
    """

    daily: Callable[[Homes, Days], Floats]
    weights: Callable[[Homes, Slots], Floats]


def _profile(by_hour: Floats, slots: Slots) -> Floats:
    """A day's course; at weekends people rise and eat an hour later. Shape (d, s)."""
    return by_hour[np.floor(slots.hour - slots.weekend).astype(np.int64) % 24]


def _drawn(stream: int, by_hour: Floats, per_hour: float) -> Callable[[Homes, Slots], Floats]:
    """Weights of demand that comes in draws: `per_hour` of them at an hour of weight 1."""

    def weights(homes: Homes, slots: Slots) -> Floats:
        profile = _profile(by_hour, slots)
        hours = 24 / slots.hour.shape[1]
        crowd = np.sqrt(homes.persons / 2.5)[:, :, None]
        none_drawn = np.exp(-per_hour * hours * profile * crowd)
        bits = homes.draws(stream, slots)
        drawn = uniform(bits) >= none_drawn
        # The low bits are independent of the comparison above, which the high ones decide.
        size = 0.3 - 0.7 * np.log1p(-uniform(bits << np.uint64(32)))
        result: Floats = profile * (drawn * size + _TINY)
        return result

    return weights


def _smooth(stream: int, by_hour: Floats, spread: float) -> Callable[[Homes, Slots], Floats]:
    """Weights of demand that never quite stops, ± `spread` of its profile."""

    def weights(homes: Homes, slots: Slots) -> Floats:
        noise = uniform(homes.draws(stream, slots)) * (2 * spread) + (1 - spread)
        return _profile(by_hour, slots) * noise

    return weights


def _heating_weights(homes: Homes, slots: Slots) -> Floats:
    missing_k = np.maximum(HEATING_BASE_C + 1 - slots.outside_c, 0.0) + _TINY
    noise = uniform(homes.draws(21, slots)) * 0.6 + 0.7
    return _profile(_HEATING_BY_HOUR, slots) * missing_k * noise


def _water_daily(homes: Homes, days: Days) -> Floats:
    base = LITRES_PER_PERSON_DAY * homes.persons * np.exp(0.22 * homes.trait(1) - 0.024)
    season = (1 + 0.12 * days.season) * (1 + 0.08 * days.weekend)
    block = days.number // _AWAY_DAYS
    # Only every second block, so that no healthy meter stands still for longer than one block.
    away = (uniform(hashed(homes.key, 3, block)) < 0.06) & (block % 2 == 0)
    litres: Floats = base * season * homes.mood(2, days, 0.22) * ~away
    return litres


def _missing_k(days: Days) -> Floats:
    return np.maximum(HEATING_BASE_C - days.mean_c, 0.0)


def _gas_heating_l(homes: Homes, days: Days) -> Floats:
    """0.30 m³ a day and kelvin for 90 m²: 120 W/K through the walls of a flat."""
    flat = 300.0 * homes.area_m2 / 90 * np.exp(0.2 * homes.trait(4))
    return flat * _missing_k(days) * homes.mood(5, days, 0.12)


def _gas_cooking_l(homes: Homes, days: Days) -> Floats:
    """Cooking and hot water."""
    return 230.0 * homes.persons**0.8 * (1 - 0.15 * days.season) * homes.mood(6, days, 0.3)


def _heat_heating_wh(homes: Homes, days: Days) -> Floats:
    flat = 2_600.0 * homes.area_m2 / 90 * np.exp(0.2 * homes.trait(4))
    return flat * _missing_k(days) * homes.mood(5, days, 0.1)


def _heat_hot_water_wh(homes: Homes, days: Days) -> Floats:
    return 1_500.0 * homes.persons * (1 - 0.1 * days.season) * homes.mood(6, days, 0.3)


def _per_litre_wh(homes: Homes, days: Days) -> Floats:
    """Energy taken from a litre: the return is 25 to 35 K colder than the flow."""
    return WATER_WH_PER_L_K * (25 + 10 * uniform(hashed(homes.key, 7, days.number)))


def _standby_wh(homes: Homes, days: Days) -> Floats:
    """Fridge and stand-by: 70 to 130 W that never stop."""
    return 24 * (70 + 60 * uniform(hashed(homes.key, 8))) * np.ones(len(days.number))


def _living_wh(homes: Homes, days: Days) -> Floats:
    base = (1_000 + 1_250 * homes.persons) * np.exp(0.2 * homes.trait(9))
    return base * (1 - 0.15 * days.season) * (1 + 0.1 * days.weekend) * homes.mood(10, days, 0.2)


def _cooling_wh(homes: Homes, days: Days) -> Floats:
    hot_k = np.maximum(days.mean_c - COOLING_BASE_C, 0.0)
    return 900.0 * homes.area_m2 / 90 * homes.cooled * hot_k * homes.mood(11, days, 0.2)


def _yield_wh(homes: Homes, days: Days) -> Floats:
    """What the roof makes: 2 to 6 kWh a day for each kilowatt, by season and cloud."""
    return homes.pv_kw * (4_400 + 1_600 * days.season) * (1 - 0.7 * days.cloud)


def _own_wh(homes: Homes, days: Days, load_wh: Floats) -> Floats:
    """What a household uses of its own roof: it can use only what falls into its daytime."""
    return np.minimum(0.35 * _yield_wh(homes, days), 0.4 * load_wh)


def _import_of(
    load: Callable[[Homes, Days], Floats],
) -> Callable[[Homes, Days], Floats]:
    def daily(homes: Homes, days: Days) -> Floats:
        total = _standby_wh(homes, days) + _living_wh(homes, days) + _cooling_wh(homes, days)
        return load(homes, days) * (1 - _own_wh(homes, days, total) / total)

    return daily


def _shaded(weights: Callable[[Homes, Slots], Floats]) -> Callable[[Homes, Slots], Floats]:
    """Import of a household with a roof nearly ends while the sun is up."""

    def shaded(homes: Homes, slots: Slots) -> Floats:
        covered = np.minimum(homes.pv_kw[:, :, None], 1.0) * np.minimum(1.4 * slots.sun, 0.97)
        shaded_weights: Floats = weights(homes, slots) * (1 - covered)
        return shaded_weights

    return shaded


def _export_daily(homes: Homes, days: Days) -> Floats:
    total = _standby_wh(homes, days) + _living_wh(homes, days) + _cooling_wh(homes, days)
    return _yield_wh(homes, days) - _own_wh(homes, days, total)


def _export_weights(homes: Homes, slots: Slots) -> Floats:
    noise = uniform(homes.draws(22, slots)) * 0.5 + 0.5
    light: Floats = slots.sun**1.5 * noise + _TINY
    return light


def _heat_volume(
    energy: Callable[[Homes, Days], Floats],
) -> Callable[[Homes, Days], Floats]:
    def daily(homes: Homes, days: Days) -> Floats:
        return energy(homes, days) / _per_litre_wh(homes, days)

    return daily


_EVEN = np.ones(24)
_COOKING = _drawn(31, _COOKING_BY_HOUR, 1.5)
_HOT_WATER = _drawn(32, _WATER_BY_HOUR, 1.0)

#: The parts of each demand, by commodity and role.
PARTS: dict[tuple[str, Role], tuple[Part, ...]] = {
    ("water", Role.USE): (Part(_water_daily, _drawn(30, _WATER_BY_HOUR, 1.3)),),
    ("gas", Role.USE): (Part(_gas_heating_l, _heating_weights), Part(_gas_cooking_l, _COOKING)),
    ("electricity", Role.USE): (
        Part(_import_of(_standby_wh), _shaded(_smooth(33, _EVEN, 0.2))),
        Part(_import_of(_living_wh), _shaded(_smooth(34, _LIVING_BY_HOUR, 0.8))),
        Part(_import_of(_cooling_wh), _shaded(_smooth(35, _COOLING_BY_HOUR, 0.5))),
    ),
    ("electricity", Role.EXPORT): (Part(_export_daily, _export_weights),),
    ("heat", Role.USE): (
        Part(_heat_heating_wh, _heating_weights),
        Part(_heat_hot_water_wh, _HOT_WATER),
    ),
    ("heat", Role.VOLUME): (
        Part(_heat_volume(_heat_heating_wh), _heating_weights),
        Part(_heat_volume(_heat_hot_water_wh), _HOT_WATER),
    ),
}
