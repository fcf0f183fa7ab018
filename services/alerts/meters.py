"""What the alerts service keeps of a meter: enough to choose thresholds and to write sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.metering.products import ChannelKind
from services.stubs.meterfleet.devices.v1 import devices_pb2

_KINDS = {
    devices_pb2.CHANNEL_KIND_REGISTER: ChannelKind.REGISTER,
    devices_pb2.CHANNEL_KIND_INTERVAL: ChannelKind.INTERVAL,
    devices_pb2.CHANNEL_KIND_INSTANT: ChannelKind.INSTANT,
}
#: States in which nobody expects readings.
_ABSENT = frozenset({"suspended", "removed", "scrapped"})


#: The channel that measures what is used: active import (1.8), volume (1, 3), heat energy (1).
_MUST_MOVE = re.compile(r"1-\d+:1\.|[6789]-\d+:[13]\.")


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """One channel: readings are integers that stand for `v × 10^scaler unit`.

    Attributes:
        number: Number in the meter's product.
        unit: Unit of the quantity.
        scaler: Power of ten of one least digit.
        kind: Register, interval or instant.
        interval_s: Seconds between readings.
        rate_max_per_h: Physical limit of one hour's use in least digits; 0 when not known.
        obis: OBIS code; empty when not known.
    """

    number: int
    unit: str
    scaler: int
    kind: ChannelKind = ChannelKind.REGISTER
    interval_s: int = 3600
    rate_max_per_h: int = 0
    obis: str = ""

    @property
    def may_rest(self) -> bool:
        """Whether standing still for ever is no fault: export of those who have nothing to feed in.

        Value group C of energy exported is 2 (IEC 62056-61, electricity); heat meters' second
        quantities are not always connected.
        """
        return bool(self.obis) and not _MUST_MOVE.match(self.obis)


@dataclass(frozen=True, slots=True)
class MeterFacts:
    """One meter: `time_zone` and `zone` are those of its present installation, empty without one.

    Attributes:
        meter_id: The registry's number.
        name: maker:serial, what a person calls it.
        commodity: water, gas, electricity, heat; anything else is not known.
        channels: What it measures.
        time_zone: IANA name, for instants in sentences.
        zone: Node of the supply network.
        installed: Whether it stands somewhere now: only then is it missed when it is silent.
    """

    meter_id: int
    name: str
    commodity: str
    channels: tuple[ChannelFacts, ...]
    time_zone: str = ""
    zone: str = ""
    installed: bool = True

    def channel(self, number: int) -> ChannelFacts | None:
        """The channel of a number, if the product has it."""
        return next((c for c in self.channels if c.number == number), None)


def unknown_meter(meter_id: int) -> MeterFacts:
    """Stands in for a meter the registry has not told us of: only its silence can be judged."""
    return MeterFacts(meter_id, f"meter {meter_id}", "", ())


def from_message(message: devices_pb2.Meter) -> MeterFacts:
    """What we keep of a registry event.

    A meter in stock counts as standing somewhere: utilities often send readings before they
    describe the place, and a meter that never sends is never missed.
    """
    standing = [i for i in message.installations if i.to_ms == 0]
    place = standing[-1] if standing else None
    return MeterFacts(
        meter_id=message.meter_id,
        name=f"{message.maker}:{message.serial}",
        commodity=message.commodity,
        channels=tuple(
            ChannelFacts(
                number=c.number,
                unit=c.unit,
                scaler=c.scaler,
                kind=_KINDS.get(c.kind, ChannelKind.REGISTER),
                interval_s=c.interval_s,
                rate_max_per_h=c.rate_max_per_h,
                obis=c.obis,
            )
            for c in message.channels
        ),
        time_zone=place.time_zone if place else "",
        zone=place.zone if place else "",
        installed=message.state not in _ABSENT,
    )
