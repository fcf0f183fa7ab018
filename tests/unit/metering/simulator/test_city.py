"""The demo city: what a newcomer sees in the first ten minutes."""

from collections import Counter
from decimal import Decimal

import numpy as np
import pytest

from services.kit.errors import InvalidInputError
from services.metering.simulator import FaultKind, demo_city, installations, simulate
from tests.unit.metering.simulator.fleets import DAY_MS, PRODUCTS, START_MS, WATER, series

END_MS = START_MS + 30 * DAY_MS
CITY = demo_city(PRODUCTS, seed=7, start_ms=START_MS, end_ms=END_MS)
READINGS = simulate(CITY, START_MS, END_MS)
INDEX = {meter.identifier: number for number, meter in enumerate(CITY.meters)}


def fault(kind, which=0):
    """A planted fault of the city."""
    return [one for one in CITY.faults if one.kind == kind][which]


def shown(planted):
    """The series of the meter a fault is planted on."""
    return series(READINGS, INDEX[planted.meter])


class TestPlan:
    def test_commodities(self):
        """The default town has the promised supplies, and one device more for the exchange."""
        counts = Counter(supply.commodity for supply in CITY.supplies)
        assert counts == {"water": 100, "gas": 40, "electricity": 70, "heat": 30}
        assert len(CITY.meters) == 241

    def test_faults(self):
        """The promised faults are planted, each on another meter, one of a kind still running."""
        kinds = Counter(one.kind.value for one in CITY.faults)
        assert kinds == {
            "leak": 3,
            "burst": 1,
            "backflow": 1,
            "offline": 2,
            "wild": 1,
            "stuck": 1,
            "rollover": 1,
        }
        assert len({one.meter for one in CITY.faults}) == len(CITY.faults)
        lasting = [f.kind.value for f in CITY.faults if f.end_ms is None and f.kind != "rollover"]
        assert sorted(lasting) == ["leak", "offline", "wild"]

    def test_names(self):
        """Names and addresses are plain ASCII; zones belong to the commodity's network."""
        for supply in CITY.supplies:
            assert f"{supply.name}{supply.address}{supply.zone}".isascii()
            assert supply.zone
        zones = {supply.zone for supply in CITY.supplies if supply.commodity == "water"}
        assert zones == {"DMA Puerto", "DMA Casco Viejo", "DMA Ensanche", "DMA Huerta"}

    def test_size(self):
        """A supply is the same in a town of any size; another seed is another town."""
        large = demo_city(PRODUCTS, seed=7, start_ms=START_MS, end_ms=END_MS, meters=600)
        by_name = {supply.name: supply for supply in large.supplies}
        assert all(by_name[supply.name] == supply for supply in CITY.supplies)
        other = demo_city(PRODUCTS, seed=8, start_ms=START_MS, end_ms=END_MS)
        assert {s.key for s in other.supplies}.isdisjoint({s.key for s in CITY.supplies})

    def test_refused(self):
        """All that is wrong with a request is told at once."""
        with pytest.raises(InvalidInputError) as caught:
            demo_city([WATER], seed=1, start_ms=START_MS, end_ms=START_MS + DAY_MS, meters=3)
        codes = [one.code for one in caught.value.faults]
        assert codes == ["city.product"] * 3 + ["city.meters", "city.history"]


class TestTruth:
    @pytest.mark.parametrize("which", [0, 1, 2])
    def test_leaks(self, which):
        """Each leak flows in every hour it lasts, for longer than two days."""
        leak = fault(FaultKind.LEAK, which)
        at_ms, value = shown(leak)
        inside = (at_ms[1:] > leak.start_ms) & (at_ms[1:] <= leak.until_ms)
        assert inside.sum() > 48
        assert np.diff(value)[inside].min() >= leak.magnitude

    def test_burst(self):
        """The burst runs over 400 litres an hour for several hours."""
        _, value = shown(fault(FaultKind.BURST))
        assert (np.diff(value) > 400).sum() == 5

    def test_backflow(self):
        """The backflow turns the register back by less than the product takes for a step."""
        _, value = shown(fault(FaultKind.BACKFLOW))
        fallen = -np.diff(value)
        assert 0 < fallen[fallen > 0].sum() <= WATER.channels[0].reverse_max

    def test_still_offline(self):
        """One meter is silent at the end; the other has come back."""
        back, gone = fault(FaultKind.OFFLINE, 0), fault(FaultKind.OFFLINE, 1)
        assert shown(back)[0][-1] > back.until_ms
        assert shown(gone)[0][-1] < gone.start_ms

    def test_rollover(self):
        """The rollover passes the end of the dial within the history."""
        _, value = shown(fault(FaultKind.ROLLOVER))
        assert (np.diff(value) < -(10**6)).sum() == 1

    def test_healthy(self):
        """Meters without a fault never fall and never pass their physical limit."""
        faulty = {INDEX[one.meter] for one in CITY.faults}
        for number, meter in enumerate(CITY.meters):
            if number not in faulty:
                for channel in meter.product.channels:
                    step = np.diff(series(READINGS, number, channel.number)[1])
                    assert step.min() >= 0
                    assert step.max() < channel.rate_max_per_h * channel.interval_s / 3600


class TestInstallations:
    def test_exchange(self):
        """The exchanged meter left with a register and its successor began at zero there."""
        found = installations(CITY)
        assert len(found) == len(CITY.meters)
        (old,) = [one for one in found if one.to_ms is not None]
        (new,) = [one for one in found if one.from_ms != START_MS]
        assert (old.service_point, old.to_ms) == (new.service_point, new.from_ms)
        assert new.first_register == 0
        last_read = series(READINGS, INDEX[old.meter])[1][-1]
        assert old.last_register is not None
        assert old.last_register >= Decimal(int(last_read)).scaleb(-3) > old.first_register

    def test_first_registers(self):
        """The registry is told what the first reading shows, in the channel's unit."""
        for one in installations(CITY)[:60]:
            channel = CITY.meters[INDEX[one.meter]].product.channels[0]
            first = int(series(READINGS, INDEX[one.meter])[1][0])
            assert one.first_register == Decimal(first).scaleb(channel.scaler)
