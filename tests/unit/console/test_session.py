"""The session cookie: sealed, bounded in time, worthless to anybody else."""

from __future__ import annotations

from dataclasses import replace

from services.console.session import SESSION_S, Sealer, new_session
from services.kit.clock import FixedClock

SECRET = "a secret of the console's tests, long enough"
START_MS = 1_780_000_000_000


def test_sealed_sessions_come_back() -> None:
    """Replicas with one secret read each other's cookies; the key is not legible in them."""
    clock = FixedClock(START_MS)
    session = new_session("mf_key", "stadtwerke", "operator")
    cookie = Sealer(SECRET, clock).seal(session)
    assert "mf_key" not in cookie
    assert Sealer(SECRET, clock).unseal(cookie) == session


def test_forged_old_and_foreign_cookies_are_nothing() -> None:
    """A changed cookie, one of another secret, and one that is too old all mean no session."""
    clock = FixedClock(START_MS)
    sealer = Sealer(SECRET, clock)
    cookie = sealer.seal(new_session("mf_key"))
    assert sealer.unseal(None) is None
    assert sealer.unseal("nonsense") is None
    assert sealer.unseal(cookie[:-4] + "AAA=") is None
    assert Sealer("", clock).unseal(cookie) is None
    clock.sleep(SESSION_S + 1)
    assert sealer.unseal(cookie) is None


def test_every_session_has_its_own_token() -> None:
    """Two sign-ins of one key share no CSRF token."""
    first, second = new_session("mf_key"), new_session("mf_key")
    assert first.csrf != second.csrf
    assert replace(first, csrf=second.csrf) == second
