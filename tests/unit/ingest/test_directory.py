"""The directory's memory: what it asks for, when it forgets, and its bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import pytest

from services.ingest import directory as module
from services.ingest import repository
from services.ingest.directory import REFRESH_S, MeterDirectory
from services.kit.clock import FixedClock
from services.kit.db import Database
from tests.ingest_harness import NOW_MS, TENANT, meter_event


class FakeSlice:
    """The slice in memory; stands in for the repository's three questions."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.meters: dict[tuple[int, str], bytes] = {}
        self.changes: list[int] = []
        self.asked: list[list[str]] = []
        patch.setattr(repository, "find_meters", self._find)
        patch.setattr(repository, "changed_meters", self._changed)

    def put(self, meter_id: int, serial: str, tenant_id: int = TENANT, **more: Any) -> None:
        """Register or change a meter."""
        event = meter_event(meter_id, serial, tenant_id=tenant_id, **more)
        for name in event.identifiers:
            self.meters[tenant_id, name] = event.SerializeToString()
        self.changes.append(meter_id)

    def _find(self, session: Any, tenant_id: int, names: list[str]) -> list[tuple[str, bytes]]:
        self.asked.append(names)
        keys = [(tenant_id, name) for name in names]
        return [(key[1], self.meters[key]) for key in keys if key in self.meters]

    def _changed(self, session: Any, after: int) -> tuple[int, set[int]]:
        return len(self.changes), set(self.changes[after:]) if after >= 0 else set()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """As a database's."""
        yield


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> FakeSlice:
    """A slice with one meter."""
    known = FakeSlice(monkeypatch)
    known.put(1, "A")
    return known


@pytest.fixture
def clock() -> FixedClock:
    """A clock that stands."""
    return FixedClock(NOW_MS)


def ids(directory: MeterDirectory, names: Sequence[str], tenant_id: int = TENANT) -> list[Any]:
    """Meter ids by name, None where nobody has it."""
    return [entry and entry.meter_id for entry in directory.lookup(tenant_id, names)]


def test_a_name_is_asked_for_once(known: FakeSlice, clock: FixedClock) -> None:
    """Known meters are remembered; unknown ones are asked for again, they may come."""
    directory = MeterDirectory(cast("Database", known), clock)
    for _ in range(2):
        assert ids(directory, ["A", "ACME:A", "x"]) == [1, 1, None]
    assert known.asked == [["A", "ACME:A", "x"], ["x"]]


def test_names_are_a_tenants_own(known: FakeSlice, clock: FixedClock) -> None:
    """The same serial means each tenant's own meter."""
    directory = MeterDirectory(cast("Database", known), clock)
    assert ids(directory, ["A"], TENANT + 1) == [None]
    known.put(2, "A", tenant_id=TENANT + 1)
    assert (ids(directory, ["A"]), ids(directory, ["A"], TENANT + 1)) == ([1], [2])


def test_a_change_is_seen_after_a_second(known: FakeSlice, clock: FixedClock) -> None:
    """A meter that changed is loaded anew, at the latest after the refresh time, or at once."""
    directory = MeterDirectory(cast("Database", known), clock)
    digits = lambda: directory.lookup(TENANT, ["A"])[0].channels[0].digits  # type: ignore[union-attr]  # noqa: E731
    assert digits() == 6
    known.put(1, "A", digits=8)
    assert digits() == 6
    clock.sleep(REFRESH_S)
    assert digits() == 8
    known.put(1, "A", digits=9)
    assert directory.refresh(now=True) == {1}
    assert digits() == 9
    assert directory.refresh(now=True) == set()


def test_the_memory_is_bounded(
    known: FakeSlice, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound it starts afresh, and still answers every question."""
    monkeypatch.setattr(module, "ENTRIES_MAX", 3)
    directory = MeterDirectory(cast("Database", known), clock)
    for number in range(2, 12):
        known.put(number, f"S{number}")
        assert ids(directory, ["A", f"S{number}"]) == [1, number]
        assert len(directory._entries) <= 3
