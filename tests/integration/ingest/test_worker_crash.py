"""A pipeline that is disturbed anywhere ends where an undisturbed one does, row for row."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from structlog.testing import capture_logs

from services.ingest import repository
from services.ingest.pipeline import worker as worker_module
from services.ingest.store.readings import ReadingStore
from services.kit.errors import UnavailableError
from services.metering.batch import ReadingBatch
from tests.database_fixtures import fresh_database
from tests.ingest_harness import HOUR_MS, START_MS, batch, meter_event
from tests.integration.ingest import worker_child
from tests.integration.ingest.flow import Flow, open_flow, wait_for

BATCHES = 20
HOURS_A_BATCH = 6
METERS = ("A", "B", "C", "D")
#: About three records a group: faults meet groups, not single records.
GROUP_READINGS = 3 * HOURS_A_BATCH * len(METERS)
#: Which call of a fault point fails: in the middle of the feed.
FAILING_CALL = 3
KILL_AFTER = (40, 200, 420)


def feed(batches: int = BATCHES) -> list[ReadingBatch]:
    """Batches in order of time, 1 in 7 sent twice; a rollover, a wild value, an unknown meter."""
    sent = []
    for number in range(batches):
        rows = []
        for hour in range(number * HOURS_A_BATCH, (number + 1) * HOURS_A_BATCH):
            at_ms = START_MS + hour * HOUR_MS
            rows += [(name, at_ms, (999_700 + 10 * hour) % 10**6) for name in METERS[:2]]
            rows += [("C", at_ms, 7 * hour if hour != 50 else 500_000)]
            rows += [("D" if number != 9 else "nobody", at_ms, 3 * hour)]
        one = batch(rows)
        sent += [one, one] if number % 7 == 3 else [one]
    return sent


@contextmanager
def ready(server_url: str, folder: Path, batches: int = BATCHES) -> Iterator[Flow]:
    """A flow with four meters known and the feed on its log."""
    folder.mkdir(exist_ok=True)
    with open_flow(fresh_database(server_url), folder) as flow:
        flow.harness.register(*(meter_event(n, name) for n, name in enumerate(METERS, 1)))
        flow.send(*feed(batches))
        yield flow


def run(flow: Flow) -> dict[str, Any]:
    """Run a worker to the end of the log."""
    with flow.worker(GROUP_READINGS):
        wait_for(flow.caught_up, "the pipeline")
    return flow.snapshot()


@pytest.fixture(scope="module")
def undisturbed(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the feed leaves behind when nothing happens."""
    with ready(postgres_server, tmp_path_factory.mktemp("undisturbed")) as flow:
        snapshot = run(flow)
    readings = BATCHES * HOURS_A_BATCH * len(METERS)
    tally = snapshot["tally"]
    assert tally["stored"] == len(snapshot["readings"]) == readings - HOURS_A_BATCH
    assert tally["quarantined"] == HOURS_A_BATCH
    assert tally["duplicates"] == 3 * HOURS_A_BATCH * len(METERS)
    assert {step[2] for step in snapshot["steps"]} >= {"rollover"}
    assert snapshot["validated"]
    return snapshot


class Fault:
    """Raises once, at the third call of what it stands before or behind."""

    def __init__(self, error: Exception) -> None:
        self.calls = 0
        self.fired = 0
        self._error = error

    def strike(self) -> None:
        """Count a call; raise if it is the one."""
        self.calls += 1
        if self.calls == FAILING_CALL:
            self.fired += 1
            raise self._error

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, failing before it does anything."""

        def struck(*args: Any, **kwargs: Any) -> Any:
            self.strike()
            return function(*args, **kwargs)

        return struck

    def behind(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, failing when all is done."""

        def struck(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            self.strike()
            return result

        return struck


def plant(point: str, fault: Fault, flow: Flow, patch: pytest.MonkeyPatch) -> None:
    """Put a fault at a point of the worker's transaction."""
    place, _, name = point.partition(" ")
    wrap = getattr(fault, place)
    if name == "publish":
        patch.setattr(worker_module, "publish", wrap(worker_module.publish))
    elif name == "move_position":
        patch.setattr(repository, "move_position", wrap(repository.move_position))
    elif name == "append":
        patch.setattr(ReadingStore, "append", wrap(ReadingStore.append))
    else:
        # The commits of the pipeline are those whose transaction moved the position.
        moving = []
        move = repository.move_position

        def moved(session: Any, *args: Any) -> None:
            move(session, *args)
            moving.append(session)

        def committing(session: Any) -> None:
            if session in moving:
                moving.remove(session)
                fault.strike()

        patch.setattr(repository, "move_position", moved)
        name = "before_commit" if place == "before" else "after_commit"
        event.listen(flow.database._sessions, name, committing)


@pytest.mark.parametrize(
    "point",
    [
        "before publish",
        "behind publish",
        "before move_position",
        "behind move_position",
        "before append",
        "behind append",
        "before commit",
        "behind commit",
    ],
)
@pytest.mark.parametrize("error", [UnavailableError("away"), RuntimeError("a bug")], ids=repr)
def test_a_fault_anywhere_changes_nothing_in_the_end(
    postgres_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: dict[str, Any],
    point: str,
    error: Exception,
) -> None:
    """Whatever fails once, the worker goes on: same rows, counts, origins and validated records."""
    monkeypatch.setattr(worker_module, "BACKOFF_S", (0.01,))
    fault = Fault(error)
    # Outside of a process's set-up a traceback is drawn with all local variables: seconds each.
    with ready(postgres_server, tmp_path) as flow, capture_logs():
        plant(point, fault, flow, monkeypatch)
        snapshot = run(flow)
    assert fault.fired == 1
    assert snapshot == undisturbed


def test_a_killed_worker_loses_and_doubles_nothing(postgres_server: str, tmp_path: Path) -> None:
    """kill -9 in the middle of the feed, three times: the last one ends where nobody was killed."""
    batches = 4 * BATCHES
    with ready(postgres_server, tmp_path / "calm", batches) as flow:
        expected = run(flow)
    kills = []
    with ready(postgres_server, tmp_path / "killed", batches) as flow:
        url = flow.database.engine.url.set(drivername="postgresql")
        command = [
            sys.executable, worker_child.__file__, url.render_as_string(hide_password=False),
            flow.log_url,
        ]  # fmt: skip
        for rows in KILL_AFTER:
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as child:
                wait_for(lambda rows=rows: flow.harness.tally()["stored"] >= rows, "the child")
                child.kill()
            kills.append((child.returncode, flow.caught_up()))
        snapshot = run(flow)
    assert kills == [(-9, False)] * len(KILL_AFTER), "each was killed with work before it"
    assert snapshot == expected
    tally = snapshot["tally"]
    sent = sum(len(one) for one in feed(batches))
    assert tally["received"] == sent
    assert tally["received"] == tally["stored"] + tally["duplicates"] + tally["quarantined"]
    assert tally["stored"] == len(snapshot["readings"])


def test_a_database_that_stays_away_loses_nothing(
    postgres_server: str,
    tmp_path: Path,
    undisturbed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A group fails, and asking where to go on fails too: the worker does not go on behind it."""
    with ready(postgres_server, tmp_path) as flow:
        writing = Fault(UnavailableError("away"))
        asking = Fault(UnavailableError("still away"))
        asking.calls = FAILING_CALL - 1
        positions = repository.positions

        def away(*args: Any) -> dict[int, int]:
            if writing.fired and threading.current_thread().name == "pipeline":
                asking.strike()
            return positions(*args)

        monkeypatch.setattr(ReadingStore, "append", writing.before(ReadingStore.append))
        monkeypatch.setattr(repository, "positions", away)
        assert run(flow) == undisturbed
        assert (writing.fired, asking.fired) == (1, 1)
