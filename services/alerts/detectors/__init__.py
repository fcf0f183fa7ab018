"""Detectors over validated readings: numpy only, no I/O.

    alerts = find_alerts(meter, at_ms, curve, flags)

The same rules run in the stream (`engine.Detectors`) and here over plain arrays, so that a rule can
be tried on history before it is switched on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from services.alerts import messages
from services.alerts.detectors.engine import Catalogue, Detectors
from services.alerts.detectors.findings import (
    Ended,
    Finding,
    Int64s,
    Raised,
    Readings,
    UInt32s,
)
from services.alerts.detectors.offline import IN_ORDER
from services.alerts.domain import Described
from services.alerts.meters import ChannelFacts, MeterFacts, unknown_meter

__all__ = [
    "Detectors",
    "Ended",
    "Finding",
    "Raised",
    "Readings",
    "find_alerts",
    "pair",
]

#: Readings given to the detectors at once; it bounds the memory of a back-test beside its input.
CHUNK_READINGS = 100_000


def find_alerts(
    meter: Int64s,
    at_ms: Int64s,
    curve: Int64s,
    flags: UInt32s,
    *,
    value: Int64s | None = None,
    commodity: str = "water",
    unit: str = "L",
    scaler: int = 0,
    interval_s: int = 3600,
    rate_max_per_h: int = 0,
) -> list[Described]:
    """The alerts that readings of one kind of meter would have raised, in order of detection.

    Args:
        meter: Meter of each reading, int64, shape (n,), in any order; readings are taken to have
            arrived in order of their instants.
        at_ms: Instants in ms since the epoch, int64, shape (n,).
        curve: Continuous register in least digits, int64, shape (n,).
        flags: Bits of `services.metering.quality`, uint32, shape (n,).
        value: The register as read; the curve where it is not given.
        commodity: What the meters measure.
        unit: Unit of the quantity.
        scaler: Power of ten of one least digit.
        interval_s: Seconds between readings.
        rate_max_per_h: Physical limit in least digits per hour, 0 when not known.
    """
    channel = ChannelFacts(1, unit, scaler, interval_s=interval_s, rate_max_per_h=rate_max_per_h)

    def facts(meter_id: int) -> MeterFacts:
        return MeterFacts(meter_id, f"meter {meter_id}", commodity, (channel,))

    catalogue: Catalogue = lambda ids: {meter_id: facts(meter_id) for meter_id in ids}  # noqa: E731
    readings = Readings(
        meter, np.ones_like(at_ms), at_ms, curve if value is None else value, curve, flags
    ).take(np.argsort(at_ms, kind="stable"))
    detectors = Detectors(catalogue, IN_ORDER)
    findings: list[Finding] = []
    for start in range(0, len(at_ms), CHUNK_READINGS):
        findings += detectors.observe(readings.take(slice(start, start + CHUNK_READINGS)), 0)
    known = {meter_id: facts(meter_id) for meter_id in {f.meter_id for f in findings}}
    return sorted(pair(findings, known)[0], key=lambda alert: alert.detected_at_ms)


def pair(
    findings: Iterable[Finding], known: Mapping[int, MeterFacts]
) -> tuple[list[Described], list[tuple[Ended, str]]]:
    """New alerts with their ends, and the ends of alerts that were raised before.

    Args:
        findings: In the order the detectors gave them.
        known: Facts of the meters; one that is missing is described without units.

    Returns:
        The alerts in the order raised; the other ends with the sentence that says why.
    """
    alerts: list[Described] = []
    open_at: dict[tuple[str, int, int], int] = {}
    ends: list[tuple[Ended, str]] = []
    for finding in findings:
        key = (finding.kind, finding.meter_id, finding.channel)
        meter = known.get(finding.meter_id) or unknown_meter(finding.meter_id)
        if isinstance(finding, Raised):
            open_at[key] = len(alerts)
            alerts.append(messages.describe(finding, meter))
        elif key in open_at:
            place = open_at.pop(key)
            alerts[place] = replace(
                alerts[place],
                ended_at_ms=finding.ended_at_ms,
                ending=messages.ending(finding, meter),
            )
        else:
            ends.append((finding, messages.ending(finding, meter)))
    return alerts, ends
