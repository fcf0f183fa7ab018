"""The report of a load test: what was sent, what became of it, how long it took."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from loadtest.check import Findings
from loadtest.driver import Drive
from loadtest.scenario import Scenario

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


@dataclass(frozen=True, slots=True)
class Report:
    """A finished load test.

    Attributes:
        scenario: What was asked for.
        drive: What the driver did.
        findings: What the check found.
        machine: What it ran on.
        started_at_ms: When.
    """

    scenario: Scenario
    drive: Drive
    findings: Findings
    machine: dict[str, Any]
    started_at_ms: int

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, doubled, altered or misplaced; speed is not judged."""
        return self.findings.passed

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        drive, findings = self.drive, self.findings
        expected, tally = findings.expected, findings.tally
        sample = asdict(findings.sample)
        return {
            "scenario": asdict(self.scenario),
            "started_at_ms": self.started_at_ms,
            "machine": self.machine,
            "passed": self.passed,
            "sent": expected.sent,
            "acknowledged": expected.acknowledged,
            "in_doubt": expected.sent - expected.acknowledged,
            "refused": drive.readings_refused,
            "stored": tally.stored,
            "duplicates_dropped": tally.duplicates,
            "quarantined": tally.quarantined,
            "lost": findings.lost,
            "duplicated": findings.duplicated,
            "altered": findings.altered,
            "misplaced": findings.misplaced,
            "unbalanced": findings.unbalanced,
            "settled": findings.settled,
            "settle_s": round(findings.settle_s, 3),
            "sample": sample,
            "schedule": {
                "batches": self.scenario.batches,
                "batches_missed": drive.batches_missed,
                "readings_missed": drive.readings_missed,
                "driver_behind_s_max": round(drive.behind_s_max, 4),
            },
            "streams_broken": drive.streams_broken,
            "batches_unanswered": drive.batches_unanswered,
            "elapsed_s": round(drive.elapsed_s, 3),
            "acknowledged_per_s": round(expected.acknowledged / max(drive.elapsed_s, 1e-9)),
            "latency_ms": latency_ms(drive.latency_s),
            "notes": drive.notes,
        }

    def table(self) -> Table:
        """The report for people."""
        facts = self.as_json()
        verdict = "nothing lost" if self.passed else "FAILED"
        table = Table(title=f"Load test {self.scenario.name}: {verdict}", title_justify="left")
        table.add_column("what")
        table.add_column("readings", justify="right")
        for name in ("sent", "acknowledged", "in_doubt", "refused", "stored"):
            table.add_row(name.replace("_", " "), f"{facts[name]:,}")
        for name in ("duplicates_dropped", "quarantined"):
            table.add_row(name.replace("_", " "), f"{facts[name]:,}")
        table.add_section()
        for name in ("lost", "duplicated", "altered", "misplaced", "unbalanced"):
            style = "bold red" if facts[name] else "green"
            table.add_row(name, f"{facts[name]:,}", style=style)
        if not self.findings.settled:
            text = f"not worked off after {self.findings.settle_s:.0f} s"
            table.add_row("pipeline", text, style="bold red")
        table.add_section()
        table.add_row("missed by the schedule", f"{self.drive.readings_missed:,}")
        table.add_row("acknowledged per second", f"{facts['acknowledged_per_s']:,}")
        for name, value in facts["latency_ms"].items():
            table.add_row(f"latency {name}", "–" if value is None else f"{value:,.1f} ms")
        table.add_row("driver behind at worst", f"{self.drive.behind_s_max * 1000:,.1f} ms")
        table.add_row("worked off after", f"{self.findings.settle_s:.1f} s")
        table.add_row("machine", f"{self.machine['cpu']}, {self.machine['cores']} cores")
        for text in [*self.drive.notes, *self.findings.sample.examples]:
            table.add_row("note", text)
        return table


def latency_ms(latency_s: NDArray[np.float64]) -> dict[str, float | None]:
    """Percentiles over batches that were acknowledged, in ms from their intended sending.

    Each is a latency that occurred, none is interpolated; None where nothing was acknowledged.
    """
    known = latency_s[~np.isnan(latency_s)]
    if not len(known):
        return dict.fromkeys(PERCENTILES)
    values = np.percentile(known, list(PERCENTILES.values()), method="higher") * 1000
    return {name: round(float(v), 3) for name, v in zip(PERCENTILES, values, strict=True)}


def machine() -> dict[str, Any]:
    """What this machine is, to make figures comparable."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text("utf-8").splitlines() if "model name" in line]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
