"""What the registry tells the others: `meters.changed`, one event for each change of a meter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache

from sqlalchemy.orm import Session

from services.devices.domain.installations import Installation
from services.devices.domain.meters import Meter
from services.kit.log import Record, Topic
from services.kit.money import decimal_to_text
from services.kit.outbox import Outbox
from services.metering.products import Channel, ChannelKind
from services.stubs.meterfleet.devices.v1 import devices_pb2

METERS_CHANGED = "meters.changed"
_KINDS = {
    ChannelKind.REGISTER: devices_pb2.CHANNEL_KIND_REGISTER,
    ChannelKind.INTERVAL: devices_pb2.CHANNEL_KIND_INTERVAL,
    ChannelKind.INSTANT: devices_pb2.CHANNEL_KIND_INSTANT,
}


def topics(partitions: int) -> list[Topic]:
    """The topics the registry publishes on; the latest event of each meter is kept for ever."""
    return [Topic(METERS_CHANGED, partitions=partitions, compacted=True)]


def publish(outbox: Outbox, session: Session, meters: Sequence[Meter]) -> None:
    """Write an event for each of these meters with the transaction that changed them."""
    records = [
        Record(
            value=to_message(meter).SerializeToString(),
            key=f"{meter.tenant_id}:{meter.meter_id}".encode(),
        )
        for meter in meters
    ]
    outbox.add(session, METERS_CHANGED, records)


def to_message(meter: Meter) -> devices_pb2.Meter:
    """A meter as others need it."""
    return devices_pb2.Meter(
        tenant_id=meter.tenant_id,
        meter_id=meter.meter_id,
        revision=meter.revision,
        maker=meter.maker,
        serial=meter.serial,
        identifiers=meter.identifiers,
        product=meter.product.code,
        commodity=meter.product.commodity,
        state=meter.state.value,
        channels=[_channel(channel) for channel in meter.product.channels],
        installations=[_installation(installation) for installation in meter.installations],
    )


@lru_cache(maxsize=1024)
def _channel(channel: Channel) -> devices_pb2.Channel:
    # Cached: thousands of meters share a product, and a channel's message is never changed.
    return devices_pb2.Channel(**(asdict(channel) | {"kind": _KINDS[channel.kind]}))


def _installation(installation: Installation) -> devices_pb2.Installation:
    return devices_pb2.Installation(
        service_point_id=installation.service_point_id,
        service_point=installation.service_point,
        from_ms=installation.from_ms,
        to_ms=installation.to_ms or 0,
        multiplier=decimal_to_text(installation.multiplier),
        time_zone=installation.time_zone,
        zone=installation.zone,
    )
