"""The pure entry that a back-test uses."""

from __future__ import annotations

import numpy as np

from services.alerts.detectors import find_alerts
from services.alerts.domain import Kind
from tests.unit.alerts.streams import DAY_MS, HOUR_MS, START_MS


def test_plain_arrays_give_alerts_in_order_of_detection() -> None:
    """A leak and a silence, in arrays sorted by meter: what live readings would have raised."""
    hours = np.arange(200, dtype=np.int64)
    meter = np.repeat(np.array([1, 2], dtype=np.int64), 200)
    at_ms = np.tile(START_MS + hours * HOUR_MS, 2)
    curve = np.concatenate([3 * hours, (hours // 2)])
    kept = (meter == 1) | (np.tile(hours, 2) < 60)
    flags = np.zeros(400, dtype=np.uint32)
    found = find_alerts(meter[kept], at_ms[kept], curve[kept], flags[kept])
    assert [(a.kind, a.meter_id) for a in found] == [(Kind.LEAK, 1), (Kind.OFFLINE, 2)]
    assert found[0].detected_at_ms == START_MS + 2 * DAY_MS
    assert found[1].started_at_ms == START_MS + (59 + 36) * HOUR_MS
    # Known as soon as the others' readings are past it, not only when the meter is back.
    assert found[1].detected_at_ms == found[1].started_at_ms + HOUR_MS


def test_nothing_in_nothing_out() -> None:
    """Empty arrays are no error."""
    none = np.zeros(0, dtype=np.int64)
    assert find_alerts(none, none, none, none.astype(np.uint32)) == []
