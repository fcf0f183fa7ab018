"""SQL that writes bills: whole chunks at a time, each bill once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.billing.drafts import BillOrder, Draft
from services.billing.ledger import entries_of
from services.billing.rating.canonical import canonical_json
from services.billing.rating.period import Period
from services.billing.tables import BillLineRow, BillNumberRow, BillRow, LedgerEntryRow
from services.kit.clock import to_datetime
from services.kit.ids import IdSource

#: The first bill of a period; corrections will count up.
REVISION = 1
_BILL_COLUMNS = tuple(column.name for column in BillRow.__table__.columns)
_LINE_COLUMNS = tuple(column.name for column in BillLineRow.__table__.columns)
_ENTRY_COLUMNS = tuple(column.name for column in LedgerEntryRow.__table__.columns)


@dataclass(frozen=True, slots=True)
class Standing:
    """A bill that already stands for an agreement.

    Attributes:
        bill_id: Its id.
        number: Its number; None while it is held.
        period: Its days.
        issued: Whether it is final.
    """

    bill_id: UUID
    number: int | None
    period: Period
    issued: bool

    def meets(self, period: Period) -> bool:
        """Whether it has a day in common with a period."""
        return self.period.from_date < period.to_date and period.from_date < self.period.to_date


@dataclass(frozen=True, slots=True)
class Posted:
    """What a write did, in numbers of bills."""

    issued: int
    already_issued: int
    held: int

    def plus(self, other: Posted) -> Posted:
        """Both together."""
        return Posted(
            self.issued + other.issued,
            self.already_issued + other.already_issued,
            self.held + other.held,
        )


class Posting:
    """Writes bills of one tenant within one transaction."""

    def __init__(self, session: Session, tenant_id: int) -> None:
        self._session = session
        self._tenant_id = tenant_id

    def standing(self, orders: Sequence[BillOrder]) -> dict[UUID, list[Standing]]:
        """By agreement, the bills that have a day in the stretch the orders span."""
        query = select(
            BillRow.agreement_id,
            BillRow.bill_id,
            BillRow.number,
            BillRow.from_date,
            BillRow.to_date,
            BillRow.state,
        ).where(
            BillRow.tenant_id == self._tenant_id,
            BillRow.agreement_id.in_({order.agreement_id for order in orders}),
            BillRow.from_date < max(order.period.to_date for order in orders),
            BillRow.to_date > min(order.period.from_date for order in orders),
            BillRow.revision == REVISION,
        )
        found: dict[UUID, list[Standing]] = {}
        for agreement_id, bill_id, number, from_date, to_date, state in self._session.execute(
            query
        ):
            one = Standing(bill_id, number, Period(from_date, to_date), state == "issued")
            found.setdefault(agreement_id, []).append(one)
        return found

    def post(self, drafts: Sequence[Draft], run_id: UUID, now_ms: int, ids: IdSource) -> Posted:
        """Write bills, with lines and ledger entries of those that are issued.

        A period that is already issued is left alone; a bill that was held is replaced and keeps
        its id.

        Args:
            drafts: At most one for an agreement and period.
            run_id: The run that made them.
            now_ms: When, in ms since the epoch.
            ids: Makes the ids of new bills.
        """
        number = self._lock_numbers()
        standing = self.standing([one.order for one in drafts])
        bills: list[dict[str, Any]] = []
        issued: list[tuple[UUID, Draft]] = []
        stale: list[UUID] = []
        already = 0
        for one in drafts:
            met = [s for s in standing.get(one.order.agreement_id, ()) if s.meets(one.order.period)]
            if any(s.issued and s.period == one.order.period for s in met):
                already += 1
                continue
            draft = held_for_overlap(one, met)
            stale += [s.bill_id for s in met if not s.issued]
            same = [s.bill_id for s in met if s.period == one.order.period]
            bill_id = same[0] if same else ids.new()
            if not draft.held_because:
                number += 1
                issued.append((bill_id, draft))
            bills.append(self._bill_row(bill_id, draft, number, run_id, now_ms))
        self._session.execute(delete(BillRow).where(BillRow.bill_id.in_(stale)))
        self._copy(BillRow.__tablename__, _BILL_COLUMNS, (tuple(row.values()) for row in bills))
        self._copy(BillLineRow.__tablename__, _LINE_COLUMNS, self._line_rows(issued))
        self._copy(LedgerEntryRow.__tablename__, _ENTRY_COLUMNS, self._entry_rows(issued))
        self._session.execute(
            update(BillNumberRow)
            .where(BillNumberRow.tenant_id == self._tenant_id)
            .values(last_number=number)
        )
        return Posted(len(issued), already, len(bills) - len(issued))

    def _lock_numbers(self) -> int:
        """The last bill number; its row stays locked, so numbers have no gaps and no doubles."""
        row = insert(BillNumberRow).values(tenant_id=self._tenant_id, last_number=0)
        self._session.execute(row.on_conflict_do_nothing())
        query = (
            select(BillNumberRow.last_number)
            .where(BillNumberRow.tenant_id == self._tenant_id)
            .with_for_update()
        )
        return int(self._session.scalars(query).one())

    def _bill_row(
        self, bill_id: UUID, one: Draft, number: int, run_id: UUID, now_ms: int
    ) -> dict[str, Any]:
        order, issued = one.order, not one.held_because
        row = {
            "bill_id": bill_id,
            "tenant_id": self._tenant_id,
            "number": number if issued else None,
            "agreement_id": order.agreement_id,
            "account_id": order.account_id,
            "tariff_code": order.tariff.code,
            "tariff_version": order.tariff.version,
            "from_date": order.period.from_date,
            "to_date": order.period.to_date,
            "revision": REVISION,
            "state": "issued" if issued else "held",
            "held_because": one.held_because,
            "currency": order.tariff.currency,
            "total": one.rated.total if one.rated else None,
            "quantity": one.quantity,
            "unit": order.tariff.unit,
            "inputs_digest": one.inputs_digest,
            "output_digest": one.output_digest,
            "run_id": run_id,
            "issued_at": to_datetime(now_ms) if issued else None,
        }
        assert tuple(row) == _BILL_COLUMNS, "columns are copied by position"
        return row

    def _line_rows(self, issued: Sequence[tuple[UUID, Draft]]) -> Iterable[tuple[Any, ...]]:
        for bill_id, one in issued:
            assert one.rated is not None
            pairs = zip(one.rated.lines, one.lineage, strict=True)
            for position, (line, lineage) in enumerate(pairs, start=1):
                yield (
                    bill_id, position, self._tenant_id, line.id, line.text, line.quantity,
                    line.unit, line.price, line.amount, line.because,
                    canonical_json(lineage).decode(),
                )  # fmt: skip

    def _entry_rows(self, issued: Sequence[tuple[UUID, Draft]]) -> Iterable[tuple[Any, ...]]:
        for bill_id, one in issued:
            assert one.rated is not None
            for entry in entries_of(one.rated):
                yield (
                    bill_id, entry.account, self._tenant_id, entry.debit, entry.credit,
                    one.rated.currency,
                )  # fmt: skip

    def _copy(self, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """COPY rows into a table: ten times the rate of single inserts."""
        connection: Any = self._session.connection().connection.driver_connection
        statement = f"copy billing.{table} ({', '.join(columns)}) from stdin"
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)


def held_for_overlap(one: Draft, met: Sequence[Standing]) -> Draft:
    """The draft, or the draft held because an issued bill covers some of its days."""
    for other in met:
        if other.issued:
            covered = f"{other.period.from_date} to {other.period.to_date}"
            reason = f"Bill {other.number} already covers {covered}; cancel it first."
            return Draft(one.order, reason)
    return one
