"""Tables of the devices schema: organisations, keys, products, meters and where they stand."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.kit.db import metadata_for
from services.kit.outbox import outbox_table


class Base(DeclarativeBase):
    """Base of all tables of the devices schema."""

    metadata = metadata_for("devices")


Instant = DateTime(timezone=True)
#: An installation stands in [from, to); without an end it stands for ever.
_SPAN = "tstzrange(from_at, to_at)"


class OrganisationRow(Base):
    """A utility or a device maker; every other row belongs to one."""

    __tablename__ = "organisations"
    __table_args__ = (CheckConstraint("kind in ('utility', 'maker')", name="kind"),)

    tenant_id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    kind: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)


class ApiKeyRow(Base):
    """A key of an organisation; only its SHA-256 is kept."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "tenant_id", "key_id"),)

    key_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("devices.organisations.tenant_id"))
    name: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(Text)
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[datetime] = mapped_column(Instant)
    revoked_at: Mapped[datetime | None] = mapped_column(Instant)


class ProductRow(Base):
    """A product model as it was registered; its content never changes."""

    __tablename__ = "products"

    tenant_id: Mapped[int] = mapped_column(
        ForeignKey("devices.organisations.tenant_id"), primary_key=True
    )
    code: Mapped[str] = mapped_column(Text, primary_key=True)
    maker: Mapped[str] = mapped_column(Text)
    commodity: Mapped[str] = mapped_column(Text)
    # SHA-256 of the document in canonical JSON: tells "the same again" from "another content".
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(Instant)


class MeterRow(Base):
    """One physical device."""

    __tablename__ = "meters"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "product"], ["devices.products.tenant_id", "devices.products.code"]
        ),
        UniqueConstraint("tenant_id", "maker", "serial"),
        # What refers to a meter names its tenant too: no reference leads through the wall.
        UniqueConstraint("tenant_id", "meter_id"),
        # Pages are in the order of meter_id, with or without one of the two usual filters.
        Index(None, "tenant_id", "commodity", "meter_id"),
        Index(None, "tenant_id", "state", "meter_id"),
    )

    meter_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    maker: Mapped[str] = mapped_column(Text)
    serial: Mapped[str] = mapped_column(Text)
    product: Mapped[str] = mapped_column(Text)
    commodity: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    revision: Mapped[int] = mapped_column(BigInteger)


class IdentifierRow(Base):
    """Everything a reading may call a meter by, each name once within a tenant."""

    __tablename__ = "identifiers"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "meter_id"], ["devices.meters.tenant_id", "devices.meters.meter_id"]
        ),
        Index(
            "ix_identifiers_search",
            "identifier",
            postgresql_using="gin",
            postgresql_ops={"identifier": "gin_trgm_ops"},
        ),
    )

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    identifier: Mapped[str] = mapped_column(Text, primary_key=True)
    meter_id: Mapped[int] = mapped_column(BigInteger, index=True)


class ServicePointRow(Base):
    """Where a customer is supplied with one commodity."""

    __tablename__ = "service_points"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        UniqueConstraint("tenant_id", "service_point_id"),
        Index(None, "tenant_id", "zone"),
        Index(
            "ix_service_points_search",
            "name",
            "address",
            postgresql_using="gin",
            postgresql_ops={"name": "gin_trgm_ops", "address": "gin_trgm_ops"},
        ),
    )

    service_point_id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("devices.organisations.tenant_id"))
    name: Mapped[str] = mapped_column(Text)
    commodity: Mapped[str] = mapped_column(Text)
    time_zone: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    zone: Mapped[str] = mapped_column(Text)


class InstallationRow(Base):
    """A meter at a service point from … to …; registers in units of the meter's first channel."""

    __tablename__ = "installations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "meter_id"], ["devices.meters.tenant_id", "devices.meters.meter_id"]
        ),
        ForeignKeyConstraint(
            ["tenant_id", "service_point_id"],
            ["devices.service_points.tenant_id", "devices.service_points.service_point_id"],
            name="fk_installations_service_point",
        ),
        CheckConstraint("to_at > from_at", name="span"),
        CheckConstraint("multiplier > 0", name="multiplier"),
        # The last fence behind the checks in domain/installations.py, which name all faults.
        ExcludeConstraint(
            ("meter_id", "="),
            (text(_SPAN), "&&"),
            name="ex_installations_meter",
            using="gist",
        ),
        # A service point has one commodity, so this is one meter per point and commodity.
        ExcludeConstraint(
            ("service_point_id", "="),
            (text(_SPAN), "&&"),
            name="ex_installations_service_point",
            using="gist",
        ),
        Index(None, "meter_id", "from_at"),
        Index(None, "service_point_id"),
    )

    installation_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    meter_id: Mapped[int] = mapped_column(BigInteger)
    service_point_id: Mapped[int] = mapped_column(BigInteger)
    from_at: Mapped[datetime] = mapped_column(Instant)
    to_at: Mapped[datetime | None] = mapped_column(Instant)
    multiplier: Mapped[Decimal] = mapped_column(Numeric)
    first_register: Mapped[Decimal | None] = mapped_column(Numeric)
    last_register: Mapped[Decimal | None] = mapped_column(Numeric)


OUTBOX = outbox_table(Base.metadata)
