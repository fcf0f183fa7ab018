"""Errors: the tree of kit, and the problem document each becomes."""

from __future__ import annotations

import pytest

from services.kit import errors
from services.kit.errors import Fault, InvalidInputError, MeterfleetError

TREE = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, MeterfleetError)
]


@pytest.mark.parametrize("kind", TREE)
def test_each_error_becomes_a_problem(kind: type[MeterfleetError]) -> None:
    """Type, title, status, code and detail are there even if nothing is said (RFC 9457)."""
    problem = kind().as_problem()
    assert set(problem) == {"type", "title", "status", "code", "detail"}
    assert problem["type"] == f"urn:meterfleet:problem:{kind.code}"
    assert problem["status"] == kind.status
    assert problem["detail"]


def test_all_faults_are_listed() -> None:
    """Every fault keeps its position, code and text, in the order found."""
    faults = [Fault(f"/readings/{n}/at", "reading.at", f"fault {n}") for n in range(3)]
    problem = InvalidInputError("3 faults", faults=faults).as_problem()
    assert problem["faults"] == [
        {"where": f"/readings/{n}/at", "code": "reading.at", "detail": f"fault {n}"}
        for n in range(3)
    ]


def test_a_code_of_its_own_stays_with_the_one_error() -> None:
    """A code given to one error does not change its class."""
    assert InvalidInputError("x", code="tariff.invalid").as_problem()["code"] == "tariff.invalid"
    assert InvalidInputError("x").as_problem()["code"] == "input.invalid"
