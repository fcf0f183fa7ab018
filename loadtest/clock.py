"""Time as a dependency of the load test, so that tests can stop and move it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the load test gets the time from."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""

    def monotonic_s(self) -> float:
        """Seconds that never go backwards, for schedules and latencies."""

    def sleep(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass."""


class MachineClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never go backwards."""
        return time.perf_counter()

    def sleep(self, duration_s: float) -> None:
        """Let `duration_s` seconds pass."""
        time.sleep(duration_s)
