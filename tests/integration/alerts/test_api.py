"""Alerts over HTTP: who may, what is seen, and the steps of their life."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from services.alerts.api import router
from services.kit.auth import Authenticator, Identity, Role, key_digest
from services.kit.http import create_app
from tests.integration.alerts.world import CITY, VILLAGE, World, meter_event
from tests.unit.alerts.streams import DAY_MS, HOUR_MS, Stream
from tests.unit.kit.serving import served

LEAKING, SILENT = 21, 22
ROLES = ("gateway", "reader", "operator", "admin")
NOWHERE = str(uuid.UUID(int=0))
READERS, WRITERS = {"reader", "operator", "admin"}, {"operator", "admin"}
OPERATIONS = [
    ("GET", "/v1/alerts", READERS),
    ("GET", f"/v1/alerts/{NOWHERE}", READERS),
    ("POST", f"/v1/alerts/{NOWHERE}/acknowledge", WRITERS),
    ("POST", f"/v1/alerts/{NOWHERE}/resolve", WRITERS),
    ("POST", f"/v1/alerts/{NOWHERE}/reopen", WRITERS),
    ("GET", "/v1/summary", READERS),
]
CASES = [pytest.param(*row, id=f"{row[0]} {row[1].replace(NOWHERE, 'ID')}") for row in OPERATIONS]


class Client:
    """Speaks to the service with named keys."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def call(self, method: str, path: str, key: str | None = "operator", **more: Any) -> Any:
        """One request; None sends no credentials."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return self.http.request(method, path, headers=headers, **more)

    def get(self, path: str, key: str = "reader") -> Any:
        """The answer to a GET that must succeed."""
        answer = self.call("GET", path, key)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def step(self, alert_id: str, step: str, note: str | None = None) -> Any:
        """A step that must succeed."""
        body = None if note is None else {"note": note}
        answer = self.call("POST", f"/v1/alerts/{alert_id}/{step}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, method: str, path: str, key: str | None = "operator", **more: Any) -> Any:
        """The problem document of a request that must fail."""
        answer = self.call(method, path, key, **more)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        return answer.json()


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    """The HTTP side, with a key for each role of the city and an admin of the village."""
    identities = {key_digest(role): Identity(CITY, "city", Role(role), f"k-{role}")
                  for role in ROLES}  # fmt: skip
    identities[key_digest("other")] = Identity(VILLAGE, "village", Role.ADMIN, "k-other")
    authenticator = Authenticator(identities.get, "", world.clock)
    routes = router(world.database, world.log, world.clock)
    with served(create_app("alerts", "Alerts", authenticator, [routes])) as http:
        yield Client(http)


@pytest.fixture
def alerts(world: World, client: Client) -> list[Any]:
    """An open leak and a silence that is over, newest first."""
    world.knows(meter_event(LEAKING), meter_event(SILENT))
    world.publish(Stream().uses([30] * 50, meter_id=LEAKING).readings(), size=100)
    world.publish(Stream().gap(2 * DAY_MS + HOUR_MS, use=5, meter_id=SILENT).readings())
    world.work(world.consumer())
    items: list[Any] = client.get("/v1/alerts")["items"]
    assert [item["kind"] for item in items] == ["offline", "leak"]
    return items


@pytest.mark.parametrize(("method", "path", "allowed"), CASES)
@pytest.mark.parametrize("key", [None, "nobody"])
def test_a_stranger_is_refused(
    client: Client, method: str, path: str, allowed: set[str], key: str | None
) -> None:
    """Without a key, or with one that nobody has, nothing is answered."""
    assert client.refused(method, path, key)["status"] == 401


@pytest.mark.parametrize(("method", "path", "allowed"), CASES)
def test_another_tenant_sees_nothing(
    client: Client, alerts: list[Any], method: str, path: str, allowed: set[str]
) -> None:
    """Lists are empty, counts nought, and an alert of another tenant is not found."""
    answer = client.call(method, path.replace(NOWHERE, alerts[1]["alert_id"]), "other")
    if "{" not in path and NOWHERE not in path:
        body = answer.json()
        assert (body.get("items", []), body.get("open", 0)) == ([], 0)
    else:
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.get(f"/v1/alerts/{alerts[1]['alert_id']}")["state"] == "open"


@pytest.mark.parametrize(("method", "path", "allowed"), CASES)
@pytest.mark.parametrize("key", ROLES)
def test_a_role_does_what_it_may_and_no_more(
    client: Client, method: str, path: str, allowed: set[str], key: str
) -> None:
    """Each role passes the door exactly where the matrix says so."""
    assert (client.call(method, path, key).status_code != 403) == (key in allowed)


def test_every_operation_is_in_the_matrix(client: Client) -> None:
    """No route can be added without saying here who may use it."""
    paths = client.http.get("/openapi.json").json()["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert routes == {
        (method, path.replace(NOWHERE, "{alert_id}")) for method, path, _ in OPERATIONS
    }


def test_the_list_and_the_alert(client: Client, alerts: list[Any]) -> None:
    """What docs/api.md promises, with evidence and history in the single alert."""
    leak = client.get(f"/v1/alerts/{alerts[1]['alert_id']}")
    assert {key: leak[key] for key in alerts[1]} == alerts[1]
    assert leak["meter"] == "Aqualith:21"
    assert (leak["severity"], leak["channel"]) == ("warning", 1)
    assert leak["started_at"] == "2024-01-01T00:00:00Z"
    assert leak["detected_at"] == "2024-01-03T00:00:00Z"
    assert leak["ended_at"] is None
    assert leak["evidence"]["values"]["used"] == "1.440"
    assert leak["history"] == [
        {"at": "2024-01-01T00:00:00Z", "actor": "detector", "from": None, "to": "open",
         "note": leak["message"]}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("state=open", ["leak"]),
        ("state=resolved", ["offline"]),
        ("kind=leak", ["leak"]),
        ("severity=warning", ["offline", "leak"]),
        ("severity=critical", []),
        (f"meter_id={SILENT}", ["offline"]),
        (f"meter_id={SILENT}&state=open", []),
    ],
)
def test_the_list_is_narrowed(
    client: Client, alerts: list[Any], query: str, kinds: list[str]
) -> None:
    """Each filter shows what it names; together they show what all name."""
    assert [item["kind"] for item in client.get(f"/v1/alerts?{query}")["items"]] == kinds


def test_pages_follow_one_another(client: Client, alerts: list[Any]) -> None:
    """One alert a page: the token leads through all of them and ends."""
    first = client.get("/v1/alerts?page_size=1")
    second = client.get(f"/v1/alerts?page_size=1&page_token={first['next_page_token']}")
    assert first["items"] + second["items"] == alerts
    assert second["next_page_token"] is None


@pytest.mark.parametrize(
    "query",
    ["state=gone", "kind=x", "severity=loud", "meter_id=-1", "meter_id=x", "page_size=0",
     "page_size=1001", "page_token=zzz", "page_token=WzEsIngiXQ", "page_token=Wy0xLCJ4Il0"],
)  # fmt: skip
def test_wrong_questions_are_refused(client: Client, query: str) -> None:
    """A value that does not exist is a fault at its position, not an empty list."""
    problem = client.refused("GET", f"/v1/alerts?{query}", "reader")
    assert (problem["status"], len(problem["faults"])) == (400, 1)


def test_the_life_of_an_alert(client: Client, world: World, alerts: list[Any]) -> None:
    """Open, acknowledged, resolved, reopened: each step once, with who, when and why."""
    alert_id = alerts[1]["alert_id"]
    world.clock.sleep(60)
    assert client.step(alert_id, "acknowledge", "on my way")["state"] == "acknowledged"
    assert client.step(alert_id, "resolve")["state"] == "resolved"
    reopened = client.step(alert_id, "reopen", "still running")
    assert reopened["state"] == "open"
    steps = [(s["actor"], s["from"], s["to"], s["note"]) for s in reopened["history"][1:]]
    assert steps == [
        ("key:k-operator", "open", "acknowledged", "on my way"),
        ("key:k-operator", "acknowledged", "resolved", ""),
        ("key:k-operator", "resolved", "open", "still running"),
    ]
    assert reopened["history"][1]["at"] == "2024-01-01T00:01:00Z"


@pytest.mark.parametrize(
    ("first", "wrong"),
    [(None, "reopen"), ("acknowledge", "acknowledge"), ("acknowledge", "reopen"),
     ("resolve", "resolve"), ("resolve", "acknowledge")],
)  # fmt: skip
def test_steps_out_of_order_are_refused(
    client: Client, alerts: list[Any], first: str | None, wrong: str
) -> None:
    """A step the state does not allow is a conflict and leaves no trace."""
    alert_id = alerts[1]["alert_id"]
    if first:
        client.step(alert_id, first)
    before = client.get(f"/v1/alerts/{alert_id}")
    problem = client.refused("POST", f"/v1/alerts/{alert_id}/{wrong}")
    assert (problem["status"], problem["code"]) == (409, "alerts.wrong_step")
    assert client.get(f"/v1/alerts/{alert_id}") == before


def test_only_one_of_a_kind_waits(client: Client, world: World, alerts: list[Any]) -> None:
    """An old leak cannot be reopened while a newer one of the meter is unresolved."""
    old = alerts[1]["alert_id"]
    client.step(old, "resolve")
    stream = Stream().uses([30] * 50 + [0] + [30] * 50, meter_id=LEAKING)
    world.publish(stream.readings().take(slice(51, None)))
    world.work(world.consumer())
    assert len(client.get("/v1/alerts?kind=leak&state=open")["items"]) == 1
    problem = client.refused("POST", f"/v1/alerts/{old}/reopen")
    assert (problem["status"], problem["code"]) == (409, "alerts.other_unresolved")


def test_the_end_of_the_cause_resolves(client: Client, world: World, alerts: list[Any]) -> None:
    """When the water stops, an acknowledged alert is resolved by the detector, with the reason."""
    alert_id = alerts[1]["alert_id"]
    client.step(alert_id, "acknowledge")
    stream = Stream().uses([30] * 50 + [0], meter_id=LEAKING)
    world.publish(stream.readings().take(slice(51, None)))
    world.work(world.consumer())
    alert = client.get(f"/v1/alerts/{alert_id}")
    assert (alert["state"], alert["ended_at"]) == ("resolved", "2024-01-03T03:00:00Z")
    last = alert["history"][-1]
    assert (last["actor"], last["from"]) == ("detector", "acknowledged")
    assert "1,500 L had run" in last["note"]


@pytest.mark.parametrize("body", [{"note": "x" * 2_001}, {"note": 5}, {"note": "\x00"}, []])
def test_wrong_notes_are_refused(client: Client, alerts: list[Any], body: Any) -> None:
    """A note is a text of at most 2,000 characters that a database can hold."""
    path = f"/v1/alerts/{alerts[1]['alert_id']}/resolve"
    assert client.refused("POST", path, json=body)["status"] == 400
    assert client.get(f"/v1/alerts/{alerts[1]['alert_id']}")["state"] == "open"


def test_an_id_that_is_none(client: Client) -> None:
    """What is no id is a fault; an id nobody has is not found."""
    assert client.refused("GET", "/v1/alerts/17")["status"] == 400
    assert client.refused("GET", f"/v1/alerts/{NOWHERE}")["code"] == "not_found"


def test_summary(client: Client, world: World, alerts: list[Any]) -> None:
    """Unresolved alerts by kind and severity, and how far the detectors are behind."""
    assert client.get("/v1/summary") == {
        "open": 1,
        "by_kind": {"leak": 1},
        "by_severity": {"warning": 1},
        "records_behind": 0,
    }
    world.publish(Stream().uses([1], meter_id=99).readings(), partition=1)
    client.step(alerts[1]["alert_id"], "acknowledge")
    summary = client.get("/v1/summary")
    assert (summary["open"], summary["records_behind"]) == (1, 1)
