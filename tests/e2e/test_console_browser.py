"""The console in a real browser over fake services: charts, policy, widths, keyboard, refresh."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from services.console.app import create
from services.console.settings import ConsoleSettings
from services.kit.clock import FixedClock
from tests.e2e.browser import launched
from tests.unit.console.fake_api import FakePlatform
from tests.unit.console.fake_data import ALERT_ID, BILL_ID, DIGEST, KEY, NOW_MS

_START_TIMEOUT_S = 20.0
PAGES = (
    "/",
    "/meters",
    "/meters/1?range=30d",
    "/alerts",
    f"/alerts/{ALERT_ID}",
    "/bills",
    f"/bills/{BILL_ID}",
    "/quarantine",
    "/login",
)


@pytest.fixture(scope="module")
def platform() -> FakePlatform:
    """The fake services behind the console."""
    return FakePlatform()


@pytest.fixture(scope="module")
def fake_console(platform: FakePlatform) -> Iterator[str]:
    """Address of a console over fake services, with the automatic key."""
    app = create(ConsoleSettings(auto_login_key=KEY), platform.api(), FixedClock(NOW_MS))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while not server.started:
        assert time.monotonic() < deadline_s, "the console did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(_START_TIMEOUT_S)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; the tests skip where it is absent."""
    with launched() as found:
        yield found


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained of: policy violations and errors of scripts."""
    return []


@pytest.fixture
def page(browser: Browser, fake_console: str, complaints: list[str]) -> Iterator[Page]:
    """A fresh visitor's page on a desktop screen."""
    context = browser.new_context(
        base_url=fake_console, viewport={"width": 1440, "height": 900}, color_scheme="light"
    )
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
    )
    yield page
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1440])
def test_pages_fit_and_nothing_is_barred(
    page: Page, complaints: list[str], width: int, scheme: Any
) -> None:
    """Every page fits a small and a large screen, and the policy bars nothing it needs."""
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    for path in PAGES:
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{path} is {wide} px too wide at {width} px"
    assert complaints == []


def colours_of(page: Page) -> int:
    """How many pixels of the first canvas are painted."""
    return int(
        page.evaluate(
            """() => {
              const canvas = document.querySelector("canvas");
              const { width, height } = canvas;
              const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
              let painted = 0;
              for (let i = 3; i < data.length; i += 4) if (data[i] > 0) painted += 1;
              return painted;
            }"""
        )
    )


def test_meter_curve_is_drawn_and_read(page: Page) -> None:
    """The fleet leads to a meter whose curve is painted and tells what is under the pointer."""
    page.goto("/meters?q=40007919")
    page.get_by_role("link", name="W40007919").click()
    expect(page.locator("canvas")).to_have_count(2)
    assert colours_of(page) > 5_000
    readout = page.locator("#curve-data-readout")
    expect(readout).to_contain_text("Point at the chart")
    page.locator(".chart .u-over").first.hover(position={"x": 500, "y": 60})
    expect(readout).to_contain_text("use 0.")
    expect(readout).to_contain_text("CEST")
    page.get_by_role("link", name="30d").click()
    expect(page).to_have_url(re.compile("range=30d"))
    expect(page.locator("canvas").first).to_be_visible()


def test_chart_follows_dark_mode(page: Page) -> None:
    """Switching to dark repaints the chart with the dark colours."""
    page.goto("/meters/1")
    expect(page.locator("canvas")).to_have_count(2)
    light = page.locator(".chart").screenshot()
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(200)
    assert page.locator(".chart").screenshot() != light
    expect(page.locator("canvas")).to_have_count(2)


def test_alert_is_acknowledged_by_keyboard(page: Page, platform: FakePlatform) -> None:
    """A decision needs no mouse: the focus is visible and the note reaches the service."""
    platform.posts.clear()
    page.goto(f"/alerts/{ALERT_ID}")
    expect(page.locator("#sentence")).to_contain_text("without a pause for 72 hours")
    page.get_by_label("Note").focus()
    page.keyboard.type("plumber called")
    page.keyboard.press("Tab")
    focused = page.locator("button:focus-visible")
    expect(focused).to_have_text("Acknowledge")
    assert focused.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert platform.posts == [(f"/v1/alerts/{ALERT_ID}/acknowledge", {"note": "plumber called"})]


def test_bill_unfolds_down_to_the_digest(page: Page) -> None:
    """The proof is folded at first; unfolded, it shows the digest of the payload."""
    page.goto(f"/bills/{BILL_ID}")
    digest = page.locator("code.digest", has_text=DIGEST).first
    expect(digest).to_be_hidden()
    page.get_by_text("How we know").first.click()
    expect(digest).to_be_visible()


def test_overview_refreshes_itself(page: Page, platform: FakePlatform) -> None:
    """A service that goes away shows within a refresh, the focus stays, and it comes back."""
    page.clock.install()
    page.goto("/")
    page.get_by_role("link", name="Bills", exact=True).last.focus()
    platform.away.update(platform.apps.keys() - {"devices"})
    try:
        page.clock.run_for(5_100)
        expect(page.get_by_text("The alerts service does not answer").first).to_be_visible()
        expect(page.locator("#t-bills a")).to_be_focused()
    finally:
        platform.away.clear()
    page.clock.run_for(5_100)
    expect(page.get_by_text("9,244,812")).to_be_visible()
    expect(page.locator("#live")).to_contain_text("As of")


def test_filters_apply_themselves(page: Page) -> None:
    """Choosing a commodity narrows the list at once, and the address says so, without blanks."""
    page.goto("/meters")
    page.get_by_label("Commodity").select_option("gas")
    page.wait_for_url("**/meters?commodity=gas")
    expect(page.locator("tbody tr")).to_have_count(15)


def test_sign_in_in_a_browser(page: Page) -> None:
    """The key goes in at the door; no script of the page can read the cookie."""
    page.goto("/login")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert page.evaluate("document.cookie") == ""
