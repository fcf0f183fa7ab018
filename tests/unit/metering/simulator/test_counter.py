"""Randomness by counters."""

import numpy as np

from services.metering.simulator.counter import bell, hashed, uniform


class TestHashed:
    def test_order(self):
        """A number depends on its key alone, not on what else is asked for."""
        whole = hashed(3, np.arange(100)[:, None], np.arange(50))
        assert hashed(3, 17, 42)[0] == whole[17, 42]
        assert np.array_equal(hashed(3, np.arange(10, 20)[:, None], np.arange(50)), whole[10:20])

    def test_parts(self):
        """Every part of the key counts, and so does its place."""
        keys = [(1, 2, 3), (1, 3, 2), (2, 1, 3), (1, 2), (1, 2, 4), (-1, 2, 3)]
        assert len({int(hashed(*key)[0]) for key in keys}) == len(keys)


class TestDistributions:
    def test_uniform(self):
        """Uniform numbers fill [0, 1) evenly."""
        sample = uniform(hashed(5, np.arange(100_000)))
        counts, _ = np.histogram(sample, bins=20, range=(0, 1))
        assert sample.min() >= 0
        assert sample.max() < 1
        assert abs(counts - 5_000).max() < 350

    def test_bell(self):
        """Bell-shaped numbers have mean 0, deviation 1 and bounded tails."""
        sample = bell(hashed(6, np.arange(100_000)))
        assert abs(sample.mean()) < 0.02
        assert abs(sample.std() - 1) < 0.02
        assert abs(sample).max() < 3.47
