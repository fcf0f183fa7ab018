"""What a partition's owner remembers: slots, growth, forgetting, exact scaling."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.directory import MeterEntry, entry_of
from services.ingest.pipeline.state import PartitionState, exact_scale, scaling
from services.metering.batch import ChannelRef
from tests.ingest_harness import TENANT, WATER, meter_event


def entry(number: int, digits: int = 6) -> MeterEntry:
    """A water meter."""
    return entry_of(meter_event(number, f"S{number}", digits=digits).SerializeToString())


def test_each_meter_has_one_slot() -> None:
    """Two names of a meter share its rows, and only new meters want loading."""
    state = PartitionState()
    assert state.add([("S1", entry(1)), ("ACME:S1", entry(1))]).tolist() == [0]
    assert state.add([("again", entry(1))]).tolist() == []
    assert state.slots(TENANT, ["S1", "ACME:S1", "again", "S2"]).tolist() == [0, 0, 0, -1]
    assert state.slots(TENANT + 1, ["S1"]).tolist() == [-1], "names are a tenant's own"


def test_growing_keeps_what_is_there() -> None:
    """Thousands of meters, added in pieces, keep their rows, limits and state."""
    state = PartitionState()
    for start in range(0, 1000, 100):
        meters = [(f"S{n}", entry(n, digits=5 + n % 3)) for n in range(start, start + 100)]
        rows = state.add(meters)
        state.chain.last_at_ms[rows] = rows
    names = [f"S{n}" for n in range(1000)]
    rows = state.first_row[state.slots(TENANT, names)]
    assert state.meter_id[rows].tolist() == list(range(1000))
    assert state.limits.span[rows].tolist() == [10 ** (5 + n % 3) for n in range(1000)]
    assert state.chain.last_at_ms[rows].tolist() == list(range(1000))
    assert state.canonical(int(rows[77])) == "ACME:S77"


def test_a_forgotten_meter_loads_anew() -> None:
    """After a change all names of a meter are unknown, and it gets rows of its new product."""
    state = PartitionState()
    state.add([("S1", entry(1)), ("ACME:S1", entry(1)), ("S2", entry(2))])
    state.forget({1, 99})
    assert state.slots(TENANT, ["S1", "ACME:S1", "S2"]).tolist() == [-1, -1, 1]
    assert state.add([("S1", entry(1, digits=8))]).tolist() == [2]
    assert state.limits.span[2] == 10**8


def test_scaling_finds_the_channel() -> None:
    """Known channel and unit give an exact factor; anything else its reason."""
    channels = entry(1).channels
    found = scaling(channels, ChannelRef(WATER, "m3", 0))
    assert (found.position, found.numerator, found.denominator, found.reason) == (0, 1000, 1, "")
    assert scaling(channels, ChannelRef("1-0:1.8.0", "m3", 0)).reason == "channel.unknown"
    assert scaling(channels, ChannelRef(WATER, "kWh", 0)).reason == "unit.mismatch"
    assert scaling(channels, ChannelRef(WATER, "m3", 18)).reason == "unit.mismatch"


@given(
    st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20),
    st.integers(1, 10**15),
    st.integers(1, 10**15),
)
def test_scaling_is_exact_or_says_so(values: list[int], numerator: int, denominator: int) -> None:
    """A product is exact, not whole, or too large; never rounded, never wrapped."""
    size = len(values)
    scaled, fault = exact_scale(
        np.array(values, dtype=np.int64),
        np.full(size, numerator, dtype=np.int64),
        np.full(size, denominator, dtype=np.int64),
    )
    for value, got, wrong in zip(values, scaled.tolist(), fault.tolist(), strict=True):
        exact = value * Fraction(numerator, denominator)
        if wrong == 0:
            assert got == exact
        elif wrong == 1:
            assert exact.denominator != 1
        else:
            assert abs(value) * numerator > 2**61
