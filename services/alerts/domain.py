"""What an alert is and which steps its life may take.

An alert speaks of one cause: the same cause (tenant, meter, channel, kind, start) never makes a
second one, however often the readings are processed.

    open ──acknowledge──► acknowledged
      │                        │
      └──────── resolve ───────┴──► resolved ──reopen──► open
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.kit.errors import ConflictError

#: Who made a step that no person made.
DETECTOR = "detector"
NOTE_CHARS_MAX = 2_000


class Kind(StrEnum):
    """What happened at the meter."""

    LEAK = "leak"
    BURST = "burst"
    REVERSE = "reverse"
    STUCK = "stuck"
    OFFLINE = "offline"
    BAD_READ = "bad_read"


class Severity(StrEnum):
    """How soon somebody should act."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class State(StrEnum):
    """Where an alert stands in its life."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Step(StrEnum):
    """What a person may do with an alert."""

    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    REOPEN = "reopen"


#: An alert in one of these asks for somebody's attention.
UNRESOLVED = (State.OPEN, State.ACKNOWLEDGED)
_NEXT: Mapping[tuple[State, Step], State] = {
    (State.OPEN, Step.ACKNOWLEDGE): State.ACKNOWLEDGED,
    (State.OPEN, Step.RESOLVE): State.RESOLVED,
    (State.ACKNOWLEDGED, Step.RESOLVE): State.RESOLVED,
    (State.RESOLVED, Step.REOPEN): State.OPEN,
}


class WrongStepError(ConflictError):
    """The alert is not in a state from which this step leads anywhere."""

    code = "alerts.wrong_step"
    title = "The alert cannot take this step"


class OtherUnresolvedError(ConflictError):
    """Another alert of the same kind and meter is unresolved: there may be only one."""

    code = "alerts.other_unresolved"
    title = "Another alert of this kind is unresolved at this meter"


def after(state: State, step: Step) -> State:
    """The state a step leads to.

    Raises:
        WrongStepError: The step is not possible from this state.
    """
    follower = _NEXT.get((state, step))
    if follower is None:
        possible = ", ".join(s for (of, s) in _NEXT if of is state)
        raise WrongStepError(f"an alert that is {state} cannot {step}; possible: {possible}")
    return follower


@dataclass(frozen=True, slots=True)
class Described:
    """What a detector found, in words: the content of a new alert.

    Attributes:
        meter_id: The meter.
        channel: Number of the channel in its product; 0 where the whole meter is meant.
        kind: What happened.
        severity: How soon somebody should act.
        started_at_ms: When the cause began.
        detected_at_ms: Event time at which it could first be known.
        ended_at_ms: When the cause was gone, if that is known already.
        message: A sentence a customer understands.
        evidence: Readings, threshold, rule and values, ready for JSON.
        ending: Why it ended, if it has.
    """

    meter_id: int
    channel: int
    kind: Kind
    severity: Severity
    started_at_ms: int
    detected_at_ms: int
    ended_at_ms: int | None
    message: str
    evidence: Mapping[str, Any]
    ending: str = ""


@dataclass(frozen=True, slots=True)
class HistoryStep:
    """One step in the life of an alert; `from_state` is None for its beginning."""

    at_ms: int
    actor: str
    from_state: State | None
    to_state: State
    note: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it is stored; `meter` is the meter's name, maker:serial."""

    alert_id: uuid.UUID
    tenant_id: int
    meter_id: int
    meter: str
    channel: int
    kind: Kind
    severity: Severity
    state: State
    started_at_ms: int
    detected_at_ms: int
    ended_at_ms: int | None
    message: str
    evidence: Mapping[str, Any]
