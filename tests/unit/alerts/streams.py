"""Builds small streams of readings and runs detectors over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from services.alerts.detectors import Detectors, Readings, pair
from services.alerts.domain import Described, Kind
from services.alerts.meters import ChannelFacts, MeterFacts
from services.metering.products import ChannelKind

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
#: A Monday midnight, UTC.
START_MS = 1_704_067_200_000
METER = 7


def channel(number: int = 1, **more: object) -> ChannelFacts:
    """A cold water register in litres, or what `more` says."""
    defaults: dict[str, object] = {"unit": "m3", "scaler": -3, "kind": ChannelKind.REGISTER}
    return ChannelFacts(number, **(defaults | more))  # type: ignore[arg-type]


def meter(
    meter_id: int = METER,
    commodity: str = "water",
    channels: Sequence[ChannelFacts] = (),
    **more: object,
) -> MeterFacts:
    """A meter called Aqualith:<id>."""
    chosen = tuple(channels) or (channel(),)
    return MeterFacts(meter_id, f"Aqualith:{meter_id}", commodity, chosen, **more)  # type: ignore[arg-type]


@dataclass(slots=True)
class Stream:
    """Readings of one or more meters, in the order they are added."""

    rows: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)

    def add(
        self,
        at_ms: int,
        value: int,
        *,
        curve: int | None = None,
        flags: int = 0,
        meter_id: int = METER,
        number: int = 1,
    ) -> Stream:
        """One reading; the curve is the register unless said otherwise."""
        shown = value if curve is None else curve
        self.rows.append((meter_id, number, at_ms, value, shown, flags))
        return self

    def uses(self, amounts: Iterable[int], step_ms: int = HOUR_MS, meter_id: int = METER) -> Stream:
        """Readings `step_ms` apart, each rising by an amount; the first of a meter stands at 0."""
        own = [row for row in self.rows if row[0] == meter_id]
        if not own:
            self.add(START_MS, 0, meter_id=meter_id)
            own = self.rows[-1:]
        at_ms, value = own[-1][2], own[-1][4]
        for amount in amounts:
            at_ms, value = at_ms + step_ms, value + amount
            self.add(at_ms, value, meter_id=meter_id)
        return self

    def gap(self, duration_ms: int, use: int = 0, meter_id: int = METER) -> Stream:
        """One reading after a silence."""
        return self.uses([use], duration_ms, meter_id)

    def readings(self) -> Readings:
        """The stream as columns."""
        table = np.array(self.rows, dtype=np.int64).reshape(-1, 6)
        columns = [np.ascontiguousarray(table[:, i]) for i in range(5)]
        return Readings(*columns, flags=table[:, 5].astype(np.uint32))


def detectors(*meters: MeterFacts, quiet_ms: int = HOUR_MS) -> Detectors:
    """Detectors that know these meters; the water meter METER if none is given."""
    known = {one.meter_id: one for one in meters or (meter(),)}
    return Detectors(lambda ids: {i: known[i] for i in ids if i in known}, quiet_ms)


def alerts_of(
    stream: Stream, *meters: MeterFacts, kind: Kind | None = None, received_ms: int = START_MS
) -> list[Described]:
    """What one pass over the stream raises, with the ends that were seen."""
    known = {one.meter_id: one for one in meters or (meter(),)}
    findings = detectors(*meters).observe(stream.readings(), received_ms)
    found, ends = pair(findings, known)
    assert not ends, "an end without a beginning"
    return [alert for alert in found if kind is None or alert.kind is kind]
