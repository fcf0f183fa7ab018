"""Flags are stored for years: their bits, masks and classes must not move by accident."""

from __future__ import annotations

import numpy as np
import pytest

from services.metering.quality import (
    FAIL_MASK,
    REJECT_MASK,
    WARN_MASK,
    Outcome,
    Rule,
    followed,
    outcome,
    rule_names,
    usable,
)


def test_a_rule_has_the_bit_of_its_number():
    """Vn is bit n, so that a stored flag can be read without a table."""
    numbered = [rule for rule in Rule if (rule.name or "").startswith("V")]
    assert len(numbered) == 28
    assert all(rule == 1 << int((rule.name or "")[1:3]) for rule in numbered)


def test_flags_fit_a_signed_column():
    """Bit 31 stays free: PostgreSQL's integer has a sign."""
    assert max(Rule) < 2**31


def test_each_bit_has_one_class():
    """A rule warns, fails or rejects; the chain's marks apart, none is forgotten."""
    assert REJECT_MASK & FAIL_MASK == 0
    assert WARN_MASK & (REJECT_MASK | FAIL_MASK) == 0
    every = int(np.bitwise_or.reduce([int(rule) for rule in Rule]))
    marks = Rule.PENDING | Rule.CONFIRMED_LATER
    assert every & ~marks == REJECT_MASK | FAIL_MASK | WARN_MASK


@pytest.mark.parametrize(
    ("flags", "expected", "is_usable"),
    [
        (0, Outcome.PASS, True),
        (Rule.CONFIRMED_LATER, Outcome.PASS, True),
        (Rule.BELOW_MARK, Outcome.WARN, True),
        (Rule.V10_SPIKE, Outcome.WARN, True),
        (Rule.PENDING | Rule.V20_PHYSICAL_LIMIT, Outcome.PENDING, False),
        (Rule.V20_PHYSICAL_LIMIT | Rule.V10_SPIKE, Outcome.FAIL, False),
        (Rule.V17_NEGATIVE, Outcome.FAIL, False),
        (Rule.V18_DIAL, Outcome.FAIL, False),
        (Rule.V24_INSTANT | Rule.V20_PHYSICAL_LIMIT, Outcome.REJECT, False),
    ],
)
def test_the_worst_flag_gives_the_class(flags, expected, is_usable):
    """A reading has one outcome, and is usable if it passed or was only warned about."""
    column = np.array([flags], dtype=np.uint32)
    assert outcome(column).tolist() == [expected]
    assert usable(column).tolist() == [is_usable]


def test_the_chain_is_followed_whatever_other_rules_say():
    """A reading an estimator failed was still a step of the chain, which must be resumed by it."""
    flags = np.array([Rule.V25_PREVIOUS, Rule.V17_NEGATIVE, Rule.BELOW_MARK], dtype=np.uint32)
    assert followed(flags).tolist() == [True, False, True]
    assert usable(flags).tolist() == [False, False, True]


def test_flags_have_names():
    """People read rules, not bits."""
    assert rule_names(0) == []
    assert rule_names((1 << 20) | 1) == ["PENDING", "V20_PHYSICAL_LIMIT"]
