"""Who is looking at a page: a signed-in visitor, or one who acts with the automatic key."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, Request

from services.console.client import Api, Json, Params, Service, attempt
from services.console.render import Renderer
from services.console.session import COOKIE, Sealer, Session, new_session
from services.console.settings import ConsoleSettings, is_loopback
from services.kit.clock import Clock
from services.kit.errors import ForbiddenError, InvalidInputError, TooLargeError

#: Our forms have a handful of short fields.
FORM_BYTES_MAX = 16 * 1024
FORM_FIELDS_MAX = 16
KEY_CHARS_MAX = 200
#: Who the automatic key belongs to is asked at most this often.
AUTO_IDENTITY_S = 60.0


class SignInNeededError(ForbiddenError):
    """Nobody is signed in; the door leads to the sign-in page."""

    code = "console.sign_in"
    status = 401
    title = "Sign in first"


class StaleFormError(ForbiddenError):
    """A form without this session's token: another site sent it, or the session is over."""

    code = "console.csrf"
    title = "This form is out of date; load the page again"


@dataclass(slots=True)
class Site:
    """What the pages share in one process; `app.py` makes it."""

    settings: ConsoleSettings
    api: Api
    sealer: Sealer
    renderer: Renderer
    clock: Clock
    _auto: tuple[float, Json] = field(default=(float("-inf"), {}))

    async def auto_identity(self) -> Json:
        """`whoami` of the automatic key, at most a minute old; empty while devices is away."""
        now_s = self.clock.monotonic_s()
        if now_s - self._auto[0] > AUTO_IDENTITY_S:
            key = self.settings.auto_login_key.get_secret_value()
            answer = await attempt(self.api.get(key, Service.DEVICES, "/v1/whoami", {}))
            if answer.value is None:
                return {}
            self._auto = (now_s, answer.value)
        return self._auto[1]


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks for a page, and the way to the APIs in their name.

    Attributes:
        session: What the cookie says, or a new session that a response must set.
        key: API key that acts.
        tenant: Short name of its organisation; empty when it could not be asked.
        role: What the key may do; empty when it could not be asked.
        automatic: Acts with the key of the settings.
        fresh: The session is not in a cookie yet.
    """

    session: Session
    key: str
    tenant: str
    role: str
    automatic: bool
    fresh: bool
    api: Api

    @property
    def may_write(self) -> bool:
        """Whether buttons are of use; the services decide, this only hides what they refuse."""
        return self.role not in ("reader", "gateway")

    async def get(self, service: Service, path: str, params: Params | None = None) -> Json:
        """GET from a service as this visitor; raises as `Api.get`."""
        return await self.api.get(self.key, service, path, params or {})

    async def post(self, service: Service, path: str, body: Json) -> Json:
        """POST to a service as this visitor; raises as `Api.get`."""
        return await self.api.post(self.key, service, path, body)


def site_of(request: Request) -> Site:
    """What the pages of this process share."""
    site = request.app.state.site
    assert isinstance(site, Site)
    return site


def session_of(request: Request) -> tuple[Session, bool]:
    """The session of the cookie, or a new one; and whether it is new."""
    session = site_of(request).sealer.unseal(request.cookies.get(COOKIE))
    return (session, False) if session else (new_session(), True)


async def _visitor(request: Request) -> Visitor:
    """FastAPI dependency: who asks.

    Raises:
        SignInNeededError: No session with a key, and no automatic key for this address.
    """
    site = site_of(request)
    session, fresh = session_of(request)
    if session.key:
        visitor = Visitor(
            session, session.key, session.tenant, session.role, False, fresh, site.api
        )
    elif acts_automatically(request):
        key = site.settings.auto_login_key.get_secret_value()
        request.state.visitor = visitor = Visitor(session, key, "", "", True, fresh, site.api)
        whoami = await site.auto_identity()
        tenant, role = str(whoami.get("tenant", "")), str(whoami.get("role", ""))
        visitor = Visitor(session, key, tenant, role, True, fresh, site.api)
    else:
        raise SignInNeededError
    request.state.visitor = visitor
    return visitor


def acts_automatically(request: Request) -> bool:
    """Whether a visitor without a session acts with the automatic key.

    The name in the address must be this machine's too: a page elsewhere whose name is made to
    point at 127.0.0.1 (DNS rebinding) would otherwise read everything.
    """
    settings = site_of(request).settings
    return bool(settings.auto_login_key.get_secret_value()) and is_loopback(
        request.url.hostname or ""
    )


async def read_form(request: Request) -> dict[str, str]:
    """Fields of a posted form whose token is that of the session's cookie.

    Raises:
        StaleFormError: The token is missing or another session's.
        TooLargeError: More than `FORM_BYTES_MAX`.
        InvalidInputError: Not a form, or too many fields.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidInputError("send a form: application/x-www-form-urlencoded")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            raise TooLargeError(f"a form may have {FORM_BYTES_MAX} bytes")
    try:
        fields = dict(
            parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
        )
    except ValueError as error:
        raise InvalidInputError(f"the form cannot be read: {error}") from error
    session, fresh = session_of(request)
    given = fields.pop("csrf", "")
    if fresh or not hmac.compare_digest(given.encode(), session.csrf.encode()):
        raise StaleFormError
    return fields


def local_path(text: str, default: str = "/") -> str:
    """`text` if it is a path on this site, else `default`: nobody is sent elsewhere."""
    parts = urlsplit(text)
    inside = text.startswith("/") and not text.startswith(("//", "/\\"))
    clean = text.isprintable() and not parts.scheme and not parts.netloc
    return text if inside and clean else default


#: Annotations for handlers.
Guest = Annotated[Visitor, Depends(_visitor)]
Form = Annotated[dict[str, str], Depends(read_form)]
Context = dict[str, Any]
