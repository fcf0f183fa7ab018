"""Products: written once, told apart by content, refused with all their faults."""

from __future__ import annotations

from services.devices.templates import load, names
from tests.integration.devices.world import World, codes


def test_the_same_content_again_is_no_change(world: World) -> None:
    """A second post of the same file is 200, whatever the order of its fields."""
    document = load("water")
    assert world.call("POST", "/v1/products", document).status_code == 201
    again = dict(reversed(document.items()))
    assert world.call("POST", "/v1/products", again).status_code == 200
    assert world.get("/v1/products/aqualith-u20") == document


def test_another_content_is_refused(world: World) -> None:
    """A product never changes under the meters that are of it."""
    world.post("/v1/products", load("gas"))
    problem = world.refused("POST", "/v1/products", load("gas") | {"name": "Other"})
    assert (problem["status"], problem["code"]) == (409, "product.differs")
    assert world.get("/v1/products/gasmetra-g4")["name"] == load("gas")["name"]


def test_all_faults_of_a_file_are_told(world: World) -> None:
    """Faults of the model and of the door stand in one answer, with their positions."""
    document = load("heat")
    document["code"] = "no/slash"
    document["maker"] = "with:colon"
    document["channels"][1]["unit"] = "pint"
    problem = world.refused("POST", "/v1/products", document)
    assert problem["code"] == "product.invalid"
    assert codes(problem) == [
        ("/channels/1/unit", "product.choice"),
        ("/code", "product.code"),
        ("/maker", "product.maker"),
    ]


def test_what_is_no_product_is_refused(world: World) -> None:
    """A list, a text with NUL, a deep or a huge document: each is one clear problem."""
    water = load("water")
    deep: object = 0
    for _ in range(40):
        deep = [deep]
    cases = [
        ([], 400),
        (water | {"note": "\0"}, 400),
        (water | {"note": "\ud800"}, 400),
        (water | {"note": deep}, 400),
        (water | {"note": "x" * 70_000}, 413),
    ]
    for body, status in cases:
        assert world.refused("POST", "/v1/products", body)["status"] == status


def test_products_come_in_pages(world: World) -> None:
    """Pages follow the code and end without a token."""
    for name in names():
        world.post("/v1/products", load(name))
    first = world.get("/v1/products?page_size=3")
    rest = world.get(f"/v1/products?page_size=3&page_token={first['next_page_token']}")
    found = [item["code"] for item in first["items"] + rest["items"]]
    assert found == ["aqualith-u20", "gasmetra-g4", "thermion-h15", "voltaris-e3"]
    assert rest["next_page_token"] is None
    assert world.refused("GET", "/v1/products/none", None)["code"] == "product.not_found"
