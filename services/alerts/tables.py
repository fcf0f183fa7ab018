"""Tables of the alerts schema: alerts, their history, the detectors' state, a slice of meters."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.kit.db import metadata_for
from services.kit.outbox import outbox_table


class Base(DeclarativeBase):
    """Base of all tables of the alerts schema."""

    metadata = metadata_for("alerts")


Instant = DateTime(timezone=True)


class MeterRow(Base):
    """The slice of the registry that alerts need, kept from meters.changed."""

    __tablename__ = "meters"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    meter_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(Text)
    commodity: Mapped[str] = mapped_column(Text)
    installed: Mapped[bool] = mapped_column(Boolean)
    time_zone: Mapped[str] = mapped_column(Text)
    zone: Mapped[str] = mapped_column(Text)
    channels: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class AlertRow(Base):
    """One alert; its cause is unique, so that processing readings again never doubles it."""

    __tablename__ = "alerts"
    __table_args__ = (
        UniqueConstraint("tenant_id", "meter_id", "channel", "kind", "started_at", name="uq_cause"),
        CheckConstraint("state in ('open', 'acknowledged', 'resolved')", name="state"),
        CheckConstraint("severity in ('info', 'warning', 'critical')", name="severity"),
        Index("ix_alerts_newest", "tenant_id", text("detected_at desc"), text("alert_id desc")),
        # While one of a kind is unresolved at a meter, no second one is raised there.
        Index(
            "uq_alerts_unresolved",
            "tenant_id",
            "meter_id",
            "kind",
            unique=True,
            postgresql_where=text("state in ('open', 'acknowledged')"),
        ),
    )

    alert_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    meter_id: Mapped[int] = mapped_column(BigInteger)
    channel: Mapped[int] = mapped_column(SmallInteger)
    kind: Mapped[str] = mapped_column(Text)
    severity: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(Instant)
    detected_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    message: Mapped[str] = mapped_column(Text)
    evidence: Mapped[dict[str, Any]] = mapped_column(JSONB)


class HistoryRow(Base):
    """One step in the life of an alert, and who took it."""

    __tablename__ = "alert_history"
    __table_args__ = (Index("ix_alert_history_alert_id", "alert_id", "history_id"),)

    history_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    alert_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("alerts.alerts.alert_id"))
    tenant_id: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime] = mapped_column(Instant)
    actor: Mapped[str] = mapped_column(Text)
    from_state: Mapped[str | None] = mapped_column(Text)
    to_state: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)


class PositionRow(Base):
    """Where the detectors stand in readings.validated, and who may move them on."""

    __tablename__ = "positions"

    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    generation: Mapped[int] = mapped_column(BigInteger)
    next_offset: Mapped[int] = mapped_column(BigInteger)


class SourceRow(Base):
    """Newest record of readings.received whose readings were seen, by where it came from."""

    __tablename__ = "sources"

    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    source_partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    source_offset: Mapped[int] = mapped_column(BigInteger)


class DetectorStateRow(Base):
    """State of one tenant's detectors in one partition, as of the partition's position."""

    __tablename__ = "detector_state"

    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    watermark_at: Mapped[datetime] = mapped_column(Instant)
    received_at: Mapped[datetime] = mapped_column(Instant)
    channels: Mapped[int] = mapped_column(Integer)
    snapshot: Mapped[bytes] = mapped_column(LargeBinary)


OUTBOX = outbox_table(Base.metadata)
