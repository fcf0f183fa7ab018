"""Meters: registered in sets, all or none; found by everything they are called."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import text

from services.devices.domain.intake import ITEMS_MAX
from services.devices.templates import load
from tests.integration.devices.world import World, codes


def _meter(serial: str, *addresses: str, **more: Any) -> dict[str, Any]:
    item = {"maker": "Aqualith", "serial": serial, "product": "aqualith-u20", **more}
    return item | ({"addresses": list(addresses)} if addresses else {})


def _rows(world: World) -> dict[str, int]:
    tables = ("meters", "identifiers", "outbox", "service_points", "installations")
    with world.engine.connect() as connection:
        return {
            table: connection.scalar(text(f"select count(*) from devices.{table}")) or 0
            for table in tables
        }


def test_a_registered_meter_is_in_stock(world: World) -> None:
    """Registration answers in the order of the request and shows the meter everywhere."""
    world.post("/v1/products", load("water"))
    body = {"meters": [_meter("b-2", "70B3D5499BA10002"), _meter("b-1")]}
    first, second = world.post("/v1/meters", body)["meters"]
    assert [first["serial"], second["serial"]] == ["b-2", "b-1"]
    assert first["state"] == "in_stock"
    detail = world.get(f"/v1/meters/{first['meter_id']}")
    assert detail["identifiers"] == ["Aqualith:b-2", "70B3D5499BA10002", "b-2"]
    assert detail["channels"] == load("water")["channels"]
    assert detail["installations"] == []
    assert detail["revision"] == 1
    assert detail["service_point"] is None


def test_all_faults_are_told_and_nothing_is_stored(world: World) -> None:
    """Faults of form, of the request and against the store stand in one answer, by position."""
    world.register("c-0")
    world.post("/v1/meters", {"meters": [_meter("c-1", "addr-1")]})
    before = _rows(world)
    body = {
        "meters": [
            _meter("c-good"),
            _meter("c-0"),
            _meter("c-2", product="none"),
            _meter("c-3", maker="Other"),
            _meter("c-4", "addr-1"),
            _meter("c-5"),
            _meter("c-5"),
            _meter("c-6", "addr-2", "addr-2"),
            _meter("c-7", "addr-3"),
            _meter("c-8", "addr-3"),
            {"maker": "A:b", "serial": " ", "colour": "red"},
            "no meter",
        ]
    }
    problem = world.refused("POST", "/v1/meters", body)
    assert problem["status"] == 400
    assert sorted(codes(problem)) == [
        ("/meters/1/serial", "meter.exists"),
        ("/meters/10/colour", "input.extra_forbidden"),
        ("/meters/10/maker", "input.value_error"),
        ("/meters/10/product", "input.missing"),
        ("/meters/10/serial", "input.value_error"),
        ("/meters/11", "input.model_type"),
        ("/meters/2/product", "meter.product_unknown"),
        ("/meters/3/maker", "meter.maker_differs"),
        ("/meters/4/addresses/0", "meter.identifier_taken"),
        ("/meters/6/serial", "meter.twice"),
        ("/meters/7/addresses/1", "meter.address_twice"),
        ("/meters/9/addresses/0", "meter.address_twice"),
    ]
    assert _rows(world) == before


def test_what_is_only_taken_is_a_conflict(world: World) -> None:
    """Faults that are all against the store make a 409, with their common code."""
    world.register("d-1", "d-2")
    problem = world.refused("POST", "/v1/meters", {"meters": [_meter("d-1"), _meter("d-2")]})
    assert (problem["status"], problem["code"]) == (409, "meter.exists")
    assert len(problem["faults"]) == 2


def test_a_bare_serial_yields_to_canonical_names_and_addresses(world: World) -> None:
    """maker:serial and addresses are always kept; a bare serial only where it is free."""
    world.post("/v1/products", load("water"))
    world.post("/v1/products", load("gas"))
    gas = {"maker": "Gasmetra", "product": "gasmetra-g4"}
    body = {
        "meters": [
            _meter("e-1"),
            _meter("e-2"),
            {"serial": "e-1", **gas},
            {"serial": "e-9", "addresses": ["e-2"], **gas},
        ]
    }
    made = world.post("/v1/meters", body)["meters"]
    found = [world.get(f"/v1/meters/{meter['meter_id']}")["identifiers"] for meter in made]
    assert found == [
        ["Aqualith:e-1", "e-1"],
        ["Aqualith:e-2"],
        ["Gasmetra:e-1"],
        ["Gasmetra:e-9", "e-2", "e-9"],
    ]
    later = world.post("/v1/meters", {"meters": [{"serial": "e-2", **gas}]})["meters"][0]
    assert world.get(f"/v1/meters/{later['meter_id']}")["identifiers"] == ["Gasmetra:e-2"]


def test_a_canonical_name_taken_as_an_address_is_refused(world: World) -> None:
    """A meter can always be named maker:serial, so that name is never somebody else's."""
    world.post("/v1/products", load("water"))
    world.post("/v1/meters", {"meters": [_meter("f-1", "Aqualith:f-2")]})
    problem = world.refused("POST", "/v1/meters", {"meters": [_meter("f-2")]})
    assert codes(problem) == [("/meters/0/serial", "meter.identifier_taken")]


def test_a_body_of_another_form_is_refused(world: World) -> None:
    """Bodies that are no list of meters, or a too long one, are refused before any item is read."""
    for body in ({}, [], {"meters": []}, {"meters": {}}, {"meters": [{}], "more": 1}, None):
        assert world.refused("POST", "/v1/meters", body)["status"] == 400
    problem = world.refused("POST", "/v1/meters", {"meters": [0] * (ITEMS_MAX + 1)})
    assert (problem["status"], problem["code"]) == (413, "too_large")


def test_the_list_is_narrowed_and_paged(world: World) -> None:
    """Filters and search compose, and pages hold every meter once in a stable order."""
    made = world.register(*(f"g-{number:03}" for number in range(25)))
    world.supply("g-point", zone="north", address="1 Well Street")
    world.install("Aqualith:g-007", "g-point")
    token, seen = "", []
    while token is not None:
        page = world.get(f"/v1/meters?q=G-&page_size=10&page_token={token}")
        seen += [item["meter_id"] for item in page["items"]]
        token = page["next_page_token"]
    assert seen == [meter["meter_id"] for meter in made]
    for query in ("q=well str", "q=g-poi", "zone=north", "q=g-0&state=active", "q=Aqualith:g-007"):
        (item,) = world.get(f"/v1/meters?{query}")["items"]
        assert (item["serial"], item["service_point"], item["zone"], item["address"]) == (
            "g-007",
            "g-point",
            "north",
            "1 Well Street",
        )
    assert world.get("/v1/meters?q=g-007&commodity=gas")["items"] == []
    assert world.get("/v1/meters?q=g_00%25")["items"] == [], "no wildcards of LIKE"


def test_a_long_list_of_meters_is_one_transaction(world: World) -> None:
    """A full request of 10,000 meters is registered at once, in order."""
    made = world.register(*(f"h-{number:05}" for number in range(ITEMS_MAX)), product="heat")
    assert [meter["serial"] for meter in made] == sorted(meter["serial"] for meter in made)
    assert len({meter["meter_id"] for meter in made}) == ITEMS_MAX
    summary = world.get("/v1/summary")
    assert summary["by_commodity"]["heat"] == ITEMS_MAX
    assert summary["by_product"]["thermion-h15"] == ITEMS_MAX
    assert sum(summary["by_state"].values()) == summary["meters"]


def test_of_many_at_once_one_registers(world: World) -> None:
    """Requests that race for the same meter end as one success and clean conflicts."""
    world.post("/v1/products", load("water"))
    body = {"meters": [_meter("race-1", "race-address"), _meter("race-2")]}
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: world.call("POST", "/v1/meters", body, "operator"), range(8))
        )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"meter.exists"}
