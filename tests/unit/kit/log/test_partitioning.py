"""The key's partition: one function for every backend, release and tool."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.log.partitioning import murmur2, partition_of


@given(st.binary(max_size=40))
def test_murmur2_is_kafkas(key: bytes) -> None:
    """Records that Java or Python tools produce land where ours do."""
    kafka = pytest.importorskip("kafka.partitioner")
    assert murmur2(key) == kafka.murmur2(key)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # From the tests of Kafka's Java client (UtilsTest.testMurmur2), as unsigned numbers.
        (b"21", -973932308 % 2**32),
        (b"foobar", -790332482 % 2**32),
        (b"a-little-bit-long-string", -985981536 % 2**32),
        (b"a-little-bit-longer-string", -1486304829 % 2**32),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971 % 2**32),
    ],
)
def test_murmur2_keeps_the_published_values(key: bytes, expected: int) -> None:
    """The function never changes: it would move every meter to another partition."""
    assert murmur2(key) == expected


def test_partitions_are_used_evenly() -> None:
    """10,000 meters spread over 12 partitions within a tenth of the mean."""
    counts = [0] * 12
    for number in range(10_000):
        counts[partition_of(b"tenant-7/meter-%06d" % number, 12)] += 1
    assert max(counts) < 1.1 * 10_000 / 12
    assert min(counts) > 0.9 * 10_000 / 12
