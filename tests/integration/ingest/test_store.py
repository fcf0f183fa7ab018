"""The readings table on real servers: its engine, its partitions, columns in and out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from services.ingest.store.binary import read
from services.ingest.store.engine import ORIGIN, StoreEngine, detect, partition_bounds
from services.ingest.store.readings import TYPES, _cursor
from services.kit.clock import to_ms
from tests.database_fixtures import fresh_database
from tests.ingest_harness import Harness, open_harness

pytestmark = pytest.mark.timeout(1800)
WEEK = timedelta(days=7)
INSTANTS = (
    datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2000, 1, 2, 23, 59, 59, 999_000, tzinfo=UTC),
    ORIGIN,
    datetime(2025, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2096, 2, 29, 12, tzinfo=UTC),
)


@pytest.fixture(scope="module", params=["postgres", "timescale"])
def opened(request: pytest.FixtureRequest) -> Iterator[tuple[str, Harness]]:
    """A migrated database on each storage engine at hand, and its name."""
    name = "postgres_server" if request.param == "postgres" else "timescale_url"
    harness = open_harness(fresh_database(request.getfixturevalue(name)))
    yield request.param, harness
    harness.database.close()


def columns(at_ms: list[int], meter_id: int = 1) -> dict[str, np.ndarray]:
    """Rows of one meter with extreme values."""
    size = len(at_ms)
    return {
        "read_at": np.array(at_ms, dtype=np.int64),
        "meter_id": np.full(size, meter_id, dtype=np.int64),
        "value": np.array([(-1) ** n * (2**62 + n) for n in range(size)], dtype=np.int64),
        "batch_no": np.arange(size, dtype=np.int64),
        "tenant_id": np.full(size, 7, dtype=np.int32),
        "flags": np.full(size, 2**30 + 1, dtype=np.uint32),
        "channel": np.full(size, 64, dtype=np.int32),
        "quality": np.ones(size, dtype=np.int64),
    }


def test_the_engine_is_found(opened: tuple[str, Harness]) -> None:
    """What the server offers is what the table was made for."""
    kind, harness = opened
    with harness.database.engine.begin() as connection:
        found = detect(connection)
    assert harness.store.layout.engine is found
    assert (found is StoreEngine.PLAIN) == (kind == "postgres")
    assert harness.store.layout.chunk_interval_days == 7


def test_columns_come_back_as_they_went_in(opened: tuple[str, Harness]) -> None:
    """Extreme values and instants at the edges of partitions survive the way there and back."""
    _, harness = opened
    sent = columns([to_ms(moment) for moment in INSTANTS])
    harness.store.prepare(sent["read_at"])
    with harness.database.transaction() as session:
        harness.store.append(session, sent)
        names = ", ".join(TYPES)
        query = f"select {names} from ingest.readings where meter_id = 1 order by read_at"
        got = read(_cursor(session), query, {}, TYPES)
        nothing = read(_cursor(session), query.replace("= 1", "= -1"), {}, TYPES)
    assert {name: column.tolist() for name, column in got.items()} == {
        name: column.tolist() for name, column in sent.items()
    }
    assert {len(column) for column in nothing.values()} == {0}


def test_partitions_are_made_once_on_demand(opened: tuple[str, Harness]) -> None:
    """Two workers that meet the same new week make it once; each instant has its place."""
    kind, harness = opened
    if kind != "postgres":
        pytest.skip("hypertables make their own chunks")
    other = Harness(harness.database)
    at_ms = np.array([to_ms(moment) for moment in INSTANTS])
    for store in (harness.store, other.store, harness.store):
        store.prepare(at_ms)
    made = {
        name
        for (name,) in harness.rows(
            "select inhrelid::regclass::text from pg_inherits"
            " where inhparent = 'ingest.readings'::regclass"
        )
    }
    expected = {
        f"ingest.readings_{partition_bounds(int(instant), 7)[0]:%Y%m%d}" for instant in at_ms
    }
    assert expected <= made


@pytest.mark.parametrize("days", [1, 7, 30, 366])
@pytest.mark.parametrize("moment", INSTANTS)
def test_bounds_hold_their_instant(moment: datetime, days: int) -> None:
    """Every instant lies in its partition, before the origin as after it, and they tile time."""
    start, end = partition_bounds(to_ms(moment), days)
    assert start <= moment < end
    assert end - start == timedelta(days=days)
    assert (start - ORIGIN) % timedelta(days=days) == timedelta()
    assert partition_bounds(to_ms(end), days)[0] == end
    assert partition_bounds(to_ms(start) - 1, days)[1] == start
