"""The migrations make the tables the models describe, and take them back."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from services.billing.app import build
from services.billing.settings import BillingSettings
from services.billing.tables import Base
from services.kit.db import connect, migrate


def test_models_and_migrations_agree(database_url: str) -> None:
    """Alembic finds nothing to change between the migrated schema and the models."""
    engine = connect(database_url, name="billing-schema")
    migrate(engine, "billing")
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "version_table_schema": "billing",
                "include_name": lambda name, kind, _: kind != "schema" or name == "billing",
            },
        )
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_migrations_can_be_taken_back(database_url: str) -> None:
    """Down to nothing and up again; no table, function or trigger is left in between."""
    engine = connect(database_url, name="billing-schema")
    migrate(engine, "billing")
    migrate(engine, "billing", "base")
    with engine.connect() as connection:
        left = connection.scalars(
            text("select relname from pg_class c join pg_namespace n on n.oid = relnamespace "
                 "where nspname = 'billing' and relkind = 'r'")
        ).all()  # fmt: skip
        functions = connection.scalars(
            text("select proname from pg_proc join pg_namespace n on n.oid = pronamespace "
                 "where nspname = 'billing'")
        ).all()  # fmt: skip
    assert (left, functions) == (["alembic_version"], [])
    migrate(engine, "billing")
    engine.dispose()


def test_the_service_is_wired(database_url: str) -> None:
    """build() makes a process with both servers; its ports are those of the table in docs."""
    settings = BillingSettings(database_url=database_url, internal_token="secret")
    process = build(settings)
    assert (process.http_port, process.grpc_port) == (8084, 9084)
    paths = set(process.http.openapi()["paths"])
    assert {"/v1/bill-runs", "/v1/bills/{bill_id}", "/v1/tariffs/{code}/{version}"} <= paths
    for close in process.closers:
        close()
