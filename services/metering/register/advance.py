"""The chain over many channels at once: numpy where readings are plainly good, Python at trouble.

A reading is plainly good if it follows its predecessor as a register may. Channels of such readings
only never enter a Python loop; in the others, Python judges the readings around the trouble and
jumps over the plain stretches between. Any split of the same readings into batches gives the same
state and the same final decisions, which is `chain.py` reading by reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.metering.quality import usable
from services.metering.register.chain import Chain, Point, Verdict, load_chain, store_chain
from services.metering.register.events import KnownEvent, RegisterEvent
from services.metering.register.limits import (
    CLOCK_TOLERANCE_MS,
    HOUR_MS,
    ChannelLimits,
    LimitColumns,
)
from services.metering.register.state import NEVER_MS, ChainState

Int64s = NDArray[np.int64]
Ints = NDArray[np.int64] | NDArray[np.int32] | NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Amendment:
    """A decision on a reading of an earlier batch that has changed.

    Attributes:
        channel: Row of the channel in the state.
        at_ms: Instant of the reading.
        flags: Its flags from now on.
        curve: The curve's value to store with it, least digits.
    """

    channel: int
    at_ms: int
    flags: int
    curve: int


@dataclass(slots=True)
class ChainResult:
    """What the chain says about a batch; columns are parallel to the batch's rows.

    Attributes:
        flags: `quality.Rule` bits, uint32, shape (n,).
        curve: The continuous register in least digits, int64, shape (n,); for a reading that is
            not usable the level of the curve when it was judged.
        events: Steps found or applied, by channel and instant.
        amended: Changed decisions on rows of earlier batches, by channel and instant.
    """

    flags: NDArray[np.uint32]
    curve: Int64s
    events: list[RegisterEvent] = field(default_factory=list)
    amended: list[Amendment] = field(default_factory=list)

    @property
    def usable(self) -> Bools:
        """Which rows are points of the curve, shape (n,)."""
        return usable(self.flags)


@dataclass(slots=True)
class _Groups:
    """The rows of each channel: group g is rows first[g] … last[g] of channel owner[g].

    `cells` and `limits` are copies of the owners' rows of the state before the batch and of the
    limits, shapes (g, 2 w + 3) and (g, 5).
    """

    first: NDArray[np.intp]
    last: NDArray[np.intp]
    owner: Ints
    cells: Int64s
    limits: Int64s


def advance(
    state: ChainState,
    limits: LimitColumns,
    channel: Ints,
    at_ms: Int64s,
    value: Int64s,
    known: Sequence[KnownEvent] = (),
) -> ChainResult:
    """Judge the next readings of many channels and move their state on, in place.

    Args:
        state: State of all channels.
        limits: Their limits, row for row.
        channel: Row of each reading's channel in `state`, int32 or int64, shape (n,), ascending.
        at_ms: Instants, int64, shape (n,): strictly increasing within a channel and later than its
            `last_at_ms` (what is not later is late: see `restart_point`).
        value: Register values in least digits, int64, shape (n,).
        known: What the registry knows of these channels, any order. Events up to a channel's
            `last_at_ms` or after its last row are passed over, so giving all of them is safe.

    Raises:
        ValueError: Readings are out of order, or the state is too narrow for a channel's
            `confirm`; nothing has been changed.
    """
    if not len(at_ms):
        return ChainResult(np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.int64))
    groups = _group(state, limits, channel)
    told = _told(groups, at_ms, known)
    plain = _plain(groups, at_ms, value)
    calm = _calm(groups, value, plain, told)
    offset = _spread(groups, groups.cells[:, -3])
    result = ChainResult(np.zeros(len(at_ms), dtype=np.uint32), value + offset)
    doubtful = np.flatnonzero(~calm)
    cells = groups.cells[doubtful]
    _settle(state, groups, at_ms, value)
    for place, group in enumerate(doubtful.tolist()):
        rows = slice(int(groups.first[group]), int(groups.last[group]) + 1)
        row = int(groups.owner[group])
        state.cells[row] = cells[place]
        chain = load_chain(state, limits.one(row), row, row)
        _judge_rows(chain, at_ms, value, plain, rows, told.get(group, []), result)
        store_chain(chain, state, row)
    return result


def _group(state: ChainState, limits: LimitColumns, channel: Ints) -> _Groups:
    """Find the rows of each channel and fetch what is known of it."""
    edge = np.empty(len(channel), dtype=bool)
    edge[0] = True
    np.not_equal(channel[1:], channel[:-1], out=edge[1:])
    first = np.flatnonzero(edge)
    last = np.empty_like(first)
    last[:-1] = first[1:] - 1
    last[-1] = len(channel) - 1
    owner = channel[first]
    if (owner[1:] <= owner[:-1]).any():
        raise ValueError("Readings must be sorted by channel")
    groups = _Groups(
        # `take` of whole rows is four times as fast as indexing.
        first,
        last,
        owner,
        state.cells.take(owner, axis=0),
        limits.cells.take(owner, axis=0),
    )
    confirm = groups.limits[:, 3]
    if confirm.min() < 1 or confirm.max() > state.confirm_max:
        raise ValueError("A channel has no limits, or its `confirm` is over the state's width")
    return groups


def _spread(groups: _Groups, column: Int64s) -> Int64s:
    """A column of groups as a column of rows."""
    if len(groups.first) == int(groups.last[-1]) + 1:
        return column
    return np.repeat(column, groups.last - groups.first + 1)


def _after(groups: _Groups, column: Int64s, before: Int64s) -> Int64s:
    """The value before each row: that of the row above, or `before` for a group's first row."""
    if len(groups.first) == len(column):
        return before
    result = np.empty_like(column)
    result[1:] = column[:-1]
    result[groups.first] = before
    return result


def _plain(groups: _Groups, at_ms: Int64s, value: Int64s) -> Bools:
    """Which rows may follow the row before, or the mark where they are their channel's first."""
    cells, limits = groups.cells, groups.limits
    if (at_ms <= _after(groups, at_ms, cells[:, -2])).any():
        raise ValueError("Readings must be later than those before them in their channel")
    rise_max = at_ms - _after(groups, at_ms, cells[:, 0])
    rise_max += CLOCK_TOLERANCE_MS
    np.minimum(rise_max, _spread(groups, limits[:, 4]), out=rise_max)
    rise_max *= _spread(groups, limits[:, 1])
    rise_max += HOUR_MS - 1
    rise_max //= HOUR_MS
    rise_max += 1
    rise = value - _after(groups, value, cells[:, _mark_place(cells)])
    plain: Bools = rise >= 0
    plain &= rise <= rise_max
    fresh = groups.first[cells[:, 0] == NEVER_MS]
    plain[fresh] = value[fresh] >= 0
    return plain


def _mark_place(cells: Int64s) -> int:
    """The column of the mark's value among a state's cells."""
    return int(cells.shape[1] - 3) // 2


def _calm(groups: _Groups, value: Int64s, plain: Bools, told: dict[int, list[KnownEvent]]) -> Bools:
    """Which groups hold plainly good rows only, on a channel without doubts."""
    calm: Bools = groups.cells[:, -1] == 0
    # Plain rows never fall, so the last one tells whether all are on the dial.
    calm &= value[groups.last] < groups.limits[:, 0]
    if not plain.all():
        calm &= np.logical_and.reduceat(plain, groups.first)
    calm[list(told)] = False
    return calm


def _told(
    groups: _Groups, at_ms: Int64s, known: Iterable[KnownEvent]
) -> dict[int, list[KnownEvent]]:
    """The known events that fall between a group's earlier readings and its last, by group."""
    told: dict[int, list[KnownEvent]] = {}
    for event in sorted(known, key=lambda one: one.at_ms):
        group = int(np.searchsorted(groups.owner, event.channel))
        if (
            group < len(groups.owner)
            and groups.owner[group] == event.channel
            and groups.cells[group, -2] < event.at_ms <= at_ms[groups.last[group]]
        ):
            told.setdefault(group, []).append(event)
    return told


def _settle(state: ChainState, groups: _Groups, at_ms: Int64s, value: Int64s) -> None:
    """Make the last rows of the groups their channels' last good readings; changes `groups.cells`.

    Groups with doubts get it too, and are set right by the chain afterwards: cheaper than sorting
    them out first. Column by column, because numpy is slow over rows of two or three.
    """
    cells, width = groups.cells, state.confirm_max
    single = len(groups.first) == len(at_ms)
    count = groups.last - groups.first + 1
    for news, start in ((at_ms, 0), (value, width)):
        old = cells if single else cells[:, start : start + width].copy()
        for place in reversed(range(width)):
            if single:
                cells[:, start + place] = cells[:, start + place - 1] if place else news
                continue
            # Newest first: the group's rows from its end, then what was remembered before.
            cells[:, start + place] = news[np.maximum(groups.last - place, groups.first)]
            short = np.flatnonzero(count <= place)
            cells[short, start + place] = old[short, place - count[short]]
    cells[:, -2] = at_ms[groups.last]
    # Whole rows as one item each: twice as fast as rows of a two-dimensional array.
    row_type = np.dtype((np.void, cells.itemsize * cells.shape[1]))
    state.cells.view(row_type)[:, 0][groups.owner] = cells.view(row_type)[:, 0]


def _judge_rows(
    chain: Chain,
    at_ms: Int64s,
    value: Int64s,
    plain: Bools,
    rows: slice,
    events: list[KnownEvent],
    result: ChainResult,
) -> None:
    """Judge one channel's rows, jumping over stretches that are plainly good."""
    at_list, value_list = at_ms[rows], value[rows]
    doubtful = ~plain[rows] | (value_list >= chain.limits.span)
    if events:
        doubtful[np.searchsorted(at_list, [event.at_ms for event in events])] = True
    stops = [*np.flatnonzero(doubtful).tolist(), len(at_list)]
    early: dict[int, Verdict] = {}
    row = stop = 0
    while row < len(at_list):
        while stops[stop] < row:
            stop += 1
        # Rows are plain towards the row before, which must then be the mark itself.
        on_mark = chain.settled and (row == 0 or value_list[row - 1] == chain.good[-1].value)
        if on_mark and stops[stop] > row:
            until = stops[stop]
            result.curve[rows][row:until] = value_list[row:until] + chain.offset
            tail = slice(max(row, until - chain.width), until)
            ends = zip(at_list[tail].tolist(), value_list[tail].tolist(), strict=True)
            chain.skip([Point(at, reading) for at, reading in ends])
            row = until
            continue
        at = int(at_list[row])
        while events and events[0].at_ms <= at:
            chain.apply(events.pop(0))
        chain.judge(at, int(value_list[row]))
        _place(chain, at_list, at, row, rows, result, early)
        row += 1
    result.events += chain.events
    result.amended += [Amendment(chain.channel, *early[at]) for at in sorted(early)]


def _place(
    chain: Chain,
    at_list: Int64s,
    at: int,
    row: int,
    rows: slice,
    result: ChainResult,
    early: dict[int, Verdict],
) -> None:
    """Write the chain's new decisions to their rows, or keep them for rows of earlier batches."""
    for verdict in chain.verdicts:
        target = row
        if verdict.at_ms != at:
            target = int(np.searchsorted(at_list, verdict.at_ms))
            if at_list[target] != verdict.at_ms:
                early[verdict.at_ms] = verdict
                continue
        result.flags[rows.start + target] = verdict.flags
        result.curve[rows.start + target] = verdict.curve
    chain.verdicts.clear()


def replay(
    limits: ChannelLimits,
    at_ms: Int64s,
    value: Int64s,
    known: Sequence[KnownEvent] = (),
    confirm_max: int = 3,
) -> tuple[ChainState, ChainResult]:
    """Judge a whole series from scratch, reading by reading: the reference for everything else.

    Args:
        limits: The channel's limits.
        at_ms: Instants, int64, shape (n,), strictly increasing.
        value: Register values in least digits, int64, shape (n,).
        known: What the registry knows; its `channel` is not looked at.
        confirm_max: Width of the state.

    Returns:
        The state after the last reading, and the final decisions; nothing is left to amend.
    """
    chain = Chain(limits=limits, width=max(confirm_max, limits.confirm))
    waiting = sorted(known, key=lambda event: event.at_ms)
    for at, reading in zip(at_ms.tolist(), value.tolist(), strict=True):
        while waiting and waiting[0].at_ms <= at:
            chain.apply(waiting.pop(0))
        chain.judge(at, reading)
    state = ChainState.empty(1, chain.width)
    store_chain(chain, state, 0)
    final = {verdict.at_ms: verdict for verdict in chain.verdicts}
    verdicts = [final[at] for at in at_ms.tolist()]
    flags = np.array([one.flags for one in verdicts], dtype=np.uint32)
    curve = np.array([one.curve for one in verdicts], dtype=np.int64)
    return state, ChainResult(flags, curve, chain.events)
