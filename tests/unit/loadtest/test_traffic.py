"""What a scenario sends."""

from collections import Counter
from dataclasses import replace

import numpy as np

from loadtest.traffic import Traffic
from services.metering.batch import from_bytes
from services.metering.products import from_document
from tests.unit.loadtest.fakes import NOW_MS, SCENARIO

TRAFFIC = Traffic(SCENARIO, "r1", NOW_MS)
BATCHES = [TRAFFIC.batch(number) for number in range(SCENARIO.batches)]


def keys(batch):
    """Keys of a batch's readings."""
    return list(zip(batch.meter.tolist(), batch.slot.tolist(), strict=True))


class TestSchedule:
    def test_rate(self):
        """Batches are due so that the fleet's readings make the rate."""
        due_s = [TRAFFIC.due_s(number) for number in range(SCENARIO.batches)]
        assert due_s[0] == 0
        assert np.allclose(np.diff(due_s), 25 / 1_000)

    def test_streams(self):
        """A meter stays on one stream, and all streams carry some."""
        carried = {}
        for batch in BATCHES:
            for meter in batch.meter.tolist():
                carried.setdefault(meter, set()).add(TRAFFIC.stream(batch.number))
        assert all(len(streams) == 1 for streams in carried.values())
        assert len(set.union(*carried.values())) == SCENARIO.streams


class TestBatch:
    def test_repeatable(self):
        """The same scenario sends the same bytes; another seed sends others."""
        again = Traffic(SCENARIO, "r1", NOW_MS)
        other = Traffic(replace(SCENARIO, seed=4), "r1", NOW_MS)
        assert again.batch(5).payload == BATCHES[5].payload
        assert other.batch(5).payload != BATCHES[5].payload

    def test_payload(self):
        """The bytes say what the columns say."""
        batch = BATCHES[9]
        parsed = from_bytes(batch.payload)
        assert parsed.value.tolist() == batch.value.tolist()
        assert parsed.at_ms.tolist() == TRAFFIC.at_ms(batch.slot).tolist()
        names = [parsed.meters[m] for m in parsed.meter.tolist()]
        assert names == [f"Loadtest:r1-{m:07d}" for m in batch.meter.tolist()]

    def test_complete(self):
        """Every reading is sent once but for copies; the late ones of the end stay unsent."""
        counts = Counter(key for batch in BATCHES for key in keys(batch))
        complete = SCENARIO.slots - SCENARIO.late_slots
        for slot in range(complete):
            assert all(counts[meter, slot] >= 1 for meter in range(SCENARIO.meters))
        assert max(counts.values()) == 2
        assert all(len(set(keys(batch))) == len(keys(batch)) for batch in BATCHES)

    def test_shares(self):
        """About the asked shares are doubled, late and unknown."""
        counts = Counter(key for batch in BATCHES for key in keys(batch))
        doubled = sum(count == 2 for count in counts.values())
        assert 0.02 < doubled / len(counts) < 0.08
        late = sum(
            (batch.slot == batch.number // SCENARIO.parts - SCENARIO.late_slots).sum()
            for batch in BATCHES
        )
        assert 0.02 < late / len(counts) < 0.08
        assert 2 <= (~TRAFFIC.known).sum() <= 20

    def test_past(self):
        """No reading lies in the future."""
        assert TRAFFIC.at_ms(np.array([SCENARIO.slots - 1]))[0] <= NOW_MS


class TestProduct:
    def test_fits(self):
        """The product is valid and its limit allows what the load does."""
        channel = from_document(TRAFFIC.product).channels[0]
        meters = np.arange(100)
        steps = np.diff([TRAFFIC.values(meters, np.full(100, s)) for s in range(20)], axis=0)
        assert steps.max() * 3600 / SCENARIO.interval_s <= channel.rate_max_per_h
