"""Readings as a function of plan and time."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kit.errors import InvalidInputError
from services.metering.batch import from_bytes, to_bytes
from services.metering.products import ChannelKind
from services.metering.simulator import (
    FaultKind,
    Live,
    PlantedFault,
    Simulation,
    VirtualMeter,
    simulate,
)
from services.metering.simulator import simulation as simulation_module
from tests.unit.metering.simulator.fleets import (
    DAY_MS,
    HOUR_MS,
    START_MS,
    channel,
    columns,
    fleet,
    product,
    series,
)


def planted(meter, kind, start_h, end_h=None, magnitude=0):
    """A fault, hours counted from the start."""
    end_ms = None if end_h is None else START_MS + end_h * HOUR_MS
    return PlantedFault(f"Testa:{meter:04d}", kind, START_MS + start_h * HOUR_MS, end_ms, magnitude)


def chained(lists):
    """One list of several."""
    return list(itertools.chain.from_iterable(lists))


#: One fault of every kind, and two that meet on one meter.
EVERYTHING = (
    planted(0, FaultKind.LEAK, 30, 80, 12),
    planted(0, FaultKind.LATE, 40, 60, 7_000),
    planted(1, FaultKind.STUCK, 20, 70),
    planted(2, FaultKind.DUPLICATES, 10, 50, 5_400),
    planted(3, FaultKind.OFFLINE, 33, 66),
    planted(4, FaultKind.BACKFLOW, 48, 51, 300),
    planted(5, FaultKind.ROLLOVER, 25),
    planted(6, FaultKind.RESET, 44, None, 3),
    planted(7, FaultKind.THEFT, 5, 90, 700),
    planted(8, FaultKind.WILD, 37, None, 10**6),
    planted(8, FaultKind.BURST, 60, 64, 900),
)
PLAN = fleet(16, faults=EVERYTHING, spread_s=900, pv_kw=2.5)
WHOLE = columns(simulate(PLAN, START_MS, START_MS + 5 * DAY_MS))


class TestDeterminism:
    def test_same_seed_same_bytes(self):
        """The same plan gives the same bytes."""
        until_ms = START_MS + 2 * DAY_MS
        first = [to_bytes(b) for b in Simulation(PLAN).batches(START_MS, until_ms)]
        again = [to_bytes(b) for b in Simulation(PLAN).batches(START_MS, until_ms)]
        assert first == again

    @settings(max_examples=12, deadline=None)
    @given(cuts=st.lists(st.integers(0, 5 * DAY_MS), max_size=4))
    def test_split(self, cuts):
        """Neighbouring windows give the readings of the whole, in order, faults included."""
        edges = [START_MS, *sorted(START_MS + cut for cut in cuts), START_MS + 5 * DAY_MS]
        simulation = Simulation(PLAN)
        parts = [columns(simulation.readings(a, b)) for a, b in itertools.pairwise(edges)]
        joined = [chained(part[n] for part in parts) for n in range(5)]
        assert joined == WHOLE

    def test_back_in_time(self):
        """A simulation that has been asked about the future answers about the past as before."""
        simulation = Simulation(PLAN)
        simulation.readings(START_MS + 60 * DAY_MS, START_MS + 61 * DAY_MS)
        assert columns(simulation.readings(START_MS, START_MS + 5 * DAY_MS)) == WHOLE

    def test_fleet_size(self):
        """A meter is the same in a fleet of any size."""
        few = simulate(fleet(4), START_MS, START_MS + 3 * DAY_MS)
        many = simulate(fleet(40), START_MS, START_MS + 3 * DAY_MS)
        for meter in range(4):
            for one, other in zip(series(few, meter), series(many, meter), strict=True):
                assert np.array_equal(one, other)

    def test_many_rows(self, monkeypatch):
        """How rows are grouped for speed does not change what they are."""
        monkeypatch.setattr("services.metering.simulator.rows.ROWS_MAX", 1)
        assert columns(simulate(PLAN, START_MS, START_MS + 5 * DAY_MS)) == WHOLE


class TestReadings:
    def test_columns(self):
        """Readings come in order of delivery, after their instants, within the window."""
        readings = simulate(PLAN, START_MS + DAY_MS, START_MS + 3 * DAY_MS)
        assert (np.diff(readings.due_ms) >= 0).all()
        assert (readings.due_ms >= readings.at_ms).all()
        assert readings.due_ms[0] >= START_MS + DAY_MS
        assert readings.due_ms[-1] < START_MS + 3 * DAY_MS

    def test_complete(self):
        """Every channel has one reading an interval, on the interval's grid."""
        readings = simulate(fleet(8), START_MS, START_MS + 2 * DAY_MS)
        assert len(readings) == 2 * (2 * 24 + 2 * 24 + 2 * 2 * 96 + 2 * 2 * 24)
        assert (readings.at_ms % (900 * 1000) == 0).all()

    def test_monotone(self):
        """Without faults no register ever falls."""
        readings = simulate(fleet(16, pv_kw=3.0), START_MS, START_MS + 30 * DAY_MS)
        for meter in range(16):
            for number in (1, 2):
                assert (np.diff(series(readings, meter, number)[1]) >= 0).all()

    def test_interval_channel(self):
        """An interval channel gives the differences of the same household's register."""
        register = product("water", channel(1, "8-0:1.0.0", "L", 0, 3600))
        interval = product(
            "water", channel(1, "8-0:1.0.0", "L", 0, 3600, kind=ChannelKind.INTERVAL)
        )
        until_ms = START_MS + 3 * DAY_MS
        _, shown = series(simulate(fleet(1, products=(register,)), START_MS, until_ms))
        plain = simulate(fleet(1, products=(interval,)), START_MS + DAY_MS, until_ms)
        leak = (planted(0, FaultKind.LEAK, 48, None, 0),)
        traced = fleet(1, products=(interval,), faults=leak)
        assert series(plain)[1].tolist() == np.diff(shown)[23:].tolist()
        both = simulate(traced, START_MS + DAY_MS, until_ms)
        assert series(both)[1].tolist() == series(plain)[1].tolist()

    def test_window_before_start(self):
        """A window that begins before the fleet is refused."""
        with pytest.raises(InvalidInputError) as caught:
            simulate(PLAN, START_MS - 1, START_MS)
        assert [fault.code for fault in caught.value.faults] == ["simulation.window"]

    def test_too_much(self, monkeypatch):
        """More readings than fit are refused before they are computed."""
        monkeypatch.setattr(simulation_module, "READINGS_MAX", 100)
        with pytest.raises(InvalidInputError) as caught:
            simulate(PLAN, START_MS, START_MS + DAY_MS)
        assert [fault.code for fault in caught.value.faults] == ["simulation.size"]

    def test_empty(self):
        """A window without time has no readings."""
        assert len(simulate(PLAN, START_MS + 5, START_MS + 5)) == 0


class TestBatches:
    def test_same_readings(self, monkeypatch):
        """Batches hold the window's readings in order, cut to size, however days are grouped."""
        monkeypatch.setattr(simulation_module, "_CHUNK_READINGS", 1)
        batches = list(Simulation(PLAN).batches(START_MS, START_MS + 5 * DAY_MS, 777))
        assert chained(batch.at_ms.tolist() for batch in batches) == WHOLE[1]
        assert chained(batch.value.tolist() for batch in batches) == WHOLE[4]
        names = [batch.meters[m] for batch in batches for m in batch.meter.tolist()]
        assert names == [PLAN.meters[m].identifier for m in WHOLE[2]]
        assert max(len(batch) for batch in batches) <= 777
        assert len({batch.origin.batch_id for batch in batches}) == len(batches)

    def test_channels(self):
        """A batch names the channels of its products and survives its serialised form."""
        batch = next(Simulation(fleet(4)).batches(START_MS, START_MS + DAY_MS))
        assert ("8-0:1.0.0", "m3", -3) in [(c.obis, c.unit, c.scaler) for c in batch.channels]
        assert to_bytes(from_bytes(to_bytes(batch))) == to_bytes(batch)


class TestLive:
    def test_goes_on(self):
        """Live readings continue the history: nothing twice, nothing left out."""
        live = Live(PLAN, START_MS + 2 * DAY_MS)
        steps = (1, 5 * 60_000, 5 * 60_000, 3 * HOUR_MS, 3 * DAY_MS)
        got = [batch for step in steps for batch in live.due(START_MS + 2 * DAY_MS + step)]
        expected = simulate(PLAN, START_MS + 2 * DAY_MS, START_MS + 5 * DAY_MS)
        assert chained(batch.value.tolist() for batch in got) == expected.value.tolist()

    def test_clock_steps_back(self):
        """A clock that goes back gives nothing, and nothing is repeated when it catches up."""
        live = Live(PLAN, START_MS)
        first = sum(map(len, live.due(START_MS + DAY_MS)))
        assert live.due(START_MS + HOUR_MS) == []
        rest = sum(map(len, live.due(START_MS + 5 * DAY_MS)))
        assert first + rest == len(WHOLE[0])


class TestRegisterAt:
    def test_dial(self):
        """The dial shows what a reading at that instant says, for plain and for faulty meters."""
        simulation = Simulation(PLAN)
        readings = simulate(fleet(16, faults=EVERYTHING, pv_kw=2.5), START_MS, START_MS + DAY_MS)
        for meter in (0, 5, 9, 12):
            at_ms, value = series(readings, meter)
            assert simulation.register_at(meter, 1, int(at_ms[17])) == value[17]
        assert simulation.register_at(9, 1, START_MS) == 1_000
        assert simulation.register_at(9, 7, START_MS) is None

    def test_exchange(self):
        """A meter's life bounds its readings, and its successor goes on with the same household."""
        plan = fleet(1)
        at_ms = START_MS + 2 * DAY_MS
        old = VirtualMeter(plan.meters[0].product, "old", 0, (500,), START_MS, at_ms)
        new = VirtualMeter(plan.meters[0].product, "new", 0, (0,), at_ms)
        exchanged = fleet(1).__class__(
            "test", 11, "Europe/Madrid", START_MS, plan.supplies, (old, new)
        )
        _, whole = series(simulate(plan, START_MS, START_MS + 4 * DAY_MS))
        readings = simulate(exchanged, START_MS, START_MS + 4 * DAY_MS)
        before, after = series(readings, 0), series(readings, 1)
        assert before[0][-1] == at_ms - HOUR_MS
        assert after[0][0] == at_ms
        assert (before[1] - 500).tolist() == (whole[:48] - 1_000).tolist()
        assert after[1].tolist() == (whole[48:] - whole[48]).tolist()
        assert Simulation(exchanged).register_at(0, 1, at_ms) == whole[48] - 500
