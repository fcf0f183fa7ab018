"""Takes chains up again from what is stored: for channels that come new, and for late readings.

Everything is asked for set by set: a batch with late readings of a thousand channels costs three
queries, as one of a single channel does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.ingest.pipeline.state import PartitionState
from services.ingest.store import register_events
from services.ingest.store.binary import Columns, Key, split
from services.ingest.store.readings import ReadingStore
from services.ingest.store.register_events import StoredEvent
from services.metering.register import ChainState, RegisterEvent, Restart, advance, restart_point

Int64s = NDArray[np.int64]

#: Rows looked at before an instant to find where a chain can be taken up again.
TAIL_ROWS = 48
_FOREVER_MS = 4_102_444_800_000  # 2100-01-01


@dataclass(frozen=True, slots=True)
class History:
    """A register's stored rows after the instant from which its chain runs again.

    Attributes:
        row: Row of the channel in the partition's state.
        restart: Where the chain is taken up.
        at_ms: Instants of the rows, int64, shape (n,).
        value: Values in least digits, int64, shape (n,).
        flags: Their flags as stored, uint32, shape (n,).
    """

    row: int
    restart: Restart
    at_ms: Int64s
    value: Int64s
    flags: NDArray[np.uint32]


def load_rows(session: Session, store: ReadingStore, state: PartitionState, rows: Int64s) -> None:
    """Fill the state of new rows from the store."""
    if not len(rows):
        return
    ends = np.full(len(rows), _FOREVER_MS, dtype=np.int64)
    tails = split(store.tails(session, *_keys(state, rows), ends, TAIL_ROWS))
    registers = []
    for row, key in zip(rows.tolist(), _pairs(state, rows), strict=True):
        if key in tails:
            state.chain.last_at_ms[row] = tails[key]["read_at"][-1]
            if state.kind[row] == 0:
                registers.append(row)
    wanted = np.array(registers, dtype=np.int64)
    histories = _histories(session, store, state, wanted, ends[: len(wanted)], tails, tails)
    run(state, histories, [(h.at_ms, h.value) for h in histories])


def load_late(
    session: Session, store: ReadingStore, state: PartitionState, rows: Int64s, late_ms: Int64s
) -> list[History]:
    """Histories of registers from where a change at `late_ms` makes their chains run again."""
    meter_id, channel = _keys(state, rows)
    tails = split(store.tails(session, meter_id, channel, late_ms, TAIL_ROWS))
    from_ms = late_ms.copy()
    for number, key in enumerate(_pairs(state, rows)):
        if key in tails:
            from_ms[number] = tails[key]["read_at"][0]
    series = split(store.since(session, meter_id, channel, from_ms))
    return _histories(session, store, state, rows, late_ms, tails, series)


def run(
    state: PartitionState, histories: list[History], merged: list[tuple[Int64s, Int64s]]
) -> tuple[NDArray[np.uint32], Int64s, list[tuple[int, RegisterEvent]]]:
    """Run the chains of histories over `merged` rows and put their state in place.

    Args:
        state: The partition's state.
        histories: What was loaded.
        merged: For each history, instants and values to run over, in order.

    Returns:
        Flags and curve of all rows one after the other, and steps by row of the state.
    """
    if not histories:
        return np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.int64), []
    rows = np.array([history.row for history in histories])
    chain = ChainState.empty(len(histories))
    for number, history in enumerate(histories):
        chain.put(np.array([number]), history.restart.state)
    counts = [len(at_ms) for at_ms, _ in merged]
    channel = np.repeat(np.arange(len(histories), dtype=np.int64), counts)
    at_ms = np.concatenate([at_ms for at_ms, _ in merged])
    value = np.concatenate([value for _, value in merged])
    judged = advance(chain, state.limits.take(rows), channel, at_ms, value)
    state.chain.put(rows, chain)
    events = [(int(rows[event.channel]), event) for event in judged.events]
    return judged.flags, judged.curve, events


def _histories(
    session: Session,
    store: ReadingStore,
    state: PartitionState,
    rows: Int64s,
    late_ms: Int64s,
    tails: dict[Key, Columns],
    series: dict[Key, Columns],
) -> list[History]:
    keys = _pairs(state, rows)
    steps: dict[Key, list[StoredEvent]] = {}
    for step in register_events.find(session, keys):
        steps.setdefault((step.meter_id, step.channel), []).append(step)
    histories = []
    for row, key, instant in zip(rows.tolist(), keys, late_ms.tolist(), strict=True):
        whole = key not in tails or len(tails[key]["read_at"]) < TAIL_ROWS
        own = series.get(key, _NOTHING)
        restart = _restart(own, steps.get(key, []), instant, whole=whole)
        if restart is None:
            own = _whole(session, store, state, row)
            restart = _restart(own, steps.get(key, []), instant, whole=True)
        assert restart is not None, "a whole series always has a restart"
        after = own["read_at"] > restart.at_ms
        flags = own["flags"][after].astype(np.uint32)
        histories.append(History(row, restart, own["read_at"][after], own["value"][after], flags))
    return histories


_NOTHING: Columns = {name: np.zeros(0, dtype=np.int64) for name in ("read_at", "value", "flags")}


def _whole(session: Session, store: ReadingStore, state: PartitionState, row: int) -> Columns:
    """All rows of a channel whose window was too short to tell."""
    series = store.since(session, *_keys(state, np.array([row])), np.zeros(1, dtype=np.int64))
    return next(iter(split(series).values()), _NOTHING)


def _restart(
    series: Columns, steps: list[StoredEvent], late_ms: int, *, whole: bool
) -> Restart | None:
    flags = series["flags"].astype(np.uint32)
    events = [step.as_chain_event() for step in steps]
    return restart_point(late_ms, series["read_at"], series["value"], flags, events, whole=whole)


def _keys(state: PartitionState, rows: Int64s) -> tuple[Int64s, Int64s]:
    return state.meter_id[rows], state.number[rows].astype(np.int64)


def _pairs(state: PartitionState, rows: Int64s) -> list[Key]:
    meter_id, channel = _keys(state, rows)
    return list(zip(meter_id.tolist(), channel.tolist(), strict=True))
