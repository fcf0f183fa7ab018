"""Where a page begins: tokens of this service's lists, held to what PostgreSQL can compare."""

from __future__ import annotations

import uuid

from services.kit.errors import Fault, InvalidInputError
from services.kit.page import decode_token

ID_MAX = 2**63 - 1


def _wrong_token() -> InvalidInputError:
    fault = Fault("page_token", "page_token.invalid", "use a token as it was returned")
    return InvalidInputError("the page token is wrong", faults=[fault])


def after_id(token: str | None) -> int:
    """The id after which a page begins; 0 without a token.

    Raises:
        InvalidInputError: The token is not one we gave for this list.
    """
    (after,) = decode_token(token, int) or (0,)
    if not 0 <= after <= ID_MAX:
        raise _wrong_token()
    return int(after)


def after_text(token: str | None) -> str:
    """The text after which a page begins; empty without a token.

    Raises:
        InvalidInputError: The token is not one we gave for this list.
    """
    (after,) = decode_token(token, str) or ("",)
    if not after.isprintable():
        raise _wrong_token()
    return str(after)


def after_uuid(token: str | None) -> uuid.UUID | None:
    """The id after which a page begins; None without a token.

    Raises:
        InvalidInputError: The token is not one we gave for this list.
    """
    found = decode_token(token, str)
    if found is None:
        return None
    try:
        return uuid.UUID(found[0])
    except ValueError as error:
        raise _wrong_token() from error
