"""Ids inside page tokens."""

from __future__ import annotations

from uuid import UUID

from services.kit.errors import Fault, InvalidInputError


def token_uuid(text: str) -> UUID:
    """The id a page token carries.

    Raises:
        InvalidInputError: The token is not one we gave for this list.
    """
    try:
        return UUID(text)
    except ValueError as error:
        fault = Fault("page_token", "page_token.invalid", "use a token as it was returned")
        raise InvalidInputError("the page token is wrong", faults=[fault]) from error
