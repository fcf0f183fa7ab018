"""Plans: what a fleet may be, and what its channels mean."""

from dataclasses import replace
from fractions import Fraction

import pytest

from services.kit.errors import InvalidInputError
from services.metering.products import ChannelKind
from services.metering.simulator import FaultKind, PlantedFault
from services.metering.simulator.fleet import least_digits, main_channel, role
from services.metering.simulator.shapes import Role
from tests.unit.metering.simulator.fleets import (
    DAY_MS,
    ELECTRICITY,
    HOUR_MS,
    START_MS,
    WATER,
    channel,
    faulty,
    fleet,
    product,
)


def codes(plan_of, **changes):
    """The codes of all faults of a changed plan."""
    with pytest.raises(InvalidInputError) as caught:
        replace(plan_of, **changes)
    assert caught.value.code == "fleet.invalid"
    return [fault.code for fault in caught.value.faults]


class TestPlan:
    def test_all_faults_at_once(self):
        """Everything wrong with a plan is told at once, by position."""
        with pytest.raises(InvalidInputError) as caught:
            replace(fleet(2), start_ms=START_MS + 1, time_zone="Mars/Base", send_spread_s=-1)
        found = {fault.where: fault.code for fault in caught.value.faults}
        assert found["/start_ms"] == "fleet.start"
        assert found["/time_zone"] == "fleet.time_zone"
        assert found["/send_spread_s"] == "fleet.range"
        assert found["/meters/0"] == "fleet.life"

    def test_meters(self):
        """Meters need a supply of their commodity, registers that fit and a life of their own."""
        plan = fleet(4)
        first = plan.meters[0]
        for change, code in (
            ({"supply": 9}, "fleet.supply"),
            ({"supply": 1}, "fleet.commodity"),
            ({"first_register": (1, 2)}, "fleet.registers"),
            ({"first_register": (10**9,)}, "fleet.registers"),
            ({"last_ms": START_MS}, "fleet.life"),
            ({"last_ms": START_MS + 1}, "fleet.life"),
            ({"serial": "0001"}, "fleet.meter_twice"),
        ):
            meters = (replace(first, **change), *plan.meters[1:])
            assert codes(plan, meters=meters) == [code]

    def test_product(self):
        """A product needs a register of use and intervals that divide a day."""
        voltage = product("electricity", channel(1, "1-0:32.7.0", "V", -1, 900))
        odd = product("water", channel(1, "8-0:1.0.0", "L", 0, 3_601))
        for bad, code in ((voltage, "fleet.product"), (odd, "fleet.interval")):
            with pytest.raises(InvalidInputError) as caught:
                fleet(1, products=(bad,))
            assert [fault.code for fault in caught.value.faults] == [code]

    def test_planted(self):
        """Planted faults need a meter, instants of readings, an order and a magnitude."""
        good = PlantedFault("Testa:0000", FaultKind.THEFT, START_MS, START_MS + DAY_MS, 500)
        for change, code in (
            ({"meter": "Testa:9"}, "fleet.meter"),
            ({"start_ms": START_MS + 1}, "fleet.instant"),
            ({"end_ms": START_MS}, "fleet.order"),
            ({"start_ms": START_MS - HOUR_MS}, "fleet.order"),
            ({"magnitude": 1_001}, "fleet.magnitude"),
            ({"magnitude": -1}, "fleet.magnitude"),
        ):
            assert codes(fleet(1), faults=(replace(good, **change),)) == [code]

    def test_truth(self):
        """Truth of a window: what lasts into it, and moments that lie in it."""
        leak, wild = faulty("leak", 2, 4, 5), faulty("wild", 2, None, 5)
        for first, last, lasting, moment in (
            (0, 2, False, False),
            (2, 3, True, True),
            (3, 9, True, False),
            (4, 9, False, False),
        ):
            window = (START_MS + first * DAY_MS, START_MS + last * DAY_MS)
            assert bool(leak.truth(*window)) == lasting
            assert bool(wild.truth(*window)) == moment


class TestRole:
    @pytest.mark.parametrize(
        ("obis", "unit", "expected"),
        [
            ("8-0:1.0.0", "m3", Role.USE),
            ("9-0:1.0.0", "L", Role.USE),
            ("7-0:3.0.0", "m3", Role.USE),
            ("1-0:1.8.0", "kWh", Role.USE),
            ("1-0:2.8.0", "kWh", Role.EXPORT),
            ("1-0:1.8.1", "kWh", None),
            ("1-0:3.8.0", "kvarh", None),
            ("1-0:1.7.0", "kW", None),
            ("6-0:1.0.0", "MWh", Role.USE),
            ("6-0:2.0.0", "m3", Role.VOLUME),
            ("6-0:10.0.0", "°C", None),
        ],
    )
    def test_by_obis(self, obis, unit, expected):
        """What a channel measures follows from its OBIS code and its unit."""
        assert role(channel(1, obis, unit, 0, 3600)) is expected

    def test_instant(self):
        """Instantaneous values are not simulated."""
        one = channel(1, "8-0:1.0.0", "m3", 0, 3600, kind=ChannelKind.INSTANT)
        assert role(one) is None

    def test_main_channel(self):
        """Flow faults concern the register of use."""
        found = main_channel(ELECTRICITY)
        assert found is not None
        assert found.obis == "1-0:1.8.0"

    def test_least_digits(self):
        """Litres and watt-hours are turned into least digits exactly."""
        assert least_digits(WATER.channels[0]) == 1
        assert least_digits(channel(1, "7-0:3.0.0", "m3", -2, 3600)) == Fraction(1, 10)
        assert least_digits(channel(1, "6-0:1.0.0", "GJ", -3, 3600)) == Fraction(9, 2500)
