"""Readings as people look at them: rows with their rules, and a curve thinned for a chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ingest.store.binary import Columns
from services.ingest.store.register_events import StoredEvent
from services.ingest.usage.domain import Series
from services.kit.clock import to_rfc3339
from services.kit.money import decimal_to_text, scaled_to_decimal
from services.metering.products import Channel, ChannelKind
from services.metering.quality import BELOW_MARK, rule_names, usable

Int64s = NDArray[np.int64]


def offsets(steps: Sequence[StoredEvent], at_ms: Int64s) -> Int64s:
    """What is added to a register at some instants: the sum of all steps up to each."""
    instants = np.array([step.at_ms for step in steps], dtype=np.int64)
    sums = np.concatenate([[0], np.cumsum([step.offset_delta for step in steps])])
    total: Int64s = sums[np.searchsorted(instants, at_ms, side="right")].astype(np.int64)
    return total


def reading_rows(
    columns: Columns, steps: Sequence[StoredEvent], channel: Channel
) -> list[dict[str, Any]]:
    """Rows of one channel as JSON, with `at_ms` for paging."""
    flags = columns["flags"].astype(np.uint32)
    good = usable(flags)
    register = columns["value"] + offsets(steps, columns["read_at"])
    return [
        {
            "at_ms": at_ms,
            "at": to_rfc3339(at_ms),
            "value": decimal_to_text(scaled_to_decimal(value, channel.scaler)),
            "register": decimal_to_text(scaled_to_decimal(curve, channel.scaler)),
            "unit": channel.unit,
            "rules": rule_names(flag),
            "usable": ok,
        }
        for at_ms, value, curve, flag, ok in zip(
            columns["read_at"].tolist(),
            columns["value"].tolist(),
            register.tolist(),
            flags.tolist(),
            good.tolist(),
            strict=True,
        )
    ]


def chart(
    series: Series | None, channel: Channel, from_ms: int, to_ms: int, points: int
) -> dict[str, Any]:
    """One channel in columns, at most about `points` long; readings with marks are always kept."""
    empty: dict[str, Any] = {
        "at_ms": [],
        "register": [],
        "use": [],
        "flags": [],
        "events": [],
        "unit": channel.unit,
        "scaler": channel.scaler,
        "kind": str(channel.kind),
        "interval_s": channel.interval_s,
    }
    if series is None or not len(series.at_ms):
        return empty
    register = series.value + offsets(series.steps, series.at_ms)
    good = usable(series.flags)
    level = np.where(good, register, np.iinfo(np.int64).min)
    # The curve never falls: a reading a little under it stands at its level.
    level = np.maximum.accumulate(level)
    register = np.where((series.flags & np.uint32(BELOW_MARK)) != 0, level, register)
    keep = _thin(series, good, from_ms, to_ms, points)
    use = _use(channel, series, register, good, keep)
    return empty | {
        "at_ms": series.at_ms[keep].tolist(),
        "register": register[keep].tolist(),
        "use": use,
        "flags": series.flags[keep].tolist(),
        "events": [
            {"at_ms": step.at_ms, "kind": step.kind, "offset": step.offset_delta}
            for step in series.steps
            if from_ms <= step.at_ms <= to_ms
        ],
    }


def _thin(
    series: Series, good: NDArray[np.bool_], from_ms: int, to_ms: int, points: int
) -> NDArray[np.intp]:
    within = (series.at_ms >= from_ms) & (series.at_ms <= to_ms)
    plain = np.flatnonzero(within & good)
    every = max(1, -(-len(plain) // points))
    # Counted from the end, so that the newest reading is always there.
    chosen = plain[::-1][::every][::-1]
    marked = np.flatnonzero(within & ~good)[:points]
    return np.union1d(chosen, marked).astype(np.intp)


def _use(
    channel: Channel,
    series: Series,
    register: Int64s,
    good: NDArray[np.bool_],
    keep: NDArray[np.intp],
) -> list[int | None]:
    """Use since the good reading shown before; None where there is none to compare with."""
    if channel.kind is not ChannelKind.REGISTER:
        return [int(series.value[row]) if good[row] else None for row in keep.tolist()]
    use: list[int | None] = []
    before: int | None = None
    for row in keep.tolist():
        if not good[row]:
            use.append(None)
            continue
        level = int(register[row])
        use.append(None if before is None else max(0, level - before))
        before = level
    return use
