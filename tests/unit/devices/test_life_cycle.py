"""The life of a meter."""

from __future__ import annotations

import itertools

import pytest

from services.devices.domain.life_cycle import (
    STANDING,
    STEPS,
    IllegalStepError,
    MeterState,
    after_installing,
    step,
)

S = MeterState


def test_every_state_has_its_steps() -> None:
    """The table covers all states; from every state but the last a meter can be scrapped."""
    assert set(STEPS) == set(S)
    reachable = {state: {state} for state in S}
    for _ in S:
        for state, follow in itertools.product(S, S):
            if follow in STEPS[state]:
                reachable[state] |= reachable[follow]
    assert all(S.SCRAPPED in states for states in reachable.values())
    assert STEPS[S.SCRAPPED] == frozenset()


@pytest.mark.parametrize(("state", "following"), list(itertools.product(S, S)))
def test_a_step_is_taken_or_refused(state: MeterState, following: MeterState) -> None:
    """Exactly the steps of the table are legal; others name both states and have one code."""
    if following in STEPS[state]:
        assert step(state, following) is following
    else:
        with pytest.raises(IllegalStepError, match=f"{state}.*{following}") as caught:
            step(state, following)
        assert caught.value.code == "meter.illegal_step"


@pytest.mark.parametrize("state", list(S))
def test_installing_makes_active_or_leaves_history(state: MeterState) -> None:
    """Meters in stock or removed become active; history of a standing meter changes nothing."""
    if state in {S.IN_STOCK, S.REMOVED}:
        assert after_installing(state, ended=False) is S.ACTIVE
        assert after_installing(state, ended=True) is S.REMOVED
        return
    with pytest.raises(IllegalStepError):
        after_installing(state, ended=False)
    if state in STANDING:
        assert after_installing(state, ended=True) is state
    else:
        with pytest.raises(IllegalStepError):
            after_installing(state, ended=True)
