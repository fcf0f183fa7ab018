"""Product files: what makes two of them the same."""

from __future__ import annotations

import pytest

from services.devices.domain.products import read_product
from services.devices.templates import load
from services.kit.errors import InvalidInputError


def test_the_digest_is_of_the_content() -> None:
    """The order of fields does not matter, any value does, unknown fields too."""
    water = load("water")
    digest = read_product(water).digest
    assert read_product(dict(reversed(water.items()))).digest == digest
    assert read_product(water | {"name": "x"}).digest != digest
    assert read_product(water | {"note": "x"}).digest != digest


@pytest.mark.parametrize(
    "note", ["\0", "a\0b", "\ud800", float("nan"), float("inf"), {"\0": 1}, [["\udfff"]]]
)
def test_what_cannot_be_stored_is_refused(note: object) -> None:
    """JSON that PostgreSQL would refuse is refused at the door."""
    with pytest.raises(InvalidInputError) as caught:
        read_product(load("water") | {"note": note})
    assert caught.value.code == "product.invalid"


def test_an_escaped_escape_is_no_nul() -> None:
    """A text that only looks like an escaped NUL is as good as any other."""
    assert read_product(load("water") | {"note": r"\u0000"}).content["note"] == r"\u0000"
