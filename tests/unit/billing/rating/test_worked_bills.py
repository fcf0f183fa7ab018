"""Bills that utilities published, recomputed to the cent."""

from __future__ import annotations

from datetime import date

import pytest

from services.billing.rating.period import Period
from tests.unit.billing.documents import (
    amounts,
    blocks,
    document,
    electricity,
    fixed,
    rated,
    share,
)

MONTH = Period(date(2026, 1, 1), date(2026, 2, 1))
QUARTER = Period(date(2026, 1, 1), date(2026, 4, 1))
YEAR = Period(date(2025, 1, 1), date(2026, 1, 1))


def test_water_blocks_sewer_above_an_allowance_and_fixed_charges() -> None:
    """Arden Hills MN (B1): free first block, two prices, sewer above 15,000 gal: 500.27."""
    lines = [
        fixed("base", "41.16"),
        fixed("standby", "7.71"),
        fixed("test-fee", "1.59"),
        blocks("water", [("10000", "0"), ("35000", "0.00351"), (None, "0.00615")]),
        fixed("sewer-base", "85.55"),
        blocks("sewer", [("15000", "0"), (None, "0.00493")]),
        fixed("surface", "11.71"),
    ]
    bill = rated(document(lines, unit="gal", currency="USD"), "50000", QUARTER)
    by_line = {line.id: line.amount for line in bill.lines}
    water = sum(by_line[i] for i in ("base", "standby", "test-fee", "water.2", "water.3"))
    assert str(water) == "230.46"
    assert str(by_line["sewer-base"] + by_line["sewer.2"]) == "258.10"
    assert str(bill.total) == "500.27"


def test_percentage_of_a_line_and_a_tax_on_all() -> None:
    """Singapore PUB (B3): a tax on the water line, a fee per fitting, GST on the sum: 36.95."""
    lines = [
        blocks("water", [(None, "1.17")]),
        share("conservation", "tax", "30", ["water"]),
        blocks("waterborne", [(None, "0.2803")]),
        fixed("fittings", "8.4111"),
        share("gst", "tax", "7", ["water", "conservation", "waterborne", "fittings"]),
    ]
    bill = rated(document(lines, currency="SGD"), "14.5", MONTH)
    assert list(amounts(bill).values()) == ["16.97", "5.09", "4.06", "8.41", "2.42"]
    assert str(bill.total) == "36.95"


@pytest.mark.parametrize(
    ("mode", "water", "total"), [("half_up", "17.55", "42.44"), ("half_even", "17.54", "42.43")]
)
def test_half_a_cent_goes_where_the_tariff_says(mode: str, water: str, total: str) -> None:
    """Singapore PUB 2018 (B3b): 17.545 is 17.55 half up; the conservation tax is of 17.545."""
    lines = [
        blocks("water", [(None, "1.21")]),
        share("conservation", "tax", "50", ["water"], base="unrounded"),
        blocks("waterborne", [(None, "0.92")]),
        share("gst", "tax", "7", ["water", "conservation", "waterborne"]),
    ]
    rounding = {"mode": mode, "per": "line"}
    bill = rated(document(lines, currency="SGD", rounding=rounding), "14.5", MONTH)
    assert amounts(bill)["water"] == water
    assert amounts(bill)["conservation"] == "8.77"
    assert str(bill.total) == total


@pytest.mark.parametrize(
    ("quantity", "steps", "before_tax", "total"),
    [
        ("1200", [("250", "0.064"), ("700", "0.049"), (None, "0.0446")], "169.85", "171.55"),
        (
            "2000",
            [("250", "0.064"), ("700", "0.049"), ("1250", "0.0475"), (None, "0.0446")],
            "275.13",
            "277.88",
        ),
    ],
)
def test_falling_blocks_round_each_line(
    quantity: str, steps: list[tuple[str | None, str]], before_tax: str, total: str
) -> None:
    """City of Seymour (B10), winter and summer: 26.125 is 26.13, so each block is a line."""
    lines = [
        fixed("customer", "7.50"),
        blocks("energy", steps),
        blocks("fuel", [(None, "0.085")]),
        share("sales-tax", "tax", "1", ["customer", "energy", "fuel"]),
    ]
    bill = rated(electricity(lines, currency="USD"), quantity, MONTH)
    assert str(sum(line.amount for line in bill.lines if line.kind != "tax")) == before_tax
    assert str(bill.total) == total


@pytest.mark.parametrize(
    ("rates", "total"),
    [
        (("0.2450", "0.6099", "0.0624", "0.3166"), "1717"),
        (("0.2236", "0.6012", "0.0548", "0.3141"), "1568"),
        (("0.2467", "0.5721", "0.0574", "0.2909"), "1641"),
    ],
)
def test_a_year_of_dual_fuel_with_charges_by_the_day(
    rates: tuple[str, str, str, str], total: str
) -> None:
    """Ofgem's price cap (B11): 365 standing charges and flat prices give the published pounds."""
    power = [fixed("standing", rates[1], "day"), blocks("energy", [(None, rates[0])])]
    gas = [fixed("standing", rates[3], "day"), blocks("energy", [(None, rates[2])])]
    one = rated(electricity(power, currency="GBP"), "2700", YEAR)
    other = rated(document(gas, unit="kWh", currency="GBP"), "11500", YEAR)
    assert str(round(one.total + other.total)) == total


@pytest.mark.parametrize(("quantity", "total"), [("200", "1040.00"), ("300", "1820.00")])
def test_annual_household_blocks(quantity: str, total: str) -> None:
    """Beijing tap water (C1): blocks stated for the whole year are not prorated by months."""
    lines = [blocks("water", [("180", "5.00"), ("260", "7.00"), (None, "9.00")])]
    assert str(rated(document(lines, currency="CNY"), quantity, YEAR).total) == total


def test_monthly_blocks_of_a_household_of_four() -> None:
    """Wuxi 2007 (C3): 40 t in blocks of 25 and 30 t a month cost 134.75."""
    lines = [blocks("water", [("25", "2.57"), ("30", "3.90"), (None, "5.10")], per="month")]
    assert str(rated(document(lines, currency="CNY"), "40", MONTH).total) == "134.75"
