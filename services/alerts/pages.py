"""Where a page of alerts begins."""

from __future__ import annotations

import uuid

from services.kit.errors import Fault, InvalidInputError
from services.kit.page import decode_token

AT_MS_MAX = 7_258_118_400_000


def after_alert(token: str | None) -> tuple[int, uuid.UUID] | None:
    """Detection in ms and id after which a page begins; None without a token.

    Raises:
        InvalidInputError: The token is not one we gave for this list.
    """
    found = decode_token(token, int, str)
    if found is None:
        return None
    at_ms, alert_id = found
    try:
        if not 0 <= at_ms <= AT_MS_MAX:
            raise ValueError(at_ms)
        return at_ms, uuid.UUID(alert_id)
    except ValueError as error:
        fault = Fault("page_token", "page_token.invalid", "use a token as it was returned")
        raise InvalidInputError("the page token is wrong", faults=[fault]) from error
