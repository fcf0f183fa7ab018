"""Rating without a server."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from services.billing.rating.localtime import midnight_ms
from services.billing.rating.offline import rate_months, series_of_registers
from services.billing.rating.parse import parse
from services.kit.errors import InvalidInputError
from tests.unit.billing.documents import blocks, document, fixed

TARIFF = parse(document([fixed("standing", "31", "month"), blocks("use", [(None, "2")], "month")]))


def at(day: str) -> int:
    """Midnight in Madrid."""
    return midnight_ms(date.fromisoformat(day), "Europe/Madrid")


def test_registers_become_one_bill_a_calendar_month() -> None:
    """A half January and a whole February, each with its own use; totals add up."""
    series = series_of_registers(
        [at("2026-01-11"), at("2026-02-01"), at("2026-03-01")], [1000, 4000, 9000], "L", 0
    )
    answer = rate_months(TARIFF, series)
    periods = [(p["from"], p["to"], p["total"]) for p in answer["periods"]]
    assert periods == [
        ("2026-01-11", "2026-02-01", "27.00"),
        ("2026-02-01", "2026-03-01", "41.00"),
    ]
    assert (answer["currency"], answer["total"]) == ("EUR", "68.00")


def test_use_across_the_end_of_a_month_is_refused_with_every_month() -> None:
    """Without a boundary at midnight nobody can say which month the use belongs to."""
    series = series_of_registers([at("2026-01-11"), at("2026-03-20")], [0, 1], "m3", 0)
    with pytest.raises(InvalidInputError) as caught:
        rate_months(TARIFF, series)
    assert [fault.where for fault in caught.value.faults] == [
        "2026-01-31T23:00:00Z",
        "2026-02-28T23:00:00Z",
    ]


def test_a_series_may_end_within_a_day() -> None:
    """The last day counts as billed even if the series has only a part of it."""
    begin = at("2026-02-01")
    series = series_of_registers(
        (begin + np.arange(0, 30) * 3_600_000).tolist(), list(range(30)), "m3", 0
    )
    assert [p["to"] for p in rate_months(TARIFF, series)["periods"]] == ["2026-02-03"]
