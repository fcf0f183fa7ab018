"""Auth: who is recognised, what a role may do, and how long an answer is kept."""

from __future__ import annotations

import hashlib

import pytest

from services.kit import auth
from services.kit.auth import Authenticator, Identity, Role, key_digest, new_key
from services.kit.clock import FixedClock
from services.kit.errors import ForbiddenError, UnauthenticatedError, UnavailableError

TOKEN = "internal-secret"
OWNER = Identity(7, "aqua", Role.OPERATOR, "key-1")
#: Who passes a door that asks for the role on the left; the service role passes every door.
PASSES = {
    Role.GATEWAY: {Role.GATEWAY},
    Role.READER: {Role.READER, Role.OPERATOR, Role.ADMIN},
    Role.OPERATOR: {Role.OPERATOR, Role.ADMIN},
    Role.ADMIN: {Role.ADMIN},
    Role.PLATFORM: {Role.PLATFORM},
    Role.SERVICE: set(),
}


class Registry:
    """Knows keys by digest and counts how often it is asked."""

    def __init__(self, **keys: Identity) -> None:
        self.identities = {key_digest(key): identity for key, identity in keys.items()}
        self.asked = 0
        self.away = False

    def lookup(self, digest: bytes) -> Identity | None:
        """What the real registry would answer."""
        self.asked += 1
        if self.away:
            raise UnavailableError("away")
        return self.identities.get(digest)


@pytest.fixture
def registry() -> Registry:
    """A registry in which one key is known."""
    return Registry(mf_good=OWNER)


@pytest.fixture
def clock() -> FixedClock:
    """A clock the test moves."""
    return FixedClock(0)


@pytest.fixture
def door(registry: Registry, clock: FixedClock) -> Authenticator:
    """What stands before every service."""
    return Authenticator(registry.lookup, TOKEN, clock)


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic bWY6bWY=", "mf_good", "Bearer mf_bad"]
)
def test_anonymous_is_refused(door: Authenticator, header: str | None) -> None:
    """No key, another scheme or a key nobody has is one and the same refusal."""
    with pytest.raises(UnauthenticatedError):
        door.identify(header)


def test_the_tenant_follows_from_the_key(door: Authenticator) -> None:
    """A tenant header beside an API key changes nothing: no key reaches another tenant."""
    assert door.identify("Bearer mf_good", "8") == OWNER


def test_a_key_is_recognised(door: Authenticator) -> None:
    """A known key gives its identity; the scheme's case does not matter (RFC 9110)."""
    assert door.identify("Bearer mf_good") == OWNER
    assert door.identify("bearer mf_good") == OWNER


@pytest.mark.parametrize("asked", Role)
@pytest.mark.parametrize("own", Role)
def test_ladder(asked: Role, own: Role) -> None:
    """A role opens the doors of its own and of lower rungs; gateway and platform stand apart."""
    identity = Identity(1, "t", own, "k")
    if own is Role.SERVICE or own in PASSES[asked]:
        assert identity.require(asked) is identity
    else:
        with pytest.raises(ForbiddenError, match=asked.value):
            identity.require(asked)


def test_any_of_several_roles_is_enough() -> None:
    """A door for gateways and operators lets both in, and readers not."""
    asked = (Role.GATEWAY, Role.OPERATOR)
    for own in (Role.GATEWAY, Role.OPERATOR, Role.ADMIN):
        Identity(1, "t", own, "k").require(*asked)
    for own in (Role.READER, Role.PLATFORM):
        with pytest.raises(ForbiddenError):
            Identity(1, "t", own, "k").require(*asked)


def test_answers_are_kept_for_the_stated_time(
    door: Authenticator, registry: Registry, clock: FixedClock
) -> None:
    """Within the time-to-live the registry is asked once; after it a revoked key is refused."""
    door.identify("Bearer mf_good")
    registry.identities.clear()
    clock.sleep(auth.CACHE_TTL_S - 0.001)
    assert door.identify("Bearer mf_good") == OWNER
    assert registry.asked == 1
    clock.sleep(0.001)
    with pytest.raises(UnauthenticatedError):
        door.identify("Bearer mf_good")


def test_a_registry_that_is_away_is_not_a_refusal(door: Authenticator, registry: Registry) -> None:
    """While the registry is away callers hear 503, and it is asked again the next time."""
    registry.away = True
    with pytest.raises(UnavailableError):
        door.identify("Bearer mf_good")
    registry.away = False
    assert door.identify("Bearer mf_good") == OWNER


def test_the_cache_is_bounded(door: Authenticator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessed keys cannot fill the memory."""
    monkeypatch.setattr(auth, "CACHE_KEYS_MAX", 10)
    for number in range(25):
        with pytest.raises(UnauthenticatedError):
            door.identify(f"Bearer guess-{number}")
    assert len(door._cache) <= 10


def test_internal_token_names_its_tenant(door: Authenticator, registry: Registry) -> None:
    """A service acts for the tenant it names, and the registry is not asked about the token."""
    identity = door.identify(f"Bearer {TOKEN}", "42")
    assert (identity.tenant_id, identity.role) == (42, Role.SERVICE)
    assert registry.asked == 0


@pytest.mark.parametrize("tenant", [None, "", "-1", "1.5", "aqua", "²", "٣", "9" * 30])
def test_internal_token_without_tenant_is_refused(door: Authenticator, tenant: str | None) -> None:
    """A missing or malformed tenant is refused like a missing key, never an accident."""
    with pytest.raises(UnauthenticatedError):
        door.identify(f"Bearer {TOKEN}", tenant)


def test_an_empty_internal_token_opens_nothing(registry: Registry, clock: FixedClock) -> None:
    """A service without a configured token accepts no internal call at all."""
    door = Authenticator(registry.lookup, "", clock)
    with pytest.raises(UnauthenticatedError):
        door.identify("Bearer ", "1")
    with pytest.raises(UnauthenticatedError):
        door.identify(f"Bearer {TOKEN}", "1")


def test_keys_are_random_and_only_digests_are_compared() -> None:
    """256 random bits behind a known prefix; the digest is SHA-256."""
    keys = {new_key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(key.startswith("mf_") and len(key) == 3 + 43 for key in keys)
    assert key_digest("mf_x") == hashlib.sha256(b"mf_x").digest()
