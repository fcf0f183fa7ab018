"""Tables of the billing schema; triggers of the migration keep what is posted from changes."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.kit.db import metadata_for

#: An agreement, and a bill, stand in [from, to); an agreement without an end stands for ever.
_SPAN = "daterange(from_date, to_date)"
INSTANT = DateTime(timezone=True)


class Base(DeclarativeBase):
    """Base of all tables of the billing schema."""

    metadata = metadata_for("billing")


class AccountRow(Base):
    """Who pays."""

    __tablename__ = "accounts"
    __table_args__ = (UniqueConstraint("tenant_id", "number"),)

    account_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    number: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(Text)


class TariffRow(Base):
    """One version of a tariff as it was handed in; never changed."""

    __tablename__ = "tariffs"
    __table_args__ = (UniqueConstraint("tenant_id", "code", "valid_from"),)

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[str] = mapped_column(Text, primary_key=True)
    valid_from: Mapped[date]
    commodity: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)
    digest: Mapped[str] = mapped_column(Text)


class AgreementRow(Base):
    """An account is supplied at a service point by a tariff, from … to …."""

    __tablename__ = "agreements"
    __table_args__ = (
        ExcludeConstraint(
            ("tenant_id", "="),
            ("service_point_id", "="),
            ("commodity", "="),
            (text(_SPAN), "&&"),
            name="ex_agreements_service_point",
            using="gist",
        ),
        CheckConstraint("to_date > from_date", name="dates"),
        Index(None, "tenant_id", "agreement_id"),
        Index(None, "account_id"),
    )

    agreement_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("billing.accounts.account_id"))
    service_point_id: Mapped[int] = mapped_column(BigInteger)
    service_point: Mapped[str] = mapped_column(Text)
    tariff_code: Mapped[str] = mapped_column(Text)
    commodity: Mapped[str] = mapped_column(Text)
    from_date: Mapped[date]
    to_date: Mapped[date | None]


class BillNumberRow(Base):
    """The last bill number of a tenant; its lock lets one run of a tenant post at a time."""

    __tablename__ = "bill_numbers"

    tenant_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    last_number: Mapped[int] = mapped_column(BigInteger)


class BillRow(Base):
    """A bill: issued for good, or held until its reason is gone."""

    __tablename__ = "bills"
    __table_args__ = (
        UniqueConstraint("agreement_id", "from_date", "to_date", "revision"),
        UniqueConstraint("tenant_id", "number"),
        # No day of an agreement is billed twice, whatever periods runs are asked for.
        ExcludeConstraint(
            ("agreement_id", "="),
            ("revision", "="),
            (text(_SPAN), "&&"),
            name="ex_bills_agreement",
            using="gist",
            where=text("state = 'issued'"),
        ),
        CheckConstraint("to_date > from_date", name="dates"),
        CheckConstraint("state in ('issued', 'held')", name="state"),
        CheckConstraint(
            "(state = 'issued') = (number is not null and total is not null "
            "and quantity is not null and issued_at is not null and held_because = '')",
            name="complete",
        ),
        ForeignKeyConstraint(
            ["tenant_id", "tariff_code", "tariff_version"],
            ["billing.tariffs.tenant_id", "billing.tariffs.code", "billing.tariffs.version"],
        ),
        Index(None, "tenant_id", "bill_id"),
        Index(None, "account_id"),
    )

    bill_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    number: Mapped[int | None] = mapped_column(BigInteger)
    agreement_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("billing.agreements.agreement_id"))
    account_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("billing.accounts.account_id"))
    tariff_code: Mapped[str] = mapped_column(Text)
    tariff_version: Mapped[str] = mapped_column(Text)
    from_date: Mapped[date]
    to_date: Mapped[date]
    revision: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(Text)
    held_because: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    total: Mapped[Decimal | None] = mapped_column(Numeric)
    quantity: Mapped[Decimal | None] = mapped_column(Numeric)
    unit: Mapped[str] = mapped_column(Text)
    inputs_digest: Mapped[str] = mapped_column(Text)
    output_digest: Mapped[str] = mapped_column(Text)
    run_id: Mapped[uuid.UUID]
    issued_at: Mapped[datetime | None] = mapped_column(INSTANT)


class BillLineRow(Base):
    """One line of an issued bill."""

    __tablename__ = "bill_lines"

    bill_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("billing.bills.bill_id"), primary_key=True
    )
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    tenant_id: Mapped[int] = mapped_column(Integer)
    line_id: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    quantity: Mapped[Decimal] = mapped_column(Numeric)
    unit: Mapped[str] = mapped_column(Text)
    price: Mapped[Decimal] = mapped_column(Numeric)
    amount: Mapped[Decimal] = mapped_column(Numeric)
    because: Mapped[str] = mapped_column(Text)
    lineage: Mapped[dict[str, Any]] = mapped_column(JSONB)


class LedgerEntryRow(Base):
    """One side of a posting; those of a bill sum to zero when the transaction ends."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        CheckConstraint("debit >= 0 and credit >= 0 and (debit = 0) <> (credit = 0)", name="side"),
    )

    bill_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("billing.bills.bill_id"), primary_key=True
    )
    account: Mapped[str] = mapped_column(Text, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(Integer)
    debit: Mapped[Decimal] = mapped_column(Numeric)
    credit: Mapped[Decimal] = mapped_column(Numeric)
    currency: Mapped[str] = mapped_column(Text)
