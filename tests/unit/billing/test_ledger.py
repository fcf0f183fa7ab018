"""Double entry of bills."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from services.billing.ledger import entries_of
from services.billing.rating.period import Period
from tests.unit.billing.documents import document, fixed, rated, share

MONTH = Period(date(2026, 1, 1), date(2026, 2, 1))


@given(cents=st.integers(-(10**6), 10**6), percent=st.integers(-100, 100))
def test_entries_of_any_bill_sum_to_zero(cents: int, percent: int) -> None:
    """Charges, credits and taxes of either sign: debits equal credits, and no side is negative."""
    lines = [fixed("a", str(Decimal(cents) / 100)), share("t", "tax", str(percent), ["a"])]
    bill = rated(document(lines), "0", MONTH)
    entries = entries_of(bill)
    assert sum(entry.debit - entry.credit for entry in entries) == 0
    assert all(min(e.debit, e.credit) == 0 < max(e.debit, e.credit) for e in entries)
    owed = sum(e.debit - e.credit for e in entries if e.account == "receivable")
    assert owed == bill.total


def test_taxes_are_credited_apart_from_revenue() -> None:
    """What is collected for the state is no revenue."""
    lines = [fixed("a", "100"), share("t", "tax", "21", ["a"])]
    entries = {e.account: (str(e.debit), str(e.credit))
               for e in entries_of(rated(document(lines), "0", MONTH))}  # fmt: skip
    assert entries == {
        "receivable": ("121.00", "0"),
        "revenue": ("0", "100.00"),
        "tax": ("0", "21.00"),
    }
