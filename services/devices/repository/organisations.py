"""Organisations and keys: the rows that are read before a tenant is known."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from services.devices.domain.organisations import ApiKey, Organisation
from services.devices.repository.tenant import TenantRows
from services.devices.tables import ApiKeyRow, OrganisationRow
from services.kit.auth import Identity, Role
from services.kit.clock import to_datetime, to_ms
from services.kit.errors import ConflictError, NotFoundError
from services.kit.page import Page, cut


def identity_of(session: Session, digest: bytes) -> Identity | None:
    """Who holds the key with this SHA-256; None when nobody does or it is revoked."""
    query = (
        select(ApiKeyRow.tenant_id, OrganisationRow.name, ApiKeyRow.role, ApiKeyRow.key_id)
        .join(OrganisationRow, OrganisationRow.tenant_id == ApiKeyRow.tenant_id)
        .where(ApiKeyRow.digest == digest, ApiKeyRow.revoked_at.is_(None))
    )
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    return Identity(row.tenant_id, row.name, Role(row.role), str(row.key_id))


def find_organisation(session: Session, name: str) -> Organisation | None:
    """The organisation with a short name."""
    row = session.execute(_organisations().where(OrganisationRow.name == name)).one_or_none()
    return None if row is None else _organisation(row)


def add_organisation(session: Session, name: str, kind: str, now_ms: int) -> Organisation:
    """Make an organisation.

    Raises:
        ConflictError: The short name is taken.
    """
    row = {"name": name, "kind": kind, "created_at": to_datetime(now_ms)}
    statement = (
        postgresql.insert(OrganisationRow)
        .values(row)
        .on_conflict_do_nothing()
        .returning(OrganisationRow.tenant_id)
    )
    tenant_id = session.scalar(statement)
    if tenant_id is None:
        raise ConflictError(f"organisation {name!r} is there already", code="organisation.exists")
    return Organisation(tenant_id, name, kind, now_ms)


def page_organisations(session: Session, page_size: int, after: int) -> Page[Organisation]:
    """Organisations in the order they were made, from after tenant `after`."""
    query = (
        _organisations()
        .where(OrganisationRow.tenant_id > after)
        .order_by(OrganisationRow.tenant_id)
    )
    rows = session.execute(query.limit(page_size + 1)).all()
    return cut([_organisation(row) for row in rows], page_size, lambda o: (o.tenant_id,))


def _organisations() -> Any:
    return select(
        OrganisationRow.tenant_id,
        OrganisationRow.name,
        OrganisationRow.kind,
        OrganisationRow.created_at,
    )


def _organisation(row: Row[Any]) -> Organisation:
    return Organisation(row.tenant_id, row.name, row.kind, to_ms(row.created_at))


class Keys(TenantRows):
    """API keys of one organisation."""

    def add(self, key: ApiKey, digest: bytes) -> None:
        """Store what is known of a new key, and its SHA-256."""
        self._session.execute(
            insert(ApiKeyRow).values(
                key_id=key.key_id,
                tenant_id=self._tenant_id,
                name=key.name,
                role=key.role.value,
                digest=digest,
                created_at=to_datetime(key.created_at_ms),
            )
        )

    def page(self, page_size: int, after: uuid.UUID | None) -> Page[ApiKey]:
        """Keys in the order they were made, revoked ones too, from after key `after`."""
        columns = (
            ApiKeyRow.key_id,
            ApiKeyRow.name,
            ApiKeyRow.role,
            ApiKeyRow.created_at,
            ApiKeyRow.revoked_at,
        )
        query = self._select(ApiKeyRow, *columns).order_by(ApiKeyRow.key_id).limit(page_size + 1)
        if after is not None:
            query = query.where(ApiKeyRow.key_id > after)
        keys = [
            ApiKey(
                row.key_id,
                row.name,
                Role(row.role),
                to_ms(row.created_at),
                None if row.revoked_at is None else to_ms(row.revoked_at),
            )
            for row in self._session.execute(query)
        ]
        return cut(keys, page_size, lambda key: (str(key.key_id),))

    def revoke(self, key_id: uuid.UUID, now_ms: int) -> None:
        """End a key; ending it again changes nothing.

        Raises:
            NotFoundError: The organisation has no such key.
        """
        statement = (
            update(ApiKeyRow)
            .where(self._mine(ApiKeyRow), ApiKeyRow.key_id == key_id)
            .values(revoked_at=func.coalesce(ApiKeyRow.revoked_at, to_datetime(now_ms)))
            .returning(ApiKeyRow.key_id)
        )
        if self._session.scalar(statement) is None:
            raise NotFoundError("no such key", code="api_key.not_found")
