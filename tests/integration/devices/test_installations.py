"""Service points and installations: which meter stood where, and never two at once."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from tests.integration.devices.world import FROM, World, codes


def _refused(world: World, *items: dict[str, Any]) -> Any:
    return world.refused("POST", "/v1/installations", {"installations": list(items)})


def _item(meter: str, point: str, begin: str = FROM, **more: Any) -> dict[str, Any]:
    return {"meter": f"Aqualith:{meter}", "service_point": point, "from": begin, **more}


def _state(world: World, meter: dict[str, Any]) -> tuple[str, int]:
    detail = world.get(f"/v1/meters/{meter['meter_id']}")
    return detail["state"], detail["revision"]


def test_service_points_are_entered_once(world: World) -> None:
    """Names are unique within a tenant; all faults are told and nothing is stored."""
    world.supply("a-1", zone="south")
    good = {"commodity": "water", "time_zone": "Europe/Madrid"}
    before = world.get("/v1/summary")["service_points"]
    body = {
        "service_points": [
            {"name": "a-1", **good},
            {"name": "a-2", **good},
            {"name": "a-2", **good},
            {"name": "a-3", "commodity": "oil", "time_zone": "Mars/Olympus"},
        ]
    }
    problem = world.refused("POST", "/v1/service-points", body)
    assert sorted(codes(problem)) == [
        ("/service_points/0/name", "service_point.exists"),
        ("/service_points/2/name", "service_point.twice"),
        ("/service_points/3/commodity", "input.literal_error"),
        ("/service_points/3/time_zone", "input.value_error"),
    ]
    assert world.get("/v1/summary")["service_points"] == before


def test_service_points_come_in_pages(world: World) -> None:
    """Every service point is on exactly one page, in the order of entry."""
    made = world.supply(*(f"page-{number}" for number in range(7)))
    token, seen = "", []
    while token is not None:
        page = world.get(f"/v1/service-points?page_size=3&page_token={token}")
        seen += page["items"]
        token = page["next_page_token"]
    assert [point for point in seen if point["name"].startswith("page-")] == made
    assert len({point["service_point_id"] for point in seen}) == len(seen)


def test_an_installed_meter_is_active_until_it_is_removed(world: World) -> None:
    """Installation and removal move the meter's state and keep the registers' exact digits."""
    (meter,) = world.register("b-1")
    (point,) = world.supply("b-1", zone="east")
    made = world.install("Aqualith:b-1", "b-1", multiplier="1.50", first_register="12.340")
    assert made | {"installation_id": ""} == {
        "installation_id": "",
        "meter_id": meter["meter_id"],
        "meter": "Aqualith:b-1",
        "service_point_id": point["service_point_id"],
        "service_point": "b-1",
        "time_zone": "Europe/Madrid",
        "zone": "east",
        "from": FROM,
        "to": None,
        "multiplier": "1.50",
        "first_register": "12.340",
        "last_register": None,
    }
    assert _state(world, meter) == ("active", 2)
    path = f"/v1/installations/{made['installation_id']}/remove"
    end = {"at": "2026-02-01T00:00:00+01:00", "last_register": "99.5"}
    ended = world.post(path, end)
    assert (ended["to"], ended["last_register"]) == ("2026-01-31T23:00:00Z", "99.5")
    assert _state(world, meter) == ("removed", 3)
    assert world.post(path, end) == ended, "the same again changes nothing"
    assert _state(world, meter) == ("removed", 3)
    problem = world.refused("POST", path, {"at": "2026-03-01T00:00:00Z"})
    assert (problem["status"], problem["code"]) == (409, "installation.ended")
    world.install("Aqualith:b-1", "b-1", **{"from": ended["to"]})
    assert _state(world, meter) == ("active", 4), "it may be installed again at that very instant"


def test_a_removal_is_checked(world: World) -> None:
    """An end before the beginning, in the far future or of nothing is refused."""
    world.register("c-1")
    world.supply("c-1")
    made = world.install("Aqualith:c-1", "c-1")
    path = f"/v1/installations/{made['installation_id']}/remove"
    for body, code in [
        ({"at": FROM}, "installation.span"),
        ({"at": "2199-01-01T00:00:00Z"}, "installation.ahead"),
        ({"at": "yesterday"}, "input.value_error"),
        ({"at": "2026-02-01T00:00:00Z", "last_register": 1.5}, "input.value_error"),
    ]:
        problem = world.refused("POST", path, body)
        assert [fault["code"] for fault in problem["faults"]] == [code]
    nothing = f"/v1/installations/{uuid.UUID(int=1)}/remove"
    assert world.refused("POST", nothing, {"at": FROM})["code"] == "installation.not_found"


def test_all_faults_of_installations_are_told(world: World) -> None:
    """Every wrong field of every item has its position, and nothing is stored."""
    (meter,) = world.register("d-1")
    world.supply("d-1")
    world.supply("d-gas", commodity="gas")
    end = {"to": "2025-01-01T00:00:00Z"}
    problem = _refused(
        world,
        _item("d-1", "d-1"),
        _item("none", "nowhere"),
        _item("d-1", "d-gas", "2020-01-01T00:00:00Z", **end),
        _item("d-1", "d-1", "2199-01-01T00:00:00Z"),
        _item("d-1", "d-1", **end),
        _item("d-1", "d-1", "2026-01-01", multiplier="0", first_register="-1"),
        _item("d-1", "d-1", "2026-01-01T00:00:00Z", last_register="1"),
        _item("d-1", "d-1", multiplier=0.5),
    )
    assert sorted(set(codes(problem))) == [
        ("/installations/1/meter", "installation.meter_unknown"),
        ("/installations/1/service_point", "installation.service_point_unknown"),
        ("/installations/2/meter", "installation.commodity_differs"),
        ("/installations/3/from", "installation.ahead"),
        ("/installations/3/meter", "installation.overlap"),
        ("/installations/3/service_point", "installation.overlap"),
        ("/installations/4", "input.value_error"),
        ("/installations/5/first_register", "input.greater_than_equal"),
        ("/installations/5/from", "input.value_error"),
        ("/installations/5/multiplier", "input.greater_than"),
        ("/installations/6", "input.value_error"),
        ("/installations/7/multiplier", "input.value_error"),
    ]
    assert _state(world, meter) == ("in_stock", 1)


def test_overlaps_are_refused(world: World) -> None:
    """A meter stands at one place at a time, a service point has one meter at a time."""
    world.register("e-1", "e-2")
    world.supply("e-1", "e-2")
    world.install("Aqualith:e-1", "e-1", to="2026-03-01T00:00:00Z")
    problem = _refused(world, _item("e-1", "e-2", "2026-02-01T00:00:00Z"))
    assert problem["status"] == 409
    assert codes(problem) == [("/installations/0/meter", "installation.overlap")]
    problem = _refused(world, _item("e-2", "e-1", "2025-12-01T00:00:00Z"))
    assert codes(problem) == [("/installations/0/service_point", "installation.overlap")]
    exchange = [_item("e-2", "e-1", "2026-03-01T00:00:00Z"), _item("e-1", "e-2")]
    problem = _refused(world, *exchange)
    assert codes(problem) == [("/installations/1/meter", "installation.overlap")]
    exchange[1]["from"] = "2026-03-01T00:00:00Z"
    assert len(world.post("/v1/installations", {"installations": exchange})["installations"]) == 2


def test_history_may_be_entered_late_and_in_any_order(world: World) -> None:
    """Ended installations of a standing meter are history: its state stays as it is."""
    (meter,) = world.register("f-1")
    world.supply("f-1", "f-2", "f-3")
    items = [
        _item("f-1", "f-3"),
        _item("f-1", "f-1", "2020-01-01T00:00:00Z", to="2021-01-01T00:00:00Z"),
        _item("f-1", "f-2", "2021-01-01T00:00:00Z", to=FROM, last_register="5"),
    ]
    world.post("/v1/installations", {"installations": items})
    assert _state(world, meter) == ("active", 2)
    detail = world.get(f"/v1/meters/{meter['meter_id']}")
    assert [each["service_point"] for each in detail["installations"]] == ["f-1", "f-2", "f-3"]
    assert detail["service_point"] == "f-3"


def test_a_scrapped_meter_cannot_be_installed(world: World) -> None:
    """An illegal step of the life cycle is refused with its own code."""
    (meter,) = world.register("g-1")
    world.supply("g-1")
    with world.engine.begin() as connection:
        statement = "update devices.meters set state = 'scrapped' where meter_id = %s"
        connection.exec_driver_sql(statement, (meter["meter_id"],))
    problem = _refused(world, _item("g-1", "g-1"))
    assert (problem["status"], problem["code"]) == (409, "meter.illegal_step")
    assert codes(problem) == [("/installations/0/meter", "meter.illegal_step")]


def test_the_database_itself_refuses_overlaps_and_foreign_rows(world: World) -> None:
    """Should a check ever be outrun, the constraints of the schema hold the same rules."""
    meter, free = world.register("h-1", "h-2")
    points = world.supply("h-1", "h-2")
    world.install("Aqualith:h-1", "h-1")
    insert = (
        "insert into devices.installations (installation_id, tenant_id, meter_id, "
        "service_point_id, from_at, multiplier) values (gen_random_uuid(), %s, %s, %s, now(), 1)"
    )
    url = world.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    second = points[1]["service_point_id"]
    with psycopg.connect(url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.ExclusionViolation):
            connection.execute(insert, (world.tenants["city"], meter["meter_id"], second))
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute(insert, (world.tenants["village"], free["meter_id"], second))
