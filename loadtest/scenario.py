"""Scenarios: what load is put on the platform, as one small YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from loadtest.errors import ScenarioError

#: Readings times two bytes are kept in the ledger.
READINGS_MAX = 50_000_000
_SHARES = ("share_duplicated", "share_late", "share_unknown")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load; the same scenario sends the same readings.

    Attributes:
        name: Stands in the report.
        seed: Decides values and which readings are doubled, late or unknown.
        meters: Size of the fleet.
        interval_s: Seconds between two readings of a meter, in the readings' own time.
        rate_per_s: Readings sent each second, whatever the server does.
        duration_s: How long.
        batch_readings: Readings in a batch, before copies and late ones are added.
        streams: gRPC streams; a meter stays on one, so that its readings keep their order.
        in_flight_max: Batches of a stream that wait for an answer; beyond it slots are missed.
        share_duplicated: Share of readings sent a second time, one interval later.
        share_late: Share of readings sent `late_slots` intervals late, behind newer ones.
        late_slots: See `share_late`.
        share_unknown: Share of meters that are never registered.
        sample_meters: Meters whose stored readings are compared one by one.
        settle_s: How long the pipeline may take to work off the rest.
    """

    name: str
    seed: int = 1
    meters: int = 10_000
    interval_s: int = 900
    rate_per_s: int = 20_000
    duration_s: int = 30
    batch_readings: int = 2_000
    streams: int = 2
    in_flight_max: int = 16
    share_duplicated: float = 0.0
    share_late: float = 0.0
    late_slots: int = 3
    share_unknown: float = 0.0
    sample_meters: int = 50
    settle_s: int = 120

    @property
    def parts(self) -> int:
        """Batches in which the whole fleet sends one interval."""
        return -(-self.meters // self.batch_readings)

    @property
    def batches(self) -> int:
        """Batches in all."""
        return -(-self.rate_per_s * self.duration_s * self.parts // self.meters)

    @property
    def slots(self) -> int:
        """Intervals of the readings' own time that are begun."""
        return -(-self.batches // self.parts)


#: Lowest and highest value of each whole number.
_BOUNDS = {
    "seed": (0, 2**31),
    "meters": (1, 10_000_000),
    "interval_s": (1, 86_400),
    "rate_per_s": (1, 10_000_000),
    "duration_s": (1, 7 * 86_400),
    "batch_readings": (1, 20_000),
    "streams": (1, 64),
    "in_flight_max": (1, 1_000),
    "late_slots": (1, 1_000),
    "sample_meters": (0, 10_000),
    "settle_s": (1, 86_400),
}


def from_document(document: Any) -> Scenario:
    """A scenario from its file.

    Raises:
        ScenarioError: With all faults at once.
    """
    if not isinstance(document, Mapping):
        raise ScenarioError([("/", "a scenario is a mapping")])
    known = {field.name for field in fields(Scenario)}
    faults = [(f"/{key}", "there is no such field") for key in document if key not in known]
    if not isinstance(document.get("name"), str) or not document["name"]:
        faults.append(("/name", "a scenario has a name"))
    for name, (low, high) in _BOUNDS.items():
        value = document.get(name, low)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            faults.append((f"/{name}", f"{value!r} is no whole number from {low} to {high}"))
    for name in _SHARES:
        value = document.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            faults.append((f"/{name}", f"{value!r} is no share from 0 to 1"))
    if faults:
        raise ScenarioError(faults)
    scenario = Scenario(**document)
    count = scenario.meters * scenario.slots
    if count > READINGS_MAX:
        raise ScenarioError([("/", f"{count} readings; the ledger holds {READINGS_MAX}")])
    return scenario


def load(path: Path) -> Scenario:
    """Read a scenario from a file, or one of ours such as `scenarios/steady.yaml`.

    Raises:
        ScenarioError: No such file, no YAML, or no scenario.
    """
    if not path.exists():
        ours = Path(__file__).parent / path
        path = ours if ours.exists() else path
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError([(str(path), str(error))]) from error
    return from_document(document)
