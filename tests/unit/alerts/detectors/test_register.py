"""Reverse flow and wild reads: each rule just firing and just silent."""

from __future__ import annotations

from services.alerts.domain import Kind, Severity
from services.metering.quality import Rule
from tests.unit.alerts.streams import DAY_MS, HOUR_MS, START_MS, Stream, alerts_of, channel, meter

BELOW = int(Rule.BELOW_MARK)
FALLEN = int(Rule.V17_NEGATIVE)
PENDING_UP = int(Rule.PENDING | Rule.V20_PHYSICAL_LIMIT)
JUMPED = int(Rule.V20_PHYSICAL_LIMIT)


def fall(*values: int, flags: int = BELOW, then: int | None = None) -> Stream:
    """A register at 1,000 L, hourly readings off the curve, and one that is on it again."""
    stream = Stream().add(START_MS, 1_000)
    at_ms = START_MS
    for value in values:
        at_ms += HOUR_MS
        stream.add(at_ms, value, curve=1_000, flags=flags)
    if then is not None:
        stream.add(at_ms + HOUR_MS, then)
    return stream


def test_two_readings_back_by_more_than_two_litres_are_reverse() -> None:
    """The second reading raises it; it began with the first."""
    (alert,) = alerts_of(fall(998, 997), kind=Kind.REVERSE)
    assert alert.severity is Severity.WARNING
    assert alert.started_at_ms == START_MS + HOUR_MS
    assert alert.detected_at_ms == START_MS + 2 * HOUR_MS
    assert "gone back by 3 L" in alert.message


def test_one_reading_back_is_jitter() -> None:
    """A single reading below the mark may be a late one or a digit's play."""
    assert not alerts_of(fall(900, then=1_001))


def test_a_digit_of_jitter_is_silent_for_ever() -> None:
    """Two litres back, however often, are not worth an alert."""
    assert not alerts_of(fall(999, 998, 999, 998, 998, then=1_000))


def test_readings_on_the_curve_between_begin_anew() -> None:
    """Readings that overtake one another alternate; that is no reverse flow."""
    stream = Stream().add(START_MS, 1_000)
    for hour in range(1, 20):
        odd = hour % 2
        stream.add(START_MS + hour * HOUR_MS, 950 if odd else 1_000 + hour,
                   curve=1_000 + hour, flags=BELOW if odd else 0)  # fmt: skip
    assert not alerts_of(stream)


def test_reverse_ends_on_the_curve_and_is_raised_once() -> None:
    """Twenty readings back are one alert, which ends when the register has caught up."""
    (alert,) = alerts_of(fall(*range(990, 970, -1), then=1_001))
    assert alert.ended_at_ms == START_MS + 21 * HOUR_MS


def test_a_fall_faster_than_any_flow_is_no_reverse() -> None:
    """Another register was read: 500 m3 cannot run back within two hours."""
    own = meter(channels=[channel(rate_max_per_h=5_000)])
    stream = fall(1_000 - 10_001, 1_000 - 10_001, flags=FALLEN)
    assert not alerts_of(stream, own, kind=Kind.REVERSE)
    assert alerts_of(fall(-8_999, -8_999, flags=FALLEN), own, kind=Kind.REVERSE)


def test_a_wild_read_is_told_when_the_register_is_back() -> None:
    """One jump that returns is information, begun and ended at once."""
    (alert,) = alerts_of(fall(80_000, flags=PENDING_UP, then=1_003))
    assert (alert.kind, alert.severity) == (Kind.BAD_READ, Severity.INFO)
    assert alert.started_at_ms == START_MS + HOUR_MS
    assert alert.detected_at_ms == alert.ended_at_ms == START_MS + 2 * HOUR_MS
    assert "80 m³" in alert.message
    assert alert.evidence["readings"] == [
        {"at": "2024-01-01T00:00:00Z", "register": "1.000"},
        {"at": "2024-01-01T01:00:00Z", "register": "80.000"},
    ]


def test_a_wild_read_that_has_not_returned_is_not_told() -> None:
    """Until the next usable reading it may be a new level."""
    assert not alerts_of(fall(80_000, 80_010, flags=PENDING_UP))


def test_three_wild_reads_in_a_row_are_told_at_once() -> None:
    """A register that stays wild is not waited for; the alert ends when it is back."""
    (alert,) = alerts_of(fall(80_000, 5, 90_000, flags=JUMPED, then=1_003))
    assert alert.detected_at_ms == START_MS + 3 * HOUR_MS
    assert alert.ended_at_ms == START_MS + 4 * HOUR_MS
    assert alert.evidence["values"] == {"readings": 3}


def test_a_new_level_is_no_bad_read() -> None:
    """When the curve goes on with another offset, the readings were right."""
    stream = fall(80_000, 80_010, flags=PENDING_UP)
    stream.add(START_MS + 3 * HOUR_MS, 80_020, curve=1_020)
    assert not alerts_of(stream)


def test_bad_reads_of_one_day_are_one_alert() -> None:
    """Three wild reads on a day raise one alert, one on the next day another."""
    stream = Stream().add(START_MS, 0)
    for hour in range(1, 40):
        wild = hour in {3, 9, 15, 30}
        stream.add(START_MS + hour * HOUR_MS, 500_000 if wild else hour, curve=hour - wild,
                   flags=JUMPED if wild else 0)  # fmt: skip
    found = alerts_of(stream)
    assert [a.started_at_ms for a in found] == [START_MS + 3 * HOUR_MS, START_MS + 30 * HOUR_MS]
    assert found[1].started_at_ms // DAY_MS == found[0].started_at_ms // DAY_MS + 1
