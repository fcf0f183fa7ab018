"""Steps in a register that are no use: what the chain found, and what the registry knew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: What the chain itself finds in the readings.
FOUND_KINDS = frozenset({"rollover", "step_up", "step_down", "rebase"})
#: What a person or the registry tells the chain.
KNOWN_KINDS = frozenset({"exchange", "reset", "multiplier"})

Kind = Literal["rollover", "step_up", "step_down", "rebase", "exchange", "reset", "multiplier"]


@dataclass(frozen=True, slots=True)
class RegisterEvent:
    """A change of the offset between the register and its curve; values in least digits.

    Attributes:
        channel: Row of the channel in the state.
        at_ms: From this instant, inclusive, the new offset holds.
        kind: `rollover`: the dial passed its end, the use across it counts. `step_up`,
            `step_down`: an unexplained jump; the use across it is unknown and not counted.
            `exchange`, `reset`, `multiplier`: told by the registry. `rebase`: the first reading
            after one of those whose new register was not known.
        offset_delta: Added to the offset.
        from_value: The register's last value before, None if not known.
        to_value: The register's first value after, None if not known.
        curve: Value of the curve at that instant; it may serve as a point of the curve.
    """

    channel: int
    at_ms: int
    kind: Kind
    offset_delta: int
    from_value: int | None
    to_value: int | None
    curve: int


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """An exchange, reset or change of multiplier that the registry knows of.

    Attributes:
        channel: Row of the channel in the state.
        at_ms: Readings from this instant on, inclusive, are of the new register.
        kind: What happened; the three are treated alike.
        from_value: Last value of the old register; None if nobody read it: then the use since its
            last good reading is unknown and not counted.
        to_value: First value of the new register; None: its first reading is taken for it.
    """

    channel: int
    at_ms: int
    kind: Literal["exchange", "reset", "multiplier"]
    from_value: int | None = None
    to_value: int | None = None
