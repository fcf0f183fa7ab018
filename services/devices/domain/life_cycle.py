"""The life of a meter: its states, and the steps that are legal between them."""

from __future__ import annotations

from enum import StrEnum

from services.kit.errors import ConflictError


class MeterState(StrEnum):
    """Where a meter is in its life."""

    MADE = "made"
    SHIPPED = "shipped"
    IN_STOCK = "in_stock"
    INSTALLED = "installed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REMOVED = "removed"
    SCRAPPED = "scrapped"


_S = MeterState
#: State to the states that may follow it; nothing follows scrapped.
STEPS: dict[MeterState, frozenset[MeterState]] = {
    _S.MADE: frozenset({_S.SHIPPED, _S.SCRAPPED}),
    _S.SHIPPED: frozenset({_S.IN_STOCK, _S.SCRAPPED}),
    _S.IN_STOCK: frozenset({_S.SHIPPED, _S.INSTALLED, _S.SCRAPPED}),
    _S.INSTALLED: frozenset({_S.ACTIVE, _S.REMOVED}),
    _S.ACTIVE: frozenset({_S.SUSPENDED, _S.REMOVED}),
    _S.SUSPENDED: frozenset({_S.ACTIVE, _S.REMOVED}),
    _S.REMOVED: frozenset({_S.IN_STOCK, _S.INSTALLED, _S.SCRAPPED}),
    _S.SCRAPPED: frozenset(),
}
#: States in which a meter stands at a service point.
STANDING = frozenset({_S.INSTALLED, _S.ACTIVE, _S.SUSPENDED})


class IllegalStepError(ConflictError):
    """A meter cannot go from its state to the one asked for."""

    code = "meter.illegal_step"
    title = "The meter's state does not allow this"


def step(state: MeterState, following: MeterState) -> MeterState:
    """The state after a step, which is `following`.

    Raises:
        IllegalStepError: `following` may not come after `state`.
    """
    if following not in STEPS[state]:
        raise IllegalStepError(f"a meter that is {state} cannot become {following}")
    return following


def after_installing(state: MeterState, *, ended: bool) -> MeterState:
    """The state of a meter for which an installation was entered.

    An ended installation of a standing meter is history that is entered late: it changes nothing.

    Args:
        state: The state before.
        ended: The installation has an end already.

    Raises:
        IllegalStepError: A meter in this state cannot be installed.
    """
    if ended and state in STANDING:
        return state
    path = (_S.INSTALLED, _S.ACTIVE, _S.REMOVED) if ended else (_S.INSTALLED, _S.ACTIVE)
    for following in path:
        state = step(state, following)
    return state
