"""Reading a request's list: well-formed items and all faults."""

from __future__ import annotations

import pytest

from services.devices.domain.intake import FAULTS_MAX, ITEMS_MAX, Item, Label, read, read_item
from services.kit.errors import ConflictError, InvalidInputError, TooLargeError


class _Pet(Item):
    name: Label
    legs: int = 4


def test_good_items_are_kept_beside_the_faults_of_others() -> None:
    """One wrong item hides neither the good ones nor the faults of the next."""
    intake = read(
        {"pets": [{"name": "cat"}, {"name": ""}, {"legs": "x", "wings": 2}]}, "pets", _Pet
    )
    assert {index: pet.name for index, pet in intake.items.items()} == {0: "cat"}
    assert [(fault.where, fault.code) for fault in intake.faults] == [
        ("/pets/1/name", "input.string_too_short"),
        ("/pets/2/name", "input.missing"),
        ("/pets/2/legs", "input.int_parsing"),
        ("/pets/2/wings", "input.extra_forbidden"),
    ]
    with pytest.raises(InvalidInputError, match="4 faults"):
        intake.refuse_faults()


@pytest.mark.parametrize("name", ["a\0b", "a\nb", " a", "a ", "\ud800", "\u202e", "x" * 65, ""])
def test_labels_are_printable(name: str) -> None:
    """What PostgreSQL cannot store or a person cannot see is no label."""
    with pytest.raises(InvalidInputError):
        read_item({"name": name}, _Pet)


@pytest.mark.parametrize("body", [None, [], 1, "x", {}, {"pets": []}, {"pets": 1}, {"cats": [{}]}])
def test_a_body_of_another_form_is_refused(body: object) -> None:
    """Without a list there is one fault, at the list."""
    with pytest.raises(InvalidInputError) as caught:
        read(body, "pets", _Pet)
    assert [fault.where for fault in caught.value.faults] == ["/pets"]


def test_bounds_hold() -> None:
    """A list has at most ITEMS_MAX items, an answer at most FAULTS_MAX faults."""
    with pytest.raises(TooLargeError):
        read({"pets": [{}] * (ITEMS_MAX + 1)}, "pets", _Pet)
    intake = read({"pets": [{}] * ITEMS_MAX}, "pets", _Pet)
    with pytest.raises(InvalidInputError, match=f"{ITEMS_MAX} faults") as caught:
        intake.refuse_faults()
    assert len(caught.value.faults) == FAULTS_MAX


def test_doubles_name_the_first() -> None:
    """Of equal keys all but the first are faults."""
    intake = read({"pets": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}, "pets", _Pet)
    names = {index: pet.name for index, pet in intake.items.items()}
    intake.note_doubles(names, "name", "pet.twice")
    assert [(f.where, f.detail) for f in intake.faults] == [
        ("/pets/2/name", "stands already at /pets/0")
    ]


def test_faults_against_the_store_are_conflicts() -> None:
    """Only when every fault contradicts the store is the answer a conflict."""
    intake = read({"pets": [{"name": "a"}]}, "pets", _Pet)
    intake.refuse_faults()
    intake.fault(0, "name", "meter.exists", "it is there")
    with pytest.raises(ConflictError) as conflict:
        intake.refuse_faults()
    assert conflict.value.code == "meter.exists"
    intake.fault(0, "name", "pet.twice", "twice")
    with pytest.raises(InvalidInputError) as invalid:
        intake.refuse_faults()
    assert invalid.value.code == "input.invalid"
