"""Planning of runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest

from services.billing.rating.parse import parse
from services.billing.repository.masters import Agreement
from services.billing.runs import RunRequest, plan
from services.kit.errors import InvalidInputError
from tests.unit.billing.documents import document, fixed

FIRST = parse(document([fixed("a", "1")], valid_from="2026-01-01"))
SECOND = replace(FIRST, version="2", valid_from=date(2026, 2, 15))
AGREEMENT = Agreement(UUID(int=1), UUID(int=2), "A1", 4, "Here 1", "test", date(2026, 1, 10), None)


def planned(from_date: date, to_date: date, agreement: Agreement = AGREEMENT) -> list[str]:
    """Each order as `from/to version`, with a mark if it is held."""
    request = RunRequest(from_date, to_date)
    return [
        f"{o.period.from_date}/{o.period.to_date} {o.tariff.version}"
        + " held" * bool(o.held_because)
        for o in plan(agreement, [FIRST, SECOND], request)
    ]


def test_bills_end_with_the_month_the_agreement_and_the_tariff_version() -> None:
    """A stretch is cut at every first of a month and where the next version begins."""
    ended = replace(AGREEMENT, to_date=date(2026, 3, 5))
    assert planned(date(2026, 1, 1), date(2026, 6, 1), ended) == [
        "2026-01-10/2026-02-01 1",
        "2026-02-01/2026-02-15 1",
        "2026-02-15/2026-03-01 2",
        "2026-03-01/2026-03-05 2",
    ]


def test_days_before_the_first_version_are_held() -> None:
    """An agreement older than its tariff is not billed by a version that was not in force."""
    older = replace(AGREEMENT, from_date=date(2025, 12, 20))
    assert planned(date(2025, 12, 1), date(2026, 2, 1), older) == [
        "2025-12-20/2026-01-01 1 held",
        "2026-01-01/2026-02-01 1",
    ]


def test_a_run_names_all_its_faults() -> None:
    """Days in the wrong order, beyond the years of time zones, and too many agreements."""
    with pytest.raises(InvalidInputError) as caught:
        RunRequest(date(2300, 1, 1), date(2250, 1, 1), (UUID(int=1),) * 10_001)
    assert [fault.code for fault in caught.value.faults] == [
        "run.days",
        "run.years",
        "run.too_many",
    ]
