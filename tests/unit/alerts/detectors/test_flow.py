"""Leak, burst and stuck: each rule just firing and just silent."""

from __future__ import annotations

import pytest

from services.alerts.domain import Kind, Severity
from services.metering.products import ChannelKind
from tests.unit.alerts.streams import (
    DAY_MS,
    HOUR_MS,
    METER,
    START_MS,
    Stream,
    alerts_of,
    channel,
    detectors,
    meter,
)


def leaks(stream: Stream, **facts: object) -> list[object]:
    """Leaks a stream raises at one meter."""
    return list(alerts_of(stream, meter(**facts), kind=Kind.LEAK))  # type: ignore[arg-type]


def test_forty_eight_hours_of_use_are_a_leak() -> None:
    """Use in each of 48 hours raises one alert, at the 48th reading and not before."""
    (alert,) = alerts_of(Stream().uses([3] * 60), kind=Kind.LEAK)
    assert alert.started_at_ms == START_MS
    assert alert.detected_at_ms == START_MS + 48 * HOUR_MS
    assert alert.ended_at_ms is None
    assert not alerts_of(Stream().uses([3] * 47), kind=Kind.LEAK)


def test_one_still_hour_clears() -> None:
    """47 hours of use, an hour without and 47 more are no leak; one more is."""
    quiet = Stream().uses([3] * 47 + [0] + [3] * 47)
    assert not leaks(quiet)
    (alert,) = alerts_of(quiet.uses([3]), kind=Kind.LEAK)
    assert alert.started_at_ms == START_MS + 48 * HOUR_MS


def test_a_leak_ends_with_a_still_hour_and_may_begin_again() -> None:
    """The end is the still hour; a second run of 48 hours is a second alert."""
    first, second = alerts_of(Stream().uses([5] * 50 + [0] + [5] * 48), kind=Kind.LEAK)
    assert first.ended_at_ms == START_MS + 51 * HOUR_MS
    assert "250 L had run by then" in first.ending
    assert second.started_at_ms == START_MS + 51 * HOUR_MS
    assert second.ended_at_ms is None


def test_use_below_the_least_hourly_flow_clears() -> None:
    """Gas of 9 L an hour is below the 10 L of its rule, 10 L is not."""
    gas = meter(commodity="gas", channels=[channel(unit="m3", scaler=-3)])
    assert not alerts_of(Stream().uses([9] * 730), gas, kind=Kind.LEAK)
    assert alerts_of(Stream().uses([10] * 730), gas, kind=Kind.LEAK)


def test_gas_runs_through_a_winter_night_but_not_through_a_month() -> None:
    """Heating keeps gas flowing for days; only 30 days without a pause are a leak."""
    gas = meter(commodity="gas", channels=[channel(unit="m3", scaler=-3)])
    assert not alerts_of(Stream().uses([300] * 719), gas, kind=Kind.LEAK)
    assert alerts_of(Stream().uses([300] * 720), gas, kind=Kind.LEAK)


@pytest.mark.parametrize("commodity", ["electricity", "heat"])
def test_only_water_and_gas_leak(commodity: str) -> None:
    """Electricity and heat run all day without anything being wrong."""
    own = meter(commodity=commodity, channels=[channel(unit="kWh", scaler=-3)])
    assert not alerts_of(Stream().uses([500] * 100), own)


@pytest.mark.parametrize(
    ("litres", "severity"),
    [
        (20, Severity.INFO),
        (21, Severity.WARNING),
        (100, Severity.WARNING),
        (101, Severity.CRITICAL),
    ],
)
def test_severity_follows_the_least_hourly_flow(litres: int, severity: Severity) -> None:
    """Above 20 L an hour a leak is a warning, above 100 L critical; high hours do not count."""
    (alert,) = alerts_of(Stream().uses([litres, 300] * 30), kind=Kind.LEAK)
    assert alert.severity is severity


def test_quarter_hours_are_looked_at_by_the_hour() -> None:
    """A drip of one litre every other quarter is a leak: within each hour the register moves."""
    stream = Stream().uses([0, 1] * 2 * 49, step_ms=HOUR_MS // 4)
    assert len(leaks(stream)) == 1
    assert not leaks(
        Stream().uses([0] * 7 + [1], step_ms=HOUR_MS // 4).uses([0] * 200, HOUR_MS // 4)
    )


def test_a_gap_with_use_neither_proves_nor_clears() -> None:
    """Ten hours without readings do not count for a leak, nor do they interrupt it."""
    interrupted = Stream().uses([3] * 24).gap(10 * HOUR_MS, use=40).uses([3] * 23)
    assert not leaks(interrupted)
    assert len(leaks(interrupted.uses([3]))) == 1


def test_a_gap_without_enough_use_clears() -> None:
    """Ten hours with nine litres had at least one still hour."""
    assert not leaks(Stream().uses([3] * 24).gap(10 * HOUR_MS, use=9).uses([3] * 47))


def test_a_gap_of_more_than_a_day_clears() -> None:
    """Nobody knows what happened on a day without readings."""
    assert not leaks(Stream().uses([3] * 24).gap(25 * HOUR_MS, use=99).uses([3] * 47))


def test_two_hours_above_400_litres_are_a_burst() -> None:
    """One high hour is a bath, two are a burst; exactly 400 L is not above."""
    assert not alerts_of(Stream().uses([5, 401, 5]), kind=Kind.BURST)
    assert not alerts_of(Stream().uses([5, 400, 400, 5]), kind=Kind.BURST)
    (alert,) = alerts_of(Stream().uses([5, 401, 900, 5]), kind=Kind.BURST)
    assert alert.severity is Severity.CRITICAL
    assert alert.started_at_ms == START_MS + HOUR_MS
    assert alert.detected_at_ms == START_MS + 3 * HOUR_MS
    assert alert.ended_at_ms == START_MS + 4 * HOUR_MS
    assert alert.evidence["values"] == {"rate_per_h": "0.9", "used": "1.301"}


def test_the_rate_counts_over_the_time_that_passed() -> None:
    """2,500 L in five silent hours are 500 L an hour; 1,900 L are not above 400."""
    assert len(alerts_of(Stream().gap(5 * HOUR_MS, use=2_500), kind=Kind.BURST)) == 1
    assert not alerts_of(Stream().gap(5 * HOUR_MS, use=1_900), kind=Kind.BURST)


def test_large_meters_burst_at_a_share_of_their_limit() -> None:
    """A meter for 20 m3/h bursts above 1 m3/h, not above 400 L/h."""
    large = meter(channels=[channel(rate_max_per_h=20_000)])
    assert not alerts_of(Stream().uses([1_000] * 5), large, kind=Kind.BURST)
    assert alerts_of(Stream().uses([1_001] * 5), large, kind=Kind.BURST)


def test_gas_bursts_at_four_fifths_of_the_limit() -> None:
    """A G4 meter of 6 m3/h bursts above 4.8 m3/h held for two hours."""
    gas = meter(commodity="gas", channels=[channel(rate_max_per_h=6_000)])
    assert not alerts_of(Stream().uses([4_800] * 5), gas, kind=Kind.BURST)
    assert alerts_of(Stream().uses([4_801] * 5), gas, kind=Kind.BURST)


def test_five_days_without_movement_are_stuck() -> None:
    """A register that stands for five days raises at the fifth day, not an hour before."""
    assert not alerts_of(Stream().uses([9] + [0] * 119), kind=Kind.STUCK)
    (alert,) = alerts_of(Stream().uses([9] + [0] * 125), kind=Kind.STUCK)
    assert alert.started_at_ms == START_MS + HOUR_MS
    assert alert.detected_at_ms == START_MS + HOUR_MS + 5 * DAY_MS


def test_a_meter_that_pauses_often_is_given_twice_its_longest_pause() -> None:
    """After a pause of four days, eight days without movement are needed."""
    stream = Stream().uses([9] + [0] * 96 + [9] + [0] * 191)
    assert not alerts_of(stream, kind=Kind.STUCK)
    (alert,) = alerts_of(stream.uses([0]), kind=Kind.STUCK)
    assert alert.detected_at_ms - alert.started_at_ms == 8 * DAY_MS


def test_stuck_ends_when_the_register_moves() -> None:
    """The alert ends with the first step that shows use."""
    (alert,) = alerts_of(Stream().uses([9] + [0] * 130 + [1]), kind=Kind.STUCK)
    assert alert.ended_at_ms == START_MS + 132 * HOUR_MS
    assert "after 5 days" in alert.ending


@pytest.mark.parametrize(("commodity", "days"), [("gas", 5), ("electricity", 3), ("heat", 30)])
def test_each_commodity_has_its_own_patience(commodity: str, days: int) -> None:
    """Gas 5 days, electricity 3, heat 30 because it rests in summer."""
    unit = "m3" if commodity == "gas" else "kWh"
    own = meter(commodity=commodity, channels=[channel(unit=unit)])
    assert not alerts_of(Stream().uses([9] + [0] * (24 * days - 1)), own, kind=Kind.STUCK)
    assert alerts_of(Stream().uses([9] + [0] * 24 * days), own, kind=Kind.STUCK)


@pytest.mark.parametrize(
    ("obis", "stuck"), [("1-0:1.8.0", True), ("1-0:2.8.0", False), ("8-0:1.0.0", True)]
)
def test_an_export_register_may_rest_for_ever(obis: str, stuck: bool) -> None:
    """Who has nothing to feed in has no stuck meter; what measures use must move."""
    own = meter(commodity="electricity", channels=[channel(unit="kWh", obis=obis)])
    found = alerts_of(Stream().uses([0] * 24 * 30), own, kind=Kind.STUCK)
    assert bool(found) is stuck


def test_interval_channels_are_added_up() -> None:
    """An interval channel's use makes a register: the same rules find the same leak."""
    own = meter(channels=[channel(kind=ChannelKind.INTERVAL)])
    stream = Stream()
    for hour in range(60):
        stream.add(START_MS + hour * HOUR_MS, 3)
    (alert,) = alerts_of(stream, own, kind=Kind.LEAK)
    assert alert.detected_at_ms == START_MS + 48 * HOUR_MS


def test_momentary_values_do_not_flow() -> None:
    """A constant temperature is no stuck register and a rising one no leak."""
    own = meter(channels=[channel(unit="°C", scaler=-1, kind=ChannelKind.INSTANT)])
    assert not alerts_of(Stream().uses([0] * 200 + [1] * 200), own)


def test_a_meter_nobody_described_is_judged_by_its_silence_only() -> None:
    """Without a unit nothing can be said of its flow."""
    found = detectors(meter(METER + 1)).observe(
        Stream().uses([900] * 60 + [0] * 200).gap(40 * HOUR_MS).readings(), START_MS
    )
    assert {finding.kind for finding in found} == {Kind.OFFLINE}


def test_coarse_digits_count_as_they_are() -> None:
    """With a digit of 10 L every hour must show a digit."""
    own = meter(channels=[channel(scaler=-2)])
    assert not alerts_of(Stream().uses([1, 0] * 40), own, kind=Kind.LEAK)
    (alert,) = alerts_of(Stream().uses([1] * 48), own, kind=Kind.LEAK)
    assert "at least 10 L an hour" in alert.message
