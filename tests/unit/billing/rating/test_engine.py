"""Rating: conventions a tariff names, and laws that hold for every bill."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.billing.rating.determinants import Determinants, IntervalSeries
from services.billing.rating.engine import Context, rate
from services.billing.rating.localtime import holidays_in, interval_boundaries
from services.billing.rating.parse import parse
from services.billing.rating.period import Period
from services.kit.errors import InvalidInputError
from tests.unit.billing.documents import (
    THREE_RATES,
    amounts,
    blocks,
    document,
    electricity,
    fixed,
    rated,
    share,
)

JANUARY = Period(date(2026, 1, 1), date(2026, 2, 1))


@st.composite
def block_tariffs(draw: st.DrawFn) -> dict[str, object]:
    """Graduated blocks with rising limits of up to three decimals."""
    limits = sorted(draw(st.sets(st.integers(1, 100_000), max_size=5)))
    prices = draw(st.lists(st.integers(0, 10**6), min_size=6, max_size=6))
    steps = [(str(Decimal(limit) / 1000), str(Decimal(prices[i]) / 10**4))
             for i, limit in enumerate(limits)]  # fmt: skip
    per = draw(st.sampled_from(["month", "day", "period"]))
    return blocks("use", [*steps, (None, str(Decimal(prices[5]) / 10**4))], per)


@given(
    line=block_tariffs(),
    litres=st.integers(0, 10**6),
    first=st.integers(0, 27),
    days=st.integers(1, 100),
)
def test_blocks_add_up_to_the_quantity(
    line: dict[str, object], litres: int, first: int, days: int
) -> None:
    """Whatever the limits and the part of a month, shown block quantities sum to the litre."""
    begin = date(2026, 1, 1) + timedelta(first)
    period = Period(begin, begin + timedelta(days))
    tariff = parse(document([line]))
    bill = rate(tariff, Determinants(litres, "L", 0), period)
    assert sum(one.quantity for one in bill.lines) == Decimal(litres).scaleb(-3)
    assert all(one.quantity >= 0 for one in bill.lines)
    assert bill.total == sum(one.amount for one in bill.lines)


@given(litres=st.lists(st.integers(0, 10**6), min_size=2, max_size=12))
def test_bills_in_a_row_bill_exactly_what_the_register_moved(litres: list[int]) -> None:
    """Quantities of consecutive bills telescope to the register's difference, least digit too."""
    tariff = parse(document([blocks("use", [("6", "0.5"), (None, "1")], "month")]))
    register = np.concatenate([[123_456_789], 123_456_789 + np.cumsum(litres)])
    billed = Fraction(0)
    for use in np.diff(register).tolist():
        bill = rate(tariff, Determinants(use, "L", 0), JANUARY)
        billed += sum((Fraction(line.quantity) for line in bill.lines), Fraction(0))
    assert billed == Fraction(int(register[-1] - register[0]), 1000)


@pytest.mark.parametrize(
    ("month", "hours"), [((2026, 3), 743), ((2026, 10), 745), ((2026, 6), 720)]
)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_time_of_use_parts_add_up_where_clocks_change(
    month: tuple[int, int], hours: int, seed: int
) -> None:
    """In months of 743, 745 and 720 hours the rates take every interval once."""
    tariff = parse(electricity([THREE_RATES], calendar={"holidays_country": "ES"}))
    begin = date(*month, 1)
    period = Period(begin, (begin + timedelta(31)).replace(day=1))
    boundaries = interval_boundaries(
        period.from_date, period.to_date, tariff.time_zone, tariff.time_of_use
    )
    assert len(boundaries) - 1 == hours * 2  # 07:30 asks for half hours
    use = np.random.default_rng(seed).integers(0, 10**6, len(boundaries) - 1)
    determinants = Determinants.of_series(IntervalSeries(boundaries, use, "Wh", 0))
    bill = rate(tariff, determinants, period, Context(holidays_in(tariff.holidays, period)))
    assert sum(line.quantity for line in bill.lines) == Decimal(int(use.sum())).scaleb(-3)


def test_a_repeated_hour_is_billed_twice_at_the_price_of_its_clock_time() -> None:
    """On the long day of October, 02:00 happens twice and both hours are nights."""
    tariff = parse(electricity([THREE_RATES], calendar={"holidays_country": "ES"}))
    period = Period(date(2026, 10, 25), date(2026, 10, 26))
    boundaries = interval_boundaries(
        period.from_date, period.to_date, "Europe/Madrid", tariff.time_of_use
    )
    use = np.full(len(boundaries) - 1, 500)  # half a kWh each half hour
    determinants = Determinants.of_series(IntervalSeries(boundaries, use, "Wh", 0))
    bill = rate(tariff, determinants, period)
    quantities = {line.id: str(line.quantity) for line in bill.lines}
    # Night 00:00-07:30 has 8.5 hours and 21:00-24:00 three; the day is a Sunday.
    assert quantities == {"energy.night": "11.5", "energy.weekend": "13.5"}


def test_a_holiday_on_a_monday_has_the_weekend_price() -> None:
    """12 October 2026 is a Monday and a national holiday in Spain."""
    tariff = parse(electricity([THREE_RATES], calendar={"holidays_country": "ES"}))
    period = Period(date(2026, 10, 12), date(2026, 10, 13))
    holidays = holidays_in(tariff.holidays, period)
    assert holidays == {date(2026, 10, 12)}
    boundaries = interval_boundaries(
        period.from_date, period.to_date, "Europe/Madrid", tariff.time_of_use
    )
    series = IntervalSeries(boundaries, np.full(48, 1), "kWh", 0)
    bill = rate(tariff, Determinants.of_series(series), period, Context(holidays))
    assert {line.id for line in bill.lines} == {"energy.night", "energy.weekend"}


def test_a_series_too_coarse_for_the_periods_is_refused() -> None:
    """Hours cannot be split at 07:30: the bill would be a guess."""
    tariff = parse(electricity([THREE_RATES], calendar={"holidays_country": "ES"}))
    day_ms = 1_782_000_000_000 // 86_400_000 * 86_400_000
    boundaries = np.arange(day_ms, day_ms + 25 * 3_600_000, 3_600_000)
    series = IntervalSeries(boundaries, np.ones(24, dtype=np.int64), "kWh", 0)
    with pytest.raises(InvalidInputError) as caught:
        rate(tariff, Determinants.of_series(series), JANUARY)
    assert caught.value.code == "usage.too_coarse"


def test_whole_volume_prices_all_use_by_the_block_it_reaches() -> None:
    """The limit belongs to the lower block; a litre more and all use has the higher price."""
    line = blocks("use", [("10", "1"), (None, "2")], mode="whole_volume")
    assert amounts(rated(document([line]), "10", JANUARY)) == {"use.1": "10.00"}
    assert amounts(rated(document([line]), "10.001", JANUARY)) == {"use.2": "20.00"}


def test_a_month_in_part_counts_by_its_days_unless_the_tariff_says_otherwise() -> None:
    """From 10 January 22 of 31 days: charge and limits shrink, or stay with proration none."""
    part = Period(date(2026, 1, 10), date(2026, 2, 1))

    def lines(proration: str) -> list[dict[str, object]]:
        return [
            fixed("standing", "31", "month", proration=proration),
            blocks("use", [("31", "1"), (None, "0")], "month", proration=proration),
        ]

    by_days = rated(document(lines("days")), "100", part)
    assert amounts(by_days) == {"standing": "22.00", "use.1": "22.00", "use.2": "0.00"}
    assert "22 of 31 days" in by_days.lines[0].because
    whole = rated(document(lines("none")), "100", part)
    assert amounts(whole) == {"standing": "31.00", "use.1": "31.00", "use.2": "0.00"}


def test_rounding_the_total_adds_a_line_for_what_the_lines_lack() -> None:
    """Three lines of 0.335 are 1.005: rounded once to 1.01, by a line of -0.01 beside 3 x 0.34."""
    lines = [fixed(name, "0.335") for name in ("a", "b", "c")]
    bill = rated(document(lines, rounding={"mode": "half_up", "per": "total"}), "0", JANUARY)
    assert amounts(bill) == {"a": "0.34", "b": "0.34", "c": "0.34", "rounding": "-0.01"}
    assert str(bill.total) == "1.01"


def test_a_tax_on_a_tax_takes_the_tax_as_its_base() -> None:
    """10 % of 100, then 20 % of 110."""
    lines = [
        fixed("a", "100"),
        share("one", "tax", "10", ["a"]),
        share("two", "tax", "20", ["a", "one"]),
    ]
    assert amounts(rated(document(lines), "0", JANUARY))["two"] == "22.00"


def test_every_line_says_why_with_the_numbers_on_it() -> None:
    """Quantity, price and amount stand in the reason, so that a customer can check it."""
    lines = [blocks("use", [("10", "0.5"), (None, "1.25")], "month"),
             share("vat", "tax", "10", ["use"])]  # fmt: skip
    bill = rated(document(lines), "12", JANUARY, Context(quantity_note="Read by hand."))
    assert bill.lines[1].because == (
        "Use above 10 m3 a month: 2 m3 × 1.25 EUR/m3 = 2.50 EUR. Read by hand."
    )
    assert bill.lines[2].because == "10 % of 7.50 EUR (use) = 0.75 EUR."


def test_no_use_still_shows_the_first_block() -> None:
    """A customer who used nothing sees that nothing was billed, not a missing line."""
    bill = rated(document([blocks("use", [("10", "0.5"), (None, "1")])]), "0", JANUARY)
    assert amounts(bill) == {"use.1": "0.00"}


@pytest.mark.parametrize(
    ("determinants", "code"),
    [
        (Determinants(-1, "m3", 0), "usage.negative"),
        (Determinants(1, "kWh", 0), "usage.unit"),
    ],
)
def test_quantities_that_do_not_fit_are_refused(determinants: Determinants, code: str) -> None:
    """A negative quantity and one of another dimension give no bill."""
    tariff = parse(document([blocks("use", [(None, "1")])]))
    with pytest.raises(InvalidInputError) as caught:
        rate(tariff, determinants, JANUARY)
    assert caught.value.code == code


def test_intervals_that_miss_the_total_are_refused() -> None:
    """A series that does not add up to the quantity would bill another use than it says."""
    tariff = parse(electricity([THREE_RATES], calendar={"holidays_country": "ES"}))
    boundaries = np.arange(0, 3 * 1_800_000, 1_800_000)
    series = IntervalSeries(boundaries, np.array([1, 2]), "kWh", 0)
    with pytest.raises(InvalidInputError) as caught:
        rate(tariff, Determinants(4, "kWh", 0, series), JANUARY)
    assert caught.value.code == "usage.sum"


def test_units_are_converted_exactly() -> None:
    """3.6 MJ is one kWh to the last digit; a third of a kWh stays a fraction until the cent."""
    tariff = parse(electricity([blocks("use", [(None, "3")])]))
    assert str(rate(tariff, Determinants(36, "MJ", -1), JANUARY).total) == "3.00"
    bill = rate(tariff, Determinants(12, "MJ", -1), JANUARY)
    assert (str(bill.total), str(bill.lines[0].quantity)) == ("1.00", "0.333333")
