"""Installations: where each meter stood, and when."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Numeric, Row, Select, Uuid, update
from sqlalchemy.orm import InstrumentedAttribute

from services.devices.domain.installations import Calendar, Installation, NewInstallation, Removal
from services.devices.domain.meters import canonical
from services.devices.repository.tenant import TenantRows, among, rows_of
from services.devices.tables import InstallationRow, Instant, MeterRow, ServicePointRow
from services.kit.clock import to_datetime, to_ms
from services.kit.errors import NotFoundError


class Installations(TenantRows):
    """Installations of one organisation."""

    def meter_calendars(self, meter_ids: Sequence[int]) -> dict[int, Calendar]:
        """When each of these meters stood anywhere."""
        return self._calendars(InstallationRow.meter_id, meter_ids)

    def point_calendars(self, service_point_ids: Sequence[int]) -> dict[int, Calendar]:
        """When each of these service points had a meter."""
        return self._calendars(InstallationRow.service_point_id, service_point_ids)

    def _calendars(
        self, column: InstrumentedAttribute[int], ids: Sequence[int]
    ) -> dict[int, Calendar]:
        query = self._select(
            InstallationRow, column, InstallationRow.from_at, InstallationRow.to_at
        ).where(among(column, BigInteger(), ids))
        spans: dict[int, list[tuple[int, int | None]]] = defaultdict(list)
        for owner, from_at, to_at in self._session.execute(query):
            spans[owner].append((to_ms(from_at), _ms(to_at)))
        return {owner: Calendar(spans[owner]) for owner in ids}

    def add(self, new: Sequence[tuple[uuid.UUID, int, int, NewInstallation]]) -> None:
        """Store installations given as (id, meter id, service point id, what was asked for)."""
        asked = [each for *_, each in new]
        rows = rows_of(
            installation_id=(Uuid(), [installation_id for installation_id, *_ in new]),
            meter_id=(BigInteger(), [meter_id for _, meter_id, *_ in new]),
            service_point_id=(BigInteger(), [point_id for _, _, point_id, _ in new]),
            from_at=(Instant, [to_datetime(each.from_ms) for each in asked]),
            to_at=(Instant, [each.to_ms and to_datetime(each.to_ms) for each in asked]),
            multiplier=(Numeric(), [each.multiplier for each in asked]),
            first_register=(Numeric(), [each.first_register for each in asked]),
            last_register=(Numeric(), [each.last_register for each in asked]),
        )
        self._session.execute(self._insert(InstallationRow, rows))

    def end(self, installation_id: uuid.UUID, removal: Removal) -> None:
        """End an installation."""
        self._session.execute(
            update(InstallationRow)
            .where(self._mine(InstallationRow), InstallationRow.installation_id == installation_id)
            .values(to_at=to_datetime(removal.at_ms), last_register=removal.last_register)
            .execution_options(synchronize_session=False)
        )

    def get(self, installation_id: uuid.UUID) -> Installation:
        """One installation.

        Raises:
            NotFoundError: The organisation has no such installation.
        """
        query = self._installations().where(InstallationRow.installation_id == installation_id)
        row = self._session.execute(query).one_or_none()
        if row is None:
            raise NotFoundError("no such installation", code="installation.not_found")
        return _installation(row)

    def of_meters(self, meter_ids: Sequence[int]) -> dict[int, list[Installation]]:
        """Installations of these meters by meter id, oldest first."""
        query = self._installations().where(
            among(InstallationRow.meter_id, BigInteger(), meter_ids)
        )
        by_meter: dict[int, list[Installation]] = defaultdict(list)
        for row in self._session.execute(
            query.order_by(InstallationRow.meter_id, InstallationRow.from_at)
        ):
            by_meter[row.meter_id].append(_installation(row))
        return by_meter

    def _installations(self) -> Select[Any]:
        return (
            self._select(
                InstallationRow,
                *(
                    InstallationRow.installation_id,
                    InstallationRow.meter_id,
                    MeterRow.maker,
                    MeterRow.serial,
                ),
                *(
                    InstallationRow.service_point_id,
                    ServicePointRow.name,
                    ServicePointRow.time_zone,
                    ServicePointRow.zone,
                ),
                *(
                    InstallationRow.from_at,
                    InstallationRow.to_at,
                    InstallationRow.multiplier,
                    InstallationRow.first_register,
                    InstallationRow.last_register,
                ),
            )
            .join(MeterRow, MeterRow.meter_id == InstallationRow.meter_id)
            .join(
                ServicePointRow,
                ServicePointRow.service_point_id == InstallationRow.service_point_id,
            )
        )


def _installation(row: Row[Any]) -> Installation:
    return Installation(
        installation_id=row.installation_id,
        meter_id=row.meter_id,
        meter=canonical(row.maker, row.serial),
        service_point_id=row.service_point_id,
        service_point=row.name,
        time_zone=row.time_zone,
        zone=row.zone,
        from_ms=to_ms(row.from_at),
        to_ms=_ms(row.to_at),
        multiplier=row.multiplier,
        first_register=row.first_register,
        last_register=row.last_register,
    )


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)
