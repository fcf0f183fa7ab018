"""Use between instants, from the continuous registers of the meters at a service point. No I/O.

The register of a service point is one monotone curve: that of its first meter, and what each later
meter added since it was installed. Use is its difference, so neighbouring periods always sum to the
whole, whatever happened in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from services.ingest.store.register_events import StoredEvent
from services.metering.products import Channel, ChannelKind
from services.metering.quality import FAIL_MASK, usable
from services.metering.register import Curve, curve_points

Int64s = NDArray[np.int64]

#: Readings further apart than this many intervals leave the shape between them unknown.
GAP_INTERVALS = 3
PPM = 1_000_000
FOREVER_MS = 4_102_444_800_000  # 2100-01-01


@dataclass(frozen=True, slots=True)
class Series:
    """Stored readings of one channel of one meter around the asked time, oldest first.

    Attributes:
        at_ms: Instants, int64, shape (n,).
        value: Values in least digits, int64, shape (n,).
        flags: `quality.Rule` bits, uint32, shape (n,).
        batch_no: Which batch brought each, int64, shape (n,).
        steps: All steps of the register.
    """

    at_ms: Int64s
    value: Int64s
    flags: NDArray[np.uint32]
    batch_no: Int64s
    steps: tuple[StoredEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Stand:
    """A meter at the service point from … to …, and its series of one channel."""

    meter_id: int
    meter: str
    from_ms: int
    to_ms: int
    multiplier: Fraction
    channel: Channel
    series: Series


@dataclass(frozen=True, slots=True)
class EvidenceReading:
    """A reading that decided an edge of the asked time."""

    meter_id: int
    meter: str
    channel: int
    at_ms: int
    value: int
    flags: int
    batch_no: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Use of one channel of a service point.

    Attributes:
        obis: The channel.
        unit: Its unit.
        scaler: Quantities and registers stand for v × 10^scaler units.
        quantity: Use in each bucket, int64, shape (n - 1,) for n boundaries.
        register: The continuous register at each boundary, int64, shape (n,).
        known_ppm: Share of each bucket whose use the readings tell, int64, shape (n - 1,).
        evidence: Readings around the first and the last boundary.
        events: Steps of the registers within the asked time.
        usable: Readings within it that are points of the curve.
        failed: Readings within it that are not.
    """

    obis: str
    unit: str
    scaler: int
    quantity: Int64s
    register: Int64s
    known_ppm: Int64s
    evidence: tuple[EvidenceReading, ...]
    events: tuple[StoredEvent, ...]
    usable: int
    failed: int


def measure(stands: Sequence[Stand], boundaries_ms: Int64s) -> Usage:
    """The use of one channel between boundaries.

    Args:
        stands: The meters that stood there, in order of time, all with the same channel.
        boundaries_ms: Rising instants, int64, shape (n,), n ≥ 2.
    """
    channel = stands[0].channel
    decimals = max(_decimals(stand.multiplier) for stand in stands)
    register = np.zeros(len(boundaries_ms), dtype=np.int64)
    covered = np.zeros(len(boundaries_ms), dtype=np.int64)
    widest_ms = int(np.diff(boundaries_ms).max())
    evidence: list[EvidenceReading] = []
    for number, stand in enumerate(stands):
        clipped = np.clip(boundaries_ms, stand.from_ms, stand.to_ms)
        own, at_ms = _register(stand, clipped, from_zero=number > 0)
        factor = stand.multiplier * 10**decimals
        assert factor.denominator == 1
        register += own * factor.numerator
        covered += _covered(stand, at_ms, clipped, widest_ms)
        evidence += _evidence(stand, int(clipped[0]), int(clipped[-1]))
    within = [
        (s.series.at_ms > boundaries_ms[0]) & (s.series.at_ms <= boundaries_ms[-1]) for s in stands
    ]
    flags = np.concatenate([s.series.flags[w] for s, w in zip(stands, within, strict=True)])
    steps = tuple(
        step
        for stand in stands
        for step in stand.series.steps
        if boundaries_ms[0] <= step.at_ms <= boundaries_ms[-1]
    )
    return Usage(
        obis=channel.obis,
        unit=channel.unit,
        scaler=channel.scaler - decimals,
        quantity=np.diff(register),
        register=register,
        known_ppm=np.diff(covered) * PPM // np.diff(boundaries_ms),
        evidence=tuple(evidence),
        events=steps,
        usable=int(usable(flags).sum()),
        failed=int(((flags & np.uint32(FAIL_MASK)) != 0).sum()),
    )


def points(series: Series) -> tuple[Int64s, Int64s]:
    """The curve's points of a register series: instants and continuous register."""
    events = [step.as_chain_event() for step in series.steps]
    return curve_points(series.at_ms, series.value, series.flags, events)


def _register(stand: Stand, clipped_ms: Int64s, *, from_zero: bool) -> tuple[Int64s, Int64s]:
    """Register at some instants in least digits, and the instants of the points behind it."""
    series = stand.series
    if stand.channel.kind is ChannelKind.INTERVAL:
        good = usable(series.flags)
        at_ms = series.at_ms[good]
        sums = np.concatenate([[0], np.cumsum(series.value[good])])
        own = sums[np.searchsorted(at_ms, clipped_ms, side="right")]
        return own - own[0], at_ms
    at_ms, curve = points(series)
    register = Curve(at_ms, curve).at(clipped_ms)
    return register - register[0] if from_zero else register, at_ms


def _covered(stand: Stand, at_ms: Int64s, clipped_ms: Int64s, widest_ms: int) -> Int64s:
    """Milliseconds up to each boundary that lie between readings close enough to one another."""
    if len(at_ms) < 2:
        return np.zeros(len(clipped_ms), dtype=np.int64)
    interval_ms = stand.channel.interval_s * 1000
    gaps = np.diff(at_ms)
    close = np.where(gaps <= max(GAP_INTERVALS * interval_ms, widest_ms), gaps, 0)
    total = np.concatenate([[0], np.cumsum(close)])
    # Only a share for people is made of it, never a billed quantity: doubles are exact enough.
    covered: Int64s = np.interp(clipped_ms, at_ms, total).astype(np.int64)
    return covered


def _evidence(stand: Stand, first_ms: int, last_ms: int) -> list[EvidenceReading]:
    """The usable readings on both sides of the first and of the last instant."""
    series = stand.series
    good = np.flatnonzero(usable(series.flags))
    at_ms = series.at_ms[good]
    chosen: list[int] = []
    for instant in (first_ms, last_ms):
        after = int(np.searchsorted(at_ms, instant, side="right"))
        chosen += [n for n in (after - 1, after) if 0 <= n < len(good)]
    return [
        EvidenceReading(
            stand.meter_id,
            stand.meter,
            stand.channel.number,
            int(series.at_ms[good[n]]),
            int(series.value[good[n]]),
            int(series.flags[good[n]]),
            int(series.batch_no[good[n]]),
        )
        for n in sorted(set(chosen))
    ]


def _decimals(multiplier: Fraction) -> int:
    decimals = 0
    while (multiplier * 10**decimals).denominator != 1:
        decimals += 1
        if decimals > 9:
            raise ValueError(f"multiplier {multiplier} has more than 9 decimals")
    return decimals
