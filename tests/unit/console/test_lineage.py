"""The proof of a bill line, taken apart."""

from __future__ import annotations

import pytest

from services.console import lineage


def test_billing_shape_is_told_in_order() -> None:
    """Tariff, determinant, registers, steps and payloads of what billing writes."""
    proof = lineage.read(
        {
            "engine": "1",
            "tariff": {"version": "2026-01", "line": "blocks", "code": "water"},
            "determinant": {"obis": "8-0:1.0.0", "quantity": "14.210", "unit": "m3"},
            "registers": [
                {"meter": "a:1", "meter_id": 7, "value": "1.0", "flags": ["V07_GAP"],
                 "payload_digest": "aa", "log_position": "t/0/1"},
                {"meter": "a:1", "meter_id": 7, "value": "15.2",
                 "payload_digest": "aa", "log_position": "t/0/1"},
            ],
            "events": [{"at": "2026-05-30T11:00:00Z", "kind": "rollover", "to_value": "0.1"}],
            "quality": {"failed": 2, "known_ppm": 999_900},
        }
    )  # fmt: skip
    assert proof.tariff == (("code", "water"), ("version", "2026-01"), ("line", "blocks"))
    assert proof.determinant == (
        ("channel", "8-0:1.0.0"),
        ("quantity", "14.210\N{NO-BREAK SPACE}m³"),
        ("covered by good readings", "99.99 %"),
        ("failed readings", "2"),
    )
    assert [(r.meter_id, r.value, r.unit, r.rules) for r in proof.registers] == [
        ("7", "1.0", "m3", ("V07_GAP",)),
        ("7", "15.2", "m3", ()),
    ]
    assert [s.kind for s in proof.steps] == ["rollover"]
    assert proof.payloads == (lineage.Payload("aa", "t/0/1"),)
    assert proof.others == (("rating engine", "1"),)


def test_unknown_facts_are_shown_all_the_same() -> None:
    """What nobody has a place for is not hidden, however deep it lies."""
    proof = lineage.read({"weather": {"station": "X", "days": {"cold": 3}}, "note": "by hand"})
    assert proof.others == (("station", "X"), ("days, cold", "3"), ("note", "by hand"))


@pytest.mark.parametrize("document", [None, {}, [], "text", {"registers": "none"}])
def test_lines_without_a_meter_have_an_empty_proof(document: object) -> None:
    """A standing charge needs no reading; nonsense is no failure."""
    assert lineage.read(document).registers == ()


def test_rows_are_bounded() -> None:
    """A line with endless evidence costs no more than the bound."""
    rows = [{"value": str(i), "payload_digest": str(i)} for i in range(2 * lineage.ROWS_MAX)]
    proof = lineage.read({"registers": rows})
    assert len(proof.registers) == len(proof.payloads) == lineage.ROWS_MAX
