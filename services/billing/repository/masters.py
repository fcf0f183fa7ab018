"""SQL of accounts, tariffs and agreements."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, or_, select, tuple_
from sqlalchemy.orm import Session

from services.billing.rating.tariff import Tariff
from services.billing.repository.tokens import token_uuid
from services.billing.tables import AccountRow, AgreementRow, TariffRow
from services.kit.errors import Fault, NotFoundError
from services.kit.page import Page, cut, decode_token


@dataclass(frozen=True, slots=True)
class Agreement:
    """An agreement with what lists and bills show of its account.

    Attributes:
        agreement_id: Its id.
        account_id: Who pays.
        account: That account's number.
        service_point_id: The registry's number of the service point.
        service_point: Its name.
        tariff_code: Which tariff, in whatever version is in force.
        from_date: First local day.
        to_date: The day after the last; None if it stands for ever.
    """

    agreement_id: UUID
    account_id: UUID
    account: str
    service_point_id: int
    service_point: str
    tariff_code: str
    from_date: date
    to_date: date | None


class Masters:
    """Accounts, tariffs and agreements of one tenant, in one transaction."""

    def __init__(self, session: Session, tenant_id: int) -> None:
        self._session = session
        self._tenant_id = tenant_id

    def add_accounts(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write new accounts."""
        self._session.execute(insert(AccountRow), [self._own(row) for row in rows])

    def account_ids(self, numbers: Collection[str]) -> dict[str, UUID]:
        """The ids of those accounts that exist, by number."""
        query = select(AccountRow.number, AccountRow.account_id).where(
            AccountRow.tenant_id == self._tenant_id, AccountRow.number.in_(numbers)
        )
        return {row.number: row.account_id for row in self._session.execute(query)}

    def accounts(self, page_size: int, token: str | None) -> Page[AccountRow]:
        """A page of accounts in the order of their numbers."""
        query = select(AccountRow).where(AccountRow.tenant_id == self._tenant_id)
        after = decode_token(token, str)
        if after:
            query = query.where(AccountRow.number > after[0])
        query = query.order_by(AccountRow.number).limit(page_size + 1)
        return cut(list(self._session.scalars(query)), page_size, lambda row: (row.number,))

    def lock_tariffs(self, code: str) -> None:
        """Let one transaction at a time add a version of a code."""
        key = f"billing tariff {self._tenant_id} {code}"
        self._session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))

    def add_tariff(self, tariff: Tariff, document: dict[str, Any]) -> None:
        """Write a new version of a tariff."""
        row = {
            "code": tariff.code,
            "version": tariff.version,
            "valid_from": tariff.valid_from,
            "commodity": tariff.commodity,
            "currency": tariff.currency,
            "document": document,
            "digest": tariff.digest,
        }
        self._session.execute(insert(TariffRow), [self._own(row)])

    def tariff(self, code: str, version: str) -> TariffRow:
        """One version of a tariff.

        Raises:
            NotFoundError: There is none of this name.
        """
        row = self._session.get(TariffRow, (self._tenant_id, code, version))
        if row is None:
            raise NotFoundError(f"there is no version {version!r} of a tariff {code!r}")
        return row

    def versions(self, codes: Collection[str]) -> dict[str, list[TariffRow]]:
        """All versions of some tariffs by code, the earliest first."""
        query = (
            select(TariffRow)
            .where(TariffRow.tenant_id == self._tenant_id, TariffRow.code.in_(codes))
            .order_by(TariffRow.valid_from)
        )
        found: dict[str, list[TariffRow]] = {}
        for row in self._session.scalars(query):
            found.setdefault(row.code, []).append(row)
        return found

    def tariffs(self, page_size: int, token: str | None) -> Page[TariffRow]:
        """A page of tariff versions in the order of code and version."""
        query = select(TariffRow).where(TariffRow.tenant_id == self._tenant_id)
        after = decode_token(token, str, str)
        if after:
            query = query.where(tuple_(TariffRow.code, TariffRow.version) > after)
        query = query.order_by(TariffRow.code, TariffRow.version).limit(page_size + 1)
        rows = list(self._session.scalars(query))
        return cut(rows, page_size, lambda row: (row.code, row.version))

    def add_agreements(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write new agreements."""
        self._session.execute(insert(AgreementRow), [self._own(row) for row in rows])

    def spans(
        self, service_point_ids: Collection[int]
    ) -> dict[tuple[int, str], list[tuple[date, date | None]]]:
        """When each (service point, commodity) already has an agreement."""
        query = select(
            AgreementRow.service_point_id,
            AgreementRow.commodity,
            AgreementRow.from_date,
            AgreementRow.to_date,
        ).where(
            AgreementRow.tenant_id == self._tenant_id,
            AgreementRow.service_point_id.in_(service_point_ids),
        )
        found: dict[tuple[int, str], list[tuple[date, date | None]]] = {}
        for service_point_id, commodity, from_date, to_date in self._session.execute(query):
            found.setdefault((service_point_id, commodity), []).append((from_date, to_date))
        return found

    def agreements(
        self, page_size: int, token: str | None, account: str | None = None
    ) -> Page[Agreement]:
        """A page of agreements in the order they were made, perhaps of one account only."""
        query = self._select_agreements()
        if account is not None:
            query = query.where(AccountRow.number == account)
        after = decode_token(token, str)
        if after:
            query = query.where(AgreementRow.agreement_id > token_uuid(after[0]))
        query = query.order_by(AgreementRow.agreement_id).limit(page_size + 1)
        rows = [Agreement(*row) for row in self._session.execute(query)]
        return cut(rows, page_size, lambda row: (str(row.agreement_id),))

    def active(
        self,
        from_date: date,
        to_date: date,
        only: Sequence[UUID],
        after: UUID | None,
        limit: int,
    ) -> list[Agreement]:
        """Agreements that stand on some day of a stretch, in the order of their ids.

        Args:
            from_date: First day.
            to_date: The day after the last.
            only: Just these; empty is all.
            after: The last id of the page before.
            limit: At most so many.
        """
        query = self._select_agreements().where(
            AgreementRow.from_date < to_date,
            or_(AgreementRow.to_date.is_(None), AgreementRow.to_date > from_date),
        )
        if only:
            query = query.where(AgreementRow.agreement_id.in_(only))
        if after is not None:
            query = query.where(AgreementRow.agreement_id > after)
        query = query.order_by(AgreementRow.agreement_id).limit(limit)
        return [Agreement(*row) for row in self._session.execute(query)]

    def require_agreements(self, agreement_ids: Sequence[UUID]) -> None:
        """Check that agreements exist.

        Raises:
            NotFoundError: With a fault for each that does not.
        """
        query = select(AgreementRow.agreement_id).where(
            AgreementRow.tenant_id == self._tenant_id, AgreementRow.agreement_id.in_(agreement_ids)
        )
        found = set(self._session.scalars(query))
        faults = [
            Fault(f"/agreement_ids/{index}", "agreement.unknown", f"no agreement {agreement_id}")
            for index, agreement_id in enumerate(agreement_ids)
            if agreement_id not in found
        ]
        if faults:
            raise NotFoundError(f"{len(faults)} agreements do not exist", faults=faults)

    def _select_agreements(self) -> Any:
        return (
            select(
                AgreementRow.agreement_id,
                AgreementRow.account_id,
                AccountRow.number,
                AgreementRow.service_point_id,
                AgreementRow.service_point,
                AgreementRow.tariff_code,
                AgreementRow.from_date,
                AgreementRow.to_date,
            )
            .join(AccountRow, AccountRow.account_id == AgreementRow.account_id)
            .where(AgreementRow.tenant_id == self._tenant_id)
        )

    def _own(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"tenant_id": self._tenant_id, **row}
