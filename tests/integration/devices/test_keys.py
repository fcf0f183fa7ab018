"""Keys and organisations: who one is, how keys come and go."""

from __future__ import annotations

from services.devices.bootstrap import bootstrap_tenant
from services.devices.keys import key_lookup
from services.kit.auth import Role, key_digest
from services.kit.db import Database
from services.kit.ids import IdSource
from tests.integration.devices.world import World, codes


def test_whoami_tells_tenant_and_role(world: World) -> None:
    """Each key is recognised as what it is, the platform's operator as tenant 0."""
    for role in ("gateway", "reader", "operator", "admin"):
        answer = world.get("/v1/whoami", role)
        assert answer["tenant"] == "city"
        assert answer["tenant_id"] == world.tenants["city"]
        assert answer["role"] == role
    assert world.get("/v1/whoami", "other")["tenant"] == "village"
    answer = world.get("/v1/whoami", "platform")
    assert answer == {
        "tenant_id": 0,
        "tenant": "platform",
        "role": "platform",
        "key_id": "platform",
    }


def test_a_key_is_shown_once_and_stored_hashed(world: World) -> None:
    """Neither lists nor tables hold a key, only its SHA-256."""
    made = world.post("/v1/api-keys", {"name": "a job", "role": "reader"}, "admin")
    listed = world.get("/v1/api-keys", "admin")["items"]
    shown = next(item for item in listed if item["key_id"] == made["key_id"])
    assert shown == {name: value for name, value in made.items() if name != "key"}
    with world.engine.connect() as connection:
        rows = connection.exec_driver_sql("select digest, k::text from devices.api_keys k").all()
    assert key_digest(made["key"]) in {bytes(row[0]) for row in rows}
    assert made["key"] not in str(rows)


def test_a_revoked_key_is_nobodys(world: World) -> None:
    """After its revocation a key is unknown, and revoking it again changes nothing."""
    made = world.post("/v1/api-keys", {"name": "short", "role": "operator"}, "admin")
    path = f"/v1/api-keys/{made['key_id']}"
    lookup = key_lookup(Database(world.engine), "")
    assert lookup(key_digest(made["key"])) is not None
    assert world.call("DELETE", path).status_code == 204
    assert lookup(key_digest(made["key"])) is None
    assert world.refused("GET", "/v1/whoami", None, made["key"])["status"] == 401
    revoked = [i["revoked_at"] for i in world.get("/v1/api-keys", "admin")["items"]]
    assert world.call("DELETE", path).status_code == 204
    assert [i["revoked_at"] for i in world.get("/v1/api-keys", "admin")["items"]] == revoked


def test_a_key_cannot_revoke_itself(world: World) -> None:
    """The last admin key cannot lock its organisation out."""
    own = world.get("/v1/whoami", "admin")["key_id"]
    problem = world.refused("DELETE", f"/v1/api-keys/{own}", None, "admin")
    assert (problem["status"], problem["code"]) == (409, "api_key.own")


def test_no_key_outranks_its_organisation(world: World) -> None:
    """An admin can make no key of the platform or of a service."""
    for role in ("platform", "service", "king"):
        problem = world.refused("POST", "/v1/api-keys", {"name": "x", "role": role}, "admin")
        assert codes(problem) == [("/role", "input.literal_error")]


def test_keys_come_in_pages(world: World) -> None:
    """Every key is on exactly one page."""
    token, seen = "", []
    while token is not None:
        page = world.get(f"/v1/api-keys?page_size=2&page_token={token}", "admin")
        seen += [item["key_id"] for item in page["items"]]
        token = page["next_page_token"]
    everything = world.get("/v1/api-keys", "admin")["items"]
    assert seen == [item["key_id"] for item in everything]
    problem = world.refused("GET", "/v1/api-keys?page_token=WyJhIl0", None, "admin")
    assert codes(problem) == [("page_token", "page_token.invalid")]


def test_the_platform_makes_organisations(world: World) -> None:
    """A new organisation has one admin key; its name is a slug that nobody else has."""
    body = {"name": "maker-1", "kind": "maker"}
    made = world.post("/v1/organisations", body, "platform")
    assert world.get("/v1/whoami", made["admin_key"])["tenant"] == "maker-1"
    assert world.refused("POST", "/v1/organisations", body, "platform")["code"] == (
        "organisation.exists"
    )
    listed = world.get("/v1/organisations", "platform")["items"]
    assert [item["name"] for item in listed][:3] == ["city", "village", "maker-1"]
    wrong = {"name": "Not a slug", "kind": "bank"}
    problem = world.refused("POST", "/v1/organisations", wrong, "platform")
    assert codes(problem) == [
        ("/name", "input.string_pattern_mismatch"),
        ("/kind", "input.literal_error"),
    ]


def test_bootstrap_makes_a_tenant_once(world: World) -> None:
    """The first start gets an admin key, the next ones find the tenant there."""
    database = Database(world.engine)
    key = bootstrap_tenant(database, IdSource(), "first", "utility")
    assert key is not None
    assert world.get("/v1/whoami", key)["role"] == Role.ADMIN
    assert bootstrap_tenant(database, IdSource(), "first", "utility") is None


def test_a_service_without_tenant_is_told_so(world: World) -> None:
    """An internal call for a tenant that does not exist is a 404, not a broken constraint."""
    headers = {"authorization": "Bearer internal-token-of-the-tests"}
    headers["x-meterfleet-tenant"] = "999"
    body = {"service_points": [{"name": "x", "commodity": "gas", "time_zone": "UTC"}]}
    answer = world.http.post("/v1/service-points", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "organisation.not_found")
