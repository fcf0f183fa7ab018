"""What faults make of a register: the truth told must be the truth shown."""

import numpy as np
import pytest

from services.metering.simulator import simulate
from tests.unit.metering.simulator.fleets import (
    DAY_MS,
    ELECTRICITY,
    HOUR_MS,
    START_MS,
    WATER,
    columns,
    faulty,
    fleet,
    series,
)

END_MS = START_MS + 10 * DAY_MS
CLEAN_AT_MS, CLEAN = series(simulate(fleet(1, products=(WATER,)), START_MS, END_MS))
USE = np.diff(CLEAN)


def shown(plan):
    """The register and its steps with a fault planted."""
    _, value = series(simulate(plan, START_MS, END_MS))
    return value, np.diff(value)


def hours(first_day, last_day):
    """The steps of some days."""
    return slice(round(first_day * 24), round(last_day * 24))


class TestLeak:
    def test_flows_every_hour(self):
        """A leak adds its flow to every hour it lasts, and nothing before or after."""
        value, step = shown(faulty("leak", 3, 6, 14))
        assert value[-1] == CLEAN[-1] + 14 * 72
        assert value[0] == CLEAN[0]
        assert (step[hours(3, 6)] - USE[hours(3, 6)] == 14).all()
        assert (step[hours(0, 3)] == USE[hours(0, 3)]).all()
        assert (step[hours(6, 9.9)] == USE[hours(6, 9.9)]).all()

    def test_lasting(self):
        """A leak without an end flows for good and is in the truth of every later window."""
        plan = faulty("leak", 3, None, 14)
        _, step = shown(plan)
        assert step[72:].min() >= 14
        assert simulate(plan, END_MS, END_MS + DAY_MS).truth == plan.faults


class TestBurst:
    def test_flow(self):
        """A burst is a leak of hours: large, then gone."""
        _, step = shown(faulty("burst", 5, 5.125, 1_400))
        assert np.flatnonzero(step >= 1_400).tolist() == [120, 121, 122]


class TestBackflow:
    def test_falls(self):
        """Backflow turns the register back by its magnitude an hour, and use goes on after it."""
        value, step = shown(faulty("backflow", 4, 4.125, 300))
        assert np.flatnonzero(step < 0).tolist() == [96, 97, 98]
        assert value[99] == value[96] - 900
        assert (step[99:] == USE[99:]).all()


class TestStuck:
    def test_stands_still(self):
        """A stuck register stands still, all channels of it, and loses what was used."""
        value, step = shown(faulty("stuck", 2, 7))
        assert (step[hours(2, 7)] == 0).all()
        assert value[-1] == CLEAN[-1] - USE[hours(2, 7)].sum()
        plan = faulty("stuck", 2, 7, one=ELECTRICITY, pv_kw=3.0)
        readings = simulate(plan, START_MS, END_MS)
        for number in (1, 2):
            values = series(readings, 0, number)[1]
            assert len(set(values[192:673].tolist())) == 1


class TestTheft:
    def test_share(self):
        """Theft hides a share of the use, to the least digit."""
        _, step = shown(faulty("theft", 2, 8, 600))
        hidden = USE[hours(2, 8)].sum() - step[hours(2, 8)].sum()
        assert hidden == USE[hours(2, 8)].sum() * 600 // 1000
        assert (step >= 0).all()

    def test_export_is_not_stolen(self):
        """Theft concerns the register of use alone."""
        plan = faulty("theft", 2, 8, 600, one=ELECTRICITY, pv_kw=3.0)
        honest = fleet(1, products=(ELECTRICITY,), pv_kw=3.0)
        both = [series(simulate(p, START_MS, END_MS), 0, 2)[1] for p in (plan, honest)]
        assert both[0].tolist() == both[1].tolist()


class TestReset:
    def test_starts_anew(self):
        """A reset register begins at the magnitude and counts on."""
        value, step = shown(faulty("reset", 4, None, 7))
        assert value[95] == CLEAN[95]
        assert value[96] == 7
        assert (step[96:] == USE[96:]).all()


class TestRollover:
    def test_dial_ends(self):
        """The dial passes its end once, with the first use from the instant on; nothing is lost."""
        value, step = shown(faulty("rollover", 4))
        falls = np.flatnonzero(step < 0)
        assert len(falls) == 1
        assert falls[0] == 95 + np.flatnonzero(USE[95:])[0]
        assert (np.diff(np.where(value < 10**8, value + 10**9, value)) == USE).all()


class TestWild:
    def test_one_reading(self):
        """A wild read is one reading; those around it are as they were."""
        value, _ = shown(faulty("wild", 4, None, 5_000_000))
        differs = np.flatnonzero(value != CLEAN)
        assert differs.tolist() == [96]
        assert value[96] == CLEAN[96] + 5_000_000


class TestOffline:
    def test_gap(self):
        """An offline meter delivers nothing, and its register has gone on meanwhile."""
        at_ms, value = series(simulate(faulty("offline", 2, 4), START_MS, END_MS))
        missing = sorted(set(CLEAN_AT_MS.tolist()) - set(at_ms.tolist()))
        assert missing == [START_MS + h * HOUR_MS for h in range(48, 96)]
        assert value[-1] == CLEAN[-1]


class TestLate:
    def test_order(self):
        """Late readings come behind those that follow, none is lost, none is changed."""
        readings = simulate(faulty("late", 2, 3, 5 * 3600), START_MS, END_MS)
        at_ms, value = series(readings)
        assert at_ms.tolist() == CLEAN_AT_MS.tolist()
        assert value.tolist() == CLEAN.tolist()
        behind = np.diff(readings.at_ms) < 0
        assert behind.any()
        late = readings.due_ms - readings.at_ms == 5 * HOUR_MS
        assert late.sum() == 24


class TestDuplicates:
    def test_copies(self):
        """A doubled reading comes twice with the same value, the second time later."""
        readings = simulate(faulty("duplicates", 2, 3, 1_800), START_MS, END_MS)
        keys, counts = np.unique(readings.at_ms, return_counts=True)
        assert keys[counts == 2].tolist() == [START_MS + h * HOUR_MS for h in range(48, 72)]
        at_ms, value = series(readings)
        assert len({*zip(at_ms.tolist(), value.tolist(), strict=True)}) == len(CLEAN)
        assert (readings.due_ms - readings.at_ms).max() == 1_800_000


@pytest.mark.parametrize("kind", ["leak", "stuck", "theft", "offline", "late", "duplicates"])
def test_outside(kind):
    """Before its start a fault leaves no trace."""
    plan = faulty(kind, 5, 6, 10)
    before = simulate(plan, START_MS, START_MS + 5 * DAY_MS)
    clean = simulate(fleet(1, products=(WATER,)), START_MS, START_MS + 5 * DAY_MS)
    assert columns(before) == columns(clean)
    assert before.truth == ()
