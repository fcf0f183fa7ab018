"""Meters and their identifiers: read in pages, written in sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Text, func, or_, update

from services.devices.domain.installations import Target
from services.devices.domain.life_cycle import MeterState
from services.devices.domain.meters import Meter, NewMeter, canonical
from services.devices.repository.installations import Installations
from services.devices.repository.products import Products
from services.devices.repository.tenant import TenantRows, among, rows_of
from services.devices.tables import IdentifierRow, InstallationRow, MeterRow, ServicePointRow
from services.kit.errors import NotFoundError
from services.kit.page import Page, cut


@dataclass(frozen=True, slots=True)
class MeterLine:
    """A meter as the fleet list shows it, with the service point where it stands."""

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


@dataclass(frozen=True, slots=True)
class MeterFilter:
    """What the fleet list is narrowed to; None is no narrowing.

    Attributes:
        q: Part of an identifier, or of the name or address of the service point.
    """

    q: str | None = None
    commodity: str | None = None
    state: str | None = None
    zone: str | None = None


class Meters(TenantRows):
    """Meters of one organisation."""

    def existing(self, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of these (maker, serial) that are registered."""
        wanted = rows_of(
            maker=(Text(), [maker for maker, _ in keys]),
            serial=(Text(), [serial for _, serial in keys]),
        )
        query = self._select(MeterRow, MeterRow.maker, MeterRow.serial).join(
            wanted, (wanted.c.maker == MeterRow.maker) & (wanted.c.serial == MeterRow.serial)
        )
        return {(row.maker, row.serial) for row in self._session.execute(query)}

    def taken(self, identifiers: Sequence[str]) -> set[str]:
        """Those of these identifiers that some meter has."""
        return set(self.ids_by_identifier(identifiers))

    def ids_by_identifier(self, identifiers: Iterable[str]) -> dict[str, int]:
        """Meter ids by identifier, of those that some meter has."""
        # PostgreSQL keeps no NUL in texts, so no meter can have one.
        wanted = [text for text in identifiers if "\0" not in text]
        query = self._select(IdentifierRow, IdentifierRow.identifier, IdentifierRow.meter_id).where(
            among(IdentifierRow.identifier, Text(), wanted)
        )
        return {row.identifier: row.meter_id for row in self._session.execute(query)}

    def add(self, meters: Sequence[tuple[NewMeter, str]], state: MeterState) -> list[int]:
        """Store new meters, each with its commodity, at revision 1; ids in their order."""
        text = Text()
        new = rows_of(
            maker=(text, [meter.maker for meter, _ in meters]),
            serial=(text, [meter.serial for meter, _ in meters]),
            product=(text, [meter.product for meter, _ in meters]),
            commodity=(text, [commodity for _, commodity in meters]),
            state=(text, [state.value] * len(meters)),
            revision=(BigInteger(), [1] * len(meters)),
        )
        statement = self._insert(MeterRow, new).returning(
            MeterRow.meter_id, MeterRow.maker, MeterRow.serial
        )
        ids = {(row.maker, row.serial): row.meter_id for row in self._session.execute(statement)}
        return [ids[meter.maker, meter.serial] for meter, _ in meters]

    def add_identifiers(self, owners: Mapping[str, int]) -> None:
        """Give identifiers to meters, by id; none may be taken."""
        new = rows_of(
            identifier=(Text(), list(owners)), meter_id=(BigInteger(), list(owners.values()))
        )
        self._session.execute(self._insert(IdentifierRow, new))

    def states(self, meter_ids: Sequence[int]) -> dict[int, MeterState]:
        """States of these meters, by id."""
        query = self._select(MeterRow, MeterRow.meter_id, MeterRow.state).where(
            among(MeterRow.meter_id, BigInteger(), meter_ids)
        )
        return {row.meter_id: MeterState(row.state) for row in self._session.execute(query)}

    def change(self, states: Mapping[int, MeterState]) -> None:
        """Set the states of meters, by id, and raise their revisions by one."""
        new = rows_of(
            meter_id=(BigInteger(), list(states)),
            state=(Text(), [state.value for state in states.values()]),
        )
        self._session.execute(
            update(MeterRow)
            .where(self._mine(MeterRow), MeterRow.meter_id == new.c.meter_id)
            .values(state=new.c.state, revision=MeterRow.revision + 1)
            .execution_options(synchronize_session=False)
        )

    def targets(self, identifiers: Sequence[str]) -> dict[str, Target]:
        """Meter id and commodity by identifier, of those that some meter has."""
        query = (
            self._select(
                IdentifierRow, IdentifierRow.identifier, MeterRow.meter_id, MeterRow.commodity
            )
            .join(MeterRow, MeterRow.meter_id == IdentifierRow.meter_id)
            .where(among(IdentifierRow.identifier, Text(), identifiers))
        )
        return {identifier: Target(*rest) for identifier, *rest in self._session.execute(query)}

    def load(self, meter_ids: Sequence[int]) -> list[Meter]:
        """Everything known of these meters, in the order given; absent ones are left out."""
        columns = (
            MeterRow.meter_id,
            MeterRow.revision,
            MeterRow.maker,
            MeterRow.serial,
            MeterRow.state,
            MeterRow.product,
        )
        query = self._select(MeterRow, *columns).where(
            among(MeterRow.meter_id, BigInteger(), meter_ids)
        )
        rows = {row.meter_id: row for row in self._session.execute(query)}
        products = Products(self._session, self._tenant_id).by_code(
            sorted({row.product for row in rows.values()})
        )
        identifiers = self._identifiers(meter_ids)
        installations = Installations(self._session, self._tenant_id).of_meters(meter_ids)
        return [
            Meter(
                tenant_id=self._tenant_id,
                meter_id=row.meter_id,
                revision=row.revision,
                maker=row.maker,
                serial=row.serial,
                state=MeterState(row.state),
                product=products[row.product],
                identifiers=_canonical_first(row, identifiers[row.meter_id]),
                installations=tuple(installations.get(row.meter_id, ())),
            )
            for row in map(rows.get, meter_ids)
            if row is not None
        ]

    def get(self, meter_id: int) -> Meter:
        """Everything known of one meter.

        Raises:
            NotFoundError: The organisation has no such meter.
        """
        found = self.load([meter_id])
        if not found:
            raise NotFoundError(f"no meter {meter_id}", code="meter.not_found")
        return found[0]

    def _identifiers(self, meter_ids: Sequence[int]) -> dict[int, list[str]]:
        query = self._select(IdentifierRow, IdentifierRow.meter_id, IdentifierRow.identifier).where(
            among(IdentifierRow.meter_id, BigInteger(), meter_ids)
        )
        by_meter: dict[int, list[str]] = defaultdict(list)
        for row in self._session.execute(query):
            by_meter[row.meter_id].append(row.identifier)
        return by_meter

    def page(self, narrow: MeterFilter, page_size: int, after: int) -> Page[MeterLine]:
        """The fleet in the order of registration, from after meter `after`."""
        query = self._lines().where(MeterRow.meter_id > after, *self._conditions(narrow))
        rows = self._session.execute(query.order_by(MeterRow.meter_id).limit(page_size + 1))
        return cut([MeterLine(*row) for row in rows], page_size, lambda line: (line.meter_id,))

    def _lines(self) -> Select[Any]:
        own = (
            MeterRow.meter_id,
            MeterRow.maker,
            MeterRow.serial,
            MeterRow.product,
            MeterRow.commodity,
            MeterRow.state,
        )
        where = (
            ServicePointRow.name,
            ServicePointRow.service_point_id,
            ServicePointRow.zone,
            ServicePointRow.address,
        )
        return (
            self._select(MeterRow, *own, *where)
            .outerjoin(
                InstallationRow,
                (InstallationRow.meter_id == MeterRow.meter_id) & InstallationRow.to_at.is_(None),
            )
            .outerjoin(
                ServicePointRow,
                ServicePointRow.service_point_id == InstallationRow.service_point_id,
            )
        )

    def _conditions(self, narrow: MeterFilter) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = []
        if narrow.commodity is not None:
            conditions.append(MeterRow.commodity == narrow.commodity)
        if narrow.state is not None:
            conditions.append(MeterRow.state == narrow.state)
        if narrow.zone is not None:
            conditions.append(ServicePointRow.zone == narrow.zone)
        if narrow.q is not None:
            conditions.append(MeterRow.meter_id.in_(self._matching(narrow.q)))
        return conditions

    def _matching(self, q: str) -> Any:
        """Ids of meters that are called so, or stand at a service point that is."""
        named = self._select(IdentifierRow, IdentifierRow.meter_id).where(
            IdentifierRow.identifier.icontains(q, autoescape=True)
        )
        place = or_(
            ServicePointRow.name.icontains(q, autoescape=True),
            ServicePointRow.address.icontains(q, autoescape=True),
        )
        placed = (
            self._select(ServicePointRow, InstallationRow.meter_id)
            .join(
                InstallationRow,
                (InstallationRow.service_point_id == ServicePointRow.service_point_id)
                & InstallationRow.to_at.is_(None),
            )
            .where(place)
        )
        return named.union_all(placed)

    def counts(self) -> list[tuple[str, str, str, int]]:
        """How many meters there are by (commodity, state, product)."""
        groups = (MeterRow.commodity, MeterRow.state, MeterRow.product)
        query = self._select(MeterRow, *groups, func.count()).group_by(*groups)
        return [(row[0], row[1], row[2], row[3]) for row in self._session.execute(query)]


def _canonical_first(row: Any, identifiers: Sequence[str]) -> tuple[str, ...]:
    first = canonical(row.maker, row.serial)
    return (first, *sorted(set(identifiers) - {first}))
