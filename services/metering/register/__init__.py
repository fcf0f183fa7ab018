"""The continuous register: from readings of a dial to a curve that use can be billed from.

`advance` judges what arrives, `restart_point` finds from where to judge again when something comes
late, `replay` is the reference, `Curve` gives the register at any instant. The result is a function
of the set of readings: order of arrival, batches and redelivery do not change it.

    state = ChainState.empty(n); limits = LimitColumns.of([...])
    result = advance(state, limits, channel, at_ms, value)       # in order: later than last_at_ms
    again = restart_point(late_at_ms, *stored_rows, events)      # late: run again from there
    Curve(*curve_points(*stored_rows, events)).use(edges_ms)     # what is billed
"""

from services.metering.register.advance import Amendment, ChainResult, advance, replay
from services.metering.register.curve import Curve
from services.metering.register.events import (
    FOUND_KINDS,
    KNOWN_KINDS,
    KnownEvent,
    RegisterEvent,
)
from services.metering.register.limits import CLOCK_TOLERANCE_MS, ChannelLimits, LimitColumns
from services.metering.register.restart import (
    CHANGED_ROW,
    Restart,
    curve_points,
    rejoin_row,
    restart_point,
)
from services.metering.register.state import NEVER_MS, ChainState, settled_state

__all__ = [
    "CHANGED_ROW",
    "CLOCK_TOLERANCE_MS",
    "FOUND_KINDS",
    "KNOWN_KINDS",
    "NEVER_MS",
    "Amendment",
    "ChainResult",
    "ChainState",
    "ChannelLimits",
    "Curve",
    "KnownEvent",
    "LimitColumns",
    "RegisterEvent",
    "Restart",
    "advance",
    "curve_points",
    "rejoin_row",
    "replay",
    "restart_point",
    "settled_state",
]
