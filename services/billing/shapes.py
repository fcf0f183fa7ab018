"""Shapes of billing's HTTP API; docs/api.md says the same for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.billing.masters import ITEMS_MAX
from services.billing.repository.bills import BillHead, MonthSum
from services.billing.repository.masters import Agreement
from services.billing.runs import AGREEMENT_IDS_MAX
from services.billing.tables import AccountRow, BillLineRow, TariffRow
from services.kit.clock import to_ms, to_rfc3339
from services.kit.money import decimal_to_text
from services.kit.page import Page

T = TypeVar("T")
ShapeT = TypeVar("ShapeT")

#: No control characters: PostgreSQL has no NUL in texts, and people cannot see the others.
TEXT_PATTERN = r"^[^\x00-\x1f\x7f]+$"
ShortText = Annotated[str, Field(max_length=200, pattern=TEXT_PATTERN)]
BigId = Annotated[int, Field(ge=1, le=2**63 - 1)]


class _In(BaseModel):
    """What callers send; a misspelt field is a fault, not silence."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class AccountIn(_In):
    """An account to be opened."""

    number: ShortText
    name: ShortText
    language: str = Field("en", pattern=r"^[a-z]{2}$", description="ISO 639-1, of bills.")


class AccountsIn(_In):
    """Accounts to be opened, all or none."""

    accounts: list[AccountIn] = Field(min_length=1, max_length=ITEMS_MAX)


class AgreementIn(_In):
    """An agreement to be made; days are local days of the tariff's zone."""

    account: ShortText
    service_point_id: BigId
    service_point: ShortText
    tariff: ShortText
    from_date: date = Field(alias="from")
    to_date: date | None = Field(None, alias="to", description="The day after the last.")


class AgreementsIn(_In):
    """Agreements to be made, all or none."""

    agreements: list[AgreementIn] = Field(min_length=1, max_length=ITEMS_MAX)


class BillRunIn(_In):
    """A bill run over local days; the end is not included."""

    from_date: date
    to_date: date
    agreement_ids: list[UUID] = Field(default=[], max_length=AGREEMENT_IDS_MAX)
    accept_partial: bool = Field(
        False, description="Issue bills whose readings cover only a part of the period, and say so."
    )


class PageOut(BaseModel, Generic[ShapeT]):
    """A page of a list; the token asks for the next one and is null at the end."""

    items: list[ShapeT]
    next_page_token: str | None


def page_out(page: Page[T], shape: Callable[[T], ShapeT]) -> PageOut[ShapeT]:
    """A page whose items have taken their outer shape."""
    return PageOut(items=[shape(item) for item in page.items], next_page_token=page.next_page_token)


class TariffHeadOut(BaseModel):
    """A tariff version in a list."""

    code: str
    version: str
    valid_from: date
    commodity: str
    currency: str
    digest: str


class TariffOut(TariffHeadOut):
    """A tariff version with its document."""

    document: dict[str, Any]


def tariff_head(row: TariffRow) -> TariffHeadOut:
    """A tariff version in a list."""
    return TariffHeadOut(
        code=row.code,
        version=row.version,
        valid_from=row.valid_from,
        commodity=row.commodity,
        currency=row.currency,
        digest=row.digest,
    )


def tariff_out(row: TariffRow) -> TariffOut:
    """A tariff version with its document."""
    return TariffOut(**tariff_head(row).model_dump(), document=row.document)


class AccountOut(BaseModel):
    """An account."""

    account_id: UUID
    number: str
    name: str
    language: str


class AccountsOut(BaseModel):
    """Accounts that were opened, in the order they were sent."""

    accounts: list[AccountOut]


def account_out(row: AccountRow) -> AccountOut:
    """An account."""
    return AccountOut(
        account_id=row.account_id, number=row.number, name=row.name, language=row.language
    )


class AgreementOut(BaseModel):
    """An agreement."""

    agreement_id: UUID
    account: str
    service_point_id: int
    service_point: str
    tariff: str
    from_date: date = Field(serialization_alias="from")
    to_date: date | None = Field(serialization_alias="to")


class AgreementsOut(BaseModel):
    """Agreements that were made, in the order they were sent."""

    agreements: list[AgreementOut]


def agreement_out(row: Agreement) -> AgreementOut:
    """An agreement."""
    return AgreementOut(
        agreement_id=row.agreement_id,
        account=row.account,
        service_point_id=row.service_point_id,
        service_point=row.service_point,
        tariff=row.tariff_code,
        from_date=row.from_date,
        to_date=row.to_date,
    )


class BillRunOut(BaseModel):
    """What a run did, in numbers of bills."""

    run_id: UUID
    issued: int
    already_issued: int
    held: int


class BillHeadOut(BaseModel):
    """A bill in a list; number and total are null while it is held."""

    bill_id: UUID
    number: int | None
    agreement_id: UUID
    account: str
    account_name: str
    service_point: str
    from_date: date
    to_date: date
    currency: str
    total: str | None
    quantity: str | None
    unit: str
    state: str
    held_because: str | None


class LineOut(BaseModel):
    """One line of a bill; quantity × price is the amount before rounding."""

    line_id: str
    text: str
    quantity: str
    unit: str
    price: str
    amount: str
    because: str
    lineage: dict[str, Any]


class BillOut(BillHeadOut):
    """A bill with its lines, and the digests that prove it can be computed again."""

    tariff: str
    tariff_version: str
    revision: int
    issued_at: str | None
    inputs_digest: str
    output_digest: str
    lines: list[LineOut]


def bill_head(head: BillHead) -> BillHeadOut:
    """A bill in a list."""
    bill = head.bill
    return BillHeadOut(
        bill_id=bill.bill_id,
        number=bill.number,
        agreement_id=bill.agreement_id,
        account=head.account,
        account_name=head.account_name,
        service_point=head.service_point,
        from_date=bill.from_date,
        to_date=bill.to_date,
        currency=bill.currency,
        total=None if bill.total is None else decimal_to_text(bill.total),
        quantity=None if bill.quantity is None else decimal_to_text(bill.quantity),
        unit=bill.unit,
        state=bill.state,
        held_because=bill.held_because or None,
    )


def bill_out(head: BillHead, lines: Sequence[BillLineRow]) -> BillOut:
    """A bill with its lines."""
    bill = head.bill
    return BillOut(
        **bill_head(head).model_dump(),
        tariff=bill.tariff_code,
        tariff_version=bill.tariff_version,
        revision=bill.revision,
        issued_at=None if bill.issued_at is None else to_rfc3339(to_ms(bill.issued_at)),
        inputs_digest=bill.inputs_digest,
        output_digest=bill.output_digest,
        lines=[_line_out(line) for line in lines],
    )


def _line_out(line: BillLineRow) -> LineOut:
    return LineOut(
        line_id=line.line_id,
        text=line.text,
        quantity=decimal_to_text(line.quantity),
        unit=line.unit,
        price=decimal_to_text(line.price),
        amount=decimal_to_text(line.amount),
        because=line.because,
        lineage=line.lineage,
    )


class MonthOut(BaseModel):
    """What was billed for periods that begin in one month."""

    month: str
    bills: int
    held: int
    billed: dict[str, str]
    quantities: dict[str, str]


class SummaryOut(BaseModel):
    """What was billed at all: issued bills, held bills, money by currency, use by unit."""

    bills: int
    held: int
    billed: dict[str, str]
    quantities: dict[str, str]
    by_month: list[MonthOut]


def summary_out(rows: Sequence[MonthSum]) -> SummaryOut:
    """The summary of a tenant's bills."""
    months = {row.month: [r for r in rows if r.month == row.month] for row in rows}
    return SummaryOut(
        **_sums(rows),
        by_month=[
            MonthOut(month=f"{month:%Y-%m}", **_sums(group)) for month, group in months.items()
        ],
    )


def _sums(rows: Sequence[MonthSum]) -> dict[str, Any]:
    issued = [row for row in rows if row.state == "issued"]
    billed: dict[str, Decimal] = {}
    quantities: dict[str, Decimal] = {}
    for row in issued:
        billed[row.currency] = billed.get(row.currency, Decimal(0)) + row.total
        quantities[row.unit] = quantities.get(row.unit, Decimal(0)) + row.quantity
    return {
        "bills": sum(row.bills for row in issued),
        "held": sum(row.bills for row in rows if row.state == "held"),
        "billed": {currency: decimal_to_text(total) for currency, total in billed.items()},
        "quantities": {unit: decimal_to_text(total) for unit, total in quantities.items()},
    }
