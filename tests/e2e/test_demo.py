"""`meterfleet demo` as a user runs it: the numbers add up, whatever is killed, on every backend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.database_fixtures import fresh_database

METERS, HOURS = 60, 2_400
#: Each run starts seven processes; on a busy machine that takes its time.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def registers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """144,000 hourly registers with the oddities of real files."""
    rng = np.random.default_rng(5)
    use = rng.poisson(9, (METERS, HOURS)) * (rng.random((METERS, HOURS)) < 0.4)
    use[0] += 12  # a leak that never ends
    level = 10_000 + np.cumsum(use, axis=1)
    level[1, 300] += 250_000  # a wild read
    level[2, 1_000:] -= level[2, 999] - 5  # a register that was reset
    at = np.datetime64("2026-03-01T00:10") + np.arange(HOURS) * np.timedelta64(1, "h")
    at = np.broadcast_to(at, (METERS, HOURS)) + np.arange(METERS)[:, None] * np.timedelta64(7, "s")
    missing = np.zeros((METERS, HOURS), dtype=bool)
    missing[3, 700:1_400] = True
    # The missing hour of the clock change never was; the sender skipped it.
    wall = at.astype("datetime64[h]")
    missing |= wall == np.datetime64("2026-03-29T02")
    keep = ~missing.reshape(-1)
    table = pa.table(
        {
            "meter": np.repeat(np.arange(METERS), HOURS)[keep],
            "ts": at.reshape(-1)[keep].astype("datetime64[ms]"),
            "reading_l": level.reshape(-1)[keep].astype(np.int32),
        }
    )
    # Some rows stand twice, as they do where a gateway repeats itself.
    table = pa.concat_tables([table, table.slice(5_000, 700)])
    path = tmp_path_factory.mktemp("file") / "registers.parquet"
    pyarrow.parquet.write_table(table, path)
    return path


class Run:
    """A running `meterfleet demo`."""

    def __init__(self, path: Path, folder: Path, environment: dict[str, str]) -> None:
        folder.mkdir()
        self.log = folder / "stderr.txt"
        command = [sys.executable, "-m", "services.cli.main", "demo", "--json"]
        with self.log.open("w") as stderr:
            self.process = subprocess.Popen(
                [*command, "--readings", str(path), "--data-dir", str(folder / "data")],
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=os.environ | environment,
            )

    def wait_for(self, text: str, timeout_s: float = 240.0) -> None:
        """Wait until the run says something."""
        deadline_s = time.monotonic() + timeout_s
        while text not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline_s, self.log.read_text()
            time.sleep(0.02)

    def kill(self, service: str) -> None:
        """kill -9 of one of its services."""
        deadline_s = time.monotonic() + 30
        while time.monotonic() < deadline_s:
            for child in psutil.Process(self.process.pid).children(recursive=True):
                try:
                    if child.cmdline()[-1:] == [service]:
                        child.kill()
                        return
                except psutil.Error:
                    continue
            time.sleep(0.05)
        raise AssertionError(f"no {service} is running")

    def result(self) -> dict[str, Any]:
        """What it printed, without the time it took."""
        output, _ = self.process.communicate(timeout=420)
        assert self.process.returncode == 0, self.log.read_text()[-3000:] + output.decode()
        printed: dict[str, Any] = json.loads(output)
        del printed["elapsed_s"]
        return printed


@pytest.fixture(scope="module")
def undisturbed(registers: Path, passable: Path) -> dict[str, Any]:
    """The numbers of a run that nobody disturbs."""
    return Run(registers, passable / "undisturbed", {}).result()


def test_the_numbers_add_up(undisturbed: dict[str, Any]) -> None:
    """In = stored + duplicates + quarantined; billed = what the registers moved, to the litre."""
    assert undisturbed["readings_in"] == METERS * HOURS - METERS
    assert undisturbed["duplicates"] == 700
    assert undisturbed["quarantined"] == 0
    assert undisturbed["stored"] == undisturbed["readings_in"] - 700
    assert undisturbed["billed_m3"] == undisturbed["registers_m3"] > 0
    assert undisturbed["adds_up"] is True
    assert undisturbed["alerts"]["leak"] >= 1
    assert undisturbed["bills"] > METERS


def test_killed_services_change_nothing(
    registers: Path, undisturbed: dict[str, Any], passable: Path
) -> None:
    """kill -9 of the pipeline three times and of the alerts twice: the same numbers."""
    run = Run(registers, passable / "killed", {})
    run.wait_for("sending the file")
    for service in ("pipeline", "alerts", "pipeline", "alerts", "pipeline"):
        run.kill(service)
        time.sleep(0.4)
    assert run.result() == undisturbed


def test_kafka_and_timescale_give_the_same_numbers(
    registers: Path,
    undisturbed: dict[str, Any],
    passable: Path,
    kafka_url: str,
    timescale_url: str,
) -> None:
    """Through a real Kafka into a real TimescaleDB, the pipeline killed on the way."""
    environment = {
        "METERFLEET_LOG_URL": kafka_url,
        "METERFLEET_DATABASE_URL": fresh_database(timescale_url),
    }
    run = Run(registers, passable / "kafka", environment)
    run.wait_for("sending the file")
    run.kill("pipeline")
    assert run.result() == undisturbed
