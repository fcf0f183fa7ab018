"""Pages: what a person reads on each, and what stays when a service is away."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest

from services.console.client import Service
from services.console.respond import CONTENT_SECURITY_POLICY
from tests.unit.console.browsing import Visit, text_of
from tests.unit.console.fake_api import FakePlatform
from tests.unit.console.fake_data import ALERT_ID, BILL_ID, DIGEST, KEY, SCRIPT


@pytest.fixture
def visit() -> Visit:
    """An operator's visit."""
    return Visit().sign_in()


def read(visit: Visit, path: str) -> str:
    """What a person reads at a path."""
    answer = visit.get(path)
    assert answer.status_code == 200, answer.text
    return text_of(answer.text)


def test_overview_counts_everything(visit: Visit) -> None:
    """Each tile shows its service's numbers with separators and units, and leads on."""
    html = visit.get("/").text
    text = text_of(html)
    assert "12,840 meters" in text
    assert "water 4,790" in text
    assert "critical 4" in text
    assert "9,244,812 received" in text
    assert "up to date all accounted for" in text
    assert "1,204,339.75 EUR" in text
    assert "168,220.410 m³" in text
    assert "Meter is not registered 384" in text
    for address in (
        "/meters?commodity=gas",
        "/alerts?state=open&amp;severity=critical",
        "/bills?state=held",
        "/quarantine?reason=meter.unknown",
    ):
        assert f'href="{address}"' in html


@pytest.mark.parametrize(
    ("away", "gone", "stays"),
    [
        (Service.DEVICES, "The fleet cannot be shown", "9,244,812"),
        (Service.INGEST, "The tally of readings cannot be shown", "12,840"),
        (Service.ALERTS, "Alerts cannot be shown", "12,840"),
        (Service.BILLING, "Bills cannot be shown", "12,840"),
    ],
)
def test_overview_survives_each_service(visit: Visit, away: Service, gone: str, stays: str) -> None:
    """A service that is away costs its own tile only."""
    visit.platform.away.add(away)
    text = read(visit, "/")
    assert gone in text
    assert f"The {away} service does not answer" in text
    assert stays in text


def test_fragment_is_the_tiles_alone(visit: Visit) -> None:
    """What the page fetches every five seconds has the tiles and no frame around them."""
    html = visit.get("/fragments/overview").text
    assert "12,840" in html
    assert "<html" not in html


def test_meters_can_be_found_and_paged(visit: Visit) -> None:
    """The list keeps its filter in the address, and pages by the services' tokens."""
    html = visit.get("/meters?commodity=water&zone=DMA-2").text
    assert "W40007919" in html
    assert "E40015838" not in html
    assert '<option value="water" selected>water (4,790)</option>' in html
    first = visit.get("/meters").text
    following = re.search(r'href="(/meters\?page_token=[^"]+)" rel="next"', first)
    assert following
    assert "W40007919" not in visit.get(following[1]).text
    assert "No meter fits" in visit.get("/meters?q=nothing").text


def test_foreign_text_stays_text(visit: Visit) -> None:
    """An address with markup in it is shown, never run; chart data cannot close its element."""
    html = visit.get("/meters").text
    assert SCRIPT not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_meter_shows_curve_readings_and_history(visit: Visit) -> None:
    """A meter's page tells its use, its last reading in local time, rules, alerts and history."""
    html = visit.get("/meters/1").text
    text = text_of(html)
    assert "Use in this range 5.576 m³" in text
    assert "last reading 5 min ago" in text
    assert "14 Jun 2026, 14:00 CEST" in text
    assert "Europe/Berlin (UTC+02:00)" in text
    assert "V20 more than the connection lets through" in text
    assert "not used" in text
    assert "meter exchanged" in text
    assert "SP-1001 stands" in text
    assert f'href="/alerts/{ALERT_ID}"' in html
    found = re.search(r'<script type="application/json" id="curve-data">(.*?)</script>', html)
    assert found
    chart = json.loads(found[1])
    assert chart["zone"] == "Europe/Berlin"
    assert len(chart["at"]) == len(chart["use"]) == len(chart["register"])


@pytest.mark.parametrize(("span", "days"), [("1d", 1), ("7d", 7), ("30d", 30), ("all", 30)])
def test_range_is_in_the_address(visit: Visit, span: str, days: int) -> None:
    """The range picker asks for that many days up to the last reading."""
    html = visit.get(f"/meters/1?range={span}").text
    assert f'range={span}" aria-current="true"' in html
    found = re.search(r'id="curve-data">(.*?)</script>', html)
    assert found
    at_ms = json.loads(found[1])["at"]
    assert round((at_ms[-1] - at_ms[0]) / 86_400_000) == days


def test_meter_survives_ingest_and_alerts(visit: Visit) -> None:
    """Without readings and alerts a meter's facts still stand."""
    visit.platform.away |= {Service.INGEST, Service.ALERTS}
    text = read(visit, "/meters/1")
    assert "The curve cannot be shown" in text
    assert "Alerts cannot be shown" in text
    assert "acme-aq-100" in text


def test_second_channel_and_unknown_channel(visit: Visit) -> None:
    """A product's channels can be chosen; one that it does not have is not found."""
    assert "1-0:2.8.0 (register, kWh)" in read(visit, "/meters/2?channel=2")
    assert visit.get("/meters/2?channel=3").status_code == 404
    assert visit.get("/meters/2?channel=many").status_code == 400


def test_alerts_are_filtered_and_decided(visit: Visit) -> None:
    """The list filters by state and severity; a decision reaches the service with its note."""
    text = read(visit, "/alerts?state=open&severity=critical")
    assert "Water has flowed without a pause" in text
    assert "register has not moved" not in text
    answer = visit.post(
        f"/alerts/{ALERT_ID}/acknowledge",
        "/alerts?state=open",
        note=" plumber called ",
        back="/alerts?state=open",
    )
    assert answer.headers["location"] == "/alerts?state=open"
    assert visit.platform.posts == [
        (f"/v1/alerts/{ALERT_ID}/acknowledge", {"note": "plumber called"})
    ]


def test_alert_shows_its_evidence(visit: Visit) -> None:
    """An alert's page has the sentence, rule, threshold with unit, the readings and the curve."""
    html = visit.get(f"/alerts/{ALERT_ID}").text
    text = text_of(html)
    assert "Water has flowed without a pause for 72 hours, at least 34 L/h." in text
    assert "threshold 0.020 m³/h" in text
    assert "rate 0.034 m³/h" in text
    assert "longest pause 2 h" in text
    assert "100,013.733 m³" in text
    assert "open by detector" in text
    found = re.search(r'id="curve-data">(.*?)</script>', html)
    assert found
    assert json.loads(found[1])["cause"]["to"] is None


def test_alert_survives_devices_and_ingest(visit: Visit) -> None:
    """Without the meter and its curve an alert is readable, in UTC and saying so."""
    visit.platform.away |= {Service.DEVICES, Service.INGEST}
    text = read(visit, f"/alerts/{ALERT_ID}")
    assert "Times in UTC" in text
    assert "100,013.733 m³" in text


def test_bill_explains_every_line_down_to_the_payload(visit: Visit) -> None:
    """Each line has its product and sentence; its proof leads to registers, steps and payloads."""
    html = visit.get(f"/bills/{BILL_ID}").text
    text = text_of(html)
    assert "10.000 m³ × 1.2500 EUR/m³ = 12.50 EUR" in text
    assert "10 of 14.21 m³ fall in block 1." in text
    assert "25.06 EUR × 0.07 = 1.75 EUR" in text
    assert "1 May 2026 – 31 May 2026" in text
    assert "The 4 lines add up to the total." in text
    assert "household-water" in text
    assert "1 Jun 2026, 00:00 CEST" in text
    assert "register rolled over (99,999.998 → 0.041 m³)" in text
    assert "covered by good readings 98.5 %" in text
    assert DIGEST in html
    assert "readings.received/2/2591" in text
    assert "charged on lines blocks, standing" in text


def test_bill_whose_lines_do_not_add_up_says_so(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page adds the lines itself and does not hide a difference."""
    monkeypatch.setattr("services.console.pages.bills.sum_of_lines", lambda _: Decimal(1))
    assert "The lines add up to 1 EUR, not to the total." in read(visit, f"/bills/{BILL_ID}")


def test_bills_list_held_ones_with_their_reason(visit: Visit) -> None:
    """A held bill has no total and tells why."""
    text = read(visit, "/bills?state=held")
    assert "Good readings cover 61.2 % of the period." in text
    assert "26.81" not in text
    assert "26.81 EUR" in read(visit, "/bills?account=A-701")


def test_quarantine_can_be_replayed(visit: Visit) -> None:
    """Reasons are told in words; the button sends the reason on and tells how many went."""
    text = read(visit, "/quarantine")
    assert "Meter is not registered meter.unknown 384 readings" in text
    answer = visit.post("/quarantine/replay", "/quarantine", reason="meter.unknown")
    assert visit.platform.posts == [("/v1/quarantine/replay", {"reason": "meter.unknown"})]
    assert "384 readings went back to the log" in read(visit, answer.headers["location"])


def test_empty_fleet_says_what_to_do() -> None:
    """A utility that has nothing yet reads what to do next, not a wall of zeros."""
    platform = FakePlatform()
    for service in platform.apps:
        platform.empty.add(service)
    visit = Visit(platform).sign_in()
    assert "No meters yet" in read(visit, "/")
    assert "Nothing billed yet" in read(visit, "/")
    assert "No alert fits" in read(visit, "/alerts")
    assert "No bill fits" in read(visit, "/bills")
    assert "Nothing is kept back" in read(visit, "/quarantine")


@pytest.mark.parametrize("path", ["/nothing", "/static/nothing.js", "/meters/%2e%2e", "/docs"])
def test_absent_pages_are_pages(visit: Visit, path: str) -> None:
    """What does not exist is told as a page."""
    answer = visit.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


def test_a_service_that_is_away_is_a_page_with_a_trace_id(visit: Visit) -> None:
    """When a page's own service is away, the page says which and gives the id to quote."""
    visit.platform.away.add(Service.BILLING)
    answer = visit.get("/bills", headers={"x-request-id": "trace-me"})
    assert answer.status_code == 503
    assert "The billing service does not answer" in answer.text
    assert "trace-me" in answer.text
    assert answer.headers["x-request-id"] == "trace-me"


def test_a_failure_of_ours_is_a_page_with_a_trace_id(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug becomes a page that says nothing of its inside."""

    def fail(document: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr("services.console.lineage.read", fail)
    answer = visit.get(f"/bills/{BILL_ID}", headers={"x-request-id": "trace-me"})
    assert answer.status_code == 500
    assert "trace-me" in answer.text
    assert "inside" not in answer.text


def test_every_response_has_the_security_headers(visit: Visit) -> None:
    """Pages, errors and files all carry the policy; only files with a digest are kept."""
    for path in ("/", "/login", "/nothing", "/static/console.css"):
        headers = visit.get(path).headers
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
    page = visit.get("/").text
    address = re.search(r'href="(/static/console.css\?v=[0-9a-f]+)"', page)
    assert address
    assert "immutable" in visit.get(address[1]).headers["cache-control"]


@pytest.mark.parametrize("path", ["/", "/meters/1", f"/alerts/{ALERT_ID}", f"/bills/{BILL_ID}"])
def test_nothing_is_inline(visit: Visit, path: str) -> None:
    """No page has a style, a handler or a script that the policy would bar."""
    html = visit.get(path).text
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style", html)
    kinds = re.findall(r"<script(?! src=)([^>]*)>", html)
    assert all('type="application/json"' in kind for kind in kinds)


def test_first_page_is_small(visit: Visit) -> None:
    """The first page with everything it loads stays below 150 KB."""
    html = visit.get("/").text
    total = len(html.encode())
    for address in re.findall(r'(?:href|src)="(/static/[^"]+)"', html):
        total += len(visit.get(address).content)
    assert total < 150_000


def test_probes_need_no_key() -> None:
    """Kubernetes and Prometheus ask without a key."""
    visit = Visit()
    for path in ("/healthz", "/readyz", "/metrics"):
        assert visit.get(path).status_code == 200


def test_services_get_the_visitors_key_and_trace(visit: Visit) -> None:
    """The console passes on the key of the visitor and the id of the request, nothing else."""
    visit.get("/meters", headers={"x-request-id": "trace-me"})
    key, trace_id = visit.platform.calls[-1]
    assert key == f"Bearer {KEY}"
    assert trace_id == "trace-me"
