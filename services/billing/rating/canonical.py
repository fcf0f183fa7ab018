"""One way to write inputs down, so that the same inputs have the same bytes and one digest."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(order="sorted")


def canonical_json(value: Any) -> bytes:
    """JSON in UTF-8 with sorted keys and no spaces (after RFC 8785).

    Numbers in it are integers: decimals are texts, because a float has no one spelling.
    """
    return _ENCODER.encode(value)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
