"""A visitor without a browser: asks the console for pages, keeps its cookie, fills in forms."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx

from services.console.app import create
from services.console.settings import ConsoleSettings
from services.kit.clock import FixedClock
from tests.unit.console.fake_api import FakePlatform
from tests.unit.console.fake_data import KEY, NOW_MS

_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


class Visit:
    """One visitor of a console over fake services.

    Attributes:
        platform: The fake services.
        clock: The console's clock.
        app: The console.
    """

    def __init__(self, platform: FakePlatform | None = None, **settings: Any) -> None:
        self.platform = platform or FakePlatform()
        self.clock = FixedClock(NOW_MS)
        self.app = create(ConsoleSettings(**settings), self.platform.api(), self.clock)
        self.cookies = httpx.Cookies()

    def get(self, path: str, **request: Any) -> httpx.Response:
        """GET a page."""
        return self._request("GET", path, **request)

    def post(self, path: str, form_from: str | None, **fields: str) -> httpx.Response:
        """POST a form with the token of page `form_from`; without a token if that is None."""
        if form_from is not None:
            fields["csrf"] = token_of(self.get(form_from).text)
        return self._request("POST", path, data=fields)

    def sign_in(self, key: str = KEY) -> Visit:
        """Sign in with a key."""
        answer = self.post("/login", "/login", key=key)
        assert answer.status_code == 303, answer.text
        return self

    def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        return asyncio.run(self._send(method, path, **request))

    async def _send(
        self, method: str, path: str, base: str = "http://127.0.0.1", **request: Any
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(
            transport=transport, base_url=base, cookies=self.cookies
        ) as client:
            answer = await client.request(method, path, **request)
            self.cookies = client.cookies
        return answer


def token_of(html: str) -> str:
    """The CSRF token in the forms of a page."""
    found = _TOKEN.search(html)
    assert found, "there is no form on this page"
    return found[1]


def text_of(html: str) -> str:
    """What a person reads on a page: no tags, single spaces, ordinary spaces."""
    plain = re.sub(r"<(script|style)[^>]*>.*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", plain.replace("&#39;", "'").replace("&amp;", "&"))
