"""Doors of the console: who sees a page, whose keys act, and which forms count."""

from __future__ import annotations

import pytest

from services.console.access import FORM_BYTES_MAX, local_path
from services.console.client import Service
from services.console.session import COOKIE, SESSION_S
from tests.unit.console.browsing import Visit, token_of
from tests.unit.console.fake_api import FakePlatform
from tests.unit.console.fake_data import ALERT_ID, BILL_ID, KEY, OTHER_KEY, READER_KEY

PAGES = (
    "/",
    "/fragments/overview",
    "/meters",
    "/meters/1",
    "/alerts",
    f"/alerts/{ALERT_ID}",
    "/bills",
    f"/bills/{BILL_ID}",
    "/quarantine",
)
FORMS = (f"/alerts/{ALERT_ID}/resolve", "/quarantine/replay")


@pytest.mark.parametrize("path", PAGES)
def test_anonymous_is_led_to_the_door(path: str) -> None:
    """Without a session no page shows anything, and the door knows the way back."""
    answer = Visit().get(path)
    if path.startswith("/fragments/"):
        assert (answer.status_code, answer.text) == (401, "")
        return
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")


@pytest.mark.parametrize("path", FORMS)
def test_anonymous_form_does_nothing(path: str) -> None:
    """A form of nobody reaches no service, even with a valid token of the sign-in page."""
    visit = Visit()
    assert visit.post(path, "/login").status_code == 303
    assert visit.platform.posts == []


@pytest.mark.parametrize("path", ["/meters/1", f"/alerts/{ALERT_ID}", f"/bills/{BILL_ID}"])
def test_another_tenant_finds_nothing(path: str) -> None:
    """What belongs to another tenant is a page that does not exist."""
    answer = Visit().sign_in(OTHER_KEY).get(path)
    assert answer.status_code == 404
    assert "W40007919" not in answer.text


def test_readers_see_no_buttons_and_are_refused() -> None:
    """A key that may only read is shown no decisions, and its POST is a page that says why."""
    visit = Visit().sign_in(READER_KEY)
    assert "Acknowledge<" not in visit.get("/alerts").text
    refused = visit.post(f"/alerts/{ALERT_ID}/resolve", "/")
    assert refused.status_code == 403
    assert "role reader does not allow this" in refused.text


@pytest.mark.parametrize("key", ["", "mf_unknown", "x" * 500, "mf_ünknown"])
def test_unknown_keys_do_not_sign_in(key: str) -> None:
    """A key nobody has stays at the door, with a sentence and without a session."""
    visit = Visit()
    answer = visit.post("/login", "/login", key=key)
    assert answer.status_code == 401
    assert "Nobody has this key" in answer.text
    assert visit.get("/").status_code == 303


def test_sign_in_while_the_registry_is_away() -> None:
    """The door says that it cannot ask, instead of calling a good key unknown."""
    visit = Visit()
    visit.platform.away.add(Service.DEVICES)
    answer = visit.post("/login", "/login", key=KEY)
    assert answer.status_code == 503
    assert "The devices service does not answer" in answer.text


def test_session_cookie_is_closed() -> None:
    """The key is nowhere in the cookie; scripts, other sites and plain HTTP behind TLS miss it."""
    visit = Visit(secure_cookie=True)
    answer = visit.get("/login")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=strict", "Secure"} <= set(cookie.split("; "))
    open_visit = Visit().sign_in()
    assert KEY not in open_visit.cookies[COOKIE]
    assert "Use another key" not in open_visit.get("/").text


def test_session_ends() -> None:
    """After a working day the key must be given again."""
    visit = Visit().sign_in()
    visit.clock.sleep(SESSION_S - 1)
    assert visit.get("/").status_code == 200
    visit.clock.sleep(2)
    assert visit.get("/").status_code == 303


def test_signing_out_forgets_the_key() -> None:
    """After signing out the browser has no session."""
    visit = Visit().sign_in()
    assert visit.post("/logout", "/").status_code == 303
    assert visit.get("/").headers["location"] == "/login"


def test_sign_in_changes_the_token() -> None:
    """A token planted before sign-in is worth nothing after it."""
    visit = Visit()
    planted = token_of(visit.get("/login").text)
    visit.sign_in()
    answer = visit.post(f"/alerts/{ALERT_ID}/resolve", None, csrf=planted)
    assert answer.status_code == 403
    assert visit.platform.posts == []


@pytest.mark.parametrize("path", [*FORMS, "/login", "/logout"])
@pytest.mark.parametrize("token", [None, "", "guess"])
def test_forms_without_their_token_do_nothing(path: str, token: str | None) -> None:
    """No POST counts without the token of the session: another site cannot send it."""
    visit = Visit().sign_in()
    fields = {} if token is None else {"csrf": token}
    answer = visit.post(path, None, note="x", **fields)
    assert answer.status_code == 403
    assert "out of date" in answer.text
    assert visit.platform.posts == []


def test_large_or_strange_forms_are_refused() -> None:
    """A form has a bound, and only forms are read as forms."""
    visit = Visit().sign_in()
    assert visit.post("/quarantine/replay", "/", meter="x" * FORM_BYTES_MAX).status_code == 413
    answer = visit._request("POST", "/quarantine/replay", json={"csrf": "x"})
    assert answer.status_code == 400
    many = {f"field{i}": "x" for i in range(40)}
    assert visit.post("/quarantine/replay", "/", **many).status_code == 400


def test_automatic_key_acts_and_says_so() -> None:
    """With the automatic key a visitor sees the pages at once, and reads whose they are."""
    answer = Visit(auto_login_key=KEY).get("/")
    assert answer.status_code == 200
    assert "signed in as <strong>stadtwerke</strong>" in answer.text
    assert "automatic" in answer.text


def test_automatic_key_is_for_this_machine_only() -> None:
    """A foreign name that points at 127.0.0.1 (DNS rebinding) does not act with the key."""
    visit = Visit(auto_login_key=KEY)
    assert visit.get("/", base="http://rebound.example").status_code == 303
    assert visit.get("/", base="http://localhost:8080").status_code == 200


def test_automatic_key_that_nobody_knows_does_not_loop() -> None:
    """A wrong automatic key is a page that says so, not a redirect without end."""
    answer = Visit(auto_login_key="mf_wrong").get("/")
    assert answer.status_code == 401
    assert "nobody has this key" in answer.text


def test_a_revoked_key_leads_to_the_door() -> None:
    """When the services no longer know a session's key, the session is forgotten."""
    platform = FakePlatform()
    visit = Visit(platform).sign_in()
    platform.revoked.add(KEY)
    answer = visit.get("/meters?q=4")
    assert answer.headers["location"] == "/login?next=%2Fmeters%3Fq%3D4"
    assert COOKIE not in visit.cookies


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("/meters?q=1", "/meters?q=1"),
        ("", "/"),
        ("//elsewhere.example/", "/"),
        ("/\\elsewhere.example", "/"),
        ("https://elsewhere.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/meters\r\nset-cookie: x=1", "/"),
    ],
)
def test_nobody_is_sent_elsewhere(asked: str, given: str) -> None:
    """Only paths of this site are followed after a form."""
    assert local_path(asked) == given
    visit = Visit()
    answer = visit.post("/login", "/login", key=KEY, next=asked)
    assert answer.headers["location"] == given
