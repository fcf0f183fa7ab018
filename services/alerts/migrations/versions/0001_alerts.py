"""Alerts and history, positions, sources and detector state, the slice of meters, outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

SCHEMA = "alerts"
INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_meters()
    _create_alerts()
    _create_state()
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )


def downgrade() -> None:
    for table in (
        "outbox",
        "detector_state",
        "sources",
        "positions",
        "alert_history",
        "alerts",
        "meters",
    ):
        op.drop_table(table, schema=SCHEMA)


def _create_meters() -> None:
    op.create_table(
        "meters",
        sa.Column("tenant_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("meter_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("commodity", sa.Text, nullable=False),
        sa.Column("installed", sa.Boolean, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("channels", postgresql.JSONB, nullable=False),
        schema=SCHEMA,
    )


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Uuid, primary_key=True),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("meter_id", sa.BigInteger, nullable=False),
        sa.Column("channel", sa.SmallInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("detected_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("evidence", postgresql.JSONB, nullable=False),
        sa.UniqueConstraint(
            "tenant_id", "meter_id", "channel", "kind", "started_at", name="uq_cause"
        ),
        sa.CheckConstraint("state in ('open', 'acknowledged', 'resolved')", name="state"),
        sa.CheckConstraint("severity in ('info', 'warning', 'critical')", name="severity"),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_alerts_newest",
        "alerts",
        ["tenant_id", sa.text("detected_at desc"), sa.text("alert_id desc")],
        schema=SCHEMA,
    )
    op.create_index(
        "uq_alerts_unresolved",
        "alerts",
        ["tenant_id", "meter_id", "kind"],
        unique=True,
        postgresql_where=sa.text("state in ('open', 'acknowledged')"),
        schema=SCHEMA,
    )
    op.create_table(
        "alert_history",
        sa.Column("history_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("alert_id", sa.Uuid, nullable=False),
        sa.Column("tenant_id", sa.Integer, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("from_state", sa.Text),
        sa.Column("to_state", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"], [f"{SCHEMA}.alerts.alert_id"], name="fk_alert_history_alert_id_alerts"
        ),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_alert_history_alert_id", "alert_history", ["alert_id", "history_id"], schema=SCHEMA
    )


def _create_state() -> None:
    op.create_table(
        "positions",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "sources",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("source_partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("source_offset", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "detector_state",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tenant_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("watermark_at", INSTANT, nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("channels", sa.Integer, nullable=False),
        sa.Column("snapshot", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
