"""The ingest schema: registry slice, positions, tally, batches, quarantine, readings."""

from __future__ import annotations

import os

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from services.ingest.store.engine import create_readings, detect

revision = "0001"
down_revision = None

INSTANT = sa.DateTime(timezone=True)
SCHEMA = "ingest"


def upgrade() -> None:
    _registry_slice()
    _counters()
    _series()
    _quarantine()
    bind = op.get_bind()
    engine = detect(bind)
    days = int(os.environ.get("METERFLEET_CHUNK_INTERVAL_DAYS", "7"))
    create_readings(bind, engine, days)
    storage = op.create_table(
        "storage",
        sa.Column("engine", sa.Text, primary_key=True),
        sa.Column("chunk_interval_days", sa.Integer, nullable=False),
        schema=SCHEMA,
    )
    op.bulk_insert(storage, [{"engine": str(engine), "chunk_interval_days": days}])


def _registry_slice() -> None:
    op.create_table(
        "meters",
        sa.Column("meter_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("canonical", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("change_no", sa.BigInteger, sa.Identity(), nullable=False, unique=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "identifiers",
        sa.Column("tenant_id", sa.Integer, primary_key=True),
        sa.Column("identifier", sa.Text, primary_key=True),
        sa.Column("meter_id", sa.BigInteger, nullable=False, index=True),
        schema=SCHEMA,
    )
    op.create_table(
        "installations",
        sa.Column("service_point_id", sa.BigInteger, primary_key=True),
        sa.Column("meter_id", sa.BigInteger, primary_key=True, index=True),
        sa.Column("from_at", INSTANT, primary_key=True),
        sa.Column("to_at", INSTANT),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("multiplier", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        schema=SCHEMA,
    )


def _counters() -> None:
    op.create_table(
        "positions",
        sa.Column("consumer", sa.Text, primary_key=True),
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "tally",
        sa.Column("tenant_id", sa.Integer, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("stored", sa.BigInteger, nullable=False),
        sa.Column("duplicates", sa.BigInteger, nullable=False),
        sa.Column("quarantined", sa.BigInteger, nullable=False),
        sa.CheckConstraint("received = stored + duplicates + quarantined", name="adds_up"),
        schema=SCHEMA,
    )
    op.create_table(
        "batches",
        sa.Column("batch_no", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("log_offset", sa.BigInteger, nullable=False),
        sa.Column("batch_id", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("payload_digest", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )


def _series() -> None:
    op.create_table(
        "register_events",
        sa.Column("meter_id", sa.BigInteger, primary_key=True),
        sa.Column("channel", sa.SmallInteger, primary_key=True),
        sa.Column("at", INSTANT, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("offset_delta", sa.BigInteger, nullable=False),
        sa.Column("from_value", sa.BigInteger),
        sa.Column("to_value", sa.BigInteger),
        schema=SCHEMA,
    )
    op.create_table(
        "reading_revisions",
        sa.Column("meter_id", sa.BigInteger, primary_key=True),
        sa.Column("channel", sa.SmallInteger, primary_key=True),
        sa.Column("read_at", INSTANT, primary_key=True),
        sa.Column("replaced_by", sa.BigInteger, primary_key=True),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("batch_no", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("quarantine_id", postgresql.UUID, primary_key=True),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("meter", sa.Text, nullable=False),
        sa.Column("readings", sa.Integer, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("log_offset", sa.BigInteger, nullable=False),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("partition", "log_offset", "part"),
        sa.CheckConstraint("state in ('open', 'replayed', 'discarded')", name="state"),
        schema=SCHEMA,
    )
    op.create_index(None, "quarantine", ["tenant_id", "state", "meter"], schema=SCHEMA)


def downgrade() -> None:
    for table in (
        "storage", "readings", "quarantine", "reading_revisions", "register_events", "batches",
        "tally", "positions", "installations", "identifiers", "meters",
    ):  # fmt: skip
        op.drop_table(table, schema=SCHEMA)
