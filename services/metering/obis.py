"""OBIS codes: how a measured quantity is named (IEC 62056-61:2017, clause 5).

A code is `medium-channel:quantity.processing.tariff[*history]`; the medium says the commodity.
"""

from __future__ import annotations

import re

from services.kit.errors import Fault, InvalidInputError

#: Medium (value group A) to commodity.
COMMODITY_OF_MEDIUM = {
    1: "electricity",
    4: "heat",
    5: "heat",
    6: "heat",
    7: "gas",
    8: "water",
    9: "water",
}
COMMODITIES = ("electricity", "gas", "heat", "water")
_CODE = re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\*(\d{1,3}))?")


def parse(code: str) -> tuple[int, int, int, int, int, int]:
    """The six value groups A to F; F is 255 where it is not written.

    Raises:
        InvalidInputError: Not an OBIS code, or a group beyond 255.
    """
    match = _CODE.fullmatch(code)
    groups = tuple(int(part) if part else 255 for part in match.groups()) if match else ()
    if not groups or max(groups) > 255:
        fault = Fault("obis", "obis.invalid", f"{code!r} is no OBIS code like 8-0:1.0.0")
        raise InvalidInputError(fault.detail, faults=[fault])
    a, b, c, d, e, f = groups
    return a, b, c, d, e, f


def commodity(code: str) -> str:
    """The commodity a code measures; 'other' for media that are no commodity of ours."""
    return COMMODITY_OF_MEDIUM.get(parse(code)[0], "other")
