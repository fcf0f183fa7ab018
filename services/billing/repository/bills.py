"""SQL that reads bills, for one tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from services.billing.repository.tokens import token_uuid
from services.billing.tables import AccountRow, AgreementRow, BillLineRow, BillRow
from services.kit.errors import NotFoundError
from services.kit.page import Page, cut, decode_token


@dataclass(frozen=True, slots=True)
class BillHead:
    """A bill with what a list shows of its account and agreement."""

    bill: BillRow
    account: str
    account_name: str
    service_point: str


@dataclass(frozen=True, slots=True)
class MonthSum:
    """What was billed in one currency and unit for periods that begin in one month.

    Attributes:
        month: Its first day.
        currency: ISO 4217.
        unit: Unit of the quantity.
        state: issued or held.
        bills: How many.
        total: Money; zero for held bills.
        quantity: In `unit`; zero for held bills.
    """

    month: date
    currency: str
    unit: str
    state: str
    bills: int
    total: Decimal
    quantity: Decimal


class Bills:
    """Bills of one tenant, in one transaction."""

    def __init__(self, session: Session, tenant_id: int) -> None:
        self._session = session
        self._tenant_id = tenant_id

    def page(
        self,
        page_size: int,
        token: str | None,
        account: str | None = None,
        from_date: date | None = None,
        state: str | None = None,
    ) -> Page[BillHead]:
        """A page of bills in the order they were made.

        Args:
            page_size: How many.
            token: From the page before.
            account: Only bills of this account's number.
            from_date: Only bills whose period begins on this day.
            state: Only issued or only held ones.
        """
        query = self._heads()
        if account is not None:
            query = query.where(AccountRow.number == account)
        if from_date is not None:
            query = query.where(BillRow.from_date == from_date)
        if state is not None:
            query = query.where(BillRow.state == state)
        after = decode_token(token, str)
        if after:
            query = query.where(BillRow.bill_id > token_uuid(after[0]))
        query = query.order_by(BillRow.bill_id).limit(page_size + 1)
        rows = [BillHead(*row) for row in self._session.execute(query)]
        return cut(rows, page_size, lambda row: (str(row.bill.bill_id),))

    def one(self, bill_id: UUID) -> tuple[BillHead, list[BillLineRow]]:
        """One bill with its lines in order.

        Raises:
            NotFoundError: No bill of this tenant has this id.
        """
        row = self._session.execute(self._heads().where(BillRow.bill_id == bill_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no bill {bill_id}")
        query = (
            select(BillLineRow)
            .where(BillLineRow.tenant_id == self._tenant_id, BillLineRow.bill_id == bill_id)
            .order_by(BillLineRow.position)
        )
        return BillHead(*row), list(self._session.scalars(query))

    def by_month(self) -> list[MonthSum]:
        """Sums by month, currency, unit and state, the earliest month first."""
        month = func.date_trunc("month", BillRow.from_date)
        keys = (month, BillRow.currency, BillRow.unit, BillRow.state)
        query = (
            select(
                *keys,
                func.count(),
                func.coalesce(func.sum(BillRow.total), 0),
                func.coalesce(func.sum(BillRow.quantity), 0),
            )
            .where(BillRow.tenant_id == self._tenant_id)
            .group_by(*keys)
            .order_by(*keys)
        )
        return [MonthSum(row[0].date(), *row[1:]) for row in self._session.execute(query)]

    def _heads(self) -> Select[BillRow, str, str, str]:
        return (
            select(BillRow, AccountRow.number, AccountRow.name, AgreementRow.service_point)
            .join(AccountRow, AccountRow.account_id == BillRow.account_id)
            .join(AgreementRow, AgreementRow.agreement_id == BillRow.agreement_id)
            .where(BillRow.tenant_id == self._tenant_id)
        )
