"""What is kept of a registry event."""

from __future__ import annotations

import pytest

from services.alerts.meters import from_message
from services.metering.products import ChannelKind
from services.stubs.meterfleet.devices.v1 import devices_pb2


def message(state: str = "active") -> devices_pb2.Meter:
    """A meter that moved from one service point to another."""
    return devices_pb2.Meter(
        tenant_id=3,
        meter_id=9,
        maker="Aqualith",
        serial="12",
        commodity="water",
        state=state,
        channels=[
            devices_pb2.Channel(
                number=2, unit="m3", scaler=-3, interval_s=900, rate_max_per_h=5000,
                kind=devices_pb2.CHANNEL_KIND_INTERVAL,
            )
        ],
        installations=[
            devices_pb2.Installation(from_ms=1, to_ms=2, time_zone="Asia/Shanghai", zone="north"),
            devices_pb2.Installation(from_ms=2, time_zone="Europe/Madrid", zone="south"),
        ],
    )  # fmt: skip


def test_facts_of_a_meter() -> None:
    """Name, channels, and place of the installation that stands."""
    facts = from_message(message())
    assert (facts.meter_id, facts.name, facts.commodity) == (9, "Aqualith:12", "water")
    assert (facts.time_zone, facts.zone) == ("Europe/Madrid", "south")
    (channel,) = facts.channels
    assert facts.channel(2) is channel
    assert facts.channel(1) is None
    assert (channel.kind, channel.interval_s, channel.rate_max_per_h) == (
        ChannelKind.INTERVAL, 900, 5000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "expected"),
    [("active", True), ("in_stock", True), ("suspended", False), ("removed", False),
     ("scrapped", False)],
)  # fmt: skip
def test_only_meters_that_stand_are_missed(state: str, expected: bool) -> None:
    """Nobody expects readings of a meter that was taken out."""
    assert from_message(message(state)).installed is expected
