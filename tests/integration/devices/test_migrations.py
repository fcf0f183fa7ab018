"""The migrations make exactly the schema the models describe."""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from services.devices.tables import Base
from services.kit import db
from tests.database_fixtures import fresh_database

CATALOGUES = {
    "columns": """select table_name, column_name, data_type, is_nullable, is_identity
        from information_schema.columns where table_schema = 'devices'""",
    "constraints": """select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        from pg_constraint where connamespace = 'devices'::regnamespace""",
    "indexes": "select indexname, indexdef from pg_indexes where schemaname = 'devices'",
}


def _catalogue(engine: Engine) -> dict[str, set[Any]]:
    with engine.connect() as connection:
        return {
            name: {
                tuple(row)
                for row in connection.execute(text(query))
                if "alembic_version" not in " ".join(map(str, row))
            }
            for name, query in CATALOGUES.items()
        }


def test_models_and_migrations_agree(postgres_server: str) -> None:
    """Autogenerate finds no difference, and neither do PostgreSQL's catalogues."""
    migrated = db.connect(fresh_database(postgres_server), name="tests", pool_size=1)
    db.migrate(migrated, "devices")
    with migrated.connect() as connection:
        options = {
            "include_schemas": True,
            "version_table_schema": "devices",
            "include_name": lambda name, kind, _: kind != "schema" or name == "devices",
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
    created = db.connect(fresh_database(postgres_server), name="tests", pool_size=1)
    with created.begin() as connection:
        for extension in ("btree_gist", "pg_trgm"):
            connection.execute(text(f"create extension {extension}"))
        connection.execute(text("create schema devices"))
        Base.metadata.create_all(connection)
    assert _catalogue(migrated) == _catalogue(created)
    migrated.dispose()
    created.dispose()


def test_migrations_go_down_and_up_again(postgres_server: str) -> None:
    """A downgrade leaves no table of ours, and the way up works a second time."""
    engine = db.connect(fresh_database(postgres_server), name="tests", pool_size=1)
    db.migrate(engine, "devices")
    before = _catalogue(engine)
    db.migrate(engine, "devices", "base")
    assert _catalogue(engine)["columns"] == set()
    db.migrate(engine, "devices")
    assert _catalogue(engine) == before
    engine.dispose()
