"""The ledger."""

import numpy as np

from loadtest.ledger import Ledger

KNOWN = np.array([True, True, False])


def columns(*rows):
    """Columns of (meter, slot, value) rows."""
    return tuple(np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))


class TestLedger:
    def test_counts(self):
        """Copies count as sent and received once more, but only once as stored."""
        ledger = Ledger(3, 4)
        meter, slot, value = columns((0, 0, 5), (1, 3, 7), (2, 1, 9))
        for _ in range(2):
            ledger.add_sent(meter, slot)
            ledger.add_acknowledged(meter, slot, value)
        expected = ledger.expected(KNOWN)
        assert (expected.sent, expected.acknowledged) == (6, 6)
        assert (expected.stored_min, expected.stored_max) == (2, 2)
        assert (expected.quarantined_min, expected.quarantined_max) == (2, 2)
        assert [ledger.value_sum(m) for m in range(3)] == [5, 7, 9]
        assert ledger.acknowledged_slots(1).tolist() == [3]

    def test_in_doubt(self):
        """What was sent without an answer widens the range."""
        ledger = Ledger(3, 4)
        ledger.add_sent(*columns((0, 0), (2, 0)))
        expected = ledger.expected(KNOWN)
        assert (expected.stored_min, expected.stored_max) == (0, 1)
        assert (expected.quarantined_min, expected.quarantined_max) == (0, 1)

    def test_refused(self):
        """What a server refused is certainly not stored."""
        ledger = Ledger(3, 4)
        ledger.add_sent(*columns((0, 0), (1, 0)))
        ledger.take_back(*columns((0, 0), (1, 0)))
        assert ledger.expected(KNOWN).sent == 0
        assert ledger.sent_slots(0).tolist() == []

    def test_ten_million(self):
        """Ten million readings take twenty megabytes, and a batch is entered in no time."""
        ledger = Ledger(100_000, 100)
        meter = np.arange(5_000)
        ledger.add_sent(meter, np.full(5_000, 99))
        assert ledger.expected(np.ones(100_000, dtype=bool)).sent == 5_000
