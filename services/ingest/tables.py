"""Tables of the ingest schema, but for `readings`, whose layout the storage engine decides."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.kit.db import metadata_for


class Base(DeclarativeBase):
    """Base of all tables of the ingest schema."""

    metadata = metadata_for("ingest")


Instant = DateTime(timezone=True)


class Meter(Base):
    """The slice of the registry that ingest needs, kept from meters.changed."""

    __tablename__ = "meters"

    meter_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tenant_id: Mapped[int] = mapped_column(Integer)
    canonical: Mapped[str] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(BigInteger)
    # Rises with every change of this table: workers ask for what is newer than they know.
    change_no: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    # The event as it came (devices.v1.Meter).
    document: Mapped[bytes] = mapped_column(LargeBinary)


class MeterIdentifier(Base):
    """Everything a reading may call a meter by."""

    __tablename__ = "identifiers"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    identifier: Mapped[str] = mapped_column(Text, primary_key=True)
    meter_id: Mapped[int] = mapped_column(BigInteger, index=True)


class Installation(Base):
    """Which meter stood at which service point, for use by service point."""

    __tablename__ = "installations"

    service_point_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    meter_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    from_at: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    to_at: Mapped[datetime | None] = mapped_column(Instant)
    tenant_id: Mapped[int] = mapped_column(Integer)
    multiplier: Mapped[str] = mapped_column(Text)
    time_zone: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index(None, "meter_id"),)


class Position(Base):
    """Where a consumer stands in a partition, and which owner may move it."""

    __tablename__ = "positions"

    consumer: Mapped[str] = mapped_column(Text, primary_key=True)
    topic: Mapped[str] = mapped_column(Text, primary_key=True)
    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    # Raised by every new owner: whoever holds an older number can commit nothing any more.
    generation: Mapped[int] = mapped_column(BigInteger)
    next_offset: Mapped[int] = mapped_column(BigInteger)


class Tally(Base):
    """Readings by outcome, counted in the transactions that store them."""

    __tablename__ = "tally"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    partition: Mapped[int] = mapped_column(Integer, primary_key=True)
    received: Mapped[int] = mapped_column(BigInteger)
    stored: Mapped[int] = mapped_column(BigInteger)
    duplicates: Mapped[int] = mapped_column(BigInteger)
    quarantined: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        CheckConstraint("received = stored + duplicates + quarantined", name="adds_up"),
    )


class Batch(Base):
    """One log record: where its readings came from."""

    __tablename__ = "batches"

    batch_no: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    partition: Mapped[int] = mapped_column(Integer)
    log_offset: Mapped[int] = mapped_column(BigInteger)
    batch_id: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    rank: Mapped[int] = mapped_column(Integer)
    received_at: Mapped[datetime] = mapped_column(Instant)
    payload_digest: Mapped[bytes] = mapped_column(LargeBinary)


class RegisterEvent(Base):
    """A step of a continuous register that is no use: rollover, reset, exchange, jump."""

    __tablename__ = "register_events"

    meter_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    channel: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    offset_delta: Mapped[int] = mapped_column(BigInteger)
    from_value: Mapped[int | None] = mapped_column(BigInteger)
    to_value: Mapped[int | None] = mapped_column(BigInteger)


class ReadingRevision(Base):
    """What a reading was before a better source replaced it. Nothing is ever lost."""

    __tablename__ = "reading_revisions"

    meter_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    channel: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    read_at: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    replaced_by: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    value: Mapped[int] = mapped_column(BigInteger)
    batch_no: Mapped[int] = mapped_column(BigInteger)


class Quarantine(Base):
    """Readings that could not be stored, with the reason and the bytes they came as."""

    __tablename__ = "quarantine"

    quarantine_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text)
    meter: Mapped[str] = mapped_column(Text)
    readings: Mapped[int] = mapped_column(Integer)
    received_at: Mapped[datetime] = mapped_column(Instant)
    partition: Mapped[int] = mapped_column(Integer)
    log_offset: Mapped[int] = mapped_column(BigInteger)
    # Position within the record, so that a record put aside twice stands once.
    part: Mapped[int] = mapped_column(Integer)
    payload: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        UniqueConstraint("partition", "log_offset", "part"),
        CheckConstraint("state in ('open', 'replayed', 'discarded')", name="state"),
        Index(None, "tenant_id", "state", "meter"),
    )


class Storage(Base):
    """Which engine holds `readings`; one row, written when the table was made."""

    __tablename__ = "storage"

    engine: Mapped[str] = mapped_column(Text, primary_key=True)
    chunk_interval_days: Mapped[int] = mapped_column(Integer)
