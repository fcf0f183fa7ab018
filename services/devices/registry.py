"""What can be done to the registry: each method is one transaction, events included."""

from __future__ import annotations

import uuid

from sqlalchemy.orm import Session

from services.devices.domain.installations import (
    Installation,
    NewInstallation,
    Removal,
    Surroundings,
    check_installations,
    check_removal,
)
from services.devices.domain.intake import Intake
from services.devices.domain.life_cycle import MeterState, step
from services.devices.domain.meters import (
    Meter,
    NewMeter,
    NewServicePoint,
    ServicePoint,
    check_meters,
    identifiers_by_item,
)
from services.devices.domain.products import ProductFile
from services.devices.events import publish
from services.devices.repository.installations import Installations
from services.devices.repository.meters import Meters
from services.devices.repository.products import Products
from services.devices.repository.service_points import ServicePoints
from services.kit.db import Database
from services.kit.errors import ConflictError
from services.kit.ids import IdSource
from services.kit.outbox import Outbox


class Registry:
    """Changes of products, meters, service points and installations.

    Every method takes the tenant it acts for, and raises NotFoundError if there is none. Those
    that take an Intake store all of its items or, with all its faults told, none.
    """

    def __init__(self, database: Database, outbox: Outbox, ids: IdSource) -> None:
        self._database = database
        self._outbox = outbox
        self._ids = ids

    def add_product(self, tenant_id: int, file: ProductFile) -> bool:
        """Register a product; False if the same content is there already.

        Raises:
            ConflictError: Another content has its code.
        """
        with self._database.transaction() as session:
            products = Products(session, tenant_id)
            products.lock()
            return products.add(file, self._ids.clock.now_ms())

    def register_meters(self, tenant_id: int, intake: Intake[NewMeter]) -> list[Meter]:
        """Register meters, which puts them in stock; the answer is in the order of the request.

        Raises:
            InvalidInputError: Items are wrong.
            ConflictError: All faults contradict what is stored.
        """
        with self._database.transaction() as session:
            meters = Meters(session, tenant_id)
            meters.lock()
            items = intake.items.values()
            products = Products(session, tenant_id).by_code(sorted({m.product for m in items}))
            names = {m.canonical for m in items} | {m.serial for m in items}
            taken = meters.taken([*names, *{a for m in items for a in m.addresses}])
            existing = meters.existing([(m.maker, m.serial) for m in items])
            check_meters(intake, products, existing, taken)
            intake.refuse_faults()
            ids = meters.add(
                [(meter, products[meter.product].commodity) for meter in items],
                MeterState.IN_STOCK,
            )
            owners = identifiers_by_item(intake, taken)
            meters.add_identifiers({name: ids[index] for name, index in owners.items()})
            return self._tell(session, tenant_id, ids)

    def add_service_points(
        self, tenant_id: int, intake: Intake[NewServicePoint]
    ) -> list[ServicePoint]:
        """Enter service points; the answer is in the order of the request.

        Raises:
            InvalidInputError: Items are wrong.
            ConflictError: All faults contradict what is stored.
        """
        with self._database.transaction() as session:
            points = ServicePoints(session, tenant_id)
            points.lock()
            names = {index: point.name for index, point in intake.items.items()}
            intake.note_doubles(names, "name", "service_point.twice")
            existing = points.targets(list(names.values()))
            for index, name in names.items():
                if name in existing:
                    text = f"service point {name!r} is entered already"
                    intake.fault(index, "name", "service_point.exists", text)
            intake.refuse_faults()
            return points.add(list(intake.items.values()))

    def install(self, tenant_id: int, intake: Intake[NewInstallation]) -> list[Installation]:
        """Enter installations; the answer is in the order of the request.

        Raises:
            InvalidInputError: Items are wrong.
            ConflictError: All faults contradict what is stored.
        """
        with self._database.transaction() as session:
            Meters(session, tenant_id).lock()
            around = _surroundings(session, tenant_id, intake)
            check_installations(intake, around, self._ids.clock.now_ms())
            intake.refuse_faults()
            new = [
                (
                    self._ids.new(),
                    around.meters[item.meter].target_id,
                    around.service_points[item.service_point].target_id,
                    item,
                )
                for item in intake.items.values()
            ]
            Installations(session, tenant_id).add(new)
            Meters(session, tenant_id).change(around.states)
            meters = self._tell(session, tenant_id, list(around.states))
            stored = {i.installation_id: i for meter in meters for i in meter.installations}
            return [stored[installation_id] for installation_id, *_ in new]

    def remove(self, tenant_id: int, installation_id: uuid.UUID, removal: Removal) -> Installation:
        """End an installation; ending it again in the same way changes nothing.

        Raises:
            NotFoundError: There is no such installation.
            InvalidInputError: The end lies before the beginning or too far ahead.
            ConflictError: It has ended in another way.
        """
        with self._database.transaction() as session:
            installations = Installations(session, tenant_id)
            installations.lock()
            found = installations.get(installation_id)
            if (found.to_ms, found.last_register) == (removal.at_ms, removal.last_register):
                return found
            if found.to_ms is not None:
                raise ConflictError("the installation has ended", code="installation.ended")
            check_removal(found, removal, self._ids.clock.now_ms())
            meters = Meters(session, tenant_id)
            state = meters.states([found.meter_id])[found.meter_id]
            installations.end(installation_id, removal)
            meters.change({found.meter_id: step(state, MeterState.REMOVED)})
            self._tell(session, tenant_id, [found.meter_id])
            return installations.get(installation_id)

    def _tell(self, session: Session, tenant_id: int, meter_ids: list[int]) -> list[Meter]:
        """Write the events of changed meters; returns these as they are now."""
        meters = Meters(session, tenant_id).load(meter_ids)
        publish(self._outbox, session, meters)
        return meters


def _surroundings(
    session: Session, tenant_id: int, intake: Intake[NewInstallation]
) -> Surroundings:
    items = intake.items.values()
    meters = Meters(session, tenant_id)
    found = meters.targets(sorted({item.meter for item in items}))
    points = ServicePoints(session, tenant_id).targets(sorted({i.service_point for i in items}))
    meter_ids = sorted({target.target_id for target in found.values()})
    installations = Installations(session, tenant_id)
    return Surroundings(
        meters=found,
        service_points=points,
        states=meters.states(meter_ids),
        meter_calendars=installations.meter_calendars(meter_ids),
        point_calendars=installations.point_calendars([p.target_id for p in points.values()]),
    )
