"""Scans over many channels at once, held against loops over one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.detectors.segments import Segments, extremes, high_before, runs, segments_of

SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=6)


def segments(lengths: list[int]) -> Segments:
    """Segments of these lengths, rows numbered from 10."""
    keys = np.repeat(np.arange(len(lengths)), lengths)
    return Segments(np.arange(10, 10 + len(lengths)), *segments_of(keys))


@given(data=st.data(), lengths=SHAPES)
def test_high_before(data: st.DataObject, lengths: list[int]) -> None:
    """The highest value before each element, carries included, as a loop finds it."""
    values = [data.draw(st.integers(0, 50)) for _ in range(sum(lengths))]
    carry = [data.draw(st.sampled_from([-(2**62), 0, 25, 60])) for _ in lengths]
    expected, position = [], 0
    for high, length in zip(carry, lengths, strict=True):
        for value in values[position : position + length]:
            expected.append(high)
            high = max(high, value)
        position += length
    found = high_before(np.array(values), np.array(carry), segments(lengths))
    assert found.tolist() == expected


@given(data=st.data(), lengths=SHAPES)
def test_runs(data: st.DataObject, lengths: list[int]) -> None:
    """What was added up since the last clearing, as a loop finds it."""
    size = sum(lengths)
    add = [data.draw(st.integers(0, 9)) for _ in range(size)]
    clear = [data.draw(st.booleans()) for _ in range(size)]
    carry = [data.draw(st.integers(0, 100)) for _ in lengths]
    expected, position = [], 0
    for run, length in zip(carry, lengths, strict=True):
        for i in range(position, position + length):
            run = 0 if clear[i] else run + add[i]
            expected.append(run)
        position += length
    found = runs(np.array(add), np.array(clear), np.array(carry), segments(lengths))
    assert found.tolist() == expected


@given(data=st.data(), lengths=SHAPES)
def test_keep_pick_since_and_any(data: st.DataObject, lengths: list[int]) -> None:
    """Leaving out elements or segments, and the latest mark, agree with lists of lists."""
    mask = np.array([data.draw(st.booleans()) for _ in range(sum(lengths))])
    of = segments(lengths)
    parts = [mask[f : f + n] for f, n in zip(of.first, of.length, strict=True)]
    kept = of.keep(mask)
    left = [(row, part.sum()) for row, part in zip(of.row, parts, strict=True) if part.any()]
    assert list(zip(kept.row, kept.length, strict=True)) == left
    chosen = of.any(mask)
    assert chosen.tolist() == [bool(part.any()) for part in parts]
    assert of.pick(chosen).length.tolist() == of.length[chosen].tolist()
    start, own = of.since(mask)
    for i in range(len(mask)):
        first = max(f for f in of.first.tolist() if f <= i)
        marks = [j for j in range(first, i + 1) if mask[j]]
        assert bool(own[i]) == bool(marks)
        assert not marks or start[i] == marks[-1]


@given(data=st.data(), lengths=SHAPES)
def test_extremes(data: st.DataObject, lengths: list[int]) -> None:
    """Smallest and largest of the tails of segments."""
    values = np.array([data.draw(st.integers(-9, 9)) for _ in range(sum(lengths))])
    of = segments(lengths)
    start = np.array([data.draw(st.integers(int(f), int(e)))
                      for f, e in zip(of.first, of.last, strict=True)])  # fmt: skip
    for ufunc in (np.minimum, np.maximum):
        expected = [
            int(ufunc.reduce(values[s : e + 1])) for s, e in zip(start, of.last, strict=True)
        ]
        assert extremes(ufunc, values, start, of.last).tolist() == expected
