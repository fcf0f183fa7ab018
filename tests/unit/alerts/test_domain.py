"""The life of an alert: which steps lead where."""

from __future__ import annotations

import pytest

from services.alerts.domain import State, Step, WrongStepError, after

LEGAL = {
    (State.OPEN, Step.ACKNOWLEDGE): State.ACKNOWLEDGED,
    (State.OPEN, Step.RESOLVE): State.RESOLVED,
    (State.ACKNOWLEDGED, Step.RESOLVE): State.RESOLVED,
    (State.RESOLVED, Step.REOPEN): State.OPEN,
}


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("state", list(State))
def test_steps(state: State, step: Step) -> None:
    """Every pair of state and step is either in the table or refused with what is possible."""
    if (state, step) in LEGAL:
        assert after(state, step) is LEGAL[state, step]
        return
    with pytest.raises(WrongStepError) as caught:
        after(state, step)
    assert caught.value.code == "alerts.wrong_step"
    assert all(s in caught.value.detail for (of, s) in LEGAL if of is state)
