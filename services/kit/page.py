"""Cursor pages: a stable order, a bounded size, and an opaque token for what follows."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from services.kit.errors import Fault, InvalidInputError

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1000
#: Bounds what a foreign token can make the JSON parser do; our keys are a few short values.
TOKEN_CHARS_MAX = 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Items in order, and the token that asks for the next ones (None at the end)."""

    items: list[T]
    next_page_token: str | None


def encode_token(*after: str | int) -> str:
    """An opaque token that says after which key the next page begins."""
    return base64.urlsafe_b64encode(json.dumps(after).encode()).decode().rstrip("=")


def decode_token(token: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The key a token stands for, or None without a token.

    Raises:
        InvalidInputError: The token is not one we gave for this list.
    """
    if not token:
        return None
    try:
        if len(token) > TOKEN_CHARS_MAX:
            raise ValueError("longer than any token of ours")
        values = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if len(values) != len(kinds) or not all(map(isinstance, values, kinds)):
            raise ValueError(token)
    except (ValueError, TypeError) as error:
        fault = Fault("page_token", "page_token.invalid", "use a token as it was returned")
        raise InvalidInputError("the page token is wrong", faults=[fault]) from error
    return tuple(values)


def cut(rows: list[T], page_size: int, key: Any) -> Page[T]:
    """Make a page of `page_size` from rows fetched with one to spare.

    Args:
        rows: At most `page_size + 1` rows in order.
        page_size: How many to show.
        key: Function from a row to the values of its order, for the token.
    """
    items = rows[:page_size]
    token = encode_token(*key(items[-1])) if len(rows) > page_size else None
    return Page(items, token)
