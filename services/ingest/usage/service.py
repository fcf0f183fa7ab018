"""Answers questions about use: loads what the domain needs, set by set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.ingest import repository
from services.ingest.directory import MeterEntry, entry_of
from services.ingest.repository import InstalledMeter
from services.ingest.store import register_events
from services.ingest.store.binary import Key, split
from services.ingest.store.readings import ReadingStore
from services.ingest.store.register_events import StoredEvent
from services.ingest.tables import Batch
from services.ingest.usage.domain import FOREVER_MS, Series, Stand, Usage, measure
from services.kit.db import Database
from services.kit.errors import Fault, InvalidInputError, NotFoundError
from services.metering.products import Channel, ChannelKind

Int64s = NDArray[np.int64]

SERVICE_POINTS_MAX = 10_000
BOUNDARIES_MAX = 40_000
#: Local days and months that hold an end of that time reach a little beyond it.
_MONTH_MS = 32 * 86_400_000
#: Service points loaded with one query.
CHUNK = 50


@dataclass(frozen=True, slots=True)
class PointUsage:
    """Use of a service point by channel, and the batches its evidence came with."""

    service_point_id: int
    channels: list[Usage]
    batches: dict[int, Batch]
    time_zone: str


class UsageService:
    """The read side of ingest."""

    def __init__(self, database: Database, store: ReadingStore) -> None:
        self._database = database
        self._store = store

    def by_service_point(
        self,
        tenant_id: int,
        service_point_ids: Sequence[int],
        boundaries_ms: Int64s,
        codes: Sequence[str] = (),
    ) -> Iterator[PointUsage]:
        """Use of service points between boundaries, one answer each, in the order asked.

        Raises:
            InvalidInputError: Boundaries that do not rise, or too much at once.
            NotFoundError: A service point at which no meter of the tenant ever stood.
        """
        _check(service_point_ids, boundaries_ms)
        for start in range(0, len(service_point_ids), CHUNK):
            chunk = list(service_point_ids[start : start + CHUNK])
            with self._database.transaction() as session:
                yield from self._chunk(session, tenant_id, chunk, boundaries_ms, codes)

    def _chunk(
        self,
        session: Session,
        tenant_id: int,
        chunk: list[int],
        boundaries_ms: Int64s,
        codes: Sequence[str],
    ) -> Iterator[PointUsage]:
        installed: dict[int, list[tuple[InstalledMeter, MeterEntry]]] = {}
        for one in repository.installed_meters(session, tenant_id, chunk):
            installed.setdefault(one.service_point_id, []).append((one, entry_of(one.document)))
        missing = [point for point in chunk if point not in installed]
        if missing:
            raise NotFoundError(f"no meter ever stood at service points {missing[:20]}")
        first_ms, last_ms = int(boundaries_ms[0]), int(boundaries_ms[-1])
        entries = {e.meter_id: e for own in installed.values() for _, e in own}
        keys = [
            (entry.meter_id, channel.number)
            for entry in entries.values()
            for channel in _channels(entry, codes)
        ]
        series = self.series(session, keys, first_ms, last_ms)
        for point in chunk:
            stands = _stands(installed[point], series, codes)
            channels = [measure(own, boundaries_ms) for own in stands]
            numbers = sorted({e.batch_no for usage in channels for e in usage.evidence})
            yield PointUsage(
                point,
                channels,
                repository.batches(session, numbers),
                installed[point][-1][0].time_zone,
            )

    def series(
        self, session: Session, wanted: Sequence[Key], from_ms: int, to_ms: int
    ) -> dict[Key, Series]:
        """Series by (meter, channel), each with a neighbour outside on either side."""
        parts = split(self._store.series(session, wanted, from_ms, to_ms))
        steps: dict[Key, list[StoredEvent]] = {}
        for step in register_events.find(session, list(parts)):
            steps.setdefault((step.meter_id, step.channel), []).append(step)
        return {
            key: Series(
                part["read_at"],
                part["value"],
                part["flags"].astype(np.uint32),
                part["batch_no"],
                tuple(steps.get(key, ())),
            )
            for key, part in parts.items()
        }


_EMPTY = Series(
    np.zeros(0, dtype=np.int64),
    np.zeros(0, dtype=np.int64),
    np.zeros(0, dtype=np.uint32),
    np.zeros(0, dtype=np.int64),
)


def _stands(
    installed: Sequence[tuple[InstalledMeter, MeterEntry]],
    series: dict[Key, Series],
    codes: Sequence[str],
) -> list[list[Stand]]:
    """For each channel of use, the meters that measured it, in order of time."""
    by_code: dict[tuple[str, str, int, ChannelKind], list[Stand]] = {}
    for one, entry in installed:
        for channel in _channels(entry, codes):
            stand = Stand(
                meter_id=entry.meter_id,
                meter=entry.canonical,
                from_ms=one.from_ms,
                to_ms=one.to_ms or FOREVER_MS,
                multiplier=Fraction(one.multiplier),
                channel=channel,
                series=series.get((entry.meter_id, channel.number), _EMPTY),
            )
            by_code.setdefault(_alike(channel), []).append(stand)
    return list(by_code.values())


def _channels(entry: MeterEntry, codes: Sequence[str]) -> list[Channel]:
    """The channels of a meter that count use, of those asked for."""
    return [
        channel
        for channel in entry.channels
        if channel.kind is not ChannelKind.INSTANT and (not codes or channel.obis in codes)
    ]


def _alike(channel: Channel) -> tuple[str, str, int, ChannelKind]:
    """Channels of two meters continue one another only if they count the same in the same way."""
    return channel.obis, channel.unit, channel.scaler, channel.kind


def _check(service_point_ids: Sequence[int], boundaries_ms: Int64s) -> None:
    faults = []
    if not 1 <= len(service_point_ids) <= SERVICE_POINTS_MAX:
        text = f"1 to {SERVICE_POINTS_MAX} service points at once"
        faults.append(Fault("service_point_ids", "usage.service_points", text))
    if not 2 <= len(boundaries_ms) <= BOUNDARIES_MAX:
        text = f"2 to {BOUNDARIES_MAX} boundaries"
        faults.append(Fault("boundaries_ms", "usage.boundaries", text))
    elif (boundaries_ms[1:] <= boundaries_ms[:-1]).any():
        text = "each boundary must be later than the one before"
        faults.append(Fault("boundaries_ms", "usage.boundaries", text))
    elif boundaries_ms[0] < -_MONTH_MS or boundaries_ms[-1] > FOREVER_MS + _MONTH_MS:
        text = "boundaries lie between the years 1970 and 2100"
        faults.append(Fault("boundaries_ms", "usage.boundaries", text))
    if faults:
        raise InvalidInputError("the question cannot be answered", faults=faults)
