"""Double entry: what a bill moves between accounts of the ledger; entries of a bill sum to zero."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from services.billing.rating.engine import RatedBill
from services.billing.rating.tariff import TaxLine

RECEIVABLE = "receivable"
REVENUE = "revenue"
TAX = "tax"


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a posting; exactly one of the two amounts is above zero.

    Attributes:
        account: Account of the ledger.
        debit: Money.
        credit: Money.
    """

    account: str
    debit: Decimal
    credit: Decimal


def entries_of(bill: RatedBill) -> list[Entry]:
    """What posting a bill moves: the customer owes the total, for revenue and for taxes.

    A bill of zero moves nothing; a credit turns the sides.
    """
    tax = sum((line.amount for line in bill.lines if line.kind == TaxLine.kind), Decimal(0))
    moved = ((RECEIVABLE, bill.total), (REVENUE, tax - bill.total), (TAX, -tax))
    return [
        Entry(account, max(amount, Decimal(0)), max(-amount, Decimal(0)))
        for account, amount in moved
        if amount
    ]
