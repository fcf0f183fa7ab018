"""What a partition's owner remembers: its meters and, in columns, the state of their channels.

Built from the store as meters show up, dropped when the partition goes or a commit failed: the
store is the truth, this is what makes duplicates and order decidable without asking it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.ingest.directory import MeterEntry
from services.metering.batch import ChannelRef
from services.metering.products import Channel, ChannelKind
from services.metering.register import ChainState, ChannelLimits, LimitColumns
from services.metering.register.limits import RATE_MAX_PER_H
from services.metering.units import factor

Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]

#: Instants and intervals have no dial: any value of up to 15 digits is taken.
_OPEN_SPAN = 10**15
#: Meters of one partition; beyond it the state starts afresh from the store.
METERS_MAX = 1_000_000
KINDS = {ChannelKind.REGISTER: 0, ChannelKind.INTERVAL: 1, ChannelKind.INSTANT: 2}


@dataclass(frozen=True, slots=True)
class Scaling:
    """How values of a batch's channel become a product's: which channel, times what."""

    position: int
    numerator: int
    denominator: int
    reason: str = ""
    detail: str = ""


def scaling(channels: Sequence[Channel], ref: ChannelRef) -> Scaling:
    """Find the channel a batch means and the exact factor to its least digit."""
    for position, channel in enumerate(channels):
        if channel.obis != ref.obis:
            continue
        exact = factor(ref.unit, ref.scaler, channel.unit, channel.scaler)
        if exact is None:
            detail = f"{ref.obis} comes in {ref.unit!r}, the product measures {channel.unit}"
            return Scaling(0, 0, 1, "unit.mismatch", detail)
        if max(exact.numerator, exact.denominator) > 10**15:
            return Scaling(0, 0, 1, "unit.mismatch", f"scaler {ref.scaler} is out of range")
        return Scaling(position, exact.numerator, exact.denominator)
    return Scaling(0, 0, 1, "channel.unknown", f"the product has no channel {ref.obis}")


class PartitionState:
    """Meters and channel state of one partition; row r is one channel of one meter."""

    def __init__(self) -> None:
        self._slot_of: dict[tuple[int, str], int] = {}
        self._slot_of_meter: dict[int, int] = {}
        self._families: dict[tuple[Channel, ...], int] = {}
        self._scalings: dict[tuple[int, ChannelRef], Scaling] = {}
        self.entries: list[MeterEntry] = []
        self.channels: list[Channel] = []
        self.family = np.zeros(64, dtype=np.int32)
        self.first_row = np.zeros(64, dtype=np.int32)
        self.rows = 0
        self.chain = ChainState.empty(0)
        self.limits = LimitColumns.of([])
        self.meter_id = np.zeros(0, dtype=np.int64)
        self.tenant_id = np.zeros(0, dtype=np.int32)
        self.number = np.zeros(0, dtype=np.int32)
        self.kind = np.zeros(0, dtype=np.uint8)
        self.interval_s = np.zeros(0, dtype=np.int64)

    def slots(self, tenant_id: int, identifiers: Sequence[str]) -> Int32s:
        """Slot of each identifier, -1 where it is not loaded; int32, shape (n,)."""
        get = self._slot_of.get
        return np.array([get((tenant_id, name), -1) for name in identifiers], dtype=np.int32)

    def add(self, found: Sequence[tuple[str, MeterEntry]]) -> Int64s:
        """Make room for meters; returns the rows whose state is to be loaded from the store."""
        start = self.rows
        for identifier, entry in found:
            slot = self._slot_of_meter.get(entry.meter_id)
            if slot is None:
                slot = self._new_slot(entry)
            self._slot_of[entry.tenant_id, identifier] = slot
        return np.arange(start, self.rows, dtype=np.int64)

    def forget(self, meter_ids: set[int]) -> None:
        """Let go of meters whose product or name may have changed; they load anew when needed."""
        gone = {self._slot_of_meter.pop(m) for m in meter_ids if m in self._slot_of_meter}
        if gone:
            self._slot_of = {key: slot for key, slot in self._slot_of.items() if slot not in gone}

    def scaling(self, family: int, ref: ChannelRef) -> Scaling:
        """The cached scaling of a batch's channel for a family of meters."""
        known = self._scalings.get((family, ref))
        if known is None:
            if len(self._scalings) > 10_000:
                self._scalings.clear()
            channels = list(self._families)[family]
            known = self._scalings[family, ref] = scaling(channels, ref)
        return known

    def _new_slot(self, entry: MeterEntry) -> int:
        slot = len(self.entries)
        self.entries.append(entry)
        self._slot_of_meter[entry.meter_id] = slot
        family = self._families.setdefault(entry.channels, len(self._families))
        self._grow_rows(self.rows + len(entry.channels))
        if slot >= len(self.family):
            room = 2 * len(self.family)
            self.family = np.resize(self.family, room)
            self.first_row = np.resize(self.first_row, room)
        self.family[slot], self.first_row[slot] = family, self.rows
        for channel in entry.channels:
            row = self.rows
            self.channels.append(channel)
            self.meter_id[row], self.tenant_id[row] = entry.meter_id, entry.tenant_id
            self.number[row], self.kind[row] = channel.number, KINDS[channel.kind]
            is_interval = channel.kind is ChannelKind.INTERVAL
            self.interval_s[row] = channel.interval_s if is_interval else 0
            self.rows += 1
        self._put_limits(self.rows - len(entry.channels), entry.channels)
        return slot

    def _put_limits(self, first: int, channels: Sequence[Channel]) -> None:
        limits = [_limits(channel) for channel in channels]
        rows = np.arange(first, first + len(channels))
        self.limits.put(rows, LimitColumns.of(limits))
        self.chain.put(rows, ChainState.empty(len(rows)))

    def _grow_rows(self, needed: int) -> None:
        room = len(self.meter_id)
        if needed <= room:
            return
        room = max(needed, 128, 2 * room)
        self.chain.resize(room)
        self.limits.resize(room)
        for name in ("meter_id", "tenant_id", "number", "kind", "interval_s"):
            column = getattr(self, name)
            grown = np.zeros(room, dtype=column.dtype)
            grown[: len(column)] = column
            setattr(self, name, grown)

    def canonical(self, row: int) -> str:
        """Name of the meter that a row belongs to."""
        slot = self._slot_of_meter[int(self.meter_id[row])]
        return self.entries[slot].canonical

    @property
    def full(self) -> bool:
        """Whether the bound on meters is passed."""
        return len(self.entries) > METERS_MAX


def _limits(channel: Channel) -> ChannelLimits:
    """Limits as the chain wants them, whatever bounds the registry had when it took the product."""
    rate = min(channel.rate_max_per_h, RATE_MAX_PER_H)
    if channel.kind is not ChannelKind.REGISTER:
        return ChannelLimits(_OPEN_SPAN, rate, 0)
    span = 10 ** min(channel.digits, 15)
    return ChannelLimits(span, rate, min(channel.reverse_max, span // 4))


def exact_scale(value: Int64s, numerator: Int64s, denominator: Int64s) -> tuple[Int64s, Int64s]:
    """Multiply values with fractions exactly.

    Args:
        value: int64, shape (n,).
        numerator: int64, positive (0 gives 0), shape (n,).
        denominator: int64, positive, shape (n,).

    Returns:
        The products and a fault each: 0 exact, 1 not whole, 2 too large; shape (n,).
    """
    fault = np.zeros(len(value), dtype=np.int64)
    if ((numerator == 1) & (denominator == 1)).all():
        return value, fault
    limit = (2**62) // np.maximum(numerator, 1)
    large = np.abs(value) > limit
    product = np.where(large, 0, value) * numerator
    whole, rest = np.divmod(product, denominator)
    fault[rest != 0] = 1
    fault[large] = 2
    return whole, fault
