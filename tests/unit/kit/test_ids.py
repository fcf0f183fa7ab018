"""Ids: the layout of UUID version 7 (RFC 9562 section 5.7) and its order."""

from __future__ import annotations

import random
import uuid

from hypothesis import given
from hypothesis import strategies as st

from services.kit.clock import FixedClock
from services.kit.ids import IdSource


@given(at_ms=st.integers(0, (1 << 48) - 1), seed=st.integers(0, 1000))
def test_layout(at_ms: int, seed: int) -> None:
    """48 bits of milliseconds, version 7, the RFC's variant, and nothing else fixed."""
    made = IdSource(FixedClock(at_ms), random.Random(seed).getrandbits).new()
    assert made.int >> 80 == at_ms
    assert made.version == 7
    assert made.variant == uuid.RFC_4122


def test_example_of_the_standard() -> None:
    """RFC 9562 appendix A.6: its instant and random bits make its id."""
    bits = {12: 0xCC3, 62: 0x18C4DC0C0C07398F}
    made = IdSource(FixedClock(0x017F22E279B0), bits.__getitem__).new()
    assert made == uuid.UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


@given(st.integers(0, (1 << 48) - 2), st.integers(1, 10**6))
def test_later_ids_sort_behind(at_ms: int, step_ms: int) -> None:
    """Whatever the random bits, an id of a later millisecond is the greater one."""
    later_ms = min(at_ms + step_ms, (1 << 48) - 1)
    early = IdSource(FixedClock(at_ms), lambda bits: (1 << bits) - 1).new()
    late = IdSource(FixedClock(later_ms), lambda _: 0).new()
    assert early < late
    assert str(early) < str(late)
    assert early.bytes < late.bytes


def test_no_two_are_the_same() -> None:
    """Within one stopped millisecond the random bits alone keep 10,000 ids apart."""
    source = IdSource(FixedClock(1))
    assert len({source.new() for _ in range(10_000)}) == 10_000
