"""Embedded PostgreSQL: starts, stops, keeps its data and its password to itself."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from services.kit import embedded_postgres
from services.kit.errors import UnavailableError


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory whose parents the server's account may pass; pytest's own are private."""
    path = Path(tempfile.mkdtemp(prefix="meterfleet-pg-"))
    yield path
    shutil.rmtree(path)


def test_second_start_keeps_the_data(folder: Path) -> None:
    """Committed rows survive a stop; the password stays the same and is nobody else's to read."""
    first = embedded_postgres.start(folder)
    with psycopg.connect(first.url) as connection:
        connection.execute("create table wells as select 7 as depth_m")
    first.stop()
    first.stop()
    assert first.process.poll() == 0
    password = folder / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "cluster").stat().st_mode) == 0o700
    second = embedded_postgres.start(folder)
    try:
        assert password.read_text() in second.url
        with psycopg.connect(second.url) as connection:
            assert connection.execute("select depth_m from wells").fetchall() == [(7,)]
            (listens,) = connection.execute("show listen_addresses").fetchone() or ("",)
            assert listens == "127.0.0.1"
            (fsync,) = connection.execute("show fsync").fetchone() or ("",)
            assert fsync == "on"
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(second.url.replace(password.read_text(), "guess"), connect_timeout=5)
    finally:
        second.stop()


def test_a_start_that_fails_says_why(folder: Path) -> None:
    """A cluster that cannot come up is one clear error with the server's own last words."""
    (folder / "cluster").mkdir()
    (folder / "cluster" / "PG_VERSION").write_text("18\n")
    with pytest.raises(UnavailableError, match=r"postgresql\.conf"):
        embedded_postgres.start(folder)
