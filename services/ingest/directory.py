"""Which meter a reading means: identifiers to meters, kept in memory from ingest's own slice.

Doors use it to find the partition of a meter by its canonical name, the pipeline to resolve
readings. Entries are loaded when first asked for and dropped when the slice says they changed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.ingest import repository
from services.kit.clock import Clock
from services.kit.db import Database
from services.metering.products import Channel, ChannelKind
from services.stubs.meterfleet.devices.v1 import devices_pb2

#: Two identifiers each of a million meters; beyond it the cache starts afresh.
ENTRIES_MAX = 2_000_000
#: Another process may have changed a meter this long ago without our knowing.
REFRESH_S = 1.0

_KINDS = {
    devices_pb2.CHANNEL_KIND_REGISTER: ChannelKind.REGISTER,
    devices_pb2.CHANNEL_KIND_INTERVAL: ChannelKind.INTERVAL,
    devices_pb2.CHANNEL_KIND_INSTANT: ChannelKind.INSTANT,
}


@dataclass(frozen=True, slots=True)
class MeterEntry:
    """A meter as ingest needs it."""

    tenant_id: int
    meter_id: int
    canonical: str
    channels: tuple[Channel, ...]


def entry_of(document: bytes) -> MeterEntry:
    """A meter from its event (devices.v1.Meter)."""
    meter = devices_pb2.Meter.FromString(document)
    channels = tuple(
        Channel(
            number=c.number,
            obis=c.obis,
            unit=c.unit,
            scaler=c.scaler,
            kind=_KINDS[c.kind],
            digits=c.digits,
            interval_s=c.interval_s,
            rate_max_per_h=c.rate_max_per_h,
            reverse_max=c.reverse_max,
        )
        for c in meter.channels
    )
    return MeterEntry(meter.tenant_id, meter.meter_id, meter.identifiers[0], channels)


class MeterDirectory:
    """Looks meters up by (tenant, identifier); safe for several threads."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[tuple[int, str], MeterEntry] = {}
        self._change_no = -1
        self._refreshed_s = float("-inf")

    def lookup(self, tenant_id: int, identifiers: Sequence[str]) -> list[MeterEntry | None]:
        """The meters that `identifiers` of a tenant mean; None where nobody registered one."""
        self.refresh()
        # Answered from what was seen: another thread, or the bound, may drop entries meanwhile.
        seen = {name: self._entries.get((tenant_id, name)) for name in identifiers}
        missing = [name for name, entry in seen.items() if entry is None]
        if missing:
            seen.update(self._load(tenant_id, missing))
        return [seen[name] for name in identifiers]

    def refresh(self, *, now: bool = False) -> set[int]:
        """Drop entries of meters that changed; at most once in `REFRESH_S` unless `now`.

        Returns:
            Ids of the meters that changed.
        """
        now_s = self._clock.monotonic_s()
        with self._lock:
            if not now and now_s - self._refreshed_s < REFRESH_S:
                return set()
            self._refreshed_s = now_s
            with self._database.transaction() as session:
                newest, changed = repository.changed_meters(session, self._change_no)
            self._change_no = newest
            if changed:
                stale = [key for key, e in self._entries.items() if e.meter_id in changed]
                for key in stale:
                    del self._entries[key]
            return changed

    def _load(self, tenant_id: int, identifiers: Iterable[str]) -> dict[str, MeterEntry]:
        with self._database.transaction() as session:
            found = repository.find_meters(session, tenant_id, list(identifiers))
        by_meter: dict[bytes, MeterEntry] = {}
        loaded: dict[str, MeterEntry] = {}
        with self._lock:
            if len(self._entries) + len(found) > ENTRIES_MAX:
                self._entries.clear()
            for identifier, document in found:
                entry = by_meter.get(document) or by_meter.setdefault(document, entry_of(document))
                self._entries[tenant_id, identifier] = loaded[identifier] = entry
        return loaded
