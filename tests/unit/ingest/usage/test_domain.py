"""Use from continuous registers: exact, telescoping, across exchanges and steps."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.store.register_events import StoredEvent
from services.ingest.usage.domain import FOREVER_MS, PPM, Series, Stand, measure
from services.metering.products import Channel, ChannelKind
from services.metering.quality import Rule

HOUR_MS = 3_600_000
REGISTER = Channel(1, "8-0:1.0.0", "m3", -3, ChannelKind.REGISTER, 6, 3600, 3750, 500)
INTERVAL = Channel(1, "1-0:1.9.0", "kWh", -3, ChannelKind.INTERVAL, 9, 3600, 10**6, 0)


def series(
    rows: list[tuple[int, int]],
    flags: dict[int, int] | None = None,
    steps: tuple[StoredEvent, ...] = (),
) -> Series:
    """A series of (hour, value) rows."""
    marks = [int((flags or {}).get(hour, 0)) for hour, _ in rows]
    return Series(
        np.array([hour * HOUR_MS for hour, _ in rows], dtype=np.int64),
        np.array([value for _, value in rows], dtype=np.int64),
        np.array(marks, dtype=np.uint32),
        np.arange(len(rows), dtype=np.int64),
        steps,
    )


def stand(
    of: Series,
    channel: Channel = REGISTER,
    *,
    multiplier: str = "1",
    hours: tuple[int, int | None] = (0, None),
    meter_id: int = 1,
) -> Stand:
    """A meter at a service point for some hours."""
    to_ms = FOREVER_MS if hours[1] is None else hours[1] * HOUR_MS
    return Stand(
        meter_id, f"m{meter_id}", hours[0] * HOUR_MS, to_ms, Fraction(multiplier), channel, of
    )


def hours(*edges: float) -> np.ndarray:
    """Boundaries in ms."""
    return np.array([round(edge * HOUR_MS) for edge in edges], dtype=np.int64)


def test_use_is_the_difference_of_the_register() -> None:
    """Between readings the register is drawn straight and cut to whole litres."""
    usage = measure([stand(series([(0, 100), (2, 103), (4, 200)]))], hours(0, 1, 2, 4))
    assert usage.quantity.tolist() == [1, 2, 97]
    assert usage.register.tolist() == [100, 101, 103, 200]
    assert usage.known_ppm.tolist() == [PPM, PPM, PPM]
    assert (usage.unit, usage.scaler, usage.usable, usage.failed) == ("m3", -3, 2, 0)


def test_failed_readings_do_not_count() -> None:
    """A wild reading is no point of the curve, and is counted as failed."""
    wild = series([(0, 100), (1, 9000), (2, 110)], {1: Rule.V20_PHYSICAL_LIMIT})
    usage = measure([stand(wild)], hours(0, 1, 2))
    assert usage.quantity.tolist() == [5, 5]
    assert usage.failed == 1


def test_a_rollover_is_use_and_an_exchange_is_not() -> None:
    """Steps shift the register; two meters in turn make one curve of the service point."""
    rolled = StoredEvent(1, 1, HOUR_MS, "rollover", 1_000_000, 999_990, 10)
    first = stand(series([(0, 999_990), (1, 10), (2, 20)], steps=(rolled,)), hours=(0, 2))
    second = stand(series([(2, 5), (3, 45)]), hours=(2, None), meter_id=2)
    usage = measure([first, second], hours(0, 1, 2, 3))
    assert usage.quantity.tolist() == [20, 10, 40]
    assert [event.kind for event in usage.events] == ["rollover"]
    assert {e.meter for e in usage.evidence} == {"m1", "m2"}


def test_what_no_reading_tells_is_not_known() -> None:
    """Beyond the last reading use is zero and the share known says so; a wide gap has no shape."""
    usage = measure([stand(series([(0, 0), (1, 10)]))], hours(0, 1, 3))
    assert usage.quantity.tolist() == [10, 0]
    assert usage.known_ppm.tolist() == [PPM, 0]
    gap = measure([stand(series([(0, 0), (10, 100)]))], hours(0, 1, 2))
    assert gap.quantity.tolist() == [10, 10]
    assert gap.known_ppm.tolist() == [0, 0]


def test_intervals_sum_by_their_end() -> None:
    """An interval belongs to the bucket its end lies in."""
    usage = measure([stand(series([(1, 5), (2, 7), (3, 9)]), INTERVAL)], hours(0, 2, 3))
    assert usage.quantity.tolist() == [12, 9]


def test_a_multiplier_is_exact() -> None:
    """A current transformer's 1.5 gives half litres, not rounded ones."""
    usage = measure([stand(series([(0, 0), (1, 3)]), multiplier="1.5")], hours(0, 1))
    assert (usage.quantity.tolist(), usage.scaler) == ([45], -4)


def test_no_readings_no_use() -> None:
    """A service point whose meter never reported has use zero, wholly unknown."""
    usage = measure([stand(series([]))], hours(0, 1))
    assert (usage.quantity.tolist(), usage.known_ppm.tolist()) == ([0], [0])


@given(
    rises=st.lists(st.integers(0, 3000), min_size=1, max_size=40),
    edges=st.lists(st.integers(0, 45 * 4), min_size=3, max_size=12, unique=True),
)
def test_parts_sum_to_the_whole(rises: list[int], edges: list[int]) -> None:
    """However a period is cut, the uses of its parts sum to the use of the whole, to the litre."""
    level, rows = 0, []
    for hour, rise in enumerate(rises):
        level += rise
        rows.append((hour, level))
    edges.sort()
    one = stand(series(rows))
    parts = measure([one], hours(*(edge / 4 for edge in edges)))
    whole = measure([one], hours(edges[0] / 4, edges[-1] / 4))
    assert parts.quantity.sum() == whole.quantity.sum()
    assert (parts.quantity >= 0).all()
