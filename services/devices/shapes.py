"""Shapes of what the HTTP API answers; docs/api.md says the same for people."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from services.devices.domain.installations import Installation
from services.devices.domain.intake import ITEMS_MAX, Item
from services.devices.domain.meters import Meter, ServicePoint
from services.devices.domain.organisations import ApiKey, Organisation
from services.kit.auth import Role
from services.kit.clock import to_rfc3339
from services.kit.money import decimal_to_text
from services.kit.page import Page
from services.metering.products import ChannelKind

T = TypeVar("T")
ShapeT = TypeVar("ShapeT")


class Shape(BaseModel):
    """Base of shapes; those with a record's own fields are read from the attributes of a record."""

    model_config = ConfigDict(from_attributes=True)


class PageOut(BaseModel, Generic[ShapeT]):
    """A page of a list; the token asks for the next one and is null at the end."""

    items: list[ShapeT]
    next_page_token: str | None


def page_out(page: Page[T], shape: Callable[[T], ShapeT]) -> PageOut[ShapeT]:
    """A page whose items have taken their outer shape."""
    return PageOut(items=[shape(item) for item in page.items], next_page_token=page.next_page_token)


class MeterOut(BaseModel):
    """A meter that was registered."""

    meter_id: int
    maker: str
    serial: str
    product: str
    commodity: str
    state: str
    revision: int


class MetersOut(BaseModel):
    """Meters that were registered, in the order of the request."""

    meters: list[MeterOut]


class MeterLineOut(Shape):
    """A meter in the fleet list, with where it stands."""

    meter_id: int
    maker: str
    serial: str
    product: str
    commodity: str
    state: str
    service_point: str | None
    service_point_id: int | None
    zone: str | None
    address: str | None


class ChannelOut(Shape):
    """A measured quantity; its stored integers v stand for v × 10^scaler unit."""

    number: int
    obis: str
    unit: str
    scaler: int
    kind: ChannelKind
    digits: int
    interval_s: int
    rate_max_per_h: int
    reverse_max: int


class InstallationOut(BaseModel):
    """A meter at a service point; registers are in the unit of the meter's first channel."""

    installation_id: uuid.UUID
    meter_id: int
    meter: str
    service_point_id: int
    service_point: str
    time_zone: str
    zone: str
    from_: str = Field(serialization_alias="from")
    to: str | None
    multiplier: str
    first_register: str | None
    last_register: str | None


class InstallationsOut(BaseModel):
    """Installations that were entered, in the order of the request."""

    installations: list[InstallationOut]


class MeterDetailOut(MeterLineOut):
    """Everything known of a meter."""

    revision: int
    identifiers: list[str]
    channels: list[ChannelOut]
    installations: list[InstallationOut]


class ServicePointOut(Shape):
    """Where a customer is supplied with one commodity."""

    service_point_id: int
    name: str
    commodity: str
    time_zone: str
    address: str
    zone: str


class ServicePointsOut(BaseModel):
    """Service points that were entered, in the order of the request."""

    service_points: list[ServicePointOut]


class SummaryOut(BaseModel):
    """The fleet in numbers."""

    meters: int
    by_commodity: dict[str, int]
    by_state: dict[str, int]
    by_product: dict[str, int]
    service_points: int


class WhoAmIOut(Shape):
    """Who the caller is to us."""

    tenant_id: int
    tenant: str
    role: Role
    key_id: str


class KeyOut(BaseModel):
    """What is known of an API key."""

    key_id: uuid.UUID
    name: str
    role: Role
    created_at: str
    revoked_at: str | None


class NewKeyOut(KeyOut):
    """A new API key; `key` is shown this once."""

    key: str


class OrganisationOut(BaseModel):
    """A utility or a device maker."""

    tenant_id: int
    name: str
    kind: str
    created_at: str


class NewOrganisationOut(OrganisationOut):
    """A new organisation; its first admin key is shown this once."""

    admin_key: str


def meter_out(meter: Meter) -> MeterOut:
    """A registered meter's outer shape."""
    return MeterOut(
        meter_id=meter.meter_id,
        maker=meter.maker,
        serial=meter.serial,
        product=meter.product.code,
        commodity=meter.product.commodity,
        state=meter.state,
        revision=meter.revision,
    )


def meter_detail_out(meter: Meter, point: ServicePoint | None) -> MeterDetailOut:
    """A meter in its outer shape; `point` is where it stands, if it does."""
    return MeterDetailOut(
        **meter_out(meter).model_dump(),
        service_point=point and point.name,
        service_point_id=point and point.service_point_id,
        zone=point and point.zone,
        address=point and point.address,
        identifiers=list(meter.identifiers),
        channels=[ChannelOut.model_validate(channel) for channel in meter.product.channels],
        installations=[installation_out(each) for each in meter.installations],
    )


def installation_out(installation: Installation) -> InstallationOut:
    """An installation's outer shape."""
    first, last = installation.first_register, installation.last_register
    return InstallationOut(
        installation_id=installation.installation_id,
        meter_id=installation.meter_id,
        meter=installation.meter,
        service_point_id=installation.service_point_id,
        service_point=installation.service_point,
        time_zone=installation.time_zone,
        zone=installation.zone,
        from_=to_rfc3339(installation.from_ms),
        to=None if installation.to_ms is None else to_rfc3339(installation.to_ms),
        multiplier=decimal_to_text(installation.multiplier),
        first_register=None if first is None else decimal_to_text(first),
        last_register=None if last is None else decimal_to_text(last),
    )


def key_out(key: ApiKey) -> KeyOut:
    """A key's outer shape."""
    revoked_at_ms = key.revoked_at_ms
    return KeyOut(
        key_id=key.key_id,
        name=key.name,
        role=key.role,
        created_at=to_rfc3339(key.created_at_ms),
        revoked_at=None if revoked_at_ms is None else to_rfc3339(revoked_at_ms),
    )


def organisation_out(organisation: Organisation) -> OrganisationOut:
    """An organisation's outer shape."""
    return OrganisationOut(
        tenant_id=organisation.tenant_id,
        name=organisation.name,
        kind=organisation.kind,
        created_at=to_rfc3339(organisation.created_at_ms),
    )


def list_body(name: str, kind: type[Item]) -> dict[str, Any]:
    """OpenAPI of a body `{"<name>": [item, …]}`, which the handler reads itself to tell all faults.

    Args:
        name: The list's name.
        kind: What each item is.
    """
    items = {"type": "array", "minItems": 1, "maxItems": ITEMS_MAX, "items": _schema(kind)}
    return _body({"type": "object", "required": [name], "properties": {name: items}})


def item_body(kind: type[Item]) -> dict[str, Any]:
    """OpenAPI of a body that is one item."""
    return _body(_schema(kind))


def _schema(kind: type[Item]) -> dict[str, Any]:
    return kind.model_json_schema(by_alias=True)


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
