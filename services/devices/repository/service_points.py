"""Service points."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import BigInteger, Text, func

from services.devices.domain.installations import Target
from services.devices.domain.meters import NewServicePoint, ServicePoint
from services.devices.repository.tenant import TenantRows, among, rows_of
from services.devices.tables import ServicePointRow
from services.kit.page import Page, cut

_COLUMNS = (
    ServicePointRow.service_point_id,
    ServicePointRow.name,
    ServicePointRow.commodity,
    ServicePointRow.time_zone,
    ServicePointRow.address,
    ServicePointRow.zone,
)


class ServicePoints(TenantRows):
    """Service points of one organisation."""

    def add(self, points: Sequence[NewServicePoint]) -> list[ServicePoint]:
        """Store new service points; the answer is in their order."""
        names = list(NewServicePoint.model_fields)
        new = rows_of(
            **{name: (Text(), [getattr(point, name) for point in points]) for name in names}
        )
        statement = self._insert(ServicePointRow, new).returning(*_COLUMNS)
        stored = {row.name: ServicePoint(*row) for row in self._session.execute(statement)}
        return [stored[point.name] for point in points]

    def page(self, page_size: int, after: int) -> Page[ServicePoint]:
        """Service points in the order they were entered, from after id `after`."""
        query = self._select(ServicePointRow, *_COLUMNS).where(
            ServicePointRow.service_point_id > after
        )
        rows = self._session.execute(
            query.order_by(ServicePointRow.service_point_id).limit(page_size + 1)
        )
        return cut([ServicePoint(*row) for row in rows], page_size, lambda p: (p.service_point_id,))

    def load(self, service_point_ids: Sequence[int]) -> list[ServicePoint]:
        """These service points; absent ones are left out."""
        query = self._select(ServicePointRow, *_COLUMNS).where(
            among(ServicePointRow.service_point_id, BigInteger(), service_point_ids)
        )
        return [ServicePoint(*row) for row in self._session.execute(query)]

    def targets(self, names: Sequence[str]) -> dict[str, Target]:
        """Those of the named service points that are there, by name."""
        query = self._select(
            ServicePointRow,
            ServicePointRow.name,
            ServicePointRow.service_point_id,
            ServicePointRow.commodity,
        ).where(among(ServicePointRow.name, Text(), names))
        return {name: Target(*rest) for name, *rest in self._session.execute(query)}

    def count(self) -> int:
        """How many there are."""
        return self._session.scalar(self._select(ServicePointRow, func.count())) or 0
