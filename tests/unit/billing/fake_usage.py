"""A read side made of formulas: registers that turn at a known speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from services.billing.usage import Evidence, Int64s, RegisterStep, Usage
from services.kit.errors import UnavailableError

HOUR_MS = 3_600_000


@dataclass
class FakeMeter:
    """A register that has turned `litres_per_h` since `begin_ms` and is read until `end_ms`."""

    litres_per_h: int = 10
    begin_ms: int = 0
    end_ms: int = 2**52
    unit: str = "m3"
    scaler: int = -3

    def register(self, at_ms: Int64s) -> Int64s:
        """The continuous register, clamped to the readings there are."""
        return (
            (np.clip(at_ms, self.begin_ms, self.end_ms) - self.begin_ms)
            * self.litres_per_h
            // (HOUR_MS)
        )

    def usage(self, obis: str, boundaries_ms: Int64s) -> Usage:
        """What the ingest service would answer."""
        register = self.register(boundaries_ms)
        inside = np.clip(boundaries_ms, self.begin_ms, self.end_ms)
        evidence = tuple(
            Evidence(7, "acme:1", 1, int(boundaries_ms[i]), int(register[i]), 0, "ab" * 32, "t/0/1")
            for i in (0, -1)
        )
        return Usage(
            obis=obis,
            unit=self.unit,
            scaler=self.scaler,
            quantity=np.diff(register),
            register=register,
            known_ppm=np.diff(inside) * 1_000_000 // np.diff(boundaries_ms),
            evidence=evidence,
            steps=(RegisterStep(7, 1, int(boundaries_ms[0]) + 1, "rollover", 1000, 999, 0),),
            readings_usable=len(boundaries_ms),
            readings_failed=0,
        )


@dataclass
class FakeSource:
    """Meters by (tenant, service point); counts what it is asked."""

    meters: dict[tuple[int, int], FakeMeter] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    away: bool = False

    def fetch(
        self, tenant_id: int, service_point_ids: Sequence[int], obis: str, boundaries_ms: Int64s
    ) -> Mapping[int, Sequence[Usage]]:
        """See `UsageSource`."""
        if self.away:
            raise UnavailableError("away")
        self.asked.append(len(service_point_ids))
        return {
            point: [self.meters[tenant_id, point].usage(obis, boundaries_ms)]
            for point in service_point_ids
            if (tenant_id, point) in self.meters
        }
