"""Uniform load."""

import numpy as np

from services.metering.simulator.uniform import STEP_MAX, UniformLoad

LOAD = UniformLoad(seed=5)
METERS = np.arange(20_000)


class TestValues:
    def test_strictly_rising(self):
        """Registers rise with every interval, by less than two steps."""
        steps = np.diff([LOAD.values(METERS, slot) for slot in range(30)], axis=0)
        assert steps.min() >= 1
        assert steps.max() < 2 * STEP_MAX

    def test_alone(self):
        """A value depends on seed, meter and slot alone."""
        several = LOAD.values(METERS, np.full(20_000, 7))
        assert LOAD.values(np.array([123]), 7)[0] == several[123]
        assert UniformLoad(seed=6).values(METERS, 7).tolist() != several.tolist()


class TestChosen:
    def test_share(self):
        """About the share is chosen, the same whenever asked, otherwise in another stream."""
        chosen = LOAD.chosen(METERS, 3, stream=1, share=0.05)
        assert 800 < chosen.sum() < 1_200
        assert np.array_equal(chosen, LOAD.chosen(METERS, 3, stream=1, share=0.05))
        assert not np.array_equal(chosen, LOAD.chosen(METERS, 3, stream=2, share=0.05))

    def test_none_and_all(self):
        """A share of 0 chooses none and a share of 1 all."""
        assert not LOAD.chosen(METERS, 3, stream=1, share=0.0).any()
        assert LOAD.chosen(METERS, 3, stream=1, share=1.0).all()
