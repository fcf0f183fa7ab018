"""Meters and service points: what is registered, what is known of them, what may be wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StringConstraints

from services.devices.domain.installations import Installation
from services.devices.domain.intake import Intake, Item, Label, Line
from services.devices.domain.life_cycle import MeterState
from services.metering.batch import IDENTIFIER_CHARS_MAX
from services.metering.products import Product

MAKER_CHARS_MAX = 40
SERIAL_CHARS_MAX = IDENTIFIER_CHARS_MAX - MAKER_CHARS_MAX - 1
ADDRESSES_MAX = 8
Commodity = Literal["electricity", "gas", "heat", "water"]


_Address = Annotated[Line, StringConstraints(min_length=1, max_length=IDENTIFIER_CHARS_MAX)]


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _check_time_zone(name: str) -> str:
    if name not in _time_zones():
        raise ValueError("no time zone of the IANA database, like Europe/Madrid")
    return name


def _check_no_colon(name: str) -> str:
    if ":" in name:
        raise ValueError("no colon: it parts maker and serial in maker:serial")
    return name


_NoColon = AfterValidator(_check_no_colon)


def canonical(maker: str, serial: str) -> str:
    """The identifier every meter has: `maker:serial`."""
    return f"{maker}:{serial}"


class NewMeter(Item):
    """A meter to be registered.

    Attributes:
        maker: Who made it, as in its product.
        serial: The maker's number for it.
        product: Code of its product.
        addresses: What a network calls it: DevEUI, IMEI, M-Bus id, system title.
    """

    maker: Annotated[Label, StringConstraints(max_length=MAKER_CHARS_MAX), _NoColon]
    serial: Annotated[Label, StringConstraints(max_length=SERIAL_CHARS_MAX), _NoColon]
    product: Label
    addresses: Annotated[
        tuple[_Address, ...],
        Field(max_length=ADDRESSES_MAX),
    ] = ()

    @property
    def canonical(self) -> str:
        """Its canonical identifier."""
        return canonical(self.maker, self.serial)


class NewServicePoint(Item):
    """A service point to be entered.

    Attributes:
        name: The utility's own name for it.
        commodity: What is supplied there.
        time_zone: IANA name; bills and days follow it.
        address: Where it is, for people.
        zone: Node of the supply network that feeds it.
    """

    name: Label
    commodity: Commodity
    time_zone: Annotated[str, AfterValidator(_check_time_zone)]
    address: Line = ""
    zone: Annotated[Line, StringConstraints(max_length=64)] = ""


@dataclass(frozen=True, slots=True)
class ServicePoint:
    """Where a customer is supplied with one commodity."""

    service_point_id: int
    name: str
    commodity: str
    time_zone: str
    address: str
    zone: str


@dataclass(frozen=True, slots=True)
class Meter:
    """Everything the registry knows of a meter.

    Attributes:
        revision: Rises with every change, from 1.
        identifiers: Everything a reading may call it by, the canonical one first.
        product: Its product, channels included.
        installations: Where it stood, oldest first.
    """

    tenant_id: int
    meter_id: int
    revision: int
    maker: str
    serial: str
    state: MeterState
    product: Product
    identifiers: tuple[str, ...] = ()
    installations: tuple[Installation, ...] = field(default=())


def check_meters(
    intake: Intake[NewMeter],
    products: Mapping[str, Product],
    existing: Collection[tuple[str, str]],
    taken: Collection[str],
) -> None:
    """Note everything that speaks against registering these meters.

    Args:
        intake: The new meters.
        products: Known products by code, of those the meters name.
        existing: (maker, serial) of those that are registered already.
        taken: Identifiers, of those the meters would get, that other meters have.
    """
    intake.note_doubles(
        {i: (m.maker, m.serial) for i, m in intake.items.items()}, "serial", "meter.twice"
    )
    for index, meter in intake.items.items():
        product = products.get(meter.product)
        if product is None:
            text = f"no product {meter.product!r} is registered"
            intake.fault(index, "product", "meter.product_unknown", text)
        elif product.maker != meter.maker:
            text = f"product {meter.product!r} is made by {product.maker!r}"
            intake.fault(index, "maker", "meter.maker_differs", text)
        if (meter.maker, meter.serial) in existing:
            text = f"meter {meter.canonical!r} is registered already"
            intake.fault(index, "serial", "meter.exists", text)
        elif meter.canonical in taken:
            text = f"{meter.canonical!r} is an address of another meter"
            intake.fault(index, "serial", "meter.identifier_taken", text)
    _check_addresses(intake, existing, taken)


def _check_addresses(
    intake: Intake[NewMeter], existing: Collection[tuple[str, str]], taken: Collection[str]
) -> None:
    """An address may be nobody's yet, neither in the registry nor in this request."""
    owner = {meter.canonical: index for index, meter in intake.items.items()}
    for index, meter in intake.items.items():
        if (meter.maker, meter.serial) in existing:
            continue  # its addresses are taken by itself
        for position, address in enumerate(meter.addresses):
            where = f"addresses/{position}"
            before = owner.setdefault(address, index)
            if before != index or address in meter.addresses[:position]:
                text = f"{address!r} stands already at /{intake.name}/{before}"
                intake.fault(index, where, "meter.address_twice", text)
            elif address in taken:
                text = f"{address!r} belongs to another meter"
                intake.fault(index, where, "meter.identifier_taken", text)


def identifiers_by_item(intake: Intake[NewMeter], taken: Collection[str]) -> dict[str, int]:
    """Identifiers the new meters get, each with the index of its item.

    Canonical names and addresses come first; a bare serial is added only where it is still free,
    in the order of the request.
    """
    owners: dict[str, int] = {}
    for index, meter in intake.items.items():
        owners[meter.canonical] = index
        owners.update(dict.fromkeys(meter.addresses, index))
    for index, meter in intake.items.items():
        if meter.serial not in taken:
            owners.setdefault(meter.serial, index)
    return owners
