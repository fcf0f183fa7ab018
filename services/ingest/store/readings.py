"""The readings table: the only code that writes it, and every way to read it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Cursor
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.ingest.store import binary
from services.ingest.store.binary import Columns
from services.ingest.store.engine import Layout, ensure_partitions, layout, partition_bounds
from services.kit.clock import to_datetime
from services.kit.db import Database
from services.metering.quality import BELOW_MARK, UNUSABLE_MASK

Int64s = NDArray[np.int64]

TYPES = {
    "read_at": "timestamptz",
    "meter_id": "int8",
    "value": "int8",
    "batch_no": "int8",
    "tenant_id": "int4",
    "flags": "int4",
    "channel": "int2",
    "quality": "int2",
}
#: A reading that a meter measured; estimates and edits will have codes of their own.
ACTUAL = 1

#: A window of a series is anchored on readings that are points of the curve by themselves.
ANCHOR_EXCLUDED = UNUSABLE_MASK | BELOW_MARK

_SERIES = {"meter_id": "int8", "channel": "int2", "read_at": "timestamptz", "value": "int8",
           "flags": "int4"}  # fmt: skip
_SERIES_COLUMNS = "r.meter_id, r.channel, r.read_at, r.value, r.flags"


class ReadingStore:
    """Writes and reads `ingest.readings` within the caller's transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._partitions: set[datetime] = set()
        self._layout: Layout | None = None

    @property
    def layout(self) -> Layout:
        """How the table was made in this database."""
        if self._layout is None:
            with self._database.transaction() as session:
                self._layout = layout(session.connection())
        return self._layout

    def prepare(self, at_ms: Int64s) -> None:
        """Make the partitions that readings at `at_ms` need, in a transaction of its own."""
        days = self.layout.chunk_interval_days
        span_ms = days * 86_400_000
        # One instant a partition is enough to find its bounds.
        firsts = np.unique(at_ms // span_ms) * span_ms
        instants = {int(i) for f in firsts for i in (f, f + span_ms - 1)}
        starts = {partition_bounds(i, days)[0] for i in instants} - self._partitions
        if starts:
            with self._database.transaction() as session:
                ensure_partitions(session.connection(), self.layout, starts)
            self._partitions |= starts

    def append(self, session: Session, columns: Columns) -> None:
        """Add readings whose keys are surely new; columns are those of `TYPES`.

        Sorted by key, because the index is the cost: neighbours land on the same page.
        """
        order = np.lexsort((columns["read_at"], columns["channel"], columns["meter_id"]))
        ordered = {name: column[order] for name, column in columns.items()}
        binary.write(_cursor(session), "ingest.readings", TYPES, ordered)

    def amend_flags(self, session: Session, columns: Columns) -> None:
        """Change flags of stored readings: columns meter_id, channel, read_at (ms), flags."""
        session.execute(
            text(
                "update ingest.readings r set flags = u.flags"
                " from unnest(cast(:meter_id as bigint[]), cast(:channel as smallint[]),"
                "  cast(:read_at as timestamptz[]), cast(:flags as integer[]))"
                "  as u(meter_id, channel, read_at, flags)"
                " where r.meter_id = u.meter_id and r.channel = u.channel"
                "  and r.read_at = u.read_at"
            ),
            _lists(columns),
        )

    def replace_values(self, session: Session, columns: Columns) -> None:
        """Replace stored values: columns meter_id, channel, read_at (ms), value, batch_no."""
        session.execute(
            text(
                "update ingest.readings r set value = u.value, batch_no = u.batch_no"
                " from unnest(cast(:meter_id as bigint[]), cast(:channel as smallint[]),"
                "  cast(:read_at as timestamptz[]), cast(:value as bigint[]),"
                "  cast(:batch_no as bigint[])) as u(meter_id, channel, read_at, value, batch_no)"
                " where r.meter_id = u.meter_id and r.channel = u.channel"
                "  and r.read_at = u.read_at"
            ),
            _lists(columns),
        )

    def at_keys(self, session: Session, columns: Columns) -> Columns:
        """What is stored at some keys (meter_id, channel, read_at): also rank and batch_no."""
        query = (
            f"select {_SERIES_COLUMNS}, r.batch_no, coalesce(b.rank, 0)"
            " from unnest(%(meter_id)s::bigint[], %(channel)s::smallint[],"
            "  %(read_at)s::timestamptz[]) as u(meter_id, channel, read_at)"
            " join ingest.readings r on r.meter_id = u.meter_id and r.channel = u.channel"
            "  and r.read_at = u.read_at"
            " left join ingest.batches b on b.batch_no = r.batch_no"
        )
        types = {**_SERIES, "batch_no": "int8", "rank": "int4"}
        return binary.read(_cursor(session), query, _lists(columns), types)

    def tails(
        self, session: Session, meter_id: Int64s, channel: Int64s, before_ms: Int64s, count: int
    ) -> Columns:
        """The last `count` readings before an instant of each of some channels, in order."""
        query = (
            f"select {_SERIES_COLUMNS} from unnest(%(meter_id)s::bigint[],"
            "  %(channel)s::smallint[], %(before)s::timestamptz[]) as u(meter_id, channel, before)"
            " cross join lateral (select * from ingest.readings r where r.meter_id = u.meter_id"
            "  and r.channel = u.channel and r.read_at < u.before"
            "  order by r.read_at desc limit %(count)s) r"
            " order by r.meter_id, r.channel, r.read_at"
        )
        parameters = {
            "meter_id": meter_id.tolist(),
            "channel": channel.tolist(),
            "before": _instants(before_ms),
            "count": count,
        }
        return binary.read(_cursor(session), query, parameters, _SERIES)

    def since(
        self, session: Session, meter_id: Int64s, channel: Int64s, from_ms: Int64s
    ) -> Columns:
        """All readings from an instant on of each of some channels, in order; with batch_no."""
        query = (
            f"select {_SERIES_COLUMNS}, r.batch_no from unnest(%(meter_id)s::bigint[],"
            "  %(channel)s::smallint[], %(since)s::timestamptz[]) as u(meter_id, channel, since)"
            " join ingest.readings r on r.meter_id = u.meter_id and r.channel = u.channel"
            "  and r.read_at >= u.since"
            " order by r.meter_id, r.channel, r.read_at"
        )
        parameters = {
            "meter_id": meter_id.tolist(),
            "channel": channel.tolist(),
            "since": _instants(from_ms),
        }
        return binary.read(_cursor(session), query, parameters, {**_SERIES, "batch_no": "int8"})

    def series(
        self, session: Session, keys: Sequence[tuple[int, int]], from_ms: int, to_ms: int
    ) -> Columns:
        """Readings of some (meter, channel) pairs from … to …, in order; with batch_no.

        Of each channel one reading more on either side, the next that is a point of the curve by
        itself: with it the register is known at the edges.
        """
        parameters = {
            "meter_id": [meter_id for meter_id, _ in keys],
            "channel": [channel for _, channel in keys],
            "from_at": to_datetime(from_ms),
            "to_at": to_datetime(to_ms),
            "excluded": ANCHOR_EXCLUDED,
        }
        wanted = "unnest(%(meter_id)s::bigint[], %(channel)s::smallint[]) as k(meter_id, channel)"
        within = (
            f"select {_SERIES_COLUMNS}, r.batch_no from {wanted} join ingest.readings r"
            " on r.meter_id = k.meter_id and r.channel = k.channel"
            "  and r.read_at >= %(from_at)s and r.read_at <= %(to_at)s"
        )
        beside = (
            f"select r.* from {wanted} cross join lateral"
            f" (select {_SERIES_COLUMNS}, r.batch_no from ingest.readings r"
            "  where r.meter_id = k.meter_id and r.channel = k.channel"
            "   and r.read_at {side} and r.flags & %(excluded)s = 0"
            "  order by r.read_at {order} limit 1) r"
        )
        before = beside.format(side="< %(from_at)s", order="desc")
        after = beside.format(side="> %(to_at)s", order="asc")
        query = (
            f"select * from ({within} union all {before} union all {after}) as s"
            " order by meter_id, channel, read_at"
        )
        return binary.read(_cursor(session), query, parameters, {**_SERIES, "batch_no": "int8"})

    def page(
        self,
        session: Session,
        meter_id: int,
        channel: int,
        from_ms: int,
        to_ms: int,
        limit: int,
    ) -> Columns:
        """Readings of one channel from … to … (both included), oldest first, at most `limit`."""
        query = (
            f"select {_SERIES_COLUMNS}, r.batch_no from ingest.readings r"
            " where r.meter_id = %(meter_id)s and r.channel = %(channel)s"
            "  and r.read_at >= %(from_at)s and r.read_at <= %(to_at)s"
            " order by r.read_at limit %(limit)s"
        )
        parameters = {
            "meter_id": meter_id,
            "channel": channel,
            "from_at": to_datetime(from_ms),
            "to_at": to_datetime(to_ms),
            "limit": limit,
        }
        return binary.read(_cursor(session), query, parameters, {**_SERIES, "batch_no": "int8"})


def _cursor(session: Session) -> Cursor[Any]:
    connection = session.connection().connection.driver_connection
    assert connection is not None
    cursor: Cursor[Any] = connection.cursor()
    return cursor


def _instants(at_ms: Int64s) -> list[datetime]:
    return [to_datetime(instant) for instant in at_ms.tolist()]


def _lists(columns: Columns) -> dict[str, Any]:
    return {
        name: _instants(column) if name == "read_at" else column.tolist()
        for name, column in columns.items()
    }
