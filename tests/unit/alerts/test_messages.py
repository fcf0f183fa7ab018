"""Sentences: what a customer reads, with numbers, units and the customer's clock."""

from __future__ import annotations

import pytest

from services.alerts.domain import Kind
from services.metering.quality import Rule
from tests.unit.alerts.streams import DAY_MS, HOUR_MS, START_MS, Stream, alerts_of, channel, meter


def only(stream: Stream, kind: Kind, **facts: object) -> tuple[str, str]:
    """Sentence and ending of the one alert a stream raises at a meter in Madrid."""
    own = meter(time_zone="Europe/Madrid", **facts)  # type: ignore[arg-type]
    (alert,) = alerts_of(stream, own, kind=kind)
    return alert.message, alert.ending


def test_a_leak_in_words() -> None:
    """Hours, least hourly flow, since when on the customer's clock, and how much so far."""
    message, ending = only(Stream().uses([8, 5] * 24 + [0]), Kind.LEAK)
    assert message == (
        "Water has been running without a pause for 48 hours, at least 5 L an hour, "
        "since 1 January 2024, 01:00 – 312 L so far."
    )
    assert ending == "The flow paused until 3 January 2024, 02:00; 312 L had run by then."


def test_a_burst_in_words() -> None:
    """The highest hourly rate, for how long, and what would be usual."""
    message, ending = only(Stream().uses([1_250, 600, 0]), Kind.BURST)
    assert message == (
        "Water has been running at up to 1,250 L an hour for 2 hours, since "
        "1 January 2024, 01:00; more than 400 L an hour is unusual – 1,850 L so far."
    )
    assert ending == "The flow was back to normal at 1 January 2024, 04:00; 1,850 L had run."


def test_stuck_in_words() -> None:
    """How long, since when, and what is usual."""
    message, ending = only(Stream().uses([2] + [0] * 121 + [1]), Kind.STUCK)
    assert message == (
        "The register has stood still for 5 days, since 1 January 2024, 02:00. "
        "This meter usually moves within 5 days."
    )
    assert ending == "The register moved again by 6 January 2024, 04:00, after 5 days."


def test_reverse_in_words() -> None:
    """How far it went back and since when."""
    stream = Stream().add(START_MS, 1_000)
    for hour, value in ((1, 980), (2, 960)):
        stream.add(START_MS + hour * HOUR_MS, value, curve=1_000, flags=int(Rule.BELOW_MARK))
    message, _ = only(stream, Kind.REVERSE)
    assert message == (
        "The register has gone back by 40 L since 1 January 2024, 01:00: "
        "the flow is reversed or the meter was turned round."
    )


def test_offline_in_words() -> None:
    """The last reading and when the next one was due; without a zone, in UTC."""
    (alert,) = alerts_of(Stream().gap(3 * DAY_MS))
    assert alert.message == (
        "No reading after 1 January 2024, 00:00 UTC; a reading is expected within 36 hours."
    )
    assert alert.ending == "A reading of 4 January 2024, 00:00 UTC arrived."


def test_a_bad_read_in_words() -> None:
    """What was read, where the register stood, and that it is not used."""
    stream = Stream().add(START_MS, 12_000)
    stream.add(START_MS + HOUR_MS, 900_000, curve=12_000, flags=int(Rule.V20_PHYSICAL_LIMIT))
    message, ending = only(stream.add(START_MS + 2 * HOUR_MS, 12_003), Kind.BAD_READ)
    assert message == (
        "One reading was off the register's curve: 900 m³ on 1 January 2024, 02:00 "
        "where the register stood at 12 m³. It is not used."
    )
    assert ending == "The register was back on its curve at 1 January 2024, 03:00."


@pytest.mark.parametrize(
    ("commodity", "unit", "scaler", "text"),
    [
        ("water", "m3", -3, "48 L so far"),
        ("water", "L", 2, "4,800 L so far"),
        ("water", "m3", -1, "4,800 L so far"),
        ("gas", "m3", -2, "7.2 m³ so far"),
        ("gas", "m3", 0, "720 m³ so far"),
        ("water", "gal", 0, "182 L so far"),
    ],
)
def test_quantities_are_told_in_units_people_read(
    commodity: str, unit: str, scaler: int, text: str
) -> None:
    """One digit an hour of any channel, in litres or cubic metres as they read best."""
    own = meter(commodity=commodity, channels=[channel(unit=unit, scaler=scaler)])
    hours = 720 if commodity == "gas" else 48
    (alert,) = alerts_of(Stream().uses([1] * hours), own, kind=Kind.LEAK)
    assert text in alert.message


def test_evidence_of_a_leak() -> None:
    """The readings used, the threshold with its unit, and the values compared with it."""
    (alert,) = alerts_of(Stream().uses([8, 5] * 24), kind=Kind.LEAK)
    assert alert.evidence == {
        "rule": "continuous flow: use in every hour",
        "unit": "m3",
        "threshold": {"quantity": "0.001", "unit": "m3/h", "duration_s": 172_800},
        "values": {"rate_per_h": "0.005", "used": "0.312"},
        "readings": [
            {"at": "2024-01-01T00:00:00Z", "register": "0.000"},
            {"at": "2024-01-02T23:00:00Z", "register": "0.307"},
            {"at": "2024-01-03T00:00:00Z", "register": "0.312"},
        ],
    }


def test_a_time_zone_that_does_not_exist_is_utc() -> None:
    """A wrong zone in the registry does not stop an alert."""
    (alert,) = alerts_of(Stream().gap(3 * DAY_MS), meter(time_zone="Mars/Olympus"))
    assert "00:00 UTC" in alert.message
