"""How much households use, and when."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from services.metering.simulator import FleetPlan, simulate
from tests.unit.metering.simulator.fleets import (
    DAY_MS,
    ELECTRICITY,
    GAS,
    HEAT,
    START_MS,
    WATER,
    fleet,
    series,
)

YEAR_MS = 365 * DAY_MS


def year_of(product, number=1, **options):
    """Use by meter and interval over a year, shape (meters, intervals), and the instants."""
    plan = fleet(20, products=(product,), **options)
    readings = simulate(plan, START_MS, START_MS + YEAR_MS + DAY_MS)
    both = [series(readings, meter, number) for meter in range(20)]
    return np.array([np.diff(value) for _, value in both]), both[0][0][1:]


def by_month(use, at_ms):
    """Mean use of a meter and day in each month, by the instants' end."""
    months = np.array([datetime.fromtimestamp(a / 1000, UTC).month for a in (at_ms - 1).tolist()])
    days = len(at_ms) / 365
    return [use[:, months == m].sum() / len(use) / (months == m).sum() * days for m in range(1, 13)]


def by_local_hour(use, at_ms, zone="Europe/Madrid"):
    """Share of the use in each hour of the local clock."""
    starts = (at_ms - 1).tolist()
    hour = np.array([datetime.fromtimestamp(a / 1000, ZoneInfo(zone)).hour for a in starts])
    return np.array([use[:, hour == h].sum() for h in range(24)]) / use.sum()


class TestWater:
    def test_quantity(self):
        """A person uses about 110 litres a day; no household draws like a burst."""
        use, _ = year_of(WATER, persons=3)
        assert 75 * 3 < use.sum() / 365 / 20 < 145 * 3
        assert use.max() < 700

    def test_course(self):
        """Mornings and evenings peak by the local clock, nights are near zero."""
        use, at_ms = year_of(WATER)
        hours = by_local_hour(use, at_ms)
        assert hours[2:5].sum() < 0.01
        assert hours[7:10].sum() > 0.15
        assert hours[19:23].sum() > 0.2

    def test_quiet_hours(self):
        """Healthy meters never flow for a whole day, and never stand still for five."""
        use, _ = year_of(WATER)
        for row in use:
            zero_at = np.flatnonzero(row == 0)
            assert np.diff(zero_at).max() <= 24
            used_at = np.flatnonzero(row)
            assert np.diff(used_at).max() < 5 * 24


class TestGas:
    def test_season(self):
        """Winter use is several times summer use, which is cooking and hot water alone."""
        months = by_month(*year_of(GAS))
        assert 150 < months[0] < 600
        assert 15 < months[6] < 90
        assert months[0] > 3 * months[6]


class TestElectricity:
    def test_quantity(self):
        """A household imports some 4 to 15 kWh a day and never stops: fridges run at night."""
        use, at_ms = year_of(ELECTRICITY)
        assert 4_000 < use.sum() / 365 / 20 < 15_000
        assert use.min() >= 5
        hours = by_local_hour(use, at_ms)
        assert hours[20:23].sum() > 2 * hours[2:5].sum()

    def test_export(self):
        """Roofs export by day, more in summer; without a roof the export register stays."""
        use, at_ms = year_of(ELECTRICITY, 2, pv_kw=3.0)
        months, hours = by_month(use, at_ms), by_local_hour(use, at_ms)
        assert months[5] > 1.5 * months[11]
        assert hours[[0, 1, 2, 3, 4, 23]].sum() == 0
        assert hours[11:16].sum() > 0.5
        without, _ = year_of(ELECTRICITY, 2)
        assert without.sum() == 0

    def test_prosumer_imports_less(self):
        """A roof lowers the import of its household, above all at noon."""
        plain, at_ms = year_of(ELECTRICITY)
        roof, _ = year_of(ELECTRICITY, pv_kw=3.0)
        assert 0.5 * plain.sum() < roof.sum() < 0.9 * plain.sum()
        assert by_local_hour(roof, at_ms)[13] < 0.5 * by_local_hour(plain, at_ms)[13]


class TestHeat:
    def test_season(self):
        """Heat follows the cold; hot water remains in summer. Least digits are 10 Wh."""
        months = by_month(*year_of(HEAT))
        assert 1_000 < months[0] < 4_500
        assert 150 < months[6] < 900

    def test_volume(self):
        """Volume and energy belong together: 25 to 35 K are taken out of the water."""
        energy, _ = year_of(HEAT)
        volume, _ = year_of(HEAT, 2)
        wh_per_litre = energy.sum() * 10 / volume.sum()
        assert 1.16 * 25 < wh_per_litre < 1.16 * 35


@pytest.mark.parametrize("zone", ["Europe/Madrid", "America/Bogota", "Asia/Kolkata"])
def test_zone(zone):
    """People live by their own clock wherever the city stands."""
    plan = fleet(20, products=(WATER,))
    plan = FleetPlan(plan.name, 11, zone, START_MS, plan.supplies, plan.meters)
    readings = simulate(plan, START_MS, START_MS + 60 * DAY_MS)
    both = [series(readings, meter) for meter in range(20)]
    use = np.array([np.diff(value) for _, value in both])
    hours = by_local_hour(use, both[0][0][1:], zone)
    assert hours[2:5].sum() < 0.015
    assert hours[7:10].sum() > 0.15
