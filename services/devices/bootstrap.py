"""The first organisation of the embedded default, made where the database is at hand."""

from __future__ import annotations

from services.devices.domain.organisations import Kind
from services.devices.keys import make_organisation
from services.devices.repository.organisations import find_organisation
from services.kit.db import Database
from services.kit.ids import IdSource


def bootstrap_tenant(
    database: Database, ids: IdSource, name: str, kind: Kind = "utility"
) -> str | None:
    """Make an organisation if it is not there yet.

    Args:
        database: Where the devices schema is migrated.
        ids: Makes the key's id; its clock says when.
        name: Short name of the organisation.
        kind: utility or maker.

    Returns:
        Its first admin key, or None if the organisation was there: a key is shown only once.
    """
    with database.transaction() as session:
        if find_organisation(session, name) is not None:
            return None
        _, key = make_organisation(session, ids, name, kind)
        return key
