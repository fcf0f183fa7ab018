"""HTTP of ingest: readings and files in, readings, curves, usage, quarantine and tally out."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from services.ingest import events, repository
from services.ingest.directory import MeterEntry, entry_of
from services.ingest.doors import files, json
from services.ingest.doors.accept import Acceptor
from services.ingest.quarantine import replay
from services.ingest.rpc import records_behind
from services.ingest.store import register_events
from services.ingest.store.readings import ReadingStore
from services.ingest.usage.charts import chart, reading_rows
from services.ingest.usage.domain import FOREVER_MS, Usage
from services.ingest.usage.service import UsageService
from services.kit.auth import Identity
from services.kit.clock import to_ms, to_rfc3339
from services.kit.db import Database
from services.kit.errors import Fault, InvalidInputError, NotFoundError
from services.kit.http import Gateway, Operator, Reader
from services.kit.log import Log
from services.kit.money import decimal_to_text, scaled_to_decimal
from services.kit.page import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, cut, decode_token
from services.metering.products import Channel

PageSize = Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)]
Instant = Annotated[datetime | None, Query()]
ID_MAX = 2**63 - 1
#: A text that PostgreSQL can compare with: it knows no NUL.
TEXT = r"^[^\x00]*$"
MeterId = Annotated[int, Path(ge=1, le=ID_MAX)]
ServicePointId = Annotated[int, Query(ge=1, le=ID_MAX)]
Reason = Annotated[str | None, Query(max_length=100, pattern=TEXT)]
POINTS_MAX = 5_000
BUCKETS_MAX = 40_000


class Accepted(BaseModel):
    """What a door acknowledges."""

    batch_id: str
    readings: int


class ReplayRequest(BaseModel):
    """Which readings in quarantine to send back; nothing given is all."""

    reason: str | None = Field(None, max_length=100, pattern=TEXT)
    meter: str | None = Field(None, max_length=100, pattern=TEXT)


class Api:
    """The routes and what they work with; `router()` mounts them."""

    def __init__(
        self,
        acceptor: Acceptor,
        usage: UsageService,
        store: ReadingStore,
        database: Database,
        log: Log,
    ) -> None:
        self._acceptor = acceptor
        self._usage = usage
        self._store = store
        self._database = database
        self._log = log

    def router(self) -> APIRouter:
        """All routes of the service."""
        router = APIRouter(prefix="/v1")
        router.add_api_route("/readings", self.post_readings, methods=["POST"], status_code=202)
        router.add_api_route("/imports", self.post_import, methods=["POST"], status_code=202)
        router.add_api_route("/meters/{meter_id}/readings", self.get_readings, methods=["GET"])
        router.add_api_route("/meters/{meter_id}/curve", self.get_curve, methods=["GET"])
        router.add_api_route("/usage", self.get_usage, methods=["GET"])
        router.add_api_route("/quarantine", self.get_quarantine, methods=["GET"])
        router.add_api_route("/quarantine/replay", self.post_replay, methods=["POST"])
        router.add_api_route("/tally", self.get_tally, methods=["GET"])
        router.add_api_route("/storage", self.get_storage, methods=["GET"])
        return router

    async def post_readings(self, request: Request, identity: Gateway) -> Accepted:
        """Take readings as JSON rows; acknowledged once the log has them."""
        body = await request.body()
        batch_id, batch = await run_in_threadpool(json.parse, body)
        batch = replace(batch, origin=replace(batch.origin, batch_id=batch_id))
        accepted = await run_in_threadpool(self._acceptor.accept, batch, identity, "http", body)
        return Accepted(batch_id=accepted.batch_id, readings=accepted.readings)

    async def post_import(
        self,
        request: Request,
        identity: Operator,
        obis: str,
        unit: str,
        meter: str = "meter",
        at: str = "at",
        value: str = "value",
        zone: str = "",
    ) -> Accepted:
        """Take a CSV or Parquet file whose columns the query names."""
        body = await request.body()
        mapping = files.Mapping(meter, at, value, obis, unit, zone)
        content_type = request.headers.get("content-type", "")
        batch = await run_in_threadpool(files.parse, body, content_type, mapping)
        accepted = await run_in_threadpool(self._acceptor.accept, batch, identity, "file", None)
        return Accepted(batch_id=accepted.batch_id, readings=accepted.readings)

    def get_readings(
        self,
        identity: Reader,
        meter_id: MeterId,
        channel: int = 1,
        from_: Annotated[datetime | None, Query(alias="from")] = None,
        to: Instant = None,
        page_size: PageSize = PAGE_SIZE_DEFAULT,
        page_token: str | None = None,
    ) -> dict[str, Any]:
        """Readings of one channel, oldest first, with the rules they failed."""
        after = decode_token(page_token, int)
        from_ms = _token_ms(after[0]) + 1 if after else _instant(from_, "from", 0)
        to_ms = _instant(to, "to", FOREVER_MS)
        with self._database.transaction() as session:
            spec = self._channel(session, identity, meter_id, channel)
            columns = self._store.page(session, meter_id, channel, from_ms, to_ms, page_size + 1)
            steps = register_events.find(session, [(meter_id, channel)])
        rows = reading_rows(columns, steps, spec)
        page = cut(rows, page_size, lambda row: (row["at_ms"],))
        for row in page.items:
            del row["at_ms"]
        return {"items": page.items, "next_page_token": page.next_page_token}

    def get_curve(
        self,
        identity: Reader,
        meter_id: MeterId,
        channel: int = 1,
        from_: Annotated[datetime | None, Query(alias="from")] = None,
        to: Instant = None,
        points: Annotated[int, Query(ge=2, le=POINTS_MAX)] = 1000,
    ) -> dict[str, Any]:
        """One channel's register and use in columns, thinned for a chart."""
        from_ms, to_ms = _instant(from_, "from", 0), _instant(to, "to", FOREVER_MS)
        with self._database.transaction() as session:
            spec = self._channel(session, identity, meter_id, channel)
            series = self._usage.series(session, [(meter_id, channel)], from_ms, to_ms)
        return chart(series.get((meter_id, channel)), spec, from_ms, to_ms, points)

    def get_usage(
        self,
        identity: Reader,
        service_point_id: ServicePointId,
        from_: Annotated[datetime, Query(alias="from")],
        to: datetime,
        bucket: Literal["hour", "day", "month"] = "day",
        zone: str | None = None,
    ) -> dict[str, Any]:
        """Use of a service point in buckets of its local time."""
        from_ms, to_ms = _instant(from_, "from", 0), _instant(to, "to", 0)
        with self._database.transaction() as session:
            installed = repository.installed_meters(session, identity.tenant_id, [service_point_id])
        if not installed:
            raise NotFoundError(f"no meter ever stood at service point {service_point_id}")
        time_zone = _zone(zone or installed[-1].time_zone)
        boundaries = bucket_boundaries(from_ms, to_ms, bucket, time_zone)
        (answer,) = self._usage.by_service_point(identity.tenant_id, [service_point_id], boundaries)
        return {
            "service_point_id": service_point_id,
            "time_zone": str(time_zone),
            "channels": [_usage_json(usage, boundaries) for usage in answer.channels],
        }

    def get_quarantine(
        self,
        identity: Reader,
        reason: Reason = None,
        state: Literal["open", "replayed", "discarded"] = "open",
        page_size: PageSize = PAGE_SIZE_DEFAULT,
        page_token: str | None = None,
    ) -> dict[str, Any]:
        """Readings that were put aside, newest first."""
        after = decode_token(page_token, str)
        with self._database.transaction() as session:
            entries = repository.list_quarantine(
                session,
                identity.tenant_id,
                state=state,
                reason=reason,
                after=(_token_id(after[0]),) if after else None,
                limit=page_size + 1,
            )
        page = cut(entries, page_size, lambda e: (str(e.quarantine_id),))
        items = [
            {
                "quarantine_id": str(e.quarantine_id),
                "reason": e.reason,
                "detail": e.detail,
                "meter": e.meter,
                "readings": e.readings,
                "received_at": to_rfc3339(to_ms(e.received_at)),
                "state": e.state,
            }
            for e in page.items
        ]
        return {"items": items, "next_page_token": page.next_page_token}

    def post_replay(self, identity: Operator, body: ReplayRequest) -> dict[str, int]:
        """Send readings in quarantine back to the log."""
        meters = [body.meter] if body.meter else None
        replayed = replay(
            self._database, self._log, identity.tenant_id, reason=body.reason, meters=meters
        )
        return {"replayed": replayed}

    def get_tally(self, identity: Reader) -> dict[str, Any]:
        """The tenant's readings by outcome; the four numbers always add up."""
        behind = records_behind(self._database, self._log)
        with self._database.transaction() as session:
            counts = repository.tally(session, identity.tenant_id)
            reasons = repository.quarantine_reasons(session, identity.tenant_id)
        return {**counts.as_dict(), "records_behind": behind, "by_reason": reasons}

    def get_storage(self, identity: Reader) -> dict[str, Any]:
        """What holds the readings, for operators and `meterfleet doctor`."""
        layout = self._store.layout
        return {
            "engine": str(layout.engine),
            "chunk_interval_days": layout.chunk_interval_days,
            "partitions": self._log.partitions(events.RECEIVED),
        }

    def _channel(self, session: Any, identity: Identity, meter_id: int, channel: int) -> Channel:
        document = repository.meter_document(session, identity.tenant_id, meter_id)
        entry: MeterEntry | None = entry_of(document) if document else None
        found = next((c for c in entry.channels if c.number == channel), None) if entry else None
        if found is None:
            raise NotFoundError(f"meter {meter_id} has no channel {channel}")
        return found


def _instant(moment: datetime | None, name: str, default: int) -> int:
    if moment is None:
        return default
    if moment.tzinfo is None:
        fault = Fault(name, "instant.no_offset", "write an offset from UTC, for example …Z")
        raise InvalidInputError(fault.detail, faults=[fault])
    # No reading lies outside, and what follows need not fear the ends of the calendar.
    return min(max(to_ms(moment), 0), FOREVER_MS)


def _token_ms(at_ms: int) -> int:
    if not 0 <= at_ms <= FOREVER_MS:
        raise _foreign_token()
    return at_ms


def _token_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise _foreign_token() from error


def _foreign_token() -> InvalidInputError:
    fault = Fault("page_token", "page_token.invalid", "use a token as it was returned")
    return InvalidInputError("the page token is wrong", faults=[fault])


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        fault = Fault("zone", "zone.unknown", f"{name!r} is no IANA time zone")
        raise InvalidInputError(fault.detail, faults=[fault]) from error


def bucket_boundaries(from_ms: int, until_ms: int, bucket: str, zone: ZoneInfo) -> Any:
    """Instants at which local hours, days or months begin, from … to …; int64, shape (n,)."""
    start = datetime.fromtimestamp(from_ms / 1000, UTC).astimezone(zone)
    moments = []
    if bucket == "hour":
        hour_ms = 3_600_000
        # Zones a half or a quarter of an hour off have their own full hours.
        offset_ms = int((start.utcoffset() or timedelta()).total_seconds()) * 1000
        first_ms = (from_ms + offset_ms) // hour_ms * hour_ms - offset_ms
        return np.arange(first_ms, until_ms + hour_ms, hour_ms, dtype=np.int64)
    day = start.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if bucket == "month":
        day = day.replace(day=1)
    while True:
        # Calendar steps on the wall clock: days of 23 and 25 hours come out right.
        moments.append(to_ms(day))
        if moments[-1] >= until_ms or len(moments) > BUCKETS_MAX:
            return np.array(moments, dtype=np.int64)
        if bucket == "month":
            day = (day + timedelta(days=32)).replace(day=1, fold=0)
        else:
            day = (day + timedelta(days=1)).replace(fold=0)


def _usage_json(usage: Usage, boundaries: Any) -> dict[str, Any]:
    def text(value: int) -> str:
        return decimal_to_text(scaled_to_decimal(value, usage.scaler))

    buckets = [
        {
            "from": to_rfc3339(int(boundaries[n])),
            "to": to_rfc3339(int(boundaries[n + 1])),
            "quantity": text(int(usage.quantity[n])),
            "register": text(int(usage.register[n + 1])),
            "known_ppm": int(usage.known_ppm[n]),
        }
        for n in range(len(usage.quantity))
    ]
    events = [
        {"at": to_rfc3339(step.at_ms), "kind": step.kind, "offset": text(step.offset_delta)}
        for step in usage.events
    ]
    return {"obis": usage.obis, "unit": usage.unit, "buckets": buckets, "events": events}
