"""Bill runs on a real database: each bill once, held ones with a reason, nothing ever changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.billing.drafts import boundaries_of
from services.billing.rating.parse import parse
from services.billing.rating.period import Period
from services.billing.runs import RunRequest
from services.kit.errors import UnavailableError
from tests.integration.billing.service import POWER, WATER, Billing
from tests.unit.billing.fake_usage import FakeMeter

DAY_MS = 86_400_000
WATER_TARIFF = parse(WATER)


def first_ms(month: int) -> int:
    """When a month of 2026 begins in Madrid."""
    period = Period(date(2026, month, 1), date(2026, month, 2))
    return int(boundaries_of(WATER_TARIFF, period)[0])


def test_a_repeated_run_makes_no_second_bill(billing: Billing) -> None:
    """Asked twice, the second run finds all bills issued, and they have not changed."""
    agreement = billing.supply(FakeMeter())
    assert billing.run(agreement, "2026-01-01", "2026-04-01") == {
        "issued": 3, "already_issued": 0, "held": 0
    }  # fmt: skip
    before = billing.bills()
    assert billing.run(agreement, "2026-01-01", "2026-04-01") == {
        "issued": 0, "already_issued": 3, "held": 0
    }  # fmt: skip
    assert billing.bills() == before
    assert [bill["from_date"] for bill in before] == ["2026-01-01", "2026-02-01", "2026-03-01"]


def test_bills_of_a_year_sum_to_the_register(billing: Billing) -> None:
    """Every litre between the first and the last boundary is on exactly one bill."""
    meter = FakeMeter(litres_per_h=17)
    agreement = billing.supply(meter, from_date="2026-01-20")
    assert billing.run(agreement, "2026-01-01", "2026-12-01")["issued"] == 11
    ends = boundaries_of(WATER_TARIFF, Period(date(2026, 1, 20), date(2026, 12, 1)))
    moved = meter.register(ends)
    billed = sum(Decimal(bill["quantity"]) for bill in billing.bills())
    assert billed == Decimal(int(moved[1] - moved[0])).scaleb(-3)


def test_a_held_bill_is_issued_when_its_readings_come(billing: Billing) -> None:
    """It keeps its id, gets a number and lines, and its reason goes away."""
    meter = FakeMeter(end_ms=first_ms(1) + 10 * DAY_MS)
    agreement = billing.supply(meter)
    assert billing.run(agreement, "2026-01-01", "2026-02-01")["held"] == 1
    (held,) = billing.bills(state="held")
    assert (held["number"], held["total"]) == (None, None)
    assert held["held_because"].startswith("Good readings cover 32.2 %")
    assert billing.run(agreement, "2026-01-01", "2026-02-01")["held"] == 1
    meter.end_ms = 2**52
    assert billing.run(agreement, "2026-01-01", "2026-02-01")["issued"] == 1
    (issued,) = billing.bills()
    assert issued["bill_id"] == held["bill_id"]
    assert (issued["state"], issued["held_because"]) == ("issued", None)
    assert billing.bill(issued["bill_id"])["lines"]


def test_accept_partial_bills_what_is_known_and_says_so(billing: Billing) -> None:
    """The use there is gets billed, to the litre; the lines tell what readings cover."""
    meter = FakeMeter(end_ms=first_ms(1) + 10 * DAY_MS)
    agreement = billing.supply(meter)
    assert billing.run(agreement, "2026-01-01", "2026-02-01", accept_partial=True)["issued"] == 1
    bill = billing.bill(billing.bills()[0]["bill_id"])
    assert bill["quantity"] == "2.4"
    assert "Good readings cover 32.2 % of the period" in bill["lines"][1]["because"]


def test_a_service_point_without_readings_is_held(billing: Billing) -> None:
    """Neither a bill of zero nor silence."""
    agreement = billing.supply(None)
    for accept in (False, True):
        answer = billing.run(agreement, "2026-01-01", "2026-02-01", accept_partial=accept)
        assert answer == {"issued": 0, "already_issued": 0, "held": 1}
    assert "no readings of channel 8-0:1.0.0" in billing.bills()[0]["held_because"]


def test_no_day_is_billed_twice_by_runs_of_other_days(billing: Billing) -> None:
    """A month that overlaps an issued half is held; the other half can still be billed."""
    agreement = billing.supply(FakeMeter())
    assert billing.run(agreement, "2026-01-01", "2026-01-16")["issued"] == 1
    assert billing.run(agreement, "2026-01-01", "2026-02-01")["held"] == 1
    assert (
        "already covers 2026-01-01 to 2026-01-16" in billing.bills(state="held")[0]["held_because"]
    )
    assert billing.run(agreement, "2026-01-16", "2026-02-01")["issued"] == 1
    assert [bill["state"] for bill in billing.bills()] == ["issued", "issued"]


def test_time_of_use_bills_add_up_over_a_clock_change(billing: Billing) -> None:
    """March of 743 hours in two prices and a weekend: the lines hold every watt-hour."""
    agreement = billing.supply(FakeMeter(777, unit="Wh", scaler=0), POWER)
    assert billing.run(agreement, "2026-03-01", "2026-04-01")["issued"] == 1
    bill = billing.bill(billing.bills()[0]["bill_id"])
    rates = [line for line in bill["lines"] if line["line_id"].startswith("energy.")]
    assert sum(Decimal(line["quantity"]) for line in rates) == Decimal("577.311")
    assert bill["quantity"] == "577.311"


def test_numbers_have_no_gaps_even_when_runs_meet(billing: Billing) -> None:
    """Two runs of the same days at once: each bill once, numbers 1, 2, 3 … without a hole."""
    for _ in range(5):
        billing.supply(FakeMeter())
    request = RunRequest(date(2026, 5, 1), date(2026, 6, 1))
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(billing.runs.run(1, request)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({r.run_id for r in results}) == 2
    with billing.database.transaction() as session:
        agreements = session.scalar(text("select count(*) from billing.agreements"))
        may = session.scalar(
            text("select count(*) from billing.bills where from_date = '2026-05-01'")
        )
        numbers = session.scalars(
            text("select number from billing.bills where number is not null order by number")
        ).all()
    assert may == agreements
    assert list(numbers) == list(range(1, len(numbers) + 1))
    totals = [r.issued + r.already_issued + r.held for r in results]
    assert totals == [agreements, agreements]


def test_the_same_use_gives_the_same_digests_again(billing: Billing) -> None:
    """A bill made anew from the same readings has the same inputs, lines and bytes."""
    agreement = billing.supply(FakeMeter(litres_per_h=23))
    billing.run(agreement, "2026-01-01", "2026-02-01")
    bill = billing.bill(billing.bills()[0]["bill_id"])
    with billing.database.transaction() as session:
        session.execute(text("alter table billing.bills disable trigger user"))
        session.execute(text("alter table billing.bill_lines disable trigger user"))
        session.execute(text("alter table billing.ledger_entries disable trigger user"))
        for table in ("bill_lines", "ledger_entries", "bills"):
            session.execute(
                text(f"delete from billing.{table} where bill_id = :id"), {"id": bill["bill_id"]}
            )
        for table in ("bill_lines", "ledger_entries", "bills"):
            session.execute(text(f"alter table billing.{table} enable trigger user"))
    billing.run(agreement, "2026-01-01", "2026-02-01")
    again = billing.bill(billing.bills()[0]["bill_id"])
    for name in ("inputs_digest", "output_digest", "lines", "total"):
        assert again[name] == bill[name]
    assert len(bill["inputs_digest"]) == 64


def test_a_read_side_that_is_away_issues_nothing(billing: Billing) -> None:
    """The run answers 503 and says when to come back; the next one makes the bill."""
    agreement = billing.supply(FakeMeter())
    billing.source.away = True
    try:
        body = {"from_date": "2026-01-01", "to_date": "2026-02-01", "agreement_ids": [agreement]}
        answer = billing.call("POST", "/v1/bill-runs", json=body)
        assert (answer.status_code, answer.json()["code"]) == (503, UnavailableError.code)
        assert billing.bills() == []
    finally:
        billing.source.away = False
    assert billing.run(agreement, "2026-01-01", "2026-02-01")["issued"] == 1


@pytest.mark.parametrize(
    "statement",
    [
        "update billing.bills set total = total + 1 where state = 'issued'",
        "delete from billing.bills where state = 'issued'",
        "update billing.bill_lines set amount = 0",
        "delete from billing.bill_lines",
        "update billing.ledger_entries set debit = 0",
        "delete from billing.ledger_entries",
        "update billing.tariffs set document = '{}'",
        "delete from billing.tariffs",
        "truncate billing.ledger_entries",
        "truncate billing.bill_lines",
    ],
)
def test_what_is_posted_is_never_changed(billing: Billing, statement: str) -> None:
    """The database itself refuses, whoever asks."""
    agreement = billing.supply(FakeMeter())
    assert billing.run(agreement, "2026-01-01", "2026-02-01")["issued"] == 1
    with (
        pytest.raises(DBAPIError, match="what is posted is never changed"),
        billing.database.transaction() as session,
    ):
        session.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            """insert into billing.ledger_entries select bill_id, 'gift', 1, 1, 0, 'EUR'
            from billing.bills where bill_id = :id""",
            "not to zero",
        ),
        (
            """insert into billing.bill_lines select bill_id, 99, 1, 'x', 'x', 1, '1', 1, 1, 'x',
            '{}' from billing.bills where bill_id = :id""",
            "has lines of",
        ),
    ],
)
def test_lines_and_ledger_must_add_up_when_the_transaction_ends(
    billing: Billing, statement: str, reason: str
) -> None:
    """An entry without its counterpart, or a line beyond the total, cannot be committed."""
    agreement = billing.supply(FakeMeter())
    billing.run(agreement, "2026-01-01", "2026-02-01")
    bill_id = billing.bills()[0]["bill_id"]
    with (
        pytest.raises(DBAPIError, match=reason),
        billing.database.transaction() as session,
    ):
        session.execute(text(statement), {"id": bill_id})


def test_every_bill_in_the_ledger_sums_to_zero(billing: Billing) -> None:
    """Over all bills of this module: debits equal credits and receivables equal totals."""
    with billing.database.transaction() as session:
        off = session.execute(
            text(
                "select bill_id from billing.ledger_entries group by bill_id "
                "having sum(debit) <> sum(credit)"
            )
        ).all()
        owed, billed = session.execute(
            text(
                "select (select sum(debit - credit) from billing.ledger_entries "
                "where account = 'receivable'), (select sum(total) from billing.bills)"
            )
        ).one()
    assert off == []
    assert owed == billed


def test_a_thousand_agreements_take_seconds(
    billing: Billing, record_property: Callable[[str, object], None]
) -> None:
    """One month of 1,000 agreements, from question to committed bills, in a few seconds."""
    count = 1000
    points = range(100_001, 100_001 + count)
    accounts = [{"number": f"M{point}", "name": "x"} for point in points]
    billing.supply(None)
    billing.call("POST", "/v1/accounts", json={"accounts": accounts})
    agreements = [
        {"account": f"M{point}", "service_point_id": point, "service_point": "x",
         "tariff": "water", "from": "2030-01-01"}
        for point in points
    ]  # fmt: skip
    for point in points:
        billing.source.meters[1, point] = FakeMeter(point % 50)
    answer = billing.call("POST", "/v1/agreements", json={"agreements": agreements})
    ids = tuple(one["agreement_id"] for one in answer.json()["agreements"])
    billing.source.asked.clear()
    begin_s = time.perf_counter()
    body = {"from_date": "2030-01-01", "to_date": "2030-02-01", "agreement_ids": ids}
    result = billing.call("POST", "/v1/bill-runs", json=body).json()
    elapsed_s = time.perf_counter() - begin_s
    assert result["issued"] == count
    assert max(billing.source.asked) <= 200
    record_property("bills_per_s", count / elapsed_s)
    assert elapsed_s < 30
