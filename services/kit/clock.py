"""Time as a dependency: code asks a Clock, so that tests can stop and move it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where code gets the time from."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""

    def monotonic_s(self) -> float:
        """Seconds that never go backwards, for measuring durations."""

    def sleep(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never go backwards."""
        return time.monotonic()

    def sleep(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass."""
        time.sleep(duration_s)


@dataclass(slots=True)
class FixedClock:
    """A clock that moves only when told to."""

    at_ms: int

    def now_ms(self) -> int:
        """The set instant in milliseconds."""
        return self.at_ms

    def monotonic_s(self) -> float:
        """The set instant in seconds."""
        return self.at_ms / 1000

    def sleep(self, duration_s: float) -> None:
        """Move the set instant on by `duration_s`."""
        self.at_ms += round(duration_s * 1000)


def to_rfc3339(at_ms: int) -> str:
    """An instant as RFC 3339 in UTC, with milliseconds only where there are any."""
    spec = "milliseconds" if at_ms % 1000 else "seconds"
    return to_datetime(at_ms).isoformat(timespec=spec).replace("+00:00", "Z")


def from_rfc3339(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 instant.

    Raises:
        ValueError: The text is no instant, or has no offset from UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC: write …Z or …+02:00")
    return to_ms(moment)


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime, exact."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def to_datetime(at_ms: int) -> datetime:
    """An instant as an aware datetime in UTC, exact to the millisecond."""
    seconds, millis = divmod(at_ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=millis * 1000)
