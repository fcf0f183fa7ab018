"""Not reporting: seen by the meter's next reading, or by the others' readings."""

from __future__ import annotations

from services.alerts.detectors import Detectors, Ended, Raised
from services.alerts.domain import Kind
from tests.unit.alerts.streams import (
    DAY_MS,
    HOUR_MS,
    START_MS,
    Stream,
    alerts_of,
    channel,
    detectors,
    meter,
)

SILENT, LOUD = 1, 2
LIMIT_MS = 36 * HOUR_MS


def two() -> Detectors:
    """Detectors that know two meters."""
    return detectors(meter(SILENT), meter(LOUD))


def test_a_gap_of_more_than_36_hours_is_told_by_the_next_reading() -> None:
    """It starts at the last reading plus the limit, and the next reading ends it."""
    assert not alerts_of(Stream().uses([1] * 5).gap(LIMIT_MS, use=1))
    (alert,) = alerts_of(Stream().uses([1] * 5).gap(LIMIT_MS + 1, use=1))
    last_ms = START_MS + 5 * HOUR_MS
    assert (alert.kind, alert.channel) == (Kind.OFFLINE, 0)
    assert alert.started_at_ms == last_ms + LIMIT_MS
    assert alert.detected_at_ms == alert.ended_at_ms == last_ms + LIMIT_MS + 1


def test_each_gap_is_one_alert() -> None:
    """Two gaps in a history make two alerts, whatever lies between."""
    stream = Stream().uses([1]).gap(3 * DAY_MS, use=1).uses([1]).gap(4 * DAY_MS, use=1)
    assert len(alerts_of(stream, kind=Kind.OFFLINE)) == 2


def test_slow_meters_are_given_three_intervals() -> None:
    """A meter that reports daily is missed after three days."""
    daily = meter(channels=[channel(interval_s=86_400)])
    assert not alerts_of(Stream().gap(3 * DAY_MS, use=1), daily)
    assert len(alerts_of(Stream().gap(3 * DAY_MS + 1, use=1), daily)) == 1


def test_a_meter_with_two_channels_is_one_meter() -> None:
    """As long as one channel reports, the meter does; when both are silent there is one alert."""
    own = meter(channels=[channel(1), channel(2)])
    stream = Stream().add(START_MS, 5).add(START_MS, 9, number=2)
    stream.add(START_MS + 30 * HOUR_MS, 6).add(START_MS + 60 * HOUR_MS, 10, number=2)
    assert not alerts_of(stream, own, kind=Kind.OFFLINE)
    stream.add(START_MS + 97 * HOUR_MS, 7).add(START_MS + 97 * HOUR_MS, 11, number=2)
    assert len(alerts_of(stream, own, kind=Kind.OFFLINE)) == 1


def test_others_readings_show_that_a_meter_is_silent() -> None:
    """When the tenant's newest reading is past the limit, a live stream raises the alert."""
    watched = two()
    assert not watched.observe(Stream().uses([1], meter_id=SILENT).readings(), START_MS)
    last_ms = START_MS + HOUR_MS
    at_limit = Stream().add(last_ms + LIMIT_MS, 1, meter_id=LOUD).readings()
    assert not watched.observe(at_limit, last_ms + LIMIT_MS)
    beyond = Stream().add(last_ms + LIMIT_MS + 5, 2, meter_id=LOUD).readings()
    (raised,) = watched.observe(beyond, last_ms + LIMIT_MS + 5)
    assert isinstance(raised, Raised)
    assert (raised.meter_id, raised.started_at_ms) == (SILENT, last_ms + LIMIT_MS)
    assert raised.detected_at_ms == last_ms + LIMIT_MS + 5
    assert not watched.observe(
        Stream().add(last_ms + 2 * LIMIT_MS, 3, meter_id=LOUD).readings(), last_ms + 2 * LIMIT_MS
    )
    back = Stream().add(last_ms + 3 * LIMIT_MS, 9, meter_id=SILENT).readings()
    (ended,) = (f for f in watched.observe(back, last_ms + 3 * LIMIT_MS) if f.meter_id == SILENT)
    assert isinstance(ended, Ended)
    assert ended.ended_at_ms == last_ms + 3 * LIMIT_MS


def test_a_load_of_history_raises_nothing_for_meters_still_to_come() -> None:
    """Meter by meter, a year each: the first one's end does not make the second one silent."""
    watched = two()
    watched.observe(Stream().uses([1, 0] * 50, meter_id=SILENT).readings(), START_MS)
    assert not watched.observe(Stream().uses([1, 0] * 4_000, meter_id=LOUD).readings(), START_MS)
    rest = Stream().uses([1, 0] * 4_000, meter_id=SILENT).readings().take(slice(101, None))
    assert not watched.observe(rest, START_MS + 1_000)


def test_quiet_time_runs_on_the_doors_clock() -> None:
    """An overdue meter is missed once the doors have heard nothing of it for the quiet time."""
    watched = two()
    watched.observe(Stream().uses([1], meter_id=SILENT).readings(), START_MS)
    later = Stream().add(START_MS + 9 * DAY_MS, 1, meter_id=LOUD)
    assert not watched.observe(later.readings(), START_MS + HOUR_MS)
    more = Stream().add(START_MS + 9 * DAY_MS + 1, 1, meter_id=LOUD)
    assert len(watched.observe(more.readings(), START_MS + HOUR_MS + 1)) == 1


def test_readings_that_come_late_end_it_no_earlier_than_it_began() -> None:
    """A gateway delivers what it held back: the alert was right, and ends where it started."""
    watched = two()
    watched.observe(Stream().uses([1], meter_id=SILENT).readings(), START_MS)
    now_ms = START_MS + 5 * DAY_MS
    watched.observe(Stream().add(now_ms, 1, meter_id=LOUD).readings(), now_ms)
    held_back = Stream().add(START_MS + 2 * HOUR_MS, 3, meter_id=SILENT).readings()
    (ended,) = watched.observe(held_back, now_ms + 1)
    assert isinstance(ended, Ended)
    assert ended.ended_at_ms == START_MS + HOUR_MS + LIMIT_MS


def test_other_partitions_move_the_clock_on() -> None:
    """A partition with nothing to read learns from the others how late it is."""
    watched = detectors(meter(SILENT))
    watched.observe(Stream().uses([1], meter_id=SILENT).readings(), START_MS)
    now_ms = START_MS + 5 * DAY_MS
    (raised,) = watched.advance(now_ms, now_ms)
    assert raised.meter_id == SILENT
    assert not watched.advance(now_ms + 1, now_ms + 1)


def test_a_meter_that_was_taken_out_is_not_missed() -> None:
    """Nobody expects readings of a meter in the store room."""
    watched = detectors(meter(SILENT, installed=False), meter(LOUD))
    watched.observe(Stream().uses([1], meter_id=SILENT).readings(), START_MS)
    now_ms = START_MS + 50 * DAY_MS
    assert not watched.observe(Stream().add(now_ms, 1, meter_id=LOUD).readings(), now_ms)
