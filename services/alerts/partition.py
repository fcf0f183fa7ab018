"""One partition of readings.validated: detectors by tenant, and what is still to be stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from services.alerts.detectors import Detectors, Finding, pair
from services.alerts.domain import Alert
from services.alerts.events import Batch
from services.alerts.meters import MeterFacts
from services.alerts.repository import progress
from services.alerts.repository.alerts import Alerts
from services.alerts.repository.progress import StoredState
from services.kit.ids import IdSource

#: Gives facts of a tenant's meters.
TenantCatalogue = Callable[[int, Sequence[int]], dict[int, MeterFacts]]


@dataclass(slots=True)
class Partition:
    """What one owner of a partition keeps in memory between two commits.

    Attributes:
        number: The partition.
        generation: The right to commit, handed out by the database.
        next_offset: Where to go on reading.
        facts: Where thresholds and names come from.
        quiet_ms: See `detectors.offline`.
        detectors: By tenant.
        seen: Newest source offset by source partition.
        findings: Not stored yet, by tenant, in order.
        dirty: Tenants whose state changed since the last commit.
        readings_n: Readings taken since the last commit.
        moved: Whether anything was read since the last commit.
    """

    number: int
    generation: int
    next_offset: int
    facts: TenantCatalogue
    quiet_ms: int
    detectors: dict[int, Detectors] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)
    findings: dict[int, list[Finding]] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)
    readings_n: int = 0
    moved: bool = False

    @classmethod
    def load(
        cls, session: Session, number: int, facts: TenantCatalogue, quiet_ms: int
    ) -> Partition:
        """Become the owner and go on where the last commit stood.

        Raises:
            SnapshotError: The stored state is of another version.
        """
        generation, next_offset = progress.own_partition(session, number)
        self = cls(number, generation, next_offset, facts, quiet_ms)
        self.seen = progress.sources(session, number)
        for tenant_id, stored in progress.states(session, number).items():
            self.detectors[tenant_id] = Detectors.restore(
                stored.snapshot, self._catalogue(tenant_id), quiet_ms
            )
        return self

    def take(self, batch: Batch) -> bool:
        """Run the detectors over a batch; False if it was seen before and is skipped."""
        if batch.source_offset <= self.seen.get(batch.source_partition, -1):
            return False
        detectors = self.detectors.get(batch.tenant_id)
        if detectors is None:
            detectors = Detectors(self._catalogue(batch.tenant_id), self.quiet_ms)
        found = detectors.observe(batch.readings, batch.received_ms)
        self.detectors[batch.tenant_id] = detectors
        self.seen[batch.source_partition] = batch.source_offset
        self.dirty.add(batch.tenant_id)
        self.readings_n += len(batch.readings)
        self._note(batch.tenant_id, found)
        return True

    def advance(self, tenant_id: int, watermark_ms: int, received_ms: int) -> None:
        """Take over how far a tenant has come in other partitions."""
        detectors = self.detectors.get(tenant_id)
        if detectors is not None:
            self._note(tenant_id, detectors.advance(watermark_ms, received_ms))

    def refresh(self, changed: set[tuple[int, int]] | None) -> None:
        """The registry changed these meters of tenants; None for all."""
        for tenant_id, detectors in self.detectors.items():
            meters = None if changed is None else {m for t, m in changed if t == tenant_id}
            if meters is None or meters:
                detectors.refresh(meters)

    def store(self, session: Session, ids: IdSource) -> list[Alert]:
        """Write findings, state and position; all commit with the caller's transaction.

        Returns:
            The alerts that are new.

        Raises:
            FencedError: Another process owns the partition by now.
        """
        progress.move_position(session, self.number, self.generation, self.next_offset)
        progress.put_sources(session, self.number, self.seen)
        for tenant_id in sorted(self.dirty):
            detectors = self.detectors[tenant_id]
            if not len(detectors):
                continue
            state = StoredState(
                detectors.snapshot(),
                len(detectors),
                detectors.watermark_ms,
                detectors.received_ms,
            )
            progress.put_state(session, self.number, tenant_id, state)
        raised: list[Alert] = []
        for tenant_id, findings in self.findings.items():
            known = self.facts(tenant_id, sorted({f.meter_id for f in findings}))
            found, ends = pair(findings, known)
            alerts = Alerts(session, tenant_id)
            now_ms = ids.clock.now_ms()
            alerts.end(ends, now_ms)
            raised += alerts.raise_new(found, ids, now_ms)
        return raised

    def stored(self) -> None:
        """The commit succeeded: nothing is waiting any more."""
        self.findings.clear()
        self.dirty.clear()
        self.readings_n = 0
        self.moved = False

    def _note(self, tenant_id: int, found: list[Finding]) -> None:
        if found:
            self.findings.setdefault(tenant_id, []).extend(found)
            self.dirty.add(tenant_id)

    def _catalogue(self, tenant_id: int) -> Callable[[Sequence[int]], dict[int, MeterFacts]]:
        return lambda meter_ids: self.facts(tenant_id, meter_ids)
