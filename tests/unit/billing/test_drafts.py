"""From use to a draft: issued with its lineage, or held with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from services.billing.drafts import BillOrder, Draft, Gate, boundaries_of, draft
from services.billing.rating.parse import parse
from services.billing.rating.period import Period
from tests.unit.billing.documents import (
    THREE_RATES,
    blocks,
    document,
    electricity,
    fixed,
    share,
)
from tests.unit.billing.fake_usage import FakeMeter

GATE = Gate(950_000)
WATER = parse(
    document(
        [
            fixed("standing", "2", "month"),
            blocks("water", [("5", "1"), (None, "2")], "month"),
            share("vat", "tax", "10", ["standing", "water"]),
        ]
    )
)
MARCH = Period(date(2026, 3, 1), date(2026, 4, 1))


def order(tariff: Any = WATER, period: Period = MARCH, agreement: int = 1) -> BillOrder:
    """An order at service point 4."""
    return BillOrder(UUID(int=agreement), UUID(int=9), 4, tariff, period)


def drafted(meter: FakeMeter, gate: Gate = GATE, one: BillOrder | None = None) -> Draft:
    """The draft of what a meter says."""
    one = one or order()
    usage = meter.usage(one.tariff.channel, boundaries_of(one.tariff, one.period))
    return draft(one, [usage], gate)


def test_a_bill_knows_where_every_line_comes_from() -> None:
    """A block line leads to tariff, determinant, registers, events and payloads."""
    one = drafted(FakeMeter())
    assert one.held_because == ""
    assert str(one.quantity) == "7.43"  # 743 hours of 10 L: the month has a short day
    standing, first, _, vat = one.lineage
    assert first["tariff"] == {
        "code": "test", "version": "1", "digest": WATER.digest, "line": "water"
    }  # fmt: skip
    assert first["determinant"]["quantity"] == "7.430"
    assert first["determinant"]["from"] == "2026-02-28T23:00:00Z"
    assert [r["payload_digest"] for r in first["registers"]] == ["ab" * 32] * 2
    assert first["registers"][1]["value"] == first["determinant"]["register_to"]
    assert first["events"][0]["kind"] == "rollover"
    assert first["quality"] == {"usable": 2, "failed": 0, "known_ppm": 1_000_000}
    assert "registers" not in standing
    assert vat["of"] == ["standing", "water"]


def test_the_same_inputs_give_the_same_bytes_for_whichever_agreement() -> None:
    """Digests depend on tariff, period and use, not on ids that were given at random."""
    one, again = drafted(FakeMeter()), drafted(FakeMeter(), one=order(agreement=2))
    assert (one.inputs_digest, one.output_digest) == (again.inputs_digest, again.output_digest)
    other = drafted(FakeMeter(litres_per_h=11))
    assert one.inputs_digest != other.inputs_digest
    assert one.output_digest != other.output_digest


def test_consecutive_bills_telescope_over_a_year() -> None:
    """Billed litres sum to the register's difference, whatever the months' lengths."""
    meter = FakeMeter(litres_per_h=13)
    total = 0
    for month in range(1, 12):
        period = Period(date(2026, month, 1), date(2026, month + 1, 1))
        one = drafted(meter, one=order(period=period))
        assert one.quantity is not None
        total += int(one.quantity.scaleb(3))
    ends = boundaries_of(WATER, Period(date(2026, 1, 1), date(2026, 12, 1)))
    assert total == int(np.diff(meter.register(ends))[0])


def test_gaps_hold_a_bill_with_the_reason() -> None:
    """Half a month of readings is not a month; nothing is guessed."""
    begin_ms = int(boundaries_of(WATER, MARCH)[0])
    half = FakeMeter(begin_ms=begin_ms + 15 * 86_400_000)
    one = drafted(half)
    assert one.rated is None
    assert one.held_because == "Good readings cover 51.5 % of the period; 95.0 % are needed."


def test_accepted_gaps_are_said_on_the_lines_that_bill_use() -> None:
    """With accept_partial the use there is gets billed, and the bill says what is missing."""
    begin_ms = int(boundaries_of(WATER, MARCH)[0])
    half = FakeMeter(begin_ms=begin_ms + 15 * 86_400_000)
    one = drafted(half, replace(GATE, accept_partial=True))
    assert one.rated is not None
    assert str(one.quantity) == "3.83"
    standing, water, *_ = one.rated.lines
    assert "Good readings cover 51.5 % of the period" in water.because
    assert "Good readings" not in standing.because


def test_a_period_without_any_reading_is_held_even_if_gaps_are_accepted() -> None:
    """Accepting gaps is not billing a house nobody ever read."""
    one = drafted(FakeMeter(end_ms=1), replace(GATE, accept_partial=True))
    assert one.held_because.startswith("There is no good reading in this period")


def test_a_sliver_of_known_use_is_billed_if_gaps_are_accepted() -> None:
    """A second of readings rounds to 0 ppm; its litres must still be billed."""
    end_ms = int(boundaries_of(WATER, MARCH)[0]) + 1000
    one = drafted(FakeMeter(3600 * 5, end_ms=end_ms), replace(GATE, accept_partial=True))
    assert str(one.quantity) == "0.005"


@pytest.mark.parametrize(
    ("count", "reason"), [(0, "There are no readings of channel"), (2, "2 registers answer for")]
)
def test_no_register_or_two_hold_a_bill(count: int, reason: str) -> None:
    """Which of two registers counts is for a person to say."""
    usage = FakeMeter().usage("8-0:1.0.0", boundaries_of(WATER, MARCH))
    assert draft(order(), [usage] * count, GATE).held_because.startswith(reason)


def test_use_that_does_not_fit_the_tariff_holds_the_bill() -> None:
    """A register that ran backwards, or measures energy, gives no bill."""
    assert "negative" in drafted(FakeMeter(litres_per_h=-1)).held_because
    assert "cannot be billed in m3" in drafted(FakeMeter(unit="kWh")).held_because


def test_time_of_use_is_asked_by_the_interval() -> None:
    """Each rate is a line; their quantities sum to the register's difference."""
    tariff = parse(electricity([THREE_RATES], calendar={"holidays_country": "ES"}))
    meter = FakeMeter(litres_per_h=1001, unit="Wh", scaler=0)
    one = drafted(meter, one=order(tariff))
    assert one.rated is not None
    assert sum(line.quantity for line in one.rated.lines) == one.quantity
    assert str(one.quantity) == "743.743"
    assert one.lineage[0]["determinant"]["name"] == "energy.night"
    assert one.lineage[0]["determinant"]["intervals"] == 743 * 2


def test_a_reason_known_before_is_kept() -> None:
    """An order that cannot be billed is held without asking for use."""
    assert draft(replace(order(), held_because="No tariff."), [], GATE).held_because == "No tariff."
