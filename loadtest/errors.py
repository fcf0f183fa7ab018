"""What can keep a load test from being run. A client has no services' errors, only codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class LoadTestError(Exception):
    """The load test could not be run; a lost reading is no error but a finding of the report.

    Attributes:
        code: Stable code, or that of the problem a service answered.
        detail: What happened and what to do.
        faults: All that is wrong with an input, each `(where, detail)`.
    """

    def __init__(self, code: str, detail: str, *, faults: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.faults = tuple(faults)

    def as_problem(self) -> dict[str, Any]:
        """The error for `--json`."""
        faults = [{"where": where, "detail": detail} for where, detail in self.faults]
        return {"code": self.code, "detail": self.detail, "faults": faults}


class ScenarioError(LoadTestError):
    """A scenario file has faults; all of them are listed."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        listed = "; ".join(f"{where}: {detail}" for where, detail in faults)
        super().__init__("scenario.invalid", listed, faults=faults)


class ServiceError(LoadTestError):
    """A service refused what the load test needs, or did not answer."""
