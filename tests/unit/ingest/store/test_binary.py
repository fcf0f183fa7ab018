"""Columns in PostgreSQL's binary COPY form, byte by byte."""

from __future__ import annotations

import struct

import numpy as np

from services.ingest.store.binary import pack, split

TYPES = {"read_at": "timestamptz", "value": "int8", "flags": "int4", "channel": "int2"}


def test_a_row_is_what_copy_expects() -> None:
    """Field count, then each length and big-endian value; instants count from 2000 in µs."""
    columns = {
        "read_at": np.array([946_684_800_001, 946_684_799_999], dtype=np.int64),
        "value": np.array([-1, 2**62], dtype=np.int64),
        "flags": np.array([7, 2**30], dtype=np.uint32),
        "channel": np.array([1, 32_767], dtype=np.int32),
    }
    expected = b"".join(
        struct.pack(">hiqiqiiih", 4, 8, us, 8, value, 4, flags, 2, channel)
        for us, value, flags, channel in [(1000, -1, 7, 1), (-1000, 2**62, 2**30, 32_767)]
    )
    assert pack(TYPES, columns).tobytes() == expected


def test_no_rows_are_no_bytes() -> None:
    """Empty columns pack to nothing."""
    columns = {name: np.zeros(0, dtype=np.int64) for name in TYPES}
    assert pack(TYPES, columns).tobytes() == b""


def test_split_cuts_by_meter_and_channel() -> None:
    """Sorted rows fall into one part for each channel of each meter."""
    columns = {
        "meter_id": np.array([1, 1, 1, 2]),
        "channel": np.array([1, 1, 2, 2]),
        "read_at": np.array([10, 20, 10, 10]),
    }
    parts = {key: part["read_at"].tolist() for key, part in split(columns).items()}
    assert parts == {(1, 1): [10, 20], (1, 2): [10], (2, 2): [10]}
    assert split({name: column[:0] for name, column in columns.items()}) == {}
