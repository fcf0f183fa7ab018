"""Decides what becomes of resolved readings: new, late, duplicate or in conflict.

What is later than anything known of its channel is surely new and goes the fast way: the register
chain judges it and it is appended. Anything else goes the checked way: it is compared with what is
stored, and the chain of its channel runs again from the last settled reading before it, so that
the order of arrival never changes the final state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.ingest.pipeline.resolve import Resolved
from services.ingest.pipeline.state import PartitionState
from services.ingest.store import register_events
from services.ingest.store.binary import Columns
from services.ingest.store.readings import ReadingStore
from services.ingest.store.register_events import StoredEvent
from services.metering.register import RegisterEvent, Restart, advance, restart_point
from services.metering.vee.rules import check_interval_value, deduplicate

Int64s = NDArray[np.int64]
Flags = NDArray[np.uint32]
Bools = NDArray[np.bool_]

#: Rows looked at before an instant to find where a chain can be taken up again.
TAIL_ROWS = 48
_NEW = np.uint32(0xFFFFFFFF)


@dataclass(slots=True)
class Settled:
    """What a transaction is to write, beside what was put aside before.

    Attributes:
        new: Readings to append, with their flags and curve; the fast way's first.
        in_order: Which of them came in order (and go on to the detectors), shape of `new`.
        duplicates: Rows of the input that say what is known already.
        conflicts: Rows of the input that contradict what stands.
        replaced: Stored readings that a better one replaced: (row, at_ms, old value, old batch,
            the input's row).
        amended: Stored readings whose flags changed: (row, at_ms, flags, curve).
        events: Steps found: (row of the state, event).
        voided: Channels whose steps after an instant are void: (row, at_ms).
        corrected: Channels whose past use changed: (row, from_ms, to_ms).
    """

    new: Resolved
    flags: Flags
    curve: Int64s
    in_order: Bools
    duplicates: Bools
    conflicts: Bools
    replaced: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    amended: list[tuple[int, int, int, int]] = field(default_factory=list)
    events: list[tuple[int, RegisterEvent]] = field(default_factory=list)
    voided: list[tuple[int, int]] = field(default_factory=list)
    corrected: list[tuple[int, int, int]] = field(default_factory=list)


def settle(
    session: Session, store: ReadingStore, state: PartitionState, readings: Resolved
) -> Settled:
    """Settle the readings of a group; moves the partition's state on.

    If anything after this fails, the state is ahead of the store and must be dropped.
    """
    sorted_out = deduplicate(readings.row, readings.at_ms, readings.value, readings.rank)
    kept = np.flatnonzero(sorted_out.keep)
    kept = kept[np.lexsort((readings.at_ms[kept], readings.row[kept]))]
    late = readings.at_ms[kept] <= state.chain.last_at_ms[readings.row[kept]]
    result = Settled(
        new=readings.take(kept[:0]),
        flags=np.zeros(0, dtype=np.uint32),
        curve=np.zeros(0, dtype=np.int64),
        in_order=np.zeros(0, dtype=bool),
        duplicates=sorted_out.duplicate,
        conflicts=sorted_out.conflict,
    )
    late_rows = kept[late]
    if len(late_rows):
        late_rows = _against_store(session, store, state, readings, late_rows, result)
        _settle_late(session, store, state, readings, late_rows, result)
    _settle_in_order(state, readings, kept[~late], result)
    return result


def _settle_in_order(
    state: PartitionState, readings: Resolved, rows: NDArray[np.intp], result: Settled
) -> None:
    fresh = readings.take(rows)
    if not len(fresh):
        return
    flags = np.zeros(len(fresh), dtype=np.uint32)
    curve = fresh.value.copy()
    register = state.kind[fresh.row] == 0
    at = np.flatnonzero(register)
    judged = advance(state.chain, state.limits, fresh.row[at], fresh.at_ms[at], fresh.value[at])
    flags[at], curve[at] = judged.flags, judged.curve
    other = np.flatnonzero(~register)
    flags[other] = _check_open(state, fresh.take(other))
    # Rows are in order of time within a channel: the last assignment is the latest instant.
    state.chain.last_at_ms[fresh.row[other]] = fresh.at_ms[other]
    result.events += [(event.channel, event) for event in judged.events]
    result.amended += [(a.channel, a.at_ms, a.flags, a.curve) for a in judged.amended]
    _append(result, fresh, flags, curve, in_order=True)


def _check_open(state: PartitionState, readings: Resolved) -> Flags:
    """Rules of channels that are no registers."""
    interval = state.kind[readings.row] == 1
    flags = check_interval_value(
        readings.value,
        np.maximum(state.interval_s[readings.row], 1),
        np.maximum(state.limits.rate_max_per_h[readings.row], 1),
    )
    return np.where(interval, flags, np.uint32(0))


def _append(
    result: Settled, readings: Resolved, flags: Flags, curve: Int64s, *, in_order: bool
) -> None:
    names = Resolved.__slots__
    result.new = Resolved(
        *(np.concatenate([getattr(result.new, n), getattr(readings, n)]) for n in names)
    )
    result.flags = np.concatenate([result.flags, flags])
    result.curve = np.concatenate([result.curve, curve])
    order = np.full(len(readings), in_order, dtype=bool)
    result.in_order = np.concatenate([result.in_order, order])


def _against_store(
    session: Session,
    store: ReadingStore,
    state: PartitionState,
    readings: Resolved,
    rows: NDArray[np.intp],
    result: Settled,
) -> NDArray[np.intp]:
    """Compare late readings with what is stored at their keys; returns the rows to judge."""
    keys: Columns = {
        "meter_id": state.meter_id[readings.row[rows]],
        "channel": state.number[readings.row[rows]],
        "read_at": readings.at_ms[rows],
    }
    stored = store.at_keys(session, keys)
    known = {
        (meter_id, channel, at_ms): number
        for number, (meter_id, channel, at_ms) in enumerate(
            zip(
                stored["meter_id"].tolist(),
                stored["channel"].tolist(),
                stored["read_at"].tolist(),
                strict=True,
            )
        )
    }
    judged = []
    lists = (keys["meter_id"].tolist(), keys["channel"].tolist(), keys["read_at"].tolist())
    for row, key in zip(rows.tolist(), zip(*lists, strict=True), strict=True):
        number = known.get(key)
        if number is None:
            judged.append(row)
            continue
        old_value, value = int(stored["value"][number]), int(readings.value[row])
        old_rank, rank = int(stored["rank"][number]), int(readings.rank[row])
        if old_value == value:
            result.duplicates[row] = True
        elif (rank, -value) > (old_rank, -old_value):
            old_batch = int(stored["batch_no"][number])
            replaced = (int(readings.row[row]), key[2], old_value, old_batch, row)
            result.replaced.append(replaced)
            judged.append(row)
        else:
            result.conflicts[row] = True
    return np.array(judged, dtype=np.intp)


def _settle_late(
    session: Session,
    store: ReadingStore,
    state: PartitionState,
    readings: Resolved,
    rows: NDArray[np.intp],
    result: Settled,
) -> None:
    if not len(rows):
        return
    replaced = {(row, at_ms) for row, at_ms, *_ in result.replaced}
    owner = readings.row[rows]
    for row in np.unique(owner).tolist():
        own = rows[owner == row]
        late = readings.take(own)
        is_new = np.array([(row, at) not in replaced for at in late.at_ms.tolist()], dtype=bool)
        if state.kind[row] == 0:
            flags, curve = _run_again(session, store, state, row, late, result)
        else:
            flags, curve = _check_open(state, late), late.value
        first_ms, last_ms = int(late.at_ms.min()), int(late.at_ms.max())
        result.corrected.append((row, first_ms, last_ms))
        _append(result, late.take(is_new), flags[is_new], curve[is_new], in_order=False)


def _run_again(
    session: Session,
    store: ReadingStore,
    state: PartitionState,
    row: int,
    late: Resolved,
    result: Settled,
) -> tuple[Flags, Int64s]:
    """Run a register's chain again over stored and late readings; flags and curve of the late."""
    series, restart = load_restart(session, store, state, row, int(late.at_ms[0]))
    after = series["read_at"] > restart.at_ms
    old_at, old_value = series["read_at"][after], series["value"][after]
    old_flags = series["flags"][after].astype(np.uint32)
    at_ms = np.union1d(old_at, late.at_ms)
    value = np.zeros(len(at_ms), dtype=np.int64)
    flags_before = np.full(len(at_ms), _NEW, dtype=np.uint32)
    places = np.searchsorted(at_ms, old_at)
    value[places], flags_before[places] = old_value, old_flags
    late_places = np.searchsorted(at_ms, late.at_ms)
    value[late_places] = late.value
    limits = state.limits.take(np.array([row]))
    judged = advance(restart.state, limits, np.zeros(len(at_ms), dtype=np.int32), at_ms, value)
    state.chain.put(np.array([row]), restart.state)
    changed = (flags_before != judged.flags) & (flags_before != _NEW)
    result.amended += [
        (row, int(at_ms[i]), int(judged.flags[i]), int(judged.curve[i]))
        for i in np.flatnonzero(changed)
    ]
    result.voided.append((row, restart.at_ms))
    result.events += [(row, event) for event in judged.events]
    return judged.flags[late_places], judged.curve[late_places]


def load_restart(
    session: Session, store: ReadingStore, state: PartitionState, row: int, late_ms: int
) -> tuple[dict[str, NDArray[Any]], Restart]:
    """Where the chain of a channel is to be taken up for a change at `late_ms`, and its rows."""
    meter_id = state.meter_id[row : row + 1]
    channel = state.number[row : row + 1].astype(np.int64)
    tail = store.tails(session, meter_id, channel, np.array([late_ms]), TAIL_ROWS)
    whole = len(tail["read_at"]) < TAIL_ROWS
    from_ms = int(tail["read_at"][0]) if len(tail["read_at"]) else late_ms
    series = store.since(session, meter_id, channel, np.array([from_ms]))
    steps = register_events.find(session, [(int(meter_id[0]), int(channel[0]))])
    restart = _restart(series, steps, late_ms, whole=whole)
    if restart is None:
        series = store.since(session, meter_id, channel, np.array([0]))
        restart = _restart(series, steps, late_ms, whole=True)
    assert restart is not None, "a whole series always has a restart"
    return series, restart


def _restart(
    series: dict[str, NDArray[Any]], steps: list[StoredEvent], late_ms: int, *, whole: bool
) -> Restart | None:
    events = [
        RegisterEvent(0, e.at_ms, e.kind, e.offset_delta, e.from_value, e.to_value, 0)  # type: ignore[arg-type]
        for e in steps
    ]
    flags = series["flags"].astype(np.uint32)
    return restart_point(late_ms, series["read_at"], series["value"], flags, events, whole=whole)


def load_rows(session: Session, store: ReadingStore, state: PartitionState, rows: Int64s) -> None:
    """Fill the state of new rows from the store."""
    if not len(rows):
        return
    meter_id, channel = state.meter_id[rows], state.number[rows].astype(np.int64)
    forever = np.full(len(rows), 4_102_444_800_000, dtype=np.int64)  # 2100-01-01
    tail = store.tails(session, meter_id, channel, forever, TAIL_ROWS)
    if not len(tail["read_at"]):
        return
    steps: dict[tuple[int, int], list[StoredEvent]] = {}
    keys = list(zip(meter_id.tolist(), channel.tolist(), strict=True))
    for step in register_events.find(session, keys):
        steps.setdefault((step.meter_id, step.channel), []).append(step)
    edges = np.flatnonzero((np.diff(tail["meter_id"]) != 0) | (np.diff(tail["channel"]) != 0)) + 1
    row_of = dict(zip(keys, rows.tolist(), strict=True))
    for part in np.split(np.arange(len(tail["read_at"])), edges):
        series = {name: column[part] for name, column in tail.items()}
        key = int(series["meter_id"][0]), int(series["channel"][0])
        _load_row(session, store, state, row_of[key], series, steps.get(key, []))


def _load_row(
    session: Session,
    store: ReadingStore,
    state: PartitionState,
    row: int,
    series: dict[str, NDArray[Any]],
    steps: list[StoredEvent],
) -> None:
    last_ms = int(series["read_at"][-1])
    if state.kind[row] != 0:
        state.chain.last_at_ms[row] = last_ms
        return
    whole = len(series["read_at"]) < TAIL_ROWS
    restart = _restart(series, steps, last_ms + 1, whole=whole)
    if restart is None:
        series, restart = load_restart(session, store, state, row, last_ms + 1)
    after = series["read_at"] > restart.at_ms
    limits = state.limits.take(np.array([row]))
    zeros = np.zeros(int(after.sum()), dtype=np.int32)
    advance(restart.state, limits, zeros, series["read_at"][after], series["value"][after])
    state.chain.put(np.array([row]), restart.state)
