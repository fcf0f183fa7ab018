"""The one tree of errors: every failure a caller may meet has a stable code and says what to do.

    MeterfleetError
    ├── InvalidInputError     400  the caller's data is wrong; faults say where
    │   └── DecodeError       400  bytes that are not what they claim to be
    ├── UnauthenticatedError  401  no or unknown credentials
    ├── ForbiddenError        403  known, but not allowed
    ├── NotFoundError         404  absent, or another tenant's (never told apart)
    ├── ConflictError         409  contradicts what is stored
    ├── TooLargeError         413  beyond a written bound
    ├── OverloadedError       429  back-pressure: try again after retry_after_s
    └── UnavailableError      503  a part we depend on is away: try again after retry_after_s

Services subclass these with codes of their own; `code` is the contract, texts may change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in an input.

    Attributes:
        where: Position in the input: a JSON pointer, `row 17, column ts`, or a byte offset.
        code: Stable code of the fault.
        detail: What was found and what was expected.
    """

    where: str
    code: str
    detail: str

    def as_json(self) -> dict[str, str]:
        """The fault as it stands in a problem document."""
        return {"where": self.where, "code": self.code, "detail": self.detail}


class MeterfleetError(Exception):
    """Root of the tree. `status` is the HTTP status it becomes at a door."""

    code = "internal"
    status = 500
    title = "Internal error"

    def __init__(
        self,
        detail: str = "",
        *,
        faults: Sequence[Fault] = (),
        retry_after_s: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.faults = tuple(faults)
        self.retry_after_s = retry_after_s
        if code is not None:
            self.code = code

    def as_problem(self) -> dict[str, Any]:
        """The error as an RFC 9457 problem document."""
        problem: dict[str, Any] = {
            "type": f"urn:meterfleet:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.faults:
            problem["faults"] = [fault.as_json() for fault in self.faults]
        return problem


class InvalidInputError(MeterfleetError):
    """The caller's data is wrong; all faults are listed at once."""

    code = "input.invalid"
    status = 400
    title = "The input has faults"


class DecodeError(InvalidInputError):
    """Bytes that are not what they claim to be; the only error a decoder may raise."""

    code = "decode.failed"
    title = "The bytes could not be decoded"


class UnauthenticatedError(MeterfleetError):
    """No credentials, or credentials nobody knows."""

    code = "auth.unauthenticated"
    status = 401
    title = "Send a valid API key as 'Authorization: Bearer …'"


class ForbiddenError(MeterfleetError):
    """The caller is known, but its role does not allow this."""

    code = "auth.forbidden"
    status = 403
    title = "This key's role does not allow the operation"


class NotFoundError(MeterfleetError):
    """Absent, or another tenant's: the two are never told apart."""

    code = "not_found"
    status = 404
    title = "Not found"


class ConflictError(MeterfleetError):
    """The request contradicts what is stored."""

    code = "conflict"
    status = 409
    title = "The request contradicts what is stored"


class TooLargeError(MeterfleetError):
    """The request is beyond a written bound."""

    code = "too_large"
    status = 413
    title = "The request is beyond a bound"


class OverloadedError(MeterfleetError):
    """Back-pressure: nothing was taken in, try again later."""

    code = "overloaded"
    status = 429
    title = "Too much at once; try again later"


class UnavailableError(MeterfleetError):
    """A part we depend on is away; nothing was taken in, try again later."""

    code = "unavailable"
    status = 503
    title = "A part is not available; try again later"
