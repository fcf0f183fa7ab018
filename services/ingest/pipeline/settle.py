"""Decides what becomes of resolved readings: new, late, duplicate or in conflict.

What is later than anything known of its channel is surely new and goes the fast way: the register
chain judges it and it is appended. Anything else goes the checked way: it is compared with what is
stored, and the chain of its channel runs again from the last settled reading before it, so that
the order of arrival never changes the final state.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.ingest.pipeline.history import History, load_late, run
from services.ingest.pipeline.resolve import Resolved
from services.ingest.pipeline.state import PartitionState
from services.ingest.store.binary import Columns
from services.ingest.store.readings import ReadingStore
from services.metering.register import RegisterEvent, advance
from services.metering.vee.rules import check_interval_value, deduplicate

Int64s = NDArray[np.int64]
Flags = NDArray[np.uint32]
Bools = NDArray[np.bool_]

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
    late = readings.take(rows)
    replaced = {(row, at_ms) for row, at_ms, *_ in result.replaced}
    keys = zip(late.row.tolist(), late.at_ms.tolist(), strict=True)
    is_new = np.array([key not in replaced for key in keys], dtype=bool)
    owners, first = np.unique(late.row, return_index=True)
    last = np.append(first[1:], len(late)) - 1
    spans = zip(owners, late.at_ms[first], late.at_ms[last], strict=True)
    result.corrected += [(int(row), int(from_ms), int(to_ms)) for row, from_ms, to_ms in spans]
    register = state.kind[late.row] == 0
    flags, curve = _check_open(state, late), late.value.copy()
    at = np.flatnonzero(register)
    flags[at], curve[at] = _run_again(session, store, state, late.take(at), result)
    _append(result, late.take(is_new), flags[is_new], curve[is_new], in_order=False)
    # A reading that took another's place is stored already: its flags are amended with its value.
    result.amended += [
        (int(late.row[n]), int(late.at_ms[n]), int(flags[n]), int(curve[n]))
        for n in np.flatnonzero(~is_new)
    ]


def _run_again(
    session: Session,
    store: ReadingStore,
    state: PartitionState,
    late: Resolved,
    result: Settled,
) -> tuple[Flags, Int64s]:
    """Run registers' chains again over stored and late readings; flags and curve of the late.

    Args:
        session: The transaction.
        store: Where the stored ones are.
        state: The partition's state.
        late: Readings of registers, sorted by row and instant.
        result: Takes steps, voided steps and amended readings.
    """
    owners, first = np.unique(late.row, return_index=True)
    if not len(owners):
        return np.zeros(0, dtype=np.uint32), np.zeros(0, dtype=np.int64)
    histories = load_late(session, store, state, owners.astype(np.int64), late.at_ms[first])
    parts = np.split(np.arange(len(late)), first[1:])
    merged = [_merge(h, late.take(part)) for h, part in zip(histories, parts, strict=True)]
    flags, curve, events = run(state, histories, [(m.at_ms, m.value) for m in merged])
    result.events += events
    result.voided += [(history.row, history.restart.at_ms) for history in histories]
    places, start = [], 0
    for history, one in zip(histories, merged, strict=True):
        own = slice(start, start + len(one.at_ms))
        changed = np.flatnonzero((one.flags != flags[own]) & (one.flags != _NEW))
        result.amended += [
            (history.row, int(one.at_ms[n]), int(flags[own][n]), int(curve[own][n]))
            for n in changed
        ]
        places.append(one.late + start)
        start = own.stop
    chosen = np.concatenate(places)
    return flags[chosen], curve[chosen]


@dataclass(frozen=True, slots=True)
class _Merged:
    """Stored and late readings of a register in order.

    Attributes:
        at_ms: Instants, int64, shape (n,).
        value: Values in least digits, int64, shape (n,).
        flags: Stored flags, `_NEW` where a late reading stands, uint32, shape (n,).
        late: Places of the late ones.
    """

    at_ms: Int64s
    value: Int64s
    flags: Flags
    late: NDArray[np.intp]


def _merge(history: History, late: Resolved) -> _Merged:
    at_ms = np.union1d(history.at_ms, late.at_ms)
    value = np.zeros(len(at_ms), dtype=np.int64)
    flags = np.full(len(at_ms), _NEW, dtype=np.uint32)
    places = np.searchsorted(at_ms, history.at_ms)
    value[places], flags[places] = history.value, history.flags
    late_places = np.searchsorted(at_ms, late.at_ms)
    value[late_places], flags[late_places] = late.value, _NEW
    return _Merged(at_ms, value, flags, late_places)
