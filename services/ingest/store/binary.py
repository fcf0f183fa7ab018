"""Columns to and from PostgreSQL in its binary forms, without touching a row in Python.

The format of COPY is that of PostgreSQL 18, "COPY, Binary Format": a signature, then for each row
the number of fields and each field's length and big-endian bytes, then -1. All our columns have a
fixed width and are never null, so a whole table is one structured array.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import Cursor, sql

_HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
_TRAILER = b"\xff\xff"
#: PostgreSQL counts timestamps in microseconds from 2000-01-01.
_EPOCH_MS = 946_684_800_000
#: Bytes handed to libpq at once.
_WRITE_BYTES = 1 << 20

_SENDERS = {
    "int2": "int2send",
    "int4": "int4send",
    "int8": "int8send",
    "timestamptz": "timestamptz_send",
}
_TYPES = {"int2": ">i2", "int4": ">i4", "int8": ">i8", "timestamptz": ">i8"}

Columns = dict[str, NDArray[Any]]
#: A channel of a meter: (meter_id, number).
Key = tuple[int, int]


def _row_dtype(types: dict[str, str]) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = [("", ">i2")]
    for name, kind in types.items():
        fields += [(f"{name} length", ">i4"), (name, _TYPES[kind])]
    return np.dtype([(name or "fields", kind) for name, kind in fields])


def pack(types: dict[str, str], columns: Columns) -> NDArray[Any]:
    """Rows in COPY's binary form.

    Args:
        types: Column name to PostgreSQL type, in the table's order of the COPY.
        columns: Column name to values; `timestamptz` takes int64 milliseconds since 1970.
    """
    dtype = _row_dtype(types)
    rows = np.zeros(len(next(iter(columns.values()))), dtype=dtype)
    rows["fields"] = len(types)
    for name, kind in types.items():
        rows[f"{name} length"] = np.dtype(_TYPES[kind]).itemsize
        values = columns[name]
        rows[name] = (values - _EPOCH_MS) * 1000 if kind == "timestamptz" else values
    return rows


def write(cursor: Cursor[Any], table: str, types: dict[str, str], columns: Columns) -> None:
    """COPY columns into a table.

    Args:
        cursor: Of a psycopg 3 connection.
        table: `schema.table`, one of our own names.
        types: Column name to PostgreSQL type.
        columns: See `pack`.
    """
    if not len(next(iter(columns.values()))):
        return
    names = sql.SQL(", ").join(map(sql.Identifier, types))
    target = sql.Identifier(*table.split("."))
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(target, names)
    data = memoryview(pack(types, columns).tobytes())
    with cursor.copy(statement) as copy:
        copy.write(_HEADER)
        for start in range(0, len(data), _WRITE_BYTES):
            copy.write(data[start : start + _WRITE_BYTES])
        copy.write(_TRAILER)


def read(
    cursor: Cursor[Any], query: str, parameters: dict[str, Any], types: dict[str, str]
) -> Columns:
    """The result of a query as columns; `timestamptz` becomes int64 milliseconds since 1970.

    The server strings each column's binary values together, so that a million rows come as one
    value a column: COPY would hand every row through Python (3 µs a row against 0.3).

    Args:
        cursor: Of a psycopg 3 connection.
        query: A SELECT whose columns are `types` in order and never null; its order is kept.
        parameters: Its parameters.
        types: Column name to PostgreSQL type.
    """
    names = ", ".join(f"column_{number}" for number in range(len(types)))
    sums = ", ".join(
        f"string_agg({_SENDERS[kind]}(column_{number}), ''::bytea)"
        for number, kind in enumerate(types.values())
    )
    statement = f"select {sums} from ({query}) as rows({names})"
    row = cursor.execute(statement, parameters, binary=True).fetchone()
    assert row is not None, "an aggregate without groups is one row"
    columns: Columns = {}
    for (name, kind), data in zip(types.items(), row, strict=True):
        values = np.frombuffer(data or b"", dtype=_TYPES[kind])
        values = values.astype(values.dtype.newbyteorder("="))
        columns[name] = values // 1000 + _EPOCH_MS if kind == "timestamptz" else values
    assert len({len(column) for column in columns.values()}) == 1, "a null came back"
    return columns


def split(columns: Columns) -> dict[Key, Columns]:
    """Rows sorted by meter and channel, cut into one part for each."""
    size = len(columns["read_at"])
    if not size:
        return {}
    meter_id, channel = columns["meter_id"], columns["channel"]
    edges = np.flatnonzero((np.diff(meter_id) != 0) | (np.diff(channel) != 0)) + 1
    bounds = [0, *edges.tolist(), size]
    return {
        (int(meter_id[start]), int(channel[start])): {
            name: column[start:end] for name, column in columns.items()
        }
        for start, end in pairwise(bounds)
    }
