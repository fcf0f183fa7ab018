"""What goes into the detectors and what comes out of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.alerts.domain import Kind

Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]
UInt32s = NDArray[np.uint32]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
#: Stands where there is no instant. Differences to real instants stay within int64.
NEVER_MS = -(2**62)
#: A channel's key is its meter's id and, in the lowest bits, its number.
CHANNEL_BITS = 7
CHANNEL_MAX = (1 << CHANNEL_BITS) - 1
METER_ID_MAX = 2**55 - 1


def split_key(key: int) -> tuple[int, int]:
    """Meter and channel number of a key."""
    return key >> CHANNEL_BITS, key & CHANNEL_MAX


@dataclass(frozen=True, slots=True)
class Readings:
    """Validated readings of one tenant in the order they arrived; one position is one reading.

    Attributes:
        meter_id: int64, shape (n,), below 2^55.
        channel: int64, shape (n,), 0 to 127.
        at_ms: Event time, int64, shape (n,).
        value: The register as read, least digits, int64, shape (n,).
        curve: The continuous register (or an interval's use), least digits, int64, shape (n,).
        flags: Bits of `services.metering.quality`, uint32, shape (n,).
    """

    meter_id: Int64s
    channel: Int64s
    at_ms: Int64s
    value: Int64s
    curve: Int64s
    flags: UInt32s

    def __len__(self) -> int:
        return len(self.at_ms)

    def take(self, rows: Any) -> Readings:
        """The readings at `rows` (slice, indices or mask)."""
        return Readings(
            self.meter_id[rows],
            self.channel[rows],
            self.at_ms[rows],
            self.value[rows],
            self.curve[rows],
            self.flags[rows],
        )


@dataclass(frozen=True, slots=True)
class Raised:
    """A cause was recognised.

    Attributes:
        kind: What happened.
        meter_id: The meter.
        channel: The channel; 0 where the whole meter is meant.
        started_at_ms: When the cause began.
        detected_at_ms: Event time at which it could first be known.
        facts: Numbers the sentence and the evidence are made of, in least digits and ms.
    """

    kind: Kind
    meter_id: int
    channel: int
    started_at_ms: int
    detected_at_ms: int
    facts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Ended:
    """The cause last raised for this kind, meter and channel is gone."""

    kind: Kind
    meter_id: int
    channel: int
    ended_at_ms: int
    facts: Mapping[str, int]


Finding = Raised | Ended
