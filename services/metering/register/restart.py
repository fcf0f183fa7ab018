"""Late readings: from where a channel's chain must run again, and where it may stop again.

The chain only looks back. A decision is final once a good reading follows it with no suspect before
that reading, and the state right after such a reading is known from what is stored: the mark, the
offset, and the points of the curve before it since the last step. So a late reading costs the rows
from the last settled reading before it to the first settled ones after it, not the series.

What is stored is raw: rows of (instant, value, flags) and all events of the channel. The offset at
an instant is the sum of the events up to it; `curve_points` gives the curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.metering.quality import BELOW_MARK, CONFIRMED_LATER, followed, usable
from services.metering.register.events import KNOWN_KINDS, RegisterEvent
from services.metering.register.state import NEVER_MS, ChainState, settled_state

Int64s = NDArray[np.int64]
Flags = NDArray[np.uint32]

#: Stands for the old flags of a row that is new or whose value changed, in `rejoin_row`.
CHANGED_ROW = 0xFFFFFFFF
_LOWEST = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Restart:
    """Where to start again.

    Attributes:
        at_ms: Stored events strictly later are void, and all readings strictly later (stored and
            late) are to be given to `advance`; `NEVER_MS` is the beginning.
        state: The channel's state at that instant, one row.
    """

    at_ms: int
    state: ChainState


def restart_point(
    late_at_ms: int,
    at_ms: Int64s,
    value: Int64s,
    flags: Flags,
    events: Sequence[RegisterEvent] = (),
    *,
    confirm_max: int = 3,
    whole: bool = True,
) -> Restart | None:
    """Find the last instant before a change up to which every decision stands.

    Running `advance` from there over the changed set of readings gives what `replay` gives for the
    whole series. To rebuild a state from the store, ask for an instant after the last row.

    Args:
        late_at_ms: The earliest instant at which a reading or a known event was added, changed or
            taken away.
        at_ms: Instants of stored rows, ascending, int64, shape (n,). Rows at or after
            `late_at_ms` are not looked at.
        value: Their register values, least digits, int64, shape (n,).
        flags: Their flags, uint32, shape (n,); bits of rules other than the chain's do not matter.
        events: All stored events of the channel, any order.
        confirm_max: Width of the state.
        whole: The rows begin with the series' first; else they are a window of it.

    Returns:
        The restart, or None if the window is too short to tell: then give a longer one.
    """
    before = slice(int(np.searchsorted(at_ms, late_at_ms)))
    at_ms, value, flags = at_ms[before], value[before], flags[before]
    good = np.flatnonzero(followed(flags))
    unsettled = np.uint32(CONFIRMED_LATER | BELOW_MARK)
    settled = good[(flags[good] & unsettled) == 0]
    if not len(settled):
        return Restart(NEVER_MS, ChainState.empty(1, confirm_max)) if whole else None
    row = int(settled[-1])
    last_event = _last_event(events, int(at_ms[row]))
    good = good[good <= row]
    if last_event is not None:
        good = good[at_ms[good] >= last_event.at_ms]
    values = np.where(flags[good] & np.uint32(BELOW_MARK), _LOWEST, value[good])
    ats = at_ms[good]
    if last_event and last_event.kind in KNOWN_KINDS and last_event.to_value is not None:
        # The new register's first value stands in the chain like a reading.
        ats = np.insert(ats, 0, last_event.at_ms)
        values = np.insert(values, 0, last_event.to_value)
    values = np.maximum.accumulate(values)[-confirm_max:]
    cut = last_event is None and not whole and len(values) < confirm_max
    if cut or values[0] == _LOWEST:
        return None
    offset = sum(event.offset_delta for event in events if event.at_ms <= at_ms[row])
    return Restart(int(at_ms[row]), settled_state(ats, values, offset, confirm_max))


def _last_event(events: Sequence[RegisterEvent], at_ms: int) -> RegisterEvent | None:
    """The last step up to an instant; at one instant, what was found follows what was known."""
    past = [event for event in events if event.at_ms <= at_ms]
    return max(past, key=lambda event: (event.at_ms, event.kind not in KNOWN_KINDS), default=None)


def rejoin_row(
    old_flags: Flags, old_curve: Int64s, new_flags: Flags, new_curve: Int64s, confirm_max: int = 3
) -> int | None:
    """The first row from which a chain that ran again says what it said before, for good.

    So a long series need not be read to its end after every late reading: after `confirm_max` rows
    in a row that were and are settled with the same curve, both states are the same.

    Args:
        old_flags: Stored flags of the rows judged again, uint32, shape (n,); `CHANGED_ROW` for rows
            that are new or whose value changed. No row or known event after them may have changed.
        old_curve: Their stored curve, int64, shape (n,).
        new_flags: Their flags now, same shape.
        new_curve: Their curve now, same shape.
        confirm_max: Width of the state.

    Returns:
        The row after which the stored decisions stand, or None: then go on with later rows.
    """
    in_doubt = np.uint32(CONFIRMED_LATER | BELOW_MARK)
    same = (old_flags == new_flags) & (old_curve == new_curve)
    same &= followed(new_flags) & ((new_flags & in_doubt) == 0)
    changed = np.flatnonzero(old_flags == np.uint32(CHANGED_ROW))
    if len(changed):
        same[: changed[-1] + 1] = False
    if len(same) < confirm_max:
        return None
    runs = np.lib.stride_tricks.sliding_window_view(same, confirm_max).all(axis=1)
    found = np.flatnonzero(runs)
    return int(found[0]) + confirm_max - 1 if len(found) else None


def curve_points(
    at_ms: Int64s, value: Int64s, flags: Flags, events: Sequence[RegisterEvent] = ()
) -> tuple[Int64s, Int64s]:
    """The curve's points from stored raw rows, for `Curve`.

    Args:
        at_ms: Instants, ascending, int64, shape (n,).
        value: Register values, least digits, int64, shape (n,).
        flags: Their flags, uint32, shape (n,).
        events: All stored events of the channel, any order. Known ones between the rows add a
            point, since the old register's last value was read there.

    Returns:
        Instants and the continuous register in least digits, both int64, shape (m,). Readings
        under the mark at the beginning of a window, whose mark lies before it, are left out.
    """
    ordered = sorted(events, key=lambda event: event.at_ms)
    deltas = np.cumsum([0, *(event.offset_delta for event in ordered)], dtype=np.int64)
    past = np.searchsorted([event.at_ms for event in ordered], at_ms, side="right")
    curve = value + deltas[past]
    curve[(flags & np.uint32(BELOW_MARK)) != 0] = _LOWEST
    used = usable(flags)
    told = [event for event in ordered if event.kind in KNOWN_KINDS and len(at_ms)]
    told = [event for event in told if at_ms[0] < event.at_ms < at_ms[-1]]
    ats = np.concatenate([np.array([e.at_ms for e in told], dtype=np.int64), at_ms[used]])
    curves = np.concatenate([np.array([e.curve for e in told], dtype=np.int64), curve[used]])
    order = np.argsort(ats, kind="stable")
    ats, curves = ats[order], np.maximum.accumulate(curves[order])
    # Of an event and a reading at one instant the reading, which comes second, stands.
    last = np.append(ats[1:] != ats[:-1], np.ones(min(len(ats), 1), dtype=bool))
    kept = last & (curves != _LOWEST)
    return ats[kept], curves[kept]
