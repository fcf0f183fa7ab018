"""The file door's form: columns by name, exact values, wall times, faults by row."""

from __future__ import annotations

import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet
import pytest

from services.ingest.doors.files import Mapping, parse
from services.kit.errors import InvalidInputError

CSV = "text/csv"
WATER = Mapping(obis="8-0:1.0.0", unit="m3", zone="Europe/Madrid")


def parquet(**columns: object) -> bytes:
    """A Parquet file."""
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def faults_of(
    content: bytes, content_type: str = CSV, mapping: Mapping = WATER
) -> list[tuple[str, str]]:
    """Where and what, of a file that is refused."""
    with pytest.raises(InvalidInputError) as caught:
        parse(content, content_type, mapping)
    return [(fault.where, fault.code) for fault in caught.value.faults]


def test_csv_values_are_exact_decimals() -> None:
    """Decimals of different length become integers of one scale, without a float."""
    batch = parse(
        b"meter,at,value\n007,2026-01-01T00:00:00Z,0.1\n008,2026-01-01T01:00:00Z,-12.345\n",
        CSV,
        WATER,
    )
    assert batch.meters == ("007", "008"), "an identifier is a text, leading zeros and all"
    assert (batch.value.tolist(), batch.channels[0].scaler) == ([100, -12345], -3)
    assert batch.at_ms.tolist() == [1767225600000, 1767229200000]


def test_parquet_keeps_integers_and_decimals() -> None:
    """Integer columns stay whole, decimal columns keep their digits."""
    at = pa.array([0, 1], pa.timestamp("ms", "UTC"))
    whole = parse(
        parquet(meter=[1, 2], at=at, value=[5, 6]), "application/vnd.apache.parquet", WATER
    )
    assert (whole.meters, whole.value.tolist()) == (("1", "2"), [5, 6])
    value = pa.array([Decimal("1.50"), Decimal("2.25")])
    exact = parse(
        parquet(meter=["a", "b"], at=at, value=value), "application/vnd.apache.parquet", WATER
    )
    assert (exact.value.tolist(), exact.channels[0].scaler) == ([150, 225], -2)


def test_wall_times_need_a_zone() -> None:
    """Times without an offset are localised by the named zone, and refused without one."""
    content = b"meter,at,value\na,2026-07-01 02:00:00,1\n"
    assert parse(content, CSV, WATER).at_ms.tolist() == [1782864000000]
    bare = Mapping(obis="8-0:1.0.0", unit="m3")
    assert faults_of(content, CSV, bare) == [("zone", "zone.missing")]


def test_every_faulty_row_is_named() -> None:
    """Missing, unreadable and impossible cells of one file are all told by row and column."""
    content = (
        b"meter,at,value\n"
        b"a,2026-01-01T00:00:00,1\n"
        b"a,2026-03-29T02:30:00,2\n"
        b"a,2026-01-01T02:00:00,many\n"
        b"a,2026-01-01T03:00:00,1.2345678\n"
        b"a,2026-01-01T04:00:00,12345678901234567\n"
    )
    assert faults_of(content) == [
        ("row 3, column value", "value.not_a_number"),
        ("row 4, column value", "value.not_a_number"),
        ("row 5, column value", "value.digits"),
        ("row 2, column at", "instant.never"),
    ]


@pytest.mark.parametrize(
    ("content", "content_type", "expected"),
    [
        (b"meter,at\na,1\n", CSV, [("column value", "file.column")]),
        (b"", CSV, [("byte 0", "file.broken")]),
        (b"PAR1 but not really", "application/vnd.apache.parquet", [("byte 0", "file.broken")]),
        (b"{}", "application/json", [("Content-Type", "file.type")]),
        (b"meter,at,value\na,yesterday,1\n", CSV, [("column at", "instant.invalid")]),
        (
            b"meter,at,value\n,2026-01-01T00:00:00Z,1\n",
            CSV,
            [("row 1, column meter", "meter.invalid")],
        ),
    ],
)
def test_what_is_no_such_file_is_refused(
    content: bytes, content_type: str, expected: list[tuple[str, str]]
) -> None:
    """A file that does not fit its mapping or type gives one clear problem."""
    assert faults_of(content, content_type) == expected


def test_a_mapping_with_faults_names_them_all() -> None:
    """Code, unit and zone are checked before a byte of the file is read."""
    mapping = Mapping(obis="water", unit="bucket", zone="Mars/Base")
    assert faults_of(b"", CSV, mapping) == [
        ("obis", "obis.invalid"), ("unit", "unit.unknown"), ("zone", "zone.unknown"),
    ]  # fmt: skip
