"""PostgreSQL as every service uses it: one engine, one transaction a piece of work, migrations."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, MetaData, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker

from services.kit.errors import UnavailableError

#: Connections of one process: request threads plus its workers; PostgreSQL's default allows 100.
POOL_SIZE = 10
STATEMENT_TIMEOUT_MS = 60_000
#: Names of constraints are stable, so that migrations can name them.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def metadata_for(schema: str) -> MetaData:
    """Metadata of a service's tables: each service has a schema of its own.

    Used as `class Base(DeclarativeBase): metadata = metadata_for("devices")`.
    """
    return MetaData(schema=schema, naming_convention=NAMING)


def connect(url: str, *, name: str, pool_size: int = POOL_SIZE) -> Engine:
    """An engine on a PostgreSQL URL.

    Args:
        url: `postgresql://…`; the driver is always psycopg 3.
        name: Shown in pg_stat_activity, so that an operator sees who holds what.
        pool_size: Connections kept; as many again may be opened in a burst.
    """
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=10,
        # A restarted database shows up as a dead connection; asking first costs one round trip.
        pool_pre_ping=True,
        connect_args={
            "application_name": f"meterfleet-{name}",
            "connect_timeout": 5,
            "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC",
        },
    )


class Database:
    """Hands out transactions: one request, one batch or one job is one of them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sessions = sessionmaker(engine, expire_on_commit=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose work is committed at the end, or rolled back if anything is raised.

        Raises:
            UnavailableError: The database is away, or all connections stay in use.
        """
        try:
            with self._sessions.begin() as session:
                yield session
        except (OperationalError, PoolTimeoutError) as error:
            raise UnavailableError(
                "the database is not available", retry_after_s=2, code="database.unavailable"
            ) from error

    def check(self) -> None:
        """Raise if the database does not answer; for readiness."""
        with self.engine.connect() as connection:
            connection.execute(text("select 1"))

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def migrate(engine: Engine, service: str, revision: str = "head") -> None:
    """Bring the schema of `service` up to `revision` with the migrations in its folder.

    Several processes may start at once: an advisory lock lets one migrate, the others wait.
    """
    with engine.begin() as connection:
        connection.execute(
            text("select pg_advisory_xact_lock(hashtext(:name))"), {"name": f"migrate {service}"}
        )
        connection.execute(text("set local lock_timeout = '5s'"))
        connection.execute(text(f'create schema if not exists "{service}"'))
        _run_alembic(connection, service, revision)


def _run_alembic(connection: Connection, service: str, revision: str) -> None:
    scripts = importlib.resources.files(f"services.{service}") / "migrations"
    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.attributes["connection"] = connection
    config.attributes["schema"] = service
    if revision == "head":
        command.upgrade(config, revision)
    else:
        command.downgrade(config, revision)


def run_migrations(metadata: MetaData, **options: Any) -> None:
    """What each service's `migrations/env.py` calls; there is nothing else in those files."""
    from alembic import context  # noqa: PLC0415 - the proxy exists only while alembic runs us

    schema = context.config.attributes["schema"]
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table_schema=schema,
        include_schemas=True,
        transactional_ddl=True,
        **options,
    )
    with context.begin_transaction():
        context.run_migrations()
