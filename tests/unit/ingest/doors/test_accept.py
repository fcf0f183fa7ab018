"""The last step of every door: partitions, sizes of records, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from services.ingest import events
from services.ingest.directory import MeterDirectory, MeterEntry
from services.ingest.doors.accept import APPEND_READINGS_MAX, Acceptor
from services.kit.auth import Identity, Role
from services.kit.clock import FixedClock
from services.kit.errors import InvalidInputError
from services.kit.ids import IdSource
from services.kit.log import Log
from services.kit.log.port import APPEND_BYTES_MAX
from services.metering.batch import RECORD_READINGS_MAX, SCALER_MAX, ChannelRef, from_bytes
from tests.ingest_harness import NOW_MS, START_MS, batch
from tests.unit.ingest.fake_log import FakeLog

GATEWAY = Identity(7, "city", Role.GATEWAY, "test")
NAMES = ("ACME:A", "A", "dev-a")


class FakeDirectory:
    """Knows one meter by three names."""

    def lookup(self, tenant_id: int, identifiers: Sequence[str]) -> list[MeterEntry | None]:
        """The meter of tenant 7, or nobody."""
        meter = MeterEntry(7, 1, NAMES[0], ())
        return [meter if tenant_id == 7 and name in NAMES else None for name in identifiers]


def acceptor(log: FakeLog) -> Acceptor:
    """An acceptor on fakes."""
    clock = FixedClock(NOW_MS)
    return Acceptor(
        cast("Log", log), cast("MeterDirectory", FakeDirectory()), clock, IdSource(clock)
    )


def test_all_identifiers_of_a_meter_go_to_one_partition() -> None:
    """However a meter is called, its readings stay in order on the partition of its name."""
    log = FakeLog()
    for name in NAMES:
        acceptor(log).accept(batch([(name, START_MS, 1)]), GATEWAY, "test", b"")
    acceptor(log).accept(batch([(name, START_MS, 1) for name in NAMES]), GATEWAY, "test", b"")
    used = {record.partition for call in log.calls for record in call}
    assert used == {events.partition_of(7, "ACME:A", log.count)}


def test_unknown_identifiers_go_by_themselves() -> None:
    """A name nobody registered, and one of another tenant, has the partition of its own text."""
    log = FakeLog()
    acceptor(log).accept(batch([("A", START_MS, 1)]), replace(GATEWAY, tenant_id=8), "test", b"")
    acceptor(log).accept(batch([("new", START_MS, 1)]), GATEWAY, "test", b"")
    assert [call[0].partition for call in log.calls] == [
        events.partition_of(8, "A", log.count),
        events.partition_of(7, "new", log.count),
    ]


@pytest.mark.parametrize(
    ("readings", "sizes"), [(1, [1]), (5_000, [5_000]), (12_001, [5_000, 5_000, 2_001])]
)
def test_records_hold_5000_readings_at_most(readings: int, sizes: list[int]) -> None:
    """Large batches are cut, in order, and nothing of them is lost."""
    log = FakeLog()
    sent = batch([("A", START_MS + n, n) for n in range(readings)])
    assert acceptor(log).accept(sent, GATEWAY, "test", b"").readings == readings
    parts = [from_bytes(record.value) for call in log.calls for record in call]
    assert [len(part) for part in parts] == sizes
    assert max(sizes) <= RECORD_READINGS_MAX
    assert [v for part in parts for v in part.value.tolist()] == list(range(readings))
    assert len({part.origin.batch_id for part in parts}) == 1


def test_an_append_is_bounded() -> None:
    """A file of many rows is appended in portions that the log takes."""
    log = FakeLog()
    one = batch([("A", START_MS, 1)])
    sent = one.take([0] * (APPEND_READINGS_MAX + 1))
    acceptor(log).accept(sent, GATEWAY, "test", b"")
    assert [sum(len(from_bytes(r.value)) for r in call) for call in log.calls] == [
        APPEND_READINGS_MAX, 1,
    ]  # fmt: skip
    assert sum(record.size_bytes() for record in log.calls[0]) < APPEND_BYTES_MAX


def test_the_door_fills_in_the_origin() -> None:
    """Tenant, door, receipt and digest are ours; the sender's id and rank stay."""
    log = FakeLog()
    sent = batch([("A", START_MS, 1)], tenant_id=99, rank=4)
    acceptor(log).accept(sent, GATEWAY, "http", b"payload")
    origin = from_bytes(log.calls[0][0].value).origin
    assert (origin.tenant_id, origin.source, origin.received_at_ms) == (7, "http", NOW_MS)
    assert (origin.batch_id, origin.rank) == ("b", 4)
    assert origin.payload_digest == hashlib.sha256(b"payload").digest()


def test_a_door_that_digested_the_payload_is_believed() -> None:
    """The digest a file's reader made is kept."""
    log = FakeLog()
    acceptor(log).accept(batch([("A", START_MS, 1)]), GATEWAY, "file", None)
    assert from_bytes(log.calls[0][0].value).origin.payload_digest == b"digest"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"meters": ("a\0",)}, ["/meters/0"]),
        ({"meters": ("x" * 101,)}, ["/meters/0"]),
        ({"channels": (ChannelRef("8-0\0", "L\0", 0),)}, ["/channels/0/obis", "/channels/0/unit"]),
        ({"channels": (ChannelRef("x", "L", SCALER_MAX + 1),)}, ["/channels/0/scaler"]),
        ({"channels": (ChannelRef("x", "L", -(2**31)),)}, ["/channels/0/scaler"]),
    ],
)
def test_what_would_stop_the_pipeline_is_refused(changes: Any, where: list[str]) -> None:
    """All faults at once, and nothing appended: what is on the log is there for good."""
    log = FakeLog()
    with pytest.raises(InvalidInputError) as caught:
        acceptor(log).accept(replace(batch([("A", START_MS, 1)]), **changes), GATEWAY, "t", b"")
    assert [fault.where for fault in caught.value.faults] == where
    assert log.calls == []


def test_an_empty_batch_is_refused() -> None:
    """A batch without readings is a mistake of its sender."""
    log = FakeLog()
    with pytest.raises(InvalidInputError) as caught:
        acceptor(log).accept(batch([]), GATEWAY, "test", b"")
    assert caught.value.faults[0].code == "batch.empty"
    assert log.calls == []
