"""A log in memory that only takes appends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.kit.log import Position, Record


@dataclass
class FakeLog:
    """Keeps what was appended, call by call."""

    count: int = 8
    calls: list[list[Record]] = field(default_factory=list)

    def partitions(self, topic: str) -> int:
        """The same number for every topic."""
        return self.count

    def append(
        self, topic: str, records: Sequence[Record], timeout_s: float = 10.0
    ) -> list[Position]:
        """Keep the records."""
        self.calls.append(list(records))
        return [Position(record.partition or 0, 0) for record in records]
