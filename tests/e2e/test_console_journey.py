"""A utility's first ten minutes in the console, on real services with the demo's data.

Takes `console_url`, the address of a console that acts with the demo's key, and `demo`, which is
asked for so that its meters, readings, alerts and bills are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import launched


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; the tests skip where it is absent."""
    with launched() as found:
        yield found


@pytest.fixture
def page(browser: Browser, console_url: str, demo: Any) -> Iterator[Page]:
    """A visitor of the demo's console."""
    context = browser.new_context(base_url=console_url, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    yield page
    context.close()


def number_in(text: str) -> int:
    """The first number in a text, separators removed."""
    found = re.search(r"[\d,]+", text)
    assert found, f"there is no number in {text!r}"
    return int(found[0].replace(",", ""))


def test_overview_tells_what_is_there(page: Page) -> None:
    """Every tile has its numbers: no service is away, and every reading is accounted for."""
    page.goto("/")
    expect(page.locator(".away")).to_have_count(0)
    assert number_in(page.locator("section[aria-labelledby=t-fleet] .figure").inner_text()) > 0
    assert number_in(page.locator("[data-count]").inner_text()) > 0
    expect(page.get_by_text("all accounted for")).to_be_visible()


def test_fleet_leads_to_a_curve(page: Page) -> None:
    """The fleet lists meters; one of them shows its curve, readings with units, and its facts."""
    page.goto("/meters?commodity=water")
    rows = page.locator("table.list tbody tr")
    assert rows.count() > 0
    rows.first.locator("a.main").click()
    page.wait_for_url("**/meters/*")
    expect(page.locator(".chart canvas").first).to_be_visible()
    expect(page.locator(".keys")).to_contain_text("Use in this range")
    expect(page.locator("table.numbers tbody tr").first).to_contain_text("m³")
    expect(page.get_by_role("heading", name="Installations")).to_be_visible()


def test_leak_shows_its_evidence(page: Page) -> None:
    """The alerts list a leak; its page has the sentence, the readings and the curve around it."""
    page.goto("/alerts?kind=leak")
    leak = page.locator("table.list tbody tr").first
    sentence = leak.locator("a.main").inner_text()
    leak.locator("a.main").click()
    expect(page.get_by_role("heading", name="Leak", exact=True)).to_be_visible()
    expect(page.locator("#sentence")).to_have_text(sentence)
    assert page.locator("table.evidence tbody tr").count() >= 2
    expect(page.locator(".chart canvas").first).to_be_visible()


def test_bill_explains_each_line_down_to_the_payload(page: Page) -> None:
    """A bill's lines add up; each says why, and unfolds to registers and a payload's digest."""
    page.goto("/bills?state=issued")
    page.locator("table.list a.main").first.click()
    page.wait_for_url("**/bills/*")
    expect(page.get_by_text(re.compile("lines add up to the total"))).to_be_visible()
    lines = page.locator(".lines > li")
    digests = 0
    for i in range(lines.count()):
        line = lines.nth(i)
        expect(line.locator(".because")).not_to_be_empty()
        line.locator("summary").click()
        expect(line.get_by_role("heading", name="Tariff version")).to_be_visible()
        digests += line.locator("code.digest").count()
        for digest in line.locator("code.digest").all_inner_texts():
            assert re.fullmatch(r"[0-9a-f]{64}", digest)
    assert digests > 0, "no line leads to a payload"


def test_quarantine_is_reachable(page: Page) -> None:
    """The quarantine says what is kept back, or that nothing is."""
    page.goto("/quarantine")
    expect(page.locator("main")).to_contain_text(re.compile("kept back"))
