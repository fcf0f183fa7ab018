"""From batches as they came to columns of our channels: scaling, reasons, loading."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.ingest.directory import entry_of
from services.ingest.pipeline.resolve import join, resolve
from services.ingest.pipeline.state import PartitionState
from services.stubs.meterfleet.devices.v1 import devices_pb2
from tests.ingest_harness import HOUR_MS, NOW_MS, START_MS, TENANT, batch, meter_event

A = entry_of(meter_event(1, "A", addresses=["dev-a"]).SerializeToString())
I = entry_of(  # noqa: E741 - an interval meter
    meter_event(2, "I", kind=devices_pb2.CHANNEL_KIND_INTERVAL).SerializeToString()
)
KNOWN = {"A": A, "dev-a": A, "ACME:A": A, "I": I}


class Loader:
    """Loads what is known and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, state: PartitionState, tenant_id: int, names: Sequence[str]) -> None:
        """Add the known meters of the tenant."""
        self.asked.append(list(names))
        if tenant_id == TENANT:
            state.add([(name, KNOWN[name]) for name in names if name in KNOWN])


def test_values_are_scaled_to_the_least_digit() -> None:
    """Cubic metres of any scale become whole litres of the channel's row."""
    state = PartitionState()
    got, aside = resolve(state, Loader(), 4, batch([("A", START_MS, 12)], unit="m3", scaler=-1))
    assert aside == []
    assert (got.value.tolist(), got.record.tolist(), got.index.tolist()) == ([1200], [4], [0])
    assert state.meter_id[got.row].tolist() == [1]


def test_all_names_of_a_meter_are_one_row() -> None:
    """Readings by serial, full name and address meet in the same channel."""
    rows = [("A", START_MS, 1), ("dev-a", START_MS + 1, 2), ("ACME:A", START_MS + 2, 3)]
    got, _ = resolve(PartitionState(), Loader(), 0, batch(rows))
    assert set(got.row.tolist()) == {0}


def test_only_what_is_missing_is_loaded() -> None:
    """A known meter is not asked for again; an unknown one is, since it may be registered."""
    state, load = PartitionState(), Loader()
    for _ in range(2):
        resolve(state, load, 0, batch([("A", START_MS, 1), ("x", START_MS, 1)]))
    assert load.asked == [["A", "x"], ["x"]]


@pytest.mark.parametrize(
    ("rows", "more", "reason"),
    [
        ([("x", START_MS, 1)], {}, "meter.unknown"),
        ([("A", START_MS, 1)], {"tenant_id": 8}, "meter.unknown"),
        ([("A", START_MS, 1)], {"obis": "1-0:1.8.0"}, "channel.unknown"),
        ([("A", START_MS, 1)], {"unit": "kWh"}, "unit.mismatch"),
        ([("A", START_MS, 1)], {"unit": "pint"}, "unit.mismatch"),
        ([("A", START_MS, 1)], {"scaler": 30}, "unit.mismatch"),
        ([("A", START_MS, 1)], {"scaler": -1}, "value.resolution"),
        ([("A", START_MS, 2**60)], {"scaler": 3}, "value.dial"),
        ([("A", START_MS, -1)], {}, "value.dial"),
        ([("A", START_MS, 1_000_000)], {}, "value.dial"),
        ([("A", 0, 1)], {}, "instant.implausible"),
        ([("A", NOW_MS + HOUR_MS, 1)], {}, "instant.implausible"),
        ([("I", START_MS + 1000, 1)], {}, "interval.alignment"),
    ],
)
def test_what_cannot_be_stored_has_its_reason(
    rows: list[tuple[str, int, int]], more: dict[str, int | str], reason: str
) -> None:
    """Each cause has one code, and the reading goes aside as it came."""
    sent = batch(rows, **more)  # type: ignore[arg-type]
    got, (aside,) = resolve(PartitionState(), Loader(), 2, sent)
    assert len(got) == 0
    assert (aside.reason, aside.meter, aside.record) == (reason, rows[0][0], 2)
    assert aside.batch.value.tolist() == [rows[0][2]]


def test_one_bad_reading_leaves_the_others() -> None:
    """Good readings of the same batch and meter go on, and know their place in it."""
    rows = [("A", START_MS, 1), ("A", START_MS + 1, -1), ("x", START_MS, 5), ("A", START_MS + 2, 3)]
    got, aside = resolve(PartitionState(), Loader(), 0, batch(rows))
    assert got.index.tolist() == [0, 3]
    assert sorted(one.reason for one in aside) == ["meter.unknown", "value.dial"]


def test_an_entry_for_each_meter() -> None:
    """Quarantine is by meter, so that each can be replayed when its own cause is mended."""
    rows = [(name, START_MS + n, n) for n, name in enumerate(["x", "y", "x"])]
    _, aside = resolve(PartitionState(), Loader(), 0, batch(rows))
    assert [(one.meter, one.batch.value.tolist()) for one in aside] == [("x", [0, 2]), ("y", [1])]


def test_an_empty_batch_and_no_batches_are_nothing() -> None:
    """Nothing in, nothing out."""
    got, aside = resolve(PartitionState(), Loader(), 0, batch([]))
    assert (len(got), aside, len(join([]))) == (0, [], 0)
