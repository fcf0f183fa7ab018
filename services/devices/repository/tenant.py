"""The wall between organisations: the one place where rows are narrowed to a tenant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Insert, Select, func, insert, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.expression import Subquery, cast
from sqlalchemy.types import TypeEngine

from services.devices.tables import OrganisationRow
from services.kit.errors import NotFoundError


class TenantRows:
    """Base of repositories: a session, and the tenant whose rows it reads and writes.

    Statements of subclasses start at `_select` or name `_mine` of each table they touch.
    """

    def __init__(self, session: Session, tenant_id: int) -> None:
        self._session = session
        self._tenant_id = tenant_id

    def _mine(self, table: Any) -> ColumnElement[bool]:
        """The condition that a row of `table` belongs to the tenant."""
        condition: ColumnElement[bool] = table.tenant_id == self._tenant_id
        return condition

    def _select(self, table: Any, *columns: Any) -> Select[Any]:
        """`columns` of the tenant's rows of `table`."""
        return select(*columns).select_from(table).where(self._mine(table))

    def _insert(self, table: Any, rows: Subquery) -> Insert:
        """An insert of `rows` for the tenant: one statement however many rows there are."""
        names = [column.name for column in rows.columns]
        values = rows.select().add_columns(literal(self._tenant_id))
        return insert(table).from_select([*names, "tenant_id"], values)

    def lock(self) -> None:
        """Let only this transaction change the tenant's registry until it ends.

        Checks that span many rows (taken identifiers, overlaps) then cannot be outrun, and events
        get their order in the outbox in the order of commits.

        Raises:
            NotFoundError: There is no such tenant.
        """
        query = self._select(OrganisationRow, OrganisationRow.tenant_id)
        # Weaker than "for update", so that rows which refer to the organisation can be written.
        if self._session.scalar(query.with_for_update(key_share=True)) is None:
            raise NotFoundError("no such organisation", code="organisation.not_found")


def rows_of(**columns: tuple[TypeEngine[Any], Sequence[Any]]) -> Subquery:
    """Columns of values as a table, in order; one parameter each however many rows there are."""
    return select(
        *(
            func.unnest(cast(list(values), ARRAY(kind))).label(name)
            for name, (kind, values) in columns.items()
        )
    ).subquery()


def among(
    column: InstrumentedAttribute[Any], kind: TypeEngine[Any], values: Sequence[Any]
) -> ColumnElement[bool]:
    """The condition that a column has one of `values`, sent as one array."""
    return column == func.any(cast(list(values), ARRAY(kind)))
