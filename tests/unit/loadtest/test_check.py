"""The check: shown to fail on every kind of planted bug."""

from dataclasses import replace

import pytest

from loadtest.check import Tally, settle
from loadtest.driver import Drive
from loadtest.report import Report, machine
from loadtest.run import examine, sample_of
from tests.unit.loadtest.fakes import SCENARIO, FakeClock, sent_run

NOTHING = Tally(0, 0, 0, 0)


def verdict(run, scenario=SCENARIO):
    """The findings of a run."""
    traffic, ledger, store = run
    return examine(store, ledger, replaced(traffic, scenario), NOTHING, FakeClock())


def replaced(traffic, scenario):
    """The same traffic under a changed scenario."""
    traffic.scenario = scenario
    return traffic


def counts(findings):
    """What is wrong, by name."""
    names = ("lost", "duplicated", "altered", "misplaced", "unbalanced")
    return {name: getattr(findings, name) for name in names if getattr(findings, name)}


class TestFaithful:
    def test_passes(self):
        """A store that keeps its promise passes, with copies and unknown meters in the load."""
        findings = verdict(sent_run())
        assert findings.passed
        assert counts(findings) == {}
        assert findings.tally.duplicates > 0
        assert findings.tally.quarantined > 0
        assert findings.sample.readings == findings.expected.stored_min

    def test_in_doubt(self):
        """Batches without an answer may be stored or not; neither is a fault."""
        stored = verdict(sent_run(answered=lambda number: number % 3))
        assert stored.passed
        traffic, ledger, store = sent_run()
        late = traffic.batch(0)
        ledger.add_sent(late.meter + 50, late.slot * 0)
        assert verdict((traffic, ledger, store)).passed

    def test_nothing_acknowledged(self):
        """A run in which nothing was acknowledged proves nothing."""
        assert not verdict(sent_run(answered=lambda _: False)).passed


@pytest.mark.parametrize("sample_meters", [1_000, 0])
class TestPlantedBug:
    """Each bug is found by the tally alone too, when no meter is sampled."""

    def test_lost(self, sample_meters):
        """A store that loses one reading but counts it as received: lost = 1."""
        traffic, ledger, store = sent_run()
        meter = sample_of(traffic)[0]
        store.rows[meter].pop()
        store.counts["stored"] -= 1
        findings = verdict((traffic, ledger, store), with_sample(sample_meters))
        assert counts(findings) == {"lost": 1, "unbalanced": 1}
        assert not findings.passed

    def test_doubled(self, sample_meters):
        """A store that keeps one reading twice: duplicated = 1."""
        traffic, ledger, store = sent_run()
        meter = sample_of(traffic)[0]
        store.rows[meter].append(store.rows[meter][3])
        store.counts["stored"] += 1
        store.counts["received"] += 1
        findings = verdict((traffic, ledger, store), with_sample(sample_meters))
        assert counts(findings) == {"duplicated": 1}
        assert not findings.passed

    def test_misplaced(self, sample_meters):
        """A reading of a registered meter in quarantine is misplaced, not lost."""
        traffic, ledger, store = sent_run()
        store.rows[sample_of(traffic)[0]].pop()
        store.counts["stored"] -= 1
        store.counts["quarantined"] += 1
        findings = verdict((traffic, ledger, store), with_sample(sample_meters))
        assert counts(findings) == {"misplaced": 1}
        assert not findings.passed

    def test_lost_from_quarantine(self, sample_meters):
        """A reading of an unknown meter that is nowhere is lost too."""
        traffic, ledger, store = sent_run()
        store.counts["quarantined"] -= 1
        findings = verdict((traffic, ledger, store), with_sample(sample_meters))
        assert counts(findings) == {"lost": 1, "unbalanced": 1}

    def test_late_by_far(self, sample_meters):
        """A pipeline that never works off what it acknowledged fails for that alone."""
        traffic, ledger, store = sent_run()
        store.tally = lambda: Tally(**store.counts, records_behind=1)
        findings = verdict((traffic, ledger, store), with_sample(sample_meters))
        assert not findings.settled
        assert not findings.passed
        assert findings.settle_s >= SCENARIO.settle_s


def with_sample(meters):
    """The scenario with another sample."""
    return replace(SCENARIO, sample_meters=meters)


class TestSampleOnly:
    """What no tally can show."""

    def test_altered(self):
        """A store that alters one value: altered = 1, with meter, instant and both values."""
        traffic, ledger, store = sent_run()
        meter = sample_of(traffic)[5]
        at_ms, value = store.rows[meter][7]
        store.rows[meter][7] = (at_ms, value + 1)
        findings = verdict((traffic, ledger, store))
        assert counts(findings) == {"altered": 1}
        expected = f"meter {meter} at {at_ms} ms: {value + 1} stored, {value} sent"
        assert findings.sample.examples == [expected]
        assert not findings.passed

    def test_lost_and_doubled(self):
        """A loss that a doubling hides from the tally is found, and both are counted."""
        traffic, ledger, store = sent_run()
        first, second = sample_of(traffic)[:2]
        store.rows[first].pop()
        store.rows[second].append(store.rows[second][0])
        assert counts(verdict((traffic, ledger, store))) == {"lost": 1, "duplicated": 1}

    def test_invented(self):
        """A reading nobody sent fails the run."""
        traffic, ledger, store = sent_run()
        meter = sample_of(traffic)[0]
        store.rows[meter].append((traffic.first_at_ms - 1, 5))
        findings = verdict((traffic, ledger, store))
        assert findings.sample.invented == 1
        assert not findings.passed


class TestSettle:
    def test_waits(self):
        """The check waits until everything acknowledged is counted and nothing is behind."""
        clock = FakeClock()
        answers = [
            Tally(10, 10, 0, 0, 3),
            Tally(90, 90, 0, 0, 1),
            Tally(110, 110, 0, 0, 1),
            Tally(110, 110, 0, 0, 0),
        ]

        class View:
            def tally(self):
                return answers.pop(0)

        tally, settled, waited_s = settle(View(), Tally(10, 10, 0, 0), 100, clock, 60)
        assert (tally.received, settled, waited_s) == (100, True, 1.5)


class TestReport:
    def test_says_so(self):
        """The report of a run that lost a reading says so in figures and verdict."""
        traffic, ledger, store = sent_run()
        store.rows[sample_of(traffic)[0]].pop()
        store.counts["stored"] -= 1
        findings = verdict((traffic, ledger, store))
        latencies = Drive(traffic.known[:10] * 0.01)
        report = Report(SCENARIO, latencies, findings, machine(), 0)
        assert report.as_json()["lost"] == 1
        assert not report.as_json()["passed"]
        assert "FAILED" in str(report.table().title)
