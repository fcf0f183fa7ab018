"""Tariff documents: every fault at once, by position."""

from __future__ import annotations

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.billing.rating.parse import DOCUMENT_BYTES_MAX, parse, read_document
from services.kit.errors import InvalidInputError, MeterfleetError, TooLargeError
from tests.unit.billing.documents import (
    THREE_RATES,
    blocks,
    document,
    electricity,
    fixed,
    share,
)

TARIFFS = sorted(Path("services/billing/tariffs").glob("*.yaml"))


def faults_of(tariff: dict[str, Any]) -> dict[str, str]:
    """Fault code by position."""
    with pytest.raises(InvalidInputError) as caught:
        parse(tariff)
    return {fault.where: fault.code for fault in caught.value.faults}


@pytest.mark.parametrize("path", TARIFFS, ids=lambda path: path.stem)
def test_the_examples_are_tariffs(path: Path) -> None:
    """Every example parses, and its file has its code's name."""
    assert parse(read_document(path.read_bytes())).code == path.stem


def test_all_faults_are_listed_at_once_by_position() -> None:
    """Wrong fields at every depth come back together, each with its JSON pointer."""
    lines = [
        fixed("a", "1.5", "week"),
        blocks("b", [("10", "1"), ("5", "2"), (None, "3")], surprise=1),
        share("c", "percentage", "10", ["nowhere", "c"]),
        {"id": "d", "kind": "magic", "text": "d"},
        {**fixed("a", "1"), "price": 0.1},
        {**share("f", "tax", "7", ["a"]), "inclusive": True},
    ]
    wrong = document(
        lines,
        code="Not A Code",
        currency="euro",
        time_zone="Mars/Base",
        channel="1-0:1.8.0",
        valid_from="soon",
        rounding={"mode": "sideways", "per": "line"},
        calendar={"holidays_country": "XX"},
    )
    assert faults_of(wrong) == {
        "/code": "tariff.text",
        "/currency": "tariff.text",
        "/time_zone": "tariff.time_zone",
        "/channel": "tariff.channel",
        "/valid_from": "tariff.date",
        "/rounding/mode": "tariff.choice",
        "/calendar/holidays_country": "tariff.country",
        "/lines/0/per": "tariff.choice",
        "/lines/1/blocks/1/up_to": "tariff.not_rising",
        "/lines/1/surprise": "tariff.unknown_field",
        "/lines/2/of/0": "tariff.unknown_line",
        "/lines/2/of/1": "tariff.unknown_line",
        "/lines/3/kind": "tariff.choice",
        "/lines/4/id": "tariff.id_twice",
        "/lines/4/price": "tariff.float",
        "/lines/5/inclusive": "tariff.inclusive",
    }


def test_the_last_block_takes_all_the_rest() -> None:
    """A limit on the last block, or none before it, would leave use without a price."""
    line = blocks("use", [(None, "1"), ("5", "2")])
    assert faults_of(document([line])) == {
        "/lines/0/blocks/0/up_to": "tariff.decimal",
        "/lines/0/blocks/1/up_to": "tariff.last_block",
    }


def test_each_uncovered_and_each_doubly_covered_stretch_is_named() -> None:
    """A period that ends early in winter and one that begins early leave their hours by name."""
    line = copy.deepcopy(THREE_RATES)
    line["periods"][0]["months"] = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    line["periods"][2]["to_time"] = "20:00"
    line["periods"][3]["from_time"] = "20:45"
    with pytest.raises(InvalidInputError) as caught:
        parse(electricity([line], calendar={"holidays_country": "ES"}))
    found = {(fault.code, fault.detail) for fault in caught.value.faults}
    every = ", ".join(map(str, range(1, 13)))
    assert ("tariff.uncovered", "mon 00:00–07:30 in months 10, 11, 12 is in no period") in found
    assert ("tariff.uncovered", f"holiday 20:00–20:45 in months {every} is in no period") in found
    overlap = f"fri 20:45–21:00 in months {every} is in more than one period"
    assert ("tariff.overlap", overlap) in found
    assert len(found) == 8 + 3 + 5


def test_a_tariff_without_holidays_may_not_name_them() -> None:
    """Without a calendar no day is ever a holiday, so a holiday price would never apply."""
    where = "/lines/0/periods/2/weekdays/2"
    assert faults_of(electricity([THREE_RATES])) == {where: "tariff.choice"}


def test_one_name_has_one_price() -> None:
    """Two prices under one name could not be told apart on the bill."""
    line = copy.deepcopy(THREE_RATES)
    line["periods"][3]["price"] = "0.11"
    wrong = electricity([line], calendar={"holidays_country": "ES"})
    assert faults_of(wrong) == {"/lines/0/periods/3/price": "tariff.two_prices"}


def test_decimals_keep_their_digits_in_both_formats() -> None:
    """0.1 in JSON and YAML is the text 0.1, so both documents have one digest."""
    lines = [fixed("a", "0.1")]
    as_json = json.dumps(document(lines)).replace('"0.1"', "0.1").encode()
    as_yaml = "\n".join(
        f"{name}: {value}" if name == "valid_from" else f"{name}: {json.dumps(value)}"
        for name, value in document(lines).items()
    )
    as_yaml = as_yaml.replace('"0.1"', "0.1").encode()
    one, other = parse(read_document(as_json)), parse(read_document(as_yaml))
    assert one == other == parse(document(lines))


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[1, 2]",
        b"\xff\xfe",
        b"a: &x [1]\nb: *x",
        b'{"a": "\\ud800"}',
        b"a: !!python/name:os",
    ],
)
def test_bytes_that_are_no_document_are_one_clear_fault(data: bytes) -> None:
    """Broken JSON, lists, other encodings, aliases and tags never get past the reader."""
    with pytest.raises(InvalidInputError) as caught:
        read_document(data)
    assert len(caught.value.faults) == 1


def test_a_document_beyond_its_bound_is_refused() -> None:
    """The bound is checked before anything is parsed."""
    with pytest.raises(TooLargeError):
        read_document(b" " * (DOCUMENT_BYTES_MAX + 1))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)


@given(value=_JSON, data=st.data())
def test_no_value_anywhere_breaks_the_parser(value: Any, data: st.DataObject) -> None:
    """Any JSON in place of any part of a tariff is a tariff or a list of faults, no other error."""
    tariff = electricity(
        [copy.deepcopy(THREE_RATES), blocks("b", [("1", "1"), (None, "2")]),
         share("s", "tax", "7", ["b"])],
        calendar={"holidays_country": "ES"},
    )  # fmt: skip
    place: Any = tariff
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    with contextlib.suppress(MeterfleetError):
        parse(tariff)
