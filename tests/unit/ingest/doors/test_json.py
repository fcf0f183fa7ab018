"""The JSON door's form: exact values, all faults with their position, nothing half-taken."""

from __future__ import annotations

import json as json_
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.doors.json import parse
from services.kit.errors import InvalidInputError

GOOD = {"meter": "m", "obis": "8-0:1.0.0", "at": "2026-01-01T00:00:00Z", "value": "1", "unit": "L"}


def body(*rows: object) -> bytes:
    """A request body."""
    return json_.dumps({"readings": rows}).encode()


@given(st.decimals(-(10**9), 10**9, places=4, allow_nan=False), st.booleans())
def test_values_are_exact(value: Decimal, as_text: bool) -> None:
    """A value means the same as text or as number, and no float comes in between."""
    written = f'"{value}"' if as_text else f"{value}"
    row = json_.dumps(GOOD | {"value": 0}).replace('"value": 0', f'"value": {written}')
    _, batch = parse(f'{{"readings": [{row}]}}'.encode())
    ref = batch.channels[batch.channel[0]]
    assert Decimal(int(batch.value[0])).scaleb(ref.scaler) == value


def test_rows_of_mixed_precision_share_a_batch() -> None:
    """Each exponent becomes a channel of the batch; meters are named once."""
    _, batch = parse(body(GOOD, GOOD | {"value": "1.25"}, GOOD | {"value": 2, "meter": "n"}))
    assert batch.meters == ("m", "n")
    assert sorted(c.scaler for c in batch.channels) == [-2, 0]
    assert batch.value.tolist() == [1, 125, 2]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (GOOD | {"value": "NaN"}, "value.not_a_number"),
        (GOOD | {"value": "Infinity"}, "value.not_a_number"),
        (GOOD | {"value": "1234567890123456"}, "value.digits"),
        (GOOD | {"value": "1e300"}, "value.digits"),
        (GOOD | {"value": "abc"}, "reading.invalid"),
        (GOOD | {"at": "2026-01-01T00:00:00"}, "reading.invalid"),
        (GOOD | {"at": "10000-01-01T00:00:00Z"}, "reading.invalid"),
        (GOOD | {"meter": ""}, "reading.invalid"),
        (GOOD | {"meter": "x" * 101}, "reading.invalid"),
        (GOOD | {"more": 1}, "reading.invalid"),
        (GOOD | {"obis": "water"}, "obis.invalid"),
        (GOOD | {"unit": "bucket"}, "unit.unknown"),
        ("text", "reading.invalid"),
    ],
)
def test_a_fault_is_told_by_position(row: object, code: str) -> None:
    """Whatever is wrong with the second row, the problem names that row and a stable code."""
    with pytest.raises(InvalidInputError) as caught:
        parse(body(GOOD, row))
    (fault,) = caught.value.faults
    assert fault.code == code
    assert fault.where.startswith("/readings/1")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"readings": 1}', b"\xff", b"null"])
def test_what_is_no_document_is_refused(content: bytes) -> None:
    """Bytes that are no list of readings give one clear fault."""
    with pytest.raises(InvalidInputError):
        parse(content)


def test_all_faults_come_at_once() -> None:
    """Two bad rows are two faults in one answer."""
    with pytest.raises(InvalidInputError) as caught:
        parse(body(GOOD | {"value": "x"}, GOOD, GOOD | {"unit": "?"}))
    assert [f.where for f in caught.value.faults] == ["/readings/0", "/readings/2/unit"]
