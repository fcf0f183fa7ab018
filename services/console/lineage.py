"""How we know a bill line: its lineage taken apart into the steps a person can follow.

    line → tariff version → determinant → registers → steps of the register → payloads

Billing stores the lineage as one JSON object. Names this module knows get a place of their own;
whatever else is there is shown as it stands, so that nothing of the evidence is hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from services.console import format as fmt
from services.console.words import humanise

#: Registers, steps and payloads shown of one line; a month of corrections stays far below.
ROWS_MAX = 500
#: Nested objects are shown this deep, then as they are.
DEPTH_MAX = 3


@dataclass(frozen=True, slots=True)
class Register:
    """A reading that decided a boundary of the determinant.

    Attributes:
        meter: The device, `maker:serial`.
        meter_id: Its id, for a link; empty if not told.
        at: Instant, RFC 3339 or milliseconds.
        value: The register, decimal text.
        unit: Its unit.
        rules: Rules that spoke of it.
        digest: SHA-256 of the payload that brought it.
        position: Where that stood on the log: topic/partition/offset.
    """

    meter: str
    meter_id: str
    at: Any
    value: Any
    unit: str
    rules: tuple[str, ...]
    digest: str
    position: str


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the register between them that is no use."""

    at: Any
    kind: str
    from_value: Any
    to_value: Any
    unit: str


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes a meter sent, as the log keeps them."""

    digest: str
    position: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """A line's evidence in the order in which it is told.

    Attributes:
        tariff: Facts of the tariff version: name and text.
        determinant: Facts of the quantity that was multiplied, quantities with their unit.
        registers: Readings at the boundaries, oldest first as billing gives them.
        steps: Changes of the register between them.
        payloads: What the meter sent, each once.
        others: Facts nobody has a place for.
    """

    tariff: tuple[tuple[str, str], ...] = ()
    determinant: tuple[tuple[str, str], ...] = ()
    registers: tuple[Register, ...] = ()
    steps: tuple[Step, ...] = ()
    payloads: tuple[Payload, ...] = ()
    others: tuple[tuple[str, str], ...] = field(default=())


_TARIFF = ("tariff", "of")
_DETERMINANT = ("determinant", "quality")
#: The order in which facts are told; a JSON database keeps none.
_ORDER = (
    "code", "version", "line", "digest", "name", "obis", "from", "to", "register_from",
    "register_to", "quantity", "known_ppm", "usable", "failed",
)  # fmt: skip
#: Facts of the determinant that are measured in its unit.
_MEASURED = ("quantity", "register_from", "register_to")
_NAMES = {
    "of": "charged on lines",
    "usable": "good readings",
    "failed": "failed readings",
    "known_ppm": "covered by good readings",
    "obis": "channel",
    "register_from": "register at the beginning",
    "register_to": "register at the end",
    "engine": "rating engine",
}
_REGISTERS = ("registers", "evidence", "readings")
_STEPS = ("events", "steps", "register_events")
_PAYLOADS = ("payloads", "payload_digests", "payload_digest", "digests")


def read(document: Any) -> Lineage:
    """The steps of a lineage; an empty one for a line that needs no meter."""
    if not isinstance(document, Mapping):
        return Lineage()
    inner = document.get("determinant")
    # Registers may stand in the determinant they decide, or beside it.
    places = [document, inner] if isinstance(inner, Mapping) else [document]
    unit = next((str(p["unit"]) for p in reversed(places) if p.get("unit")), "")
    registers = tuple(_register(r, unit) for r in _rows(places, _REGISTERS))
    known = {*_TARIFF, *_DETERMINANT, *_REGISTERS, *_STEPS, *_PAYLOADS, "unit"}
    return Lineage(
        tariff=_facts(document, _TARIFF, unit),
        determinant=_facts(document, _DETERMINANT, unit),
        registers=registers,
        steps=tuple(_step(s, unit) for s in _rows(places, _STEPS)),
        payloads=_payloads(registers, places),
        others=_facts(document, [str(name) for name in document if name not in known], unit),
    )


def _rows(places: list[Mapping[str, Any]], names: Iterable[str]) -> list[Mapping[str, Any]]:
    names = tuple(names)
    found = [row for p in places for n in names for row in _listed(p.get(n))]
    return [row for row in found if isinstance(row, Mapping)][:ROWS_MAX]


def _listed(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        # {"from": {...}, "to": {...}}: the two ends of a period.
        return [v for v in value.values() if isinstance(v, Mapping)]
    return list(value) if isinstance(value, list) else []


def _register(row: Mapping[str, Any], unit: str) -> Register:
    rules = row.get("flags", row.get("rules")) or ()
    return Register(
        meter=str(row.get("meter", "")),
        meter_id=str(row.get("meter_id", "")),
        at=row.get("at", row.get("at_ms")),
        value=row.get("value", row.get("register")),
        unit=str(row.get("unit", unit)),
        rules=tuple(map(str, rules)) if isinstance(rules, list) else (),
        digest=str(row.get("payload_digest", row.get("digest", ""))),
        position=str(row.get("log_position", row.get("position", ""))),
    )


def _step(row: Mapping[str, Any], unit: str) -> Step:
    return Step(
        at=row.get("at", row.get("at_ms")),
        kind=str(row.get("kind", "")),
        from_value=row.get("from_value"),
        to_value=row.get("to_value"),
        unit=str(row.get("unit", unit)),
    )


def _payloads(
    registers: tuple[Register, ...], places: list[Mapping[str, Any]]
) -> tuple[Payload, ...]:
    found = {Payload(r.digest, r.position): None for r in registers if r.digest or r.position}
    for row in (row for p in places for n in _PAYLOADS for row in _as_list(p.get(n))):
        if isinstance(row, Mapping):
            digest = str(row.get("payload_digest", row.get("digest", "")))
            position = str(row.get("log_position", row.get("position", "")))
            found[Payload(digest, position)] = None
        elif row and not any(payload.digest == str(row) for payload in found):
            found[Payload(str(row), "")] = None
    return tuple(found)[:ROWS_MAX]


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _facts(
    document: Mapping[str, Any], names: Iterable[str], unit: str
) -> tuple[tuple[str, str], ...]:
    """Facts under some names of a document; what a mapping holds stands for itself."""
    facts: list[tuple[str, str]] = []
    for name in names:
        value = document.get(name)
        inner = value.items() if isinstance(value, Mapping) else [(name, value)]
        for key, content in sorted(inner, key=lambda item: _rank(str(item[0]))):
            if key not in (*_REGISTERS, *_STEPS, *_PAYLOADS, "unit"):
                _flatten(str(key), _NAMES.get(str(key), humanise(str(key))), content, unit, facts)
    return tuple(facts)


def _rank(key: str) -> int:
    return _ORDER.index(key) if key in _ORDER else len(_ORDER)


def _flatten(
    key: str, name: str, value: Any, unit: str, facts: list[tuple[str, str]], depth: int = 0
) -> None:
    if value in (None, "", [], {}):
        return
    if isinstance(value, Mapping) and depth < DEPTH_MAX:
        for inner, content in value.items():
            text = f"{name}, {humanise(str(inner))}"
            _flatten(str(inner), text, content, unit, facts, depth + 1)
    elif isinstance(value, list):
        facts.append((name, ", ".join(map(str, value[:ROWS_MAX]))))
    elif key.endswith("_ppm") and isinstance(value, int):
        facts.append((name, f"{Decimal(value).scaleb(-4).normalize():f} %"))
    else:
        facts.append((name, fmt.quantity(value, unit) if key in _MEASURED else str(value)))
