"""From batches as they came to columns of our channels; what cannot go on is put aside.

Nothing here loops over readings: identifiers are looked up once a batch, everything else is numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.ingest.pipeline.state import PartitionState, exact_scale
from services.metering.batch import ReadingBatch
from services.metering.quality import REJECT_MASK
from services.metering.vee.rules import check_alignment, check_instant

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Bools = NDArray[np.bool_]

#: Loads the meters that a tenant's identifiers mean into the state.
Loader = Callable[[PartitionState, int, Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class PutAside:
    """Readings of one batch and one meter that cannot be stored, and why."""

    record: int
    reason: str
    detail: str
    meter: str
    batch: ReadingBatch


@dataclass(frozen=True, slots=True)
class Resolved:
    """Readings that have a channel of ours, in columns of shape (n,).

    Attributes:
        row: Row of the channel in the partition's state, int32.
        at_ms: Instants, int64.
        value: Values in least digits of the channel, int64.
        rank: Precedence of their source, int32.
        record: Which record of the group they came with, int32.
        index: Which reading of that record they are, int32.
    """

    row: Int32s
    at_ms: Int64s
    value: Int64s
    rank: Int32s
    record: Int32s
    index: Int32s

    def take(self, rows: NDArray[np.intp] | Bools) -> Resolved:
        """Some of the readings."""
        return Resolved(
            self.row[rows],
            self.at_ms[rows],
            self.value[rows],
            self.rank[rows],
            self.record[rows],
            self.index[rows],
        )

    def __len__(self) -> int:
        return len(self.row)


def join(parts: Sequence[Resolved]) -> Resolved:
    """The readings of several batches as one."""
    if not parts:
        none64, none32 = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
        return Resolved(none32, none64, none64, none32, none32, none32)
    names = Resolved.__slots__
    return Resolved(*(np.concatenate([getattr(part, n) for part in parts]) for n in names))


def resolve(
    state: PartitionState, load: Loader, record: int, batch: ReadingBatch
) -> tuple[Resolved, list[PutAside]]:
    """Resolve a batch against the partition's meters.

    Args:
        state: The partition's state; meters that are missing are loaded into it.
        load: Loads them.
        record: Number of the batch's record within its group.
        batch: The batch.
    """
    tenant_id = batch.origin.tenant_id
    slot = state.slots(tenant_id, batch.meters)
    if (slot < 0).any():
        missing = [m for m, s in zip(batch.meters, slot.tolist(), strict=True) if s < 0]
        load(state, tenant_id, missing)
        slot = state.slots(tenant_id, batch.meters)
    aside = _Aside(record, batch)
    reading_slot = slot[batch.meter]
    aside.put(reading_slot < 0, "meter.unknown", "no meter of this tenant has this identifier")
    position, numerator, denominator = _scalings(state, batch, reading_slot, aside)
    value, fault = exact_scale(batch.value, numerator, denominator)
    aside.put(fault == 1, "value.resolution", "finer than the channel's least digit")
    aside.put(fault == 2, "value.dial", "more digits than any register has")
    row = state.first_row[np.maximum(reading_slot, 0)] + position
    row = np.where(aside.bad, 0, row).astype(np.int32)
    _check(state, batch, row, value, aside)
    good = np.flatnonzero(~aside.bad)
    ones = np.ones(len(good), dtype=np.int32)
    resolved = Resolved(
        row=row[good],
        at_ms=batch.at_ms[good],
        value=value[good],
        rank=ones * np.int32(batch.origin.rank),
        record=ones * np.int32(record),
        index=good.astype(np.int32),
    )
    return resolved, aside.parts


class _Aside:
    """Collects readings to put aside; the first reason found for a reading stands."""

    def __init__(self, record: int, batch: ReadingBatch) -> None:
        self.bad = np.zeros(len(batch), dtype=bool)
        self.parts: list[PutAside] = []
        self._record = record
        self._batch = batch

    def put(self, hit: Bools, reason: str, detail: str) -> None:
        """Put the readings at `hit` aside, an entry for each meter."""
        hit = hit & ~self.bad
        if not hit.any():
            return
        self.bad |= hit
        self.parts += aside_by_meter(self._record, self._batch, hit, reason, detail)


def aside_by_meter(
    record: int, batch: ReadingBatch, hit: Bools, reason: str, detail: str
) -> list[PutAside]:
    """One entry for each meter that has readings at `hit`."""
    meters = np.unique(batch.meter[hit])
    return [
        PutAside(
            record=record,
            reason=reason,
            detail=detail,
            meter=batch.meters[meter],
            batch=batch.take(np.flatnonzero(hit & (batch.meter == meter))),
        )
        for meter in meters.tolist()
    ]


def _scalings(
    state: PartitionState, batch: ReadingBatch, reading_slot: Int32s, aside: _Aside
) -> tuple[Int64s, Int64s, Int64s]:
    """Channel position, numerator and denominator of each reading, int64, shape (n,)."""
    if not len(state.entries):
        zeros = np.zeros(len(batch), dtype=np.int64)
        return zeros, zeros, zeros + 1
    family = state.family[np.maximum(reading_slot, 0)]
    families = np.unique(family[reading_slot >= 0])
    shape = (int(families.max(initial=0)) + 1, len(batch.channels))
    position, numerator = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    denominator = np.ones(shape, dtype=np.int64)
    for number in families.tolist():
        for ref_number, ref in enumerate(batch.channels):
            known = state.scaling(number, ref)
            cell = number, ref_number
            position[cell], numerator[cell] = known.position, known.numerator
            denominator[cell] = known.denominator
            if known.reason:
                hit = (family == number) & (batch.channel == ref_number) & (reading_slot >= 0)
                aside.put(hit, known.reason, known.detail)
    family = np.where(reading_slot >= 0, family, families[0] if len(families) else 0)
    cells = family, batch.channel
    return position[cells], numerator[cells], denominator[cells]


def _check(
    state: PartitionState, batch: ReadingBatch, row: Int32s, value: Int64s, aside: _Aside
) -> None:
    """Rules that reject a reading for good (V04, V18, V24)."""
    if not state.rows:
        return
    flags = check_instant(batch.at_ms, batch.origin.received_at_ms)
    aside.put((flags & np.uint32(REJECT_MASK)) != 0, "instant.implausible",
              "before the year 2000 or more than 5 minutes ahead of its receipt (V24)")  # fmt: skip
    flags = check_alignment(batch.at_ms, state.interval_s[row])
    aside.put(flags != 0, "interval.alignment", "not on a multiple of the interval (V04)")
    span = state.limits.span[row]
    register = state.kind[row] == 0
    off_dial = (register & (value < 0)) | (value >= span) | (value <= -span)
    aside.put(off_dial, "value.dial", "does not fit the register's digits (V18)")
