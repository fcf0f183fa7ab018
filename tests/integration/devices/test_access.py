"""The wall: who may do what, and what one tenant sees of another."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from services.devices.templates import load
from tests.integration.devices.world import FROM, World

NOWHERE = str(uuid.UUID(int=0))
#: Method, path, body, and the keys that may; a body is right but for what it refers to.
OPERATIONS: list[tuple[str, str, Any, set[str]]] = [
    ("POST", "/v1/products", load("gas"), {"operator", "admin"}),
    ("GET", "/v1/products", None, {"reader", "operator", "admin"}),
    ("GET", "/v1/products/none", None, {"reader", "operator", "admin"}),
    ("POST", "/v1/meters", {"meters": [{}]}, {"operator", "admin"}),
    ("GET", "/v1/meters", None, {"reader", "operator", "admin"}),
    ("GET", "/v1/meters/999999", None, {"reader", "operator", "admin"}),
    ("POST", "/v1/service-points", {"service_points": [{}]}, {"operator", "admin"}),
    ("GET", "/v1/service-points", None, {"reader", "operator", "admin"}),
    ("POST", "/v1/installations", {"installations": [{}]}, {"operator", "admin"}),
    ("POST", f"/v1/installations/{NOWHERE}/remove", {"at": FROM}, {"operator", "admin"}),
    ("GET", "/v1/summary", None, {"reader", "operator", "admin"}),
    ("GET", "/v1/whoami", None, {"gateway", "reader", "operator", "admin", "platform"}),
    ("POST", "/v1/api-keys", {}, {"admin"}),
    ("GET", "/v1/api-keys", None, {"admin"}),
    ("DELETE", f"/v1/api-keys/{NOWHERE}", None, {"admin"}),
    ("POST", "/v1/organisations", {}, {"platform"}),
    ("GET", "/v1/organisations", None, {"platform"}),
]
CASES = [pytest.param(*row, id=f"{row[0]} {row[1][:24]}") for row in OPERATIONS]


def test_every_operation_is_in_the_matrix(world: World) -> None:
    """No route can be added without saying here who may use it."""
    paths = world.http.get("/openapi.json").json()["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    shaped = {
        (method, path.replace(NOWHERE, "{}").replace("999999", "{}").replace("none", "{}"))
        for method, path, _, _ in OPERATIONS
    }
    blank = {
        (method, "/".join("{}" if part.startswith("{") else part for part in path.split("/")))
        for method, path in routes
    }
    assert blank == shaped


@pytest.mark.parametrize(("method", "path", "body", "allowed"), CASES)
@pytest.mark.parametrize("key", [None, "mf_nobody-has-this-key"])
def test_a_stranger_is_refused(
    world: World, method: str, path: str, body: Any, allowed: set[str], key: str | None
) -> None:
    """Without a key, or with one that nobody has, nothing is answered."""
    problem = world.refused(method, path, body, key)
    assert (problem["status"], problem["code"]) == (401, "auth.unauthenticated")


@pytest.mark.parametrize(("method", "path", "body", "allowed"), CASES)
@pytest.mark.parametrize("key", ["gateway", "reader", "operator", "admin", "platform"])
def test_a_role_does_what_it_may_and_no_more(
    world: World, method: str, path: str, body: Any, allowed: set[str], key: str
) -> None:
    """Each role passes the door exactly where the matrix says so."""
    status = world.call(method, path, body, key).status_code
    assert (status != 403) == (key in allowed)


def test_another_tenant_sees_nothing(world: World) -> None:
    """Rows of one tenant appear in none of another's lists, counts and look-ups."""
    (meter,) = world.register("wall-1")
    world.supply("wall-point", zone="wall-zone")
    installation = world.install("Aqualith:wall-1", "wall-point")
    key_id = world.get("/v1/whoami")["key_id"]
    for path in ("products", "meters", "service-points", "meters?q=wall", "meters?zone=wall-zone"):
        assert world.get(f"/v1/{path}", "other")["items"] == []
        assert world.get(f"/v1/{path}")["items"]
    summary = world.get("/v1/summary", "other")
    assert (summary["meters"], summary["service_points"], summary["by_product"]) == (0, 0, {})
    keys = {item["key_id"] for item in world.get("/v1/api-keys", "other")["items"]}
    assert key_id not in keys
    for method, path, body in [
        ("GET", f"/v1/meters/{meter['meter_id']}", None),
        ("GET", "/v1/products/aqualith-u20", None),
        ("POST", f"/v1/installations/{installation['installation_id']}/remove", {"at": FROM}),
        ("DELETE", f"/v1/api-keys/{key_id}", None),
    ]:
        assert world.refused(method, path, body, "other")["status"] == 404
    assert world.get("/v1/whoami")["key_id"] == key_id


def test_another_tenants_names_are_unknown(world: World) -> None:
    """What a request names is looked for within the caller's tenant only."""
    world.register("wall-2")
    world.supply("wall-point-2")
    meter = {"maker": "Aqualith", "serial": "x", "product": "aqualith-u20"}
    problem = world.refused("POST", "/v1/meters", {"meters": [meter]}, "other")
    assert problem["code"] == "meter.product_unknown"
    item = {"meter": "Aqualith:wall-2", "service_point": "wall-point-2", "from": FROM}
    problem = world.refused("POST", "/v1/installations", {"installations": [item]}, "other")
    assert [fault["code"] for fault in problem["faults"]] == [
        "installation.meter_unknown",
        "installation.service_point_unknown",
    ]


def test_tenants_may_use_the_same_names(world: World) -> None:
    """Two tenants may register the same device, product and key names without meeting."""
    (own,) = world.register("wall-3")
    (others,) = world.register("wall-3", key="other")
    assert own["meter_id"] != others["meter_id"]
    assert world.get("/v1/meters?q=wall-3", "other")["items"][0]["meter_id"] == others["meter_id"]


@pytest.mark.parametrize(
    "path",
    [
        "meters?q=%00",
        "meters?zone=%00",
        "meters?q=",
        "meters?state=lost",
        "meters?commodity=oil",
        "meters?page_size=0",
        "meters?page_size=1001",
        "meters?page_token=xx",
        "meters?page_token=Wy0xXQ",
        "meters?page_token=WzkyMjMzNzIwMzY4NTQ3NzU4MDhd",
        "products?page_token=WyJcdTAwMDAiXQ",
        "products/%00",
        "service-points?page_token=WyJhIl0",
        "meters/0",
        "meters/9223372036854775808",
        "meters/x",
    ],
)
def test_a_wrong_query_is_one_problem(world: World, path: str) -> None:
    """Whatever stands in an address, the answer is a problem with its faults, never a 500."""
    problem = world.refused("GET", f"/v1/{path}", None, "reader")
    assert problem["status"] == 400
    assert problem["faults"]
