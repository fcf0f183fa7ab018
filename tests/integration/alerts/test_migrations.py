"""The migrations make exactly the schema the models describe."""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from services.alerts.tables import Base
from services.kit import db
from tests.database_fixtures import fresh_database

CATALOGUES = (
    """select table_name, column_name, data_type, is_nullable, is_identity
    from information_schema.columns where table_schema = 'alerts'""",
    """select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    from pg_constraint where connamespace = 'alerts'::regnamespace""",
    "select tablename, indexname, indexdef from pg_indexes where schemaname = 'alerts'",
)


def catalogue(engine: Engine) -> set[tuple[Any, ...]]:
    """Columns, constraints and indexes of the schema, but for alembic's own table."""
    with engine.connect() as connection:
        rows = {tuple(row) for query in CATALOGUES for row in connection.execute(text(query))}
    return {row for row in rows if "alembic_version" not in row[0]}


def test_models_and_migrations_agree(postgres_server: str) -> None:
    """Autogenerate finds no difference, and neither do PostgreSQL's catalogues."""
    migrated = db.connect(fresh_database(postgres_server), name="tests", pool_size=1)
    db.migrate(migrated, "alerts")
    with migrated.connect() as connection:
        options = {
            "include_schemas": True,
            "version_table_schema": "alerts",
            "include_name": lambda name, kind, _: kind != "schema" or name == "alerts",
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
    created = db.connect(fresh_database(postgres_server), name="tests", pool_size=1)
    with created.begin() as connection:
        connection.execute(text("create schema alerts"))
        Base.metadata.create_all(connection)
    assert catalogue(migrated) == catalogue(created)
    migrated.dispose()
    created.dispose()


def test_migrations_go_down_and_up_again(postgres_server: str) -> None:
    """A downgrade leaves no table of ours, and the way up works a second time."""
    engine = db.connect(fresh_database(postgres_server), name="tests", pool_size=1)
    db.migrate(engine, "alerts")
    db.migrate(engine, "alerts", "base")
    assert inspect(engine).get_table_names("alerts") == ["alembic_version"]
    db.migrate(engine, "alerts")
    assert "alerts" in inspect(engine).get_table_names("alerts")
    engine.dispose()
