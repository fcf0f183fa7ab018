"""Reconciles the ledger with what is stored: was anything lost, doubled or altered?

Two views must agree with the ledger: the platform's own tally of all readings, and the readings of
some meters one by one. Both come through a `StoreView`, so that a direct look into a database can
take the place of HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from loadtest.clock import Clock
from loadtest.driver import Progress
from loadtest.ledger import Expected, Ledger
from loadtest.traffic import Traffic

Int64s = NDArray[np.int64]
#: Differences the report shows; all are counted.
EXAMPLES_MAX = 20
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Tally:
    """A tenant's readings by outcome, as `GET /v1/tally` counts them."""

    received: int
    stored: int
    duplicates: int
    quarantined: int
    records_behind: int = 0

    def since(self, before: Tally) -> Tally:
        """What came since an earlier tally."""
        return Tally(
            self.received - before.received,
            self.stored - before.stored,
            self.duplicates - before.duplicates,
            self.quarantined - before.quarantined,
            self.records_behind,
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A meter's stored readings: instants in ms and values in least digits, int64, shape (n,)."""

    at_ms: Int64s
    value: Int64s


class StoreView(Protocol):
    """How the check looks at what the platform holds."""

    def tally(self) -> Tally:
        """The tenant's tally now."""

    def readings(self, meter: int) -> Stored:
        """All stored readings of a meter of the fleet, in any order."""


@dataclass(slots=True)
class Sample:
    """What comparing some meters reading by reading has found.

    Attributes:
        meters: Meters compared.
        readings: Readings that had to be there.
        lost: Acknowledged readings that are not there.
        duplicated: Readings that are there more than once.
        altered: Readings that are there with another value.
        invented: Readings nobody sent.
        examples: The first differences in words.
    """

    meters: int = 0
    readings: int = 0
    lost: int = 0
    duplicated: int = 0
    altered: int = 0
    invented: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Findings:
    """The verdict; all counts are of readings.

    Attributes:
        expected: The ledger.
        tally: What the platform counted during the run.
        settled: Whether the pipeline had worked off everything in time.
        settle_s: How long it took for that after the last answer.
        sample: The meters compared one by one.
        lost: Acknowledged, but neither stored nor in quarantine.
        duplicated: Stored twice.
        altered: Stored with another value, of the sample.
        misplaced: In quarantine although their meter is registered.
        unbalanced: Received minus stored, duplicates and quarantined; always 0 if all is well.
    """

    expected: Expected
    tally: Tally
    settled: bool
    settle_s: float
    sample: Sample
    lost: int
    duplicated: int
    altered: int
    misplaced: int
    unbalanced: int

    @property
    def passed(self) -> bool:
        """Whether the platform took readings in and kept its promise about them."""
        bad = (self.lost, self.duplicated, self.altered, self.misplaced, self.unbalanced)
        answered = self.expected.acknowledged > 0
        return answered and self.settled and not any(bad) and not self.sample.invented


def settle(
    view: StoreView,
    before: Tally,
    acknowledged: int,
    clock: Clock,
    timeout_s: float,
    progress: Progress | None = None,
) -> tuple[Tally, bool, float]:
    """Wait until the pipeline has worked off what was acknowledged.

    Args:
        view: What to look at.
        before: Its tally before the run.
        acknowledged: Readings that must be counted, copies included.
        clock: Waits and measures.
        timeout_s: When to give up.
        progress: Told how many readings are worked off.

    Returns:
        What came since `before`, whether it was all, and the seconds it took.
    """
    start_s = clock.monotonic_s()
    while True:
        tally = view.tally().since(before)
        waited_s = clock.monotonic_s() - start_s
        settled = tally.received >= acknowledged and tally.records_behind == 0
        if progress is not None:
            progress("working off", min(tally.received, acknowledged), acknowledged)
        if settled or waited_s >= timeout_s:
            return tally, settled, waited_s
        clock.sleep(_POLL_S)


def compare(view: StoreView, ledger: Ledger, traffic: Traffic, meters: Sequence[int]) -> Sample:
    """Compare the readings of some registered meters with the ledger one by one."""
    sample = Sample()
    for meter in meters:
        _compare_meter(view.readings(meter), ledger, traffic, meter, sample)
    return sample


def _compare_meter(
    stored: Stored, ledger: Ledger, traffic: Traffic, meter: int, sample: Sample
) -> None:
    must = traffic.at_ms(ledger.acknowledged_slots(meter))
    slots = ledger.sent_slots(meter)
    may = traffic.at_ms(slots)
    values = traffic.values(np.full(len(slots), meter), slots)
    acknowledged_sum = int(values[np.isin(may, must)].sum())
    assert acknowledged_sum == ledger.value_sum(meter), "values were sent that nobody can repeat"
    found, first, copies = np.unique(stored.at_ms, return_index=True, return_counts=True)
    lost = np.setdiff1d(must, found)
    doubled = found[copies > 1]
    sent = np.isin(found, may)
    shown, expected = stored.value[first[sent]], values[np.searchsorted(may, found[sent])]
    altered = shown != expected
    sample.meters += 1
    sample.readings += len(must)
    sample.lost += len(lost)
    sample.duplicated += int((copies - 1).sum())
    sample.altered += int(altered.sum())
    sample.invented += int((~sent).sum())
    notes = [f"meter {meter} at {at} ms: lost" for at in lost.tolist()]
    notes += [f"meter {meter} at {at} ms: stored more than once" for at in doubled.tolist()]
    differing = (found[sent][altered], shown[altered], expected[altered])
    notes += [
        f"meter {meter} at {at} ms: {value} stored, {sent_value} sent"
        for at, value, sent_value in zip(*(column.tolist() for column in differing), strict=True)
    ]
    notes += [f"meter {meter} at {at} ms: nobody sent it" for at in found[~sent].tolist()]
    sample.examples += notes[: EXAMPLES_MAX - len(sample.examples)]


def reconcile(
    expected: Expected, tally: Tally, sample: Sample, *, settled: bool, settle_s: float
) -> Findings:
    """Bring ledger, tally and sample to one verdict.

    The sample sees single readings, the tally all of them: a fault that either sees counts, and
    one that both see counts once.
    """
    misplaced = max(0, tally.quarantined - expected.quarantined_max)
    missing = max(0, expected.stored_min - tally.stored, sample.lost)
    return Findings(
        expected=expected,
        tally=tally,
        settled=settled,
        settle_s=settle_s,
        sample=sample,
        lost=max(0, missing - misplaced) + max(0, expected.quarantined_min - tally.quarantined),
        duplicated=max(0, tally.stored - expected.stored_max, sample.duplicated),
        altered=sample.altered,
        misplaced=misplaced,
        unbalanced=tally.received - tally.stored - tally.duplicates - tally.quarantined,
    )
