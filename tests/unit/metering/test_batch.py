"""The columnar batch: its bytes, its faults, its cuts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kit.errors import DecodeError
from services.metering.batch import (
    BATCH_READINGS_MAX,
    ChannelRef,
    Origin,
    ReadingBatch,
    from_bytes,
    to_bytes,
)
from services.stubs.meterfleet.readings.v1 import readings_pb2

NAME = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8
)
INT64 = st.integers(-(2**63), 2**63 - 1)


@st.composite
def batches(draw: st.DrawFn) -> ReadingBatch:
    """Any batch a door could make."""
    size = draw(st.integers(0, 30))
    meters = draw(st.lists(NAME, min_size=1, max_size=4, unique=True))
    refs = [ChannelRef("8-0:1.0.0", "m3", n) for n in range(draw(st.integers(1, 3)))]
    column = lambda high: np.array(  # noqa: E731
        draw(st.lists(st.integers(0, high), min_size=size, max_size=size)), dtype=np.int32
    )
    wide = lambda: np.array(  # noqa: E731
        draw(st.lists(INT64, min_size=size, max_size=size)), dtype=np.int64
    )
    origin = Origin("id", draw(st.integers(0, 9)), "s", 5, b"d", draw(st.integers(-9, 9)))
    return ReadingBatch(
        tuple(meters), tuple(refs), column(len(meters) - 1), column(len(refs) - 1), wide(), wide(),
        origin,
    )  # fmt: skip


def same(one: ReadingBatch, other: ReadingBatch) -> bool:
    """Whether two batches say the same."""
    names = ("meter", "channel", "at_ms", "value")
    columns = all((getattr(one, n) == getattr(other, n)).all() for n in names)
    return columns and (one.meters, one.channels, one.origin) == (
        other.meters, other.channels, other.origin,
    )  # fmt: skip


@given(batches())
def test_bytes_and_back(batch: ReadingBatch) -> None:
    """What was written is what is read, to the last bit."""
    assert same(from_bytes(to_bytes(batch)), batch)


@given(batches())
def test_bytes_are_what_protobuf_would_write(batch: ReadingBatch) -> None:
    """Appended columns are the same message to any protobuf library."""
    message = readings_pb2.ReadingBatch.FromString(to_bytes(batch))
    again = message.SerializeToString()
    assert same(from_bytes(again), batch)


@given(batches(), st.data())
def test_a_cut_keeps_the_readings(batch: ReadingBatch, data: st.DataObject) -> None:
    """Taking rows keeps names and values, and drops names nobody uses."""
    rows = np.array(
        data.draw(st.lists(st.integers(0, max(len(batch) - 1, 0)), max_size=5, unique=True)),
        dtype=np.int64,
    )[: len(batch)]
    part = batch.take(rows)
    told = [batch.meters[m] for m in batch.meter[rows]]
    assert [part.meters[m] for m in part.meter] == told
    assert set(part.meters) == set(told)
    assert (part.value == batch.value[rows]).all()


@settings(max_examples=300)
@given(batches(), st.data())
def test_damaged_bytes_are_refused_or_still_a_batch(
    batch: ReadingBatch, data: st.DataObject
) -> None:
    """Cut anywhere or with any bit flipped, only the declared error comes out."""
    content = bytearray(to_bytes(batch))
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        from_bytes(bytes(content))
    except DecodeError as error:
        assert error.faults


def test_all_faults_at_once() -> None:
    """Columns of different length, bad indices and bad names are all told, with their place."""
    message = readings_pb2.ReadingBatch(
        version=1, meters=["", "x" * 101], meter=[0, 9], channel=[0], at_ms=[1, 2], value=[1]
    )
    with pytest.raises(DecodeError) as caught:
        from_bytes(message.SerializeToString())
    assert [(f.where, f.code) for f in caught.value.faults] == [
        ("/channel", "batch.columns"),
        ("/value", "batch.columns"),
        ("/meters/0", "batch.text"),
        ("/meters/1", "batch.text"),
        ("/meter/1", "batch.index"),
        ("/channel/0", "batch.index"),
    ]


def test_another_layout_is_refused_by_its_number() -> None:
    """A batch of a version we do not know is not guessed at."""
    with pytest.raises(DecodeError) as caught:
        from_bytes(readings_pb2.ReadingBatch(version=2).SerializeToString())
    assert caught.value.faults[0].code == "batch.version"


def test_an_overlong_batch_is_refused() -> None:
    """One reading beyond the bound, and nothing is taken."""
    size = BATCH_READINGS_MAX + 1
    zeros = np.zeros(size, dtype=np.int32)
    wide = np.zeros(size, dtype=np.int64)
    content = to_bytes(ReadingBatch(("m",), (ChannelRef("o", "L", 0),), zeros, zeros, wide, wide))
    with pytest.raises(DecodeError) as caught:
        from_bytes(content)
    assert [f.code for f in caught.value.faults] == ["batch.too_long"]
