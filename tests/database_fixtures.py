"""A real PostgreSQL for tests: one embedded server a session, a fresh database for who asks."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from services.kit import embedded_postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server: METERFLEET_TEST_POSTGRES_URL, or an embedded one."""
    given = os.environ.get("METERFLEET_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="meterfleet-test-") as folder:
        server = embedded_postgres.start(Path(folder))
        yield server.url
        server.stop()


def fresh_database(server_url: str) -> str:
    """Make an empty database on a server and return its URL."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return server_url.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture(scope="module")
def database_url(postgres_server: str) -> str:
    """A fresh empty database for a test module."""
    return fresh_database(postgres_server)
