"""A store that holds what it is given, and a run's traffic put into it."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from loadtest.check import Stored, Tally
from loadtest.ledger import Ledger
from loadtest.scenario import Scenario
from loadtest.traffic import Traffic

SCENARIO = Scenario(
    name="test",
    seed=3,
    meters=100,
    interval_s=900,
    rate_per_s=1_000,
    duration_s=2,
    batch_readings=30,
    share_duplicated=0.05,
    share_late=0.05,
    late_slots=2,
    share_unknown=0.1,
    sample_meters=1_000,
)
NOW_MS = 1_800_000_000_000


class FakeStore:
    """Keeps what arrives as the pipeline would; a `check.StoreView`."""

    def __init__(self, traffic: Traffic) -> None:
        self._known = traffic.known
        self.rows: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.counts = {"received": 0, "stored": 0, "duplicates": 0, "quarantined": 0}

    def take(self, meter, at_ms, value) -> None:
        """Take readings in, once each."""
        for m, at, v in zip(meter.tolist(), at_ms.tolist(), value.tolist(), strict=True):
            self.counts["received"] += 1
            if not self._known[m]:
                self.counts["quarantined"] += 1
            elif (at, v) in self.rows[m]:
                self.counts["duplicates"] += 1
            else:
                self.rows[m].append((at, v))
                self.counts["stored"] += 1

    def tally(self) -> Tally:
        """What was counted."""
        return Tally(**self.counts)

    def readings(self, meter: int) -> Stored:
        """What is there of a meter."""
        columns = np.array(self.rows[meter], dtype=np.int64).reshape(-1, 2)
        return Stored(columns[:, 0], columns[:, 1])


class FakeClock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def now_ms(self) -> int:
        """Milliseconds."""
        return round(self.at_s * 1000)

    def monotonic_s(self) -> float:
        """Seconds."""
        return self.at_s

    def sleep(self, duration_s: float) -> None:
        """Move on."""
        self.at_s += duration_s


def sent_run(scenario=SCENARIO, *, answered=lambda _: True):
    """A run whose batches all reached the store; only some were answered."""
    traffic = Traffic(scenario, "r1", NOW_MS)
    ledger = Ledger(scenario.meters, scenario.slots)
    store = FakeStore(traffic)
    for number in range(scenario.batches):
        batch = traffic.batch(number)
        ledger.add_sent(batch.meter, batch.slot)
        store.take(batch.meter, traffic.at_ms(batch.slot), batch.value)
        if answered(number):
            ledger.add_acknowledged(batch.meter, batch.slot, batch.value)
    return traffic, ledger, store
