"""An alert's evidence as rows and facts a person can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from services.console import format as fmt
from services.console.words import humanise

#: Rows and facts shown; a detector leaves a handful.
ROWS_MAX = 500


@dataclass(frozen=True, slots=True)
class Row:
    """A reading the detector used.

    Attributes:
        at: Its instant, RFC 3339.
        value: Register or value, decimal text.
        unit: Its unit.
        rules: Rules that spoke of it.
    """

    at: Any
    value: Any
    unit: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a detector left with an alert.

    Attributes:
        rows: Readings it used, oldest first.
        facts: Rule, threshold and values: name and text.
    """

    rows: tuple[Row, ...]
    facts: tuple[tuple[str, str | Markup], ...]


def read(document: Any, zone: str) -> Evidence:
    """The evidence of an alert; empty if there is none.

    Args:
        document: Evidence as the alerts service gives it.
        zone: Time zone of instants.
    """
    if not isinstance(document, Mapping):
        return Evidence((), ())
    unit = str(document.get("unit") or "")
    listed = document.get("readings")
    rows = [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []
    facts: list[tuple[str, str | Markup]] = []
    for name, value in document.items():
        if name == "unit" or (name == "readings" and isinstance(listed, list)):
            continue
        inner = value if name == "values" and isinstance(value, Mapping) else {name: value}
        for key, content in inner.items():
            facts += _fact(str(key), content, unit, zone)
    return Evidence(tuple(_row(row, unit) for row in rows[-ROWS_MAX:]), tuple(facts[:ROWS_MAX]))


def _row(row: Mapping[str, Any], unit: str) -> Row:
    rules = row.get("rules")
    return Row(
        at=row.get("at", row.get("at_ms")),
        value=row.get("register", row.get("value")),
        unit=str(row.get("unit", unit)),
        rules=tuple(map(str, rules)) if isinstance(rules, list) else (),
    )


def _fact(key: str, value: Any, unit: str, zone: str) -> list[tuple[str, str | Markup]]:
    if value in (None, "", [], {}):
        return []
    if isinstance(value, Mapping):
        facts: list[tuple[str, str | Markup]] = []
        rest = dict(value)
        if value.get("unit") and "quantity" in value:
            facts.append((humanise(key), fmt.quantity(rest.pop("quantity"), rest.pop("unit"))))
        for name, content in rest.items():
            facts += _fact(f"{key}_{name}", content, unit, zone)
        return facts
    return [_named(key, value, unit, zone)]


def _named(key: str, value: Any, unit: str, zone: str) -> tuple[str, str | Markup]:
    """A fact with the unit its name ends in; the names are those of the alerts service."""
    if key.endswith("_s") and isinstance(value, int):
        return humanise(key.removesuffix("_s")), fmt.span(value)
    if key.endswith("_per_h") and fmt.decimal(value) is not None:
        return humanise(key.removesuffix("_per_h")), fmt.quantity(value, f"{unit}/h")
    if key == "used":
        return humanise(key), fmt.quantity(value, unit)
    if isinstance(value, list):
        return humanise(key), ", ".join(map(str, value))
    return humanise(key), fmt.fact(value, zone)
