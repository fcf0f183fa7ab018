"""Database: one transaction per piece of work, and failures that callers may try again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text

from services.kit.db import Database, connect
from services.kit.errors import UnavailableError


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    """A database with one table."""
    database = Database(connect(database_url, name="test"))
    with database.transaction() as session:
        session.execute(text("create table wells (depth_m int primary key)"))
    yield database
    database.close()


def depths(database: Database) -> list[int]:
    """What is stored."""
    with database.transaction() as session:
        return list(session.scalars(text("select depth_m from wells order by 1")))


def test_work_is_committed_or_undone_as_one(database: Database) -> None:
    """A block that ends is stored; a block that raises leaves nothing, and its error comes out."""

    def fail() -> None:
        with database.transaction() as session:
            session.execute(text("insert into wells values (2)"))
            raise KeyError("no")

    with database.transaction() as session:
        session.execute(text("insert into wells values (1)"))
    with pytest.raises(KeyError):
        fail()
    assert depths(database) == [1]


def test_a_database_that_is_away_is_503() -> None:
    """Nobody listening is an error that says when to try again, with a code of its own."""
    away = Database(connect("postgresql://postgres@127.0.0.1:1/postgres", name="test"))
    with pytest.raises(UnavailableError) as caught, away.transaction() as session:
        session.execute(text("select 1"))
    assert (caught.value.code, caught.value.retry_after_s) == ("database.unavailable", 2)
    with pytest.raises(Exception, match="refused"):
        away.check()


def test_connections_all_in_use_are_503_too(database_url: str) -> None:
    """A pool that stays exhausted is back-pressure, not an internal error."""
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    small = Database(engine)
    with small.transaction() as holder:
        holder.execute(text("select 1"))
        with pytest.raises(UnavailableError), small.transaction() as second:
            second.execute(text("select 1"))
    small.close()


def test_sessions_speak_utc_and_are_bounded(database: Database) -> None:
    """Every connection has UTC, a statement time-out, and a name an operator recognises."""
    with database.transaction() as session:
        assert session.scalar(text("show timezone")) == "UTC"
        assert session.scalar(text("show statement_timeout")) == "1min"
        assert session.scalar(text("show application_name")) == "meterfleet-test"
