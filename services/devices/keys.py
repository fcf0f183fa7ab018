"""Organisations and keys: making them, and recognising who holds one."""

from __future__ import annotations

import hmac

from sqlalchemy.orm import Session

from services.devices.domain.organisations import ApiKey, Organisation
from services.devices.repository.organisations import Keys, add_organisation, identity_of
from services.kit.auth import Identity, KeyLookup, Role, key_digest, new_key
from services.kit.db import Database
from services.kit.ids import IdSource

PLATFORM = Identity(0, "platform", Role.PLATFORM, "platform")


def key_lookup(database: Database, platform_key: str) -> KeyLookup:
    """Recognises keys by their SHA-256: the platform's own from the settings, others as stored.

    Args:
        database: Where the keys are.
        platform_key: Key of the platform's operator; empty if there is none.
    """
    platform_digest = key_digest(platform_key) if platform_key else None

    def lookup(digest: bytes) -> Identity | None:
        if platform_digest is not None and hmac.compare_digest(digest, platform_digest):
            return PLATFORM
        with database.transaction() as session:
            return identity_of(session, digest)

    return lookup


def issue_key(
    session: Session, ids: IdSource, tenant_id: int, name: str, role: Role
) -> tuple[ApiKey, str]:
    """Make a key of an organisation.

    Returns:
        What is kept of it, and the key itself, which is shown once and never stored.

    Raises:
        NotFoundError: There is no such organisation.
    """
    key = new_key()
    made = ApiKey(ids.new(), name, role, ids.clock.now_ms(), None)
    keys = Keys(session, tenant_id)
    keys.lock()
    keys.add(made, key_digest(key))
    return made, key


def make_organisation(
    session: Session, ids: IdSource, name: str, kind: str
) -> tuple[Organisation, str]:
    """Make an organisation and its first admin key.

    Raises:
        ConflictError: The name is taken.
    """
    organisation = add_organisation(session, name, kind, ids.clock.now_ms())
    _, key = issue_key(session, ids, organisation.tenant_id, "first admin", Role.ADMIN)
    return organisation, key
