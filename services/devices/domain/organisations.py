"""Organisations and their keys."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import StringConstraints

from services.devices.domain.intake import Item, Label
from services.kit.auth import Role

Kind = Literal["utility", "maker"]
#: Short name outside; also fit for host names and topics.
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](-?[a-z0-9])*$", max_length=40)]
#: Roles an organisation may give its keys: neither the platform's nor a service's.
KeyRole = Literal[Role.GATEWAY, Role.READER, Role.OPERATOR, Role.ADMIN]


class NewOrganisation(Item):
    """An organisation to be made."""

    name: Slug
    kind: Kind


class NewKey(Item):
    """A key to be made; the name says who uses it."""

    name: Label
    role: KeyRole


@dataclass(frozen=True, slots=True)
class Organisation:
    """A utility or a device maker."""

    tenant_id: int
    name: str
    kind: str
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; never the key itself."""

    key_id: uuid.UUID
    name: str
    role: Role
    created_at_ms: int
    revoked_at_ms: int | None
