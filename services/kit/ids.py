"""Ids that sort by the time they were made (UUID version 7, RFC 9562 section 5.7)."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from services.kit.clock import Clock, SystemClock


@dataclass(slots=True)
class IdSource:
    """Makes ids; clock and randomness are injected so that tests can repeat them.

    Attributes:
        clock: Where the time part comes from.
        random_bits: Called with a number of bits, returns that many random bits.
    """

    clock: Clock = field(default_factory=SystemClock)
    random_bits: Callable[[int], int] = secrets.randbits

    def new(self) -> uuid.UUID:
        """A new UUID of version 7: 48 bits of milliseconds, 74 random bits."""
        value = (self.clock.now_ms() & ((1 << 48) - 1)) << 80
        value |= 0x7 << 76 | self.random_bits(12) << 64
        value |= 0b10 << 62 | self.random_bits(62)
        return uuid.UUID(int=value)
