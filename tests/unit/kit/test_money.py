"""Money: rounding an exact fraction once, against a slow reference written with Decimal alone."""

from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.money import Rounding, decimal_to_text, round_exact, scaled_to_decimal

MODES = {mode: getattr(decimal, f"ROUND_{mode.name}") for mode in Rounding}
fractions = st.fractions(max_denominator=10**9) | st.builds(
    Fraction, st.integers(-(10**40), 10**40), st.integers(1, 10**12)
)


def slow_round(value: Fraction, digits: int, mode: Rounding) -> Decimal:
    """Round with so many digits that the quotient is exact wherever it decides anything.

    A quotient of denominators up to 10^12 that is no tie differs from one by more than 10^-13 of
    the last digit, and 200 digits see that.
    """
    with decimal.localcontext(decimal.Context(prec=200)):
        quotient = Decimal(value.numerator) / Decimal(value.denominator)
        return quotient.quantize(Decimal(1).scaleb(-digits), rounding=MODES[mode])


@given(value=fractions, digits=st.integers(-3, 9), mode=st.sampled_from(Rounding))
def test_agrees_with_the_slow_reference(value: Fraction, digits: int, mode: Rounding) -> None:
    """Every mode rounds every fraction to the very decimal that long division gives."""
    assert round_exact(value, digits, mode) == slow_round(value, digits, mode)


@given(
    units=st.integers(-(10**30), 10**30), digits=st.integers(0, 6), mode=st.sampled_from(Rounding)
)
def test_what_is_round_stays(units: int, digits: int, mode: Rounding) -> None:
    """A value that already has no more digits is returned unchanged by every mode."""
    value = Fraction(units, 10**digits)
    assert Fraction(round_exact(value, digits, mode)) == value


@pytest.mark.parametrize(
    ("value", "half_up", "half_even", "half_down"),
    [
        (Fraction(5, 1000), "0.01", "0.00", "0.00"),
        (Fraction(15, 1000), "0.02", "0.02", "0.01"),
        (Fraction(25, 1000), "0.03", "0.02", "0.02"),
        (Fraction(-5, 1000), "-0.01", "0.00", "0.00"),
        (Fraction(-25, 1000), "-0.03", "-0.02", "-0.02"),
    ],
)
def test_ties(value: Fraction, half_up: str, half_even: str, half_down: str) -> None:
    """Exact halves part the modes: away from zero, to the even cent, towards zero."""
    assert str(round_exact(value, 2, Rounding.HALF_UP)) == half_up
    assert str(round_exact(value, 2, Rounding.HALF_EVEN)) == half_even
    assert str(round_exact(value, 2, Rounding.HALF_DOWN)) == half_down


@pytest.mark.parametrize("mode", [Rounding.HALF_UP, Rounding.HALF_EVEN, Rounding.HALF_DOWN])
def test_nearly_a_tie_is_none(mode: Rounding) -> None:
    """One part in 10^30 beside the half decides, however far behind the point it stands."""
    little = Fraction(1, 10**30)
    assert round_exact(Fraction(1, 2) + little, 0, mode) == 1
    assert round_exact(Fraction(1, 2) - little, 0, mode) == 0


def test_one_rounding_only() -> None:
    """A third of a cent times three is a cent again: amounts stay fractions until the end."""
    third = Fraction(1, 300)
    assert round_exact(third * 3, 2, Rounding.HALF_UP) == Decimal("0.01")


def test_digits_of_the_answer_are_those_asked_for() -> None:
    """Two digits are written even when they are zeros, so that a bill shows 3.00."""
    assert str(round_exact(Fraction(3), 2, Rounding.HALF_UP)) == "3.00"


def test_negative_digits_round_to_tens_without_a_float() -> None:
    """Rounding to tens is exact for numbers no float can hold."""
    value = Fraction(10**20 + 15)
    assert round_exact(value, -1, Rounding.HALF_UP) == Decimal(10**20 + 20)


@given(value=st.integers(-(10**35), 10**35), scaler=st.integers(-12, 12))
def test_scaled_values_are_exact(value: int, scaler: int) -> None:
    """A stored integer becomes a decimal without losing a digit, however many it has."""
    assert Fraction(scaled_to_decimal(value, scaler)) == value * Fraction(10) ** scaler


@pytest.mark.parametrize(
    ("value", "text"),
    [("1E+3", "1000"), ("1E-9", "0.000000001"), ("12.340", "12.340"), ("-0.5", "-0.5")],
)
def test_text_is_plain_digits(value: str, text: str) -> None:
    """No scientific notation ever reaches a bill or an answer."""
    assert decimal_to_text(Decimal(value)) == text
