"""The session cookie: a visitor's API key, encrypted and signed, so that nothing is kept here.

The cookie also holds the session's CSRF token; forms repeat it, and a POST counts only when both
agree (double submit). Another site can neither read nor write the sealed cookie.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.kit.clock import Clock

COOKIE = "meterfleet_session"
#: A working day; then the key must be given again.
SESSION_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """What a visitor's cookie says.

    Attributes:
        csrf: Token every form of this session repeats.
        key: API key, empty while nobody has signed in.
        tenant: Short name of the key's organisation.
        role: What the key may do.
    """

    csrf: str
    key: str = ""
    tenant: str = ""
    role: str = ""


def new_session(key: str = "", tenant: str = "", role: str = "") -> Session:
    """A session with a CSRF token of its own; made anew at each sign-in."""
    return Session(secrets.token_urlsafe(32), key, tenant, role)


class Sealer:
    """Turns sessions into cookies and back.

    Args:
        secret: Any text of enough entropy; empty makes a secret of this process alone.
        clock: Says when a cookie is too old.
    """

    def __init__(self, secret: str, clock: Clock) -> None:
        source = secret.encode() or secrets.token_bytes(32)
        derived = HKDF(hashes.SHA256(), 32, None, b"meterfleet console session").derive(source)
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))
        self._clock = clock

    def seal(self, session: Session) -> str:
        """The session as a cookie value."""
        text = json.dumps(asdict(session)).encode()
        return self._fernet.encrypt_at_time(text, self._now_s()).decode()

    def unseal(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None if there is none, it is forged, or too old."""
        if not cookie:
            return None
        try:
            text = self._fernet.decrypt_at_time(cookie, SESSION_S, self._now_s())
            return Session(**json.loads(text))
        except (InvalidToken, TypeError, ValueError):
            return None

    def _now_s(self) -> int:
        return self._clock.now_ms() // 1000
