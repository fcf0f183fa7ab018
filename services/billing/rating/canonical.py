"""One way to write inputs down, so that the same inputs have the same bytes and one digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, no spaces and no escapes beyond need (after RFC 8785).

    Numbers in it are integers; decimals are texts, because a float has no one spelling.

    Raises:
        TypeError: The value holds a float or something that is no JSON.
    """
    _refuse_floats(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError(f"{value!r} is a float; inputs of a bill are integers and texts")
    if isinstance(value, dict):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple) and not set(map(type, value)) <= {int}:
        for item in value:
            _refuse_floats(item)
