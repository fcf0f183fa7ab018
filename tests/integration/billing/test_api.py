"""Billing's HTTP doors: who may, what is refused, what comes back."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.billing.service import WATER, Billing
from tests.unit.billing.fake_usage import FakeMeter

ROUTES = [
    ("POST", "/v1/tariffs"),
    ("GET", "/v1/tariffs"),
    ("GET", "/v1/tariffs/water/1"),
    ("POST", "/v1/accounts"),
    ("GET", "/v1/accounts"),
    ("POST", "/v1/agreements"),
    ("GET", "/v1/agreements"),
    ("POST", "/v1/bill-runs"),
    ("GET", "/v1/bills"),
    ("GET", f"/v1/bills/{uuid4()}"),
    ("GET", "/v1/summary"),
]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/tariffs": WATER,
    "/v1/accounts": {"accounts": [{"number": "X", "name": "X"}]},
    "/v1/agreements": {
        "agreements": [
            {"account": "X", "service_point_id": 1, "service_point": "X", "tariff": "water",
             "from": "2026-01-01"}
        ]
    },
    "/v1/bill-runs": {"from_date": "2026-01-01", "to_date": "2026-02-01"},
}  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_gets_in_without_a_key(billing: Billing, method: str, path: str) -> None:
    """Every endpoint refuses a caller without credentials, and one with unknown ones."""
    body = {"json": BODIES[path]} if method == "POST" else {}
    for key in (None, "nobody"):
        answer = billing.call(method, path, key, **body)
        assert (answer.status_code, answer.json()["code"]) == (401, "auth.unauthenticated")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_gateway_sees_nothing_and_a_reader_changes_nothing(
    billing: Billing, method: str, path: str
) -> None:
    """Meters' keys have no business here; a reader may not post."""
    body = {"json": BODIES[path]} if method == "POST" else {}
    assert billing.call(method, path, "gateway-1", **body).status_code == 403
    if method == "POST":
        assert billing.call(method, path, "reader-1", **body).status_code == 403


def test_another_tenant_sees_none_of_it(billing: Billing) -> None:
    """Lists are empty, rows are not found, and neither names nor numbers collide."""
    agreement = billing.supply(FakeMeter())
    assert billing.run(agreement, "2026-01-01", "2026-02-01")["issued"] == 1
    bill_id = billing.bills()[0]["bill_id"]
    for path in ("/v1/tariffs", "/v1/accounts", "/v1/agreements", "/v1/bills"):
        assert billing.call("GET", path, "operator-2").json()["items"] == []
    for path in (f"/v1/bills/{bill_id}", "/v1/tariffs/water/1"):
        assert billing.call("GET", path, "operator-2").status_code == 404
    assert billing.call("GET", "/v1/summary", "operator-2").json()["bills"] == 0
    run = {"from_date": "2026-01-01", "to_date": "2026-02-01", "agreement_ids": [agreement]}
    answer = billing.call("POST", "/v1/bill-runs", "operator-2", json=run)
    assert (answer.status_code, answer.json()["faults"][0]["where"]) == (404, "/agreement_ids/0")
    own = billing.supply(FakeMeter(), key="operator-2")
    assert own != agreement


def test_a_tariff_version_is_never_edited(billing: Billing) -> None:
    """The same again is 200, another content 409, and so is a second version of the same day."""
    tariff = {**WATER, "code": "versions"}
    answer = billing.call("POST", "/v1/tariffs", json=tariff)
    assert answer.status_code == 201
    assert answer.json()["document"] == tariff
    assert billing.call("POST", "/v1/tariffs", json=tariff).status_code == 200
    other = billing.call("POST", "/v1/tariffs", json={**tariff, "name": "Other"})
    assert (other.status_code, other.json()["faults"][0]["code"]) == (409, "tariff.exists")
    same_day = billing.call("POST", "/v1/tariffs", json={**tariff, "version": "2"})
    assert same_day.json()["faults"][0]["code"] == "tariff.same_day"
    moved = {**tariff, "version": "2", "valid_from": "2027-01-01", "currency": "CHF"}
    answer = billing.call("POST", "/v1/tariffs", json=moved)
    assert answer.json()["faults"][0]["code"] == "tariff.other_currency"


def test_a_price_sent_as_a_json_number_keeps_its_digits(billing: Billing) -> None:
    """0.1 does not become 0.1000000000000000055 on the way in."""
    tariff = json.dumps({**WATER, "code": "digits"}).replace('"0.52"', "0.52")
    assert "0.52," in tariff or "0.52}" in tariff
    answer = billing.call("POST", "/v1/tariffs", content=tariff)
    assert answer.status_code == 201
    assert answer.json()["document"]["lines"][1]["blocks"][0]["price"] == "0.52"


def test_faults_of_a_tariff_come_back_all_at_once(billing: Billing) -> None:
    """A problem document with a position for each."""
    wrong = {**WATER, "unit": "barrel", "currency": "euro"}
    answer = billing.call("POST", "/v1/tariffs", json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (400, "tariff.invalid")
    assert [f["where"] for f in answer.json()["faults"]] == ["/currency", "/unit"]


def test_accounts_are_opened_all_or_none(billing: Billing) -> None:
    """A number that exists and one that stands twice refuse the whole request, by position."""
    first = {"accounts": [{"number": "N1", "name": "One", "language": "es"}]}
    assert billing.call("POST", "/v1/accounts", json=first).status_code == 201
    again = {"accounts": [{"number": n, "name": "x"} for n in ("N1", "N2", "N2")]}
    answer = billing.call("POST", "/v1/accounts", json=again)
    assert answer.status_code == 409
    assert [f["where"] for f in answer.json()["faults"]] == [
        "/accounts/0/number",
        "/accounts/2/number",
    ]
    numbers = [a["number"] for a in billing.call("GET", "/v1/accounts").json()["items"]]
    assert "N1" in numbers
    assert "N2" not in numbers


def test_agreements_name_every_fault(billing: Billing) -> None:
    """Unknown accounts and tariffs and days in the wrong order come back together."""
    billing.supply(FakeMeter())
    good = {"account": "A00001", "service_point_id": 900, "service_point": "X", "tariff": "water",
            "from": "2026-01-01"}  # fmt: skip
    wrong = [
        {**good, "account": "nobody"},
        {**good, "tariff": "nothing"},
        {**good, "to": "2025-01-01"},
    ]
    answer = billing.call("POST", "/v1/agreements", json={"agreements": wrong})
    assert answer.status_code == 400
    assert [f["where"] for f in answer.json()["faults"]] == [
        "/agreements/0/account",
        "/agreements/1/tariff",
        "/agreements/2/to",
    ]


def test_a_service_point_has_one_agreement_a_day(billing: Billing) -> None:
    """An overlap within a request or with what is stored is refused; the day after is not."""
    billing.supply(FakeMeter())
    one = {"account": f"A{billing.points:05d}", "service_point_id": 901, "service_point": "X",
           "tariff": "water", "from": "2026-01-01", "to": "2026-03-01"}  # fmt: skip
    both = {"agreements": [one, {**one, "from": "2026-02-01"}]}
    answer = billing.call("POST", "/v1/agreements", json=both)
    assert (answer.status_code, answer.json()["code"]) == (409, "agreement.overlap")
    assert answer.json()["faults"][0]["where"] == "/agreements/1/from"
    assert billing.call("POST", "/v1/agreements", json={"agreements": [one]}).status_code == 201
    assert billing.call("POST", "/v1/agreements", json={"agreements": [one]}).status_code == 409
    after = {**one, "from": "2026-03-01", "to": None}
    assert billing.call("POST", "/v1/agreements", json={"agreements": [after]}).status_code == 201


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/accounts", {"accounts": [{"number": "a\x00b", "name": "x"}]}),
        ("/v1/accounts", {"accounts": []}),
        ("/v1/accounts", {"accounts": [{"number": "1", "name": "x", "extra": 1}]}),
        ("/v1/bill-runs", {"from_date": "2026-02-01", "to_date": "2026-01-01"}),
        ("/v1/bill-runs", {"from_date": "0001-01-01", "to_date": "9999-12-31"}),
        ("/v1/bill-runs", {"from_date": "2026-13-01", "to_date": "x"}),
    ],
)
def test_bad_input_is_one_problem_with_positions(
    billing: Billing, path: str, body: dict[str, Any]
) -> None:
    """Whatever is wrong, the answer is a problem document that says where."""
    answer = billing.call("POST", path, json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["faults"][0]["where"]


@pytest.mark.parametrize(
    "path",
    ["/v1/tariffs/%00/1", "/v1/bills/7", "/v1/bills?account=%00", "/v1/bills?state=lost",
     "/v1/bills?page_size=1001", "/v1/agreements?page_token=%00"],
)  # fmt: skip
def test_bad_questions_are_refused_too(billing: Billing, path: str) -> None:
    """What PostgreSQL cannot hold, or nobody could mean, never reaches it."""
    assert billing.call("GET", path).status_code == 400


def test_lists_are_pages(billing: Billing) -> None:
    """Pages of one together hold every row once; a token of another list is refused."""
    for _ in range(3):
        billing.supply(FakeMeter())
    for path in ("/v1/tariffs", "/v1/accounts", "/v1/agreements"):
        whole = billing.call("GET", path).json()["items"]
        seen, token = [], None
        while True:
            query = {"page_size": 1, "page_token": token} if token else {"page_size": 1}
            page = billing.call("GET", path, params=query).json()
            seen += page["items"]
            token = page["next_page_token"]
            if token is None:
                break
        assert seen == whole
    for token in ("xyz", "WyJ4Il0"):  # the second is a text, but no id
        answer = billing.call("GET", "/v1/bills", params={"page_token": token})
        assert (answer.status_code, answer.json()["faults"][0]["where"]) == (400, "page_token")


def test_a_bill_explains_itself(billing: Billing) -> None:
    """The bill's lines carry reason and lineage; the summary counts it."""
    before = billing.call("GET", "/v1/summary").json()
    agreement = billing.supply(FakeMeter(litres_per_h=10))
    assert billing.run(agreement, "2026-03-01", "2026-04-01")["issued"] == 1
    (head,) = billing.bills(from_date="2026-03-01", state="issued")
    bill = billing.bill(head["bill_id"])
    assert {name: bill[name] for name in head} == head
    assert [line["line_id"] for line in bill["lines"]] == [
        "standing", "water.1", "water.2", "wastewater", "vat"
    ]  # fmt: skip
    # 7.43 m3: 4.20 + 6 x 0.52 + 1.43 x 1.74 = 4.20 + 3.12 + 2.49, 65 % of 5.61, 10 % of 13.46.
    assert [line["amount"] for line in bill["lines"]] == ["4.20", "3.12", "2.49", "3.65", "1.35"]
    assert (bill["total"], bill["currency"], bill["state"]) == ("14.81", "EUR", "issued")
    assert bill["lines"][1]["lineage"]["registers"][0]["meter"] == "acme:1"
    assert bill["held_because"] is None
    after = billing.call("GET", "/v1/summary").json()
    assert after["bills"] == before["bills"] + 1
    march = next(m for m in after["by_month"] if m["month"] == "2026-03")
    assert (march["billed"], march["quantities"]) == ({"EUR": "14.81"}, {"m3": "7.43"})
