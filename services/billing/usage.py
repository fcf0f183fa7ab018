"""What billing asks the read side for: use between instants, with the evidence behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: Service points of one question; with a month of hours each, one answer stays under 5 MiB.
SERVICE_POINTS_MAX = 200

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A reading that decided the register at a boundary.

    Attributes:
        meter_id: The registry's number of the meter.
        meter: `maker:serial`.
        channel: Number of the channel in the meter's product.
        at_ms: When it was read.
        value: The dial, in least digits of the channel.
        flags: Bits of `metering.quality.Rule`.
        payload_digest: SHA-256 of the payload that brought it, hexadecimal.
        log_position: topic/partition/offset.
    """

    meter_id: int
    meter: str
    channel: int
    at_ms: int
    value: int
    flags: int
    payload_digest: str
    log_position: str


@dataclass(frozen=True, slots=True)
class RegisterStep:
    """A step of the continuous register that is no use; values in least digits."""

    meter_id: int
    channel: int
    at_ms: int
    kind: str
    offset_delta: int
    from_value: int
    to_value: int


@dataclass(frozen=True, slots=True, eq=False)
class Usage:
    """Use of one channel at one service point, n intervals.

    Attributes:
        obis: OBIS code of the channel.
        unit: Unit of quantities and registers.
        scaler: Power of ten of their least digit.
        quantity: Use between boundary i and i + 1, int64, shape (n,).
        register: Continuous register at each boundary, int64, shape (n + 1,).
        known_ppm: Parts per million of each interval between good readings, int64, shape (n,).
        evidence: Readings around the first and the last boundary.
        steps: Steps between them.
        readings_usable: Readings in the whole span that are points of the curve.
        readings_failed: Readings in the whole span that are not.
    """

    obis: str
    unit: str
    scaler: int
    quantity: Int64s
    register: Int64s
    known_ppm: Int64s
    evidence: tuple[Evidence, ...] = ()
    steps: tuple[RegisterStep, ...] = ()
    readings_usable: int = 0
    readings_failed: int = 0


class UsageSource(Protocol):
    """Where use comes from: the ingest service, or a test's table."""

    def fetch(
        self, tenant_id: int, service_point_ids: Sequence[int], obis: str, boundaries_ms: Int64s
    ) -> Mapping[int, Sequence[Usage]]:
        """Use of one channel at some service points.

        Args:
            tenant_id: Whose service points.
            service_point_ids: At most `SERVICE_POINTS_MAX`.
            obis: The channel.
            boundaries_ms: Rising instants, int64, shape (n + 1,).

        Returns:
            By service point; one without an answer has no such channel.

        Raises:
            UnavailableError: The source is away; the same question may be asked again.
        """
