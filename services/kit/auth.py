"""Who is calling: identities, API keys, and the one place that decides which tenant is seen.

Keys are 256 random bits; only their SHA-256 is stored (a random key needs no slow hash). Services
call one another with a shared internal token and name the tenant they act for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from services.kit.clock import Clock
from services.kit.errors import ForbiddenError, UnauthenticatedError

KEY_PREFIX = "mf_"
TENANT_HEADER = "x-meterfleet-tenant"
#: A revoked key stops working after this long at the latest; it bounds the cache below.
CACHE_TTL_S = 5.0
CACHE_KEYS_MAX = 10_000

#: ASCII digits that fit the 32 bits of a tenant id on the wire.
_TENANT_ID = re.compile(r"[0-9]{1,9}")


class Role(StrEnum):
    """What a key may do; each role includes those before it, but for GATEWAY and PLATFORM."""

    GATEWAY = "gateway"
    READER = "reader"
    OPERATOR = "operator"
    ADMIN = "admin"
    PLATFORM = "platform"
    SERVICE = "service"


_RANK = {Role.READER: 1, Role.OPERATOR: 2, Role.ADMIN: 3, Role.SERVICE: 4}


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller that has been recognised.

    Attributes:
        tenant_id: The organisation whose rows it may see; 0 for the platform's own operator.
        tenant: That organisation's short name.
        role: What it may do there.
        key_id: Which key it used, for audit; never the key itself.
    """

    tenant_id: int
    tenant: str
    role: Role
    key_id: str

    def require(self, *roles: Role) -> Identity:
        """Return self if the role is one of `roles` or a higher one of the same ladder.

        Raises:
            ForbiddenError: The role is lower or of another kind.
        """
        if self.role in roles or self.role is Role.SERVICE:
            return self
        own = _RANK.get(self.role, 0)
        if own and any(own >= _RANK[role] for role in roles if role in _RANK):
            return self
        raise ForbiddenError(f"role {self.role} does not allow this; needs {', '.join(roles)}")


def new_key() -> str:
    """A new API key, shown once to its owner and never stored."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def key_digest(key: str) -> bytes:
    """SHA-256 of a key: what is stored and looked up."""
    return hashlib.sha256(key.encode()).digest()


#: Finds the identity of a key's digest; None when nobody has it or it is revoked.
KeyLookup = Callable[[bytes], Identity | None]


class Authenticator:
    """Recognises callers from their headers; answers are kept for at most `CACHE_TTL_S`."""

    def __init__(self, lookup: KeyLookup, internal_token: str, clock: Clock) -> None:
        self._lookup = lookup
        self._internal_token = internal_token
        self._clock = clock
        self._cache: dict[bytes, tuple[float, Identity | None]] = {}

    def identify(self, authorization: str | None, tenant_header: str | None = None) -> Identity:
        """The identity behind an `Authorization` header.

        Raises:
            UnauthenticatedError: No bearer key, or one that nobody has.
        """
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise UnauthenticatedError
        if self._internal_token and hmac.compare_digest(
            key.encode(), self._internal_token.encode()
        ):
            return _internal_identity(tenant_header)
        identity = self._cached(key_digest(key))
        if identity is None:
            raise UnauthenticatedError
        return identity

    def _cached(self, digest: bytes) -> Identity | None:
        now_s = self._clock.monotonic_s()
        hit = self._cache.get(digest)
        if hit is not None and now_s - hit[0] < CACHE_TTL_S:
            return hit[1]
        identity = self._lookup(digest)
        if len(self._cache) >= CACHE_KEYS_MAX:
            self._cache.clear()
        self._cache[digest] = (now_s, identity)
        return identity


def _internal_identity(tenant_header: str | None) -> Identity:
    if tenant_header is None or not _TENANT_ID.fullmatch(tenant_header):
        raise UnauthenticatedError(f"internal calls name their tenant in '{TENANT_HEADER}'")
    return Identity(int(tenant_header), f"#{tenant_header}", Role.SERVICE, "internal")
