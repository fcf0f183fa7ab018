"""Takes typed fields from a document and keeps every fault with its JSON pointer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from services.kit.errors import Fault

TEXT_CHARS_MAX = 200
_DECIMAL = re.compile(r"-?\d{1,12}(\.\d{1,12})?")


class Fields:
    """One mapping of a document; a field that was never asked for is a fault at the end."""

    def __init__(self, document: Mapping[str, Any], where: str, faults: list[Fault]) -> None:
        self._document = document
        self._asked: set[str] = set()
        self.faults = faults
        self.where = where

    def fault(self, name: str, code: str, detail: str) -> None:
        """Note a fault of a field."""
        self.faults.append(Fault(f"{self.where}/{name}", f"tariff.{code}", detail))

    def raw(self, name: str, default: Any = None) -> Any:
        """A field as it stands."""
        self._asked.add(name)
        return self._document.get(name, default)

    def text(self, name: str, pattern: str = r"[^\x00-\x1f\x7f]+", hint: str = "") -> str:
        """A text of at most 200 characters that matches `pattern`."""
        value = self.raw(name)
        ok = isinstance(value, str) and 0 < len(value) <= TEXT_CHARS_MAX
        if not ok or not re.fullmatch(pattern, value):
            wanted = hint or f"a text of 1 to {TEXT_CHARS_MAX} characters"
            self.fault(name, "text", f"{name} must be {wanted}, not {value!r}")
            return ""
        return str(value)

    def choice(self, name: str, allowed: Sequence[str], default: str | None = None) -> str:
        """One of the allowed words; the first of them stands in for a faulty one."""
        value = self.raw(name, default)
        if not isinstance(value, str) or value not in allowed:
            self.fault(name, "choice", f"{name} must be one of {', '.join(allowed)}, not {value!r}")
            return allowed[0]
        return value

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number within bounds."""
        value = self.raw(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.fault(name, "number", f"{name} must be a whole number from {low} to {high}")
            return low
        return value

    def decimal(self, name: str, low: int, high: int) -> Decimal:
        """An exact decimal within bounds, written as text (or a whole number)."""
        value = self.raw(name)
        if isinstance(value, float):
            self.fault(name, "float", f'write {name} as text, "{value}": a float is not exact')
            return Decimal(0)
        text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
        if not _DECIMAL.fullmatch(text) or not low <= Decimal(text) <= high:
            wanted = f"a decimal from {low} to {high} with at most 12 digits behind the point"
            self.fault(name, "decimal", f"{name} must be {wanted}, not {value!r}")
            return Decimal(0)
        return Decimal(text)

    def day(self, name: str) -> date:
        """A date, ISO 8601."""
        value = self.raw(name)
        try:
            return date.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            self.fault(name, "date", f"{name} must be a date like 2026-01-31, not {value!r}")
            return date.min

    def mapping(self, name: str, *, optional: bool = False) -> Fields:
        """A mapping inside this one; an empty one stands in for a faulty one."""
        value = self.raw(name, {} if optional else None)
        if not isinstance(value, Mapping):
            self.fault(name, "mapping", f"{name} must be a mapping")
            value = {}
        return Fields(value, f"{self.where}/{name}", self.faults)

    def mappings(self, name: str, size_max: int) -> list[Fields]:
        """A list of 1 to `size_max` mappings."""
        value = self.raw(name)
        if not isinstance(value, list) or not 1 <= len(value) <= size_max:
            self.fault(name, "list", f"{name} must be a list of 1 to {size_max} entries")
            return []
        found = []
        for index, entry in enumerate(value):
            where = f"{self.where}/{name}/{index}"
            if isinstance(entry, Mapping):
                found.append(Fields(entry, where, self.faults))
            else:
                self.faults.append(Fault(where, "tariff.mapping", "an entry is a mapping"))
        return found

    def choices(self, name: str, allowed: Sequence[Any], default: Sequence[Any]) -> list[Any]:
        """A list of allowed values, each once."""
        value = self.raw(name, list(default))
        if not isinstance(value, list) or not value:
            self.fault(name, "list", f"{name} must be a list of one entry or more")
            return list(default)
        for index, entry in enumerate(value):
            if isinstance(entry, bool | float) or entry not in allowed or entry in value[:index]:
                wanted = ", ".join(map(str, allowed))
                self.fault(f"{name}/{index}", "choice", f"{entry!r} must be one of {wanted}, once")
        return [entry for entry in value if entry in allowed]

    def refuse_others(self) -> None:
        """Note every field that nobody asked for: a misspelt name must not be ignored."""
        for name in self._document:
            if name not in self._asked:
                self.fault(str(name), "unknown_field", f"there is no field {str(name)!r} here")
