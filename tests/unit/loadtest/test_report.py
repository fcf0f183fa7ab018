"""Figures of the report."""

import numpy as np

from loadtest.report import latency_ms, machine


class TestLatency:
    def test_percentiles(self):
        """Percentiles are latencies that occurred; batches without an answer do not count."""
        latency_s = np.concatenate([np.arange(1, 1_001) / 1000, [np.nan] * 500])
        figures = latency_ms(latency_s)
        assert figures == {"p50": 501, "p90": 901, "p99": 991, "p99.9": 1000, "max": 1000}

    def test_nothing(self):
        """Without a single answer there is no latency, rather than a good one."""
        assert set(latency_ms(np.full(5, np.nan)).values()) == {None}


def test_machine():
    """The report names the machine, for figures mean nothing without it."""
    facts = machine()
    assert facts["cores"] >= 1
    assert facts["cpu"]
