"""Organisations, API keys, products, meters, service points, installations, outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

SCHEMA = "devices"
INSTANT = sa.DateTime(timezone=True)
SPAN = sa.text("tstzrange(from_at, to_at)")


def upgrade() -> None:
    # Both are trusted extensions: the owner of the database may create them (PostgreSQL 13).
    op.execute("create extension if not exists btree_gist")
    op.execute("create extension if not exists pg_trgm")
    _create_organisations()
    _create_products()
    _create_meters()
    _create_service_points()
    _create_installations()
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )


def downgrade() -> None:
    # The extensions stay: they belong to the database, others may use them.
    for table in (
        "outbox",
        "installations",
        "service_points",
        "identifiers",
        "meters",
        "products",
        "api_keys",
        "organisations",
    ):
        op.drop_table(table, schema=SCHEMA)


def _tenant(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    return (
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            [f"{SCHEMA}.organisations.tenant_id"],
            name=f"fk_{table}_tenant_id_organisations",
        ),
    )


def _meter(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", "meter_id"],
        [f"{SCHEMA}.meters.tenant_id", f"{SCHEMA}.meters.meter_id"],
        name=f"fk_{table}_tenant_id_meters",
    )


def _create_organisations() -> None:
    op.create_table(
        "organisations",
        sa.Column("tenant_id", sa.Integer, sa.Identity(), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_organisations"),
        sa.UniqueConstraint("name", name="uq_organisations_name"),
        sa.CheckConstraint("kind in ('utility', 'maker')", name=op.f("ck_organisations_kind")),
        schema=SCHEMA,
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Uuid, nullable=False),
        *_tenant("api_keys"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT),
        sa.PrimaryKeyConstraint("key_id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_api_keys_tenant_id_key_id", "api_keys", ["tenant_id", "key_id"], schema=SCHEMA
    )


def _create_products() -> None:
    op.create_table(
        "products",
        *_tenant("products"),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("maker", sa.Text, nullable=False),
        sa.Column("commodity", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("document", postgresql.JSONB, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "code", name="pk_products"),
        schema=SCHEMA,
    )


def _create_meters() -> None:
    op.create_table(
        "meters",
        sa.Column("meter_id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("maker", sa.Text, nullable=False),
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("product", sa.Text, nullable=False),
        sa.Column("commodity", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("meter_id", name="pk_meters"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "product"],
            [f"{SCHEMA}.products.tenant_id", f"{SCHEMA}.products.code"],
            name="fk_meters_tenant_id_products",
        ),
        sa.UniqueConstraint(
            "tenant_id", "maker", "serial", name="uq_meters_tenant_id_maker_serial"
        ),
        sa.UniqueConstraint("tenant_id", "meter_id", name="uq_meters_tenant_id_meter_id"),
        schema=SCHEMA,
    )
    for columns in (("commodity", "meter_id"), ("state", "meter_id")):
        name = "_".join(("ix_meters_tenant_id", *columns))
        op.create_index(name, "meters", ["tenant_id", *columns], schema=SCHEMA)
    op.create_table(
        "identifiers",
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("identifier", sa.Text, nullable=False),
        sa.Column("meter_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "identifier", name="pk_identifiers"),
        _meter("identifiers"),
        schema=SCHEMA,
    )
    op.create_index("ix_identifiers_meter_id", "identifiers", ["meter_id"], schema=SCHEMA)
    op.create_index(
        "ix_identifiers_search",
        "identifiers",
        ["identifier"],
        schema=SCHEMA,
        postgresql_using="gin",
        postgresql_ops={"identifier": "gin_trgm_ops"},
    )


def _create_service_points() -> None:
    op.create_table(
        "service_points",
        sa.Column("service_point_id", sa.BigInteger, sa.Identity(), nullable=False),
        *_tenant("service_points"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("commodity", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("service_point_id", name="pk_service_points"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_service_points_tenant_id_name"),
        sa.UniqueConstraint(
            "tenant_id", "service_point_id", name="uq_service_points_tenant_id_service_point_id"
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_service_points_tenant_id_zone", "service_points", ["tenant_id", "zone"], schema=SCHEMA
    )
    op.create_index(
        "ix_service_points_search",
        "service_points",
        ["name", "address"],
        schema=SCHEMA,
        postgresql_using="gin",
        postgresql_ops={"name": "gin_trgm_ops", "address": "gin_trgm_ops"},
    )


def _create_installations() -> None:
    op.create_table(
        "installations",
        sa.Column("installation_id", sa.Uuid, nullable=False),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("meter_id", sa.BigInteger, nullable=False),
        sa.Column("service_point_id", sa.BigInteger, nullable=False),
        sa.Column("from_at", INSTANT, nullable=False),
        sa.Column("to_at", INSTANT),
        sa.Column("multiplier", sa.Numeric, nullable=False),
        sa.Column("first_register", sa.Numeric),
        sa.Column("last_register", sa.Numeric),
        sa.PrimaryKeyConstraint("installation_id", name="pk_installations"),
        _meter("installations"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "service_point_id"],
            [f"{SCHEMA}.service_points.tenant_id", f"{SCHEMA}.service_points.service_point_id"],
            name="fk_installations_service_point",
        ),
        sa.CheckConstraint("to_at > from_at", name=op.f("ck_installations_span")),
        sa.CheckConstraint("multiplier > 0", name=op.f("ck_installations_multiplier")),
        postgresql.ExcludeConstraint(
            ("meter_id", "="), (SPAN, "&&"), name="ex_installations_meter", using="gist"
        ),
        postgresql.ExcludeConstraint(
            ("service_point_id", "="),
            (SPAN, "&&"),
            name="ex_installations_service_point",
            using="gist",
        ),
        schema=SCHEMA,
    )
    for columns in (["meter_id", "from_at"], ["service_point_id"]):
        name = "_".join(("ix_installations", *columns))
        op.create_index(name, "installations", columns, schema=SCHEMA)
