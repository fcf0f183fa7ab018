"""SQL of one tenant's alerts and their history; another tenant's alert is not found."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, insert, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.alerts.detectors import Ended
from services.alerts.domain import (
    DETECTOR,
    UNRESOLVED,
    Alert,
    Described,
    HistoryStep,
    Kind,
    OtherUnresolvedError,
    Severity,
    State,
    Step,
    after,
)
from services.alerts.tables import AlertRow, HistoryRow, MeterRow
from services.kit.clock import to_datetime, to_ms
from services.kit.errors import NotFoundError
from services.kit.ids import IdSource
from services.kit.page import Page, cut

#: Rows one statement carries; PostgreSQL takes 65,535 parameters.
ROWS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts a list shows; None shows all."""

    state: State | None = None
    kind: Kind | None = None
    meter_id: int | None = None
    severity: Severity | None = None


class Alerts:
    """Alerts of one tenant within the caller's transaction."""

    def __init__(self, session: Session, tenant_id: int) -> None:
        self._session = session
        self._tenant_id = tenant_id

    def get(self, alert_id: uuid.UUID) -> Alert:
        """One alert.

        Raises:
            NotFoundError: There is none of this id in this tenant.
        """
        row = self._session.execute(
            self._query().where(AlertRow.alert_id == alert_id)
        ).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no alert {alert_id}")
        return _alert(row.AlertRow, row.name)

    def page(
        self, narrow: AlertFilter, page_size: int, after_key: tuple[int, uuid.UUID] | None
    ) -> Page[Alert]:
        """Alerts by the instant they were detected, newest first.

        Args:
            narrow: Which to show.
            page_size: How many at most.
            after_key: Detection in ms and id of the last alert of the page before.
        """
        query = self._query()
        for name in ("state", "kind", "meter_id", "severity"):
            wanted = getattr(narrow, name)
            if wanted is not None:
                query = query.where(getattr(AlertRow, name) == wanted)
        if after_key is not None:
            at, alert_id = to_datetime(after_key[0]), after_key[1]
            query = query.where(
                or_(
                    AlertRow.detected_at < at,
                    and_(AlertRow.detected_at == at, AlertRow.alert_id < alert_id),
                )
            )
        query = query.order_by(AlertRow.detected_at.desc(), AlertRow.alert_id.desc())
        rows = self._session.execute(query.limit(page_size + 1)).all()
        alerts = [_alert(row.AlertRow, row.name) for row in rows]
        return cut(alerts, page_size, lambda a: (a.detected_at_ms, str(a.alert_id)))

    def history(self, alert_id: uuid.UUID) -> list[HistoryStep]:
        """The steps of an alert's life, oldest first."""
        rows = self._session.scalars(
            select(HistoryRow)
            .where(HistoryRow.tenant_id == self._tenant_id, HistoryRow.alert_id == alert_id)
            .order_by(HistoryRow.history_id)
        )
        return [
            HistoryStep(
                at_ms=to_ms(row.at),
                actor=row.actor,
                from_state=State(row.from_state) if row.from_state else None,
                to_state=State(row.to_state),
                note=row.note,
            )
            for row in rows
        ]

    def unresolved(self) -> list[tuple[Kind, Severity, int]]:
        """How many alerts wait for somebody, by kind and severity."""
        query = (
            select(AlertRow.kind, AlertRow.severity, func.count())
            .where(AlertRow.tenant_id == self._tenant_id, AlertRow.state.in_(UNRESOLVED))
            .group_by(AlertRow.kind, AlertRow.severity)
        )
        return [(Kind(k), Severity(s), n) for k, s, n in self._session.execute(query)]

    def count_by_kind(self) -> dict[str, int]:
        """All alerts there ever were, by kind."""
        query = (
            select(AlertRow.kind, func.count())
            .where(AlertRow.tenant_id == self._tenant_id)
            .group_by(AlertRow.kind)
        )
        return {row[0]: row[1] for row in self._session.execute(query)}

    def step(self, alert_id: uuid.UUID, step: Step, actor: str, note: str, now_ms: int) -> None:
        """A person's step in the life of an alert, with its line of history.

        Raises:
            NotFoundError: There is none of this id in this tenant.
            WrongStepError: The alert's state does not allow the step.
            OtherUnresolvedError: Reopened while another one of the kind is unresolved.
        """
        row = self._session.scalars(
            select(AlertRow)
            .where(AlertRow.tenant_id == self._tenant_id, AlertRow.alert_id == alert_id)
            .with_for_update()
        ).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no alert {alert_id}")
        old = State(row.state)
        new = after(old, step)
        row.state = new
        text = f"resolve the other alert of kind {row.kind} at meter {row.meter_id} first"
        try:
            self._session.flush()
        except IntegrityError as error:
            raise OtherUnresolvedError(text) from error
        self._remember([_history(alert_id, old, new, actor, note)], now_ms)

    def raise_new(self, found: Sequence[Described], ids: IdSource, now_ms: int) -> list[Alert]:
        """Store what detectors found; a cause that is known, or a kind that waits, makes no second.

        Returns:
            The alerts that are new.
        """
        taken = self._waiting({alert.meter_id for alert in found})
        rows = []
        for alert in found:
            key = (alert.meter_id, alert.kind)
            if key in taken:
                continue
            if alert.ended_at_ms is None:
                taken.add(key)
            rows.append(_row(self._tenant_id, ids.new(), alert))
        stored: set[uuid.UUID] = set()
        for start in range(0, len(rows), ROWS_MAX):
            statement = upsert(AlertRow).values(rows[start : start + ROWS_MAX])
            statement = statement.on_conflict_do_nothing()
            stored |= set(self._session.scalars(statement.returning(AlertRow.alert_id)))
        endings = {(a.meter_id, a.channel, a.kind, a.started_at_ms): a.ending for a in found}
        steps = []
        for row in rows:
            if row["alert_id"] not in stored:
                continue
            steps.append(_history(row["alert_id"], None, State.OPEN, DETECTOR, row["message"]))
            if row["state"] == State.RESOLVED:
                cause = (row["meter_id"], row["channel"], row["kind"], to_ms(row["started_at"]))
                why = endings[cause]
                steps.append(_history(row["alert_id"], State.OPEN, State.RESOLVED, DETECTOR, why))
        self._remember(steps, now_ms)
        return self._by_id(stored)

    def end(self, ends: Sequence[tuple[Ended, str]], now_ms: int) -> None:
        """The causes of these alerts are gone: note when, and resolve what nobody resolved."""
        by_cause = {(e.meter_id, e.channel, str(e.kind)): (e, why) for e, why in ends}
        causes = list(by_cause)
        steps = []
        for start in range(0, len(causes), ROWS_MAX):
            rows = self._session.scalars(
                select(AlertRow)
                .where(
                    AlertRow.tenant_id == self._tenant_id,
                    AlertRow.ended_at.is_(None),
                    tuple_(AlertRow.meter_id, AlertRow.channel, AlertRow.kind).in_(
                        causes[start : start + ROWS_MAX]
                    ),
                )
                .with_for_update()
            )
            for row in rows:
                ended, why = by_cause[row.meter_id, row.channel, row.kind]
                row.ended_at = to_datetime(ended.ended_at_ms)
                if row.state in UNRESOLVED:
                    old = State(row.state)
                    steps.append(_history(row.alert_id, old, State.RESOLVED, DETECTOR, why))
                    row.state = State.RESOLVED
        self._session.flush()
        self._remember(steps, now_ms)

    def _query(self) -> Select[AlertRow, str]:
        """Alerts of the tenant with the names of their meters."""
        meter = and_(
            MeterRow.tenant_id == AlertRow.tenant_id, MeterRow.meter_id == AlertRow.meter_id
        )
        return (
            select(AlertRow, MeterRow.name)
            .outerjoin(MeterRow, meter)
            .where(AlertRow.tenant_id == self._tenant_id)
        )

    def _by_id(self, alert_ids: set[uuid.UUID]) -> list[Alert]:
        ordered = sorted(alert_ids)
        alerts = []
        for start in range(0, len(ordered), ROWS_MAX):
            part = ordered[start : start + ROWS_MAX]
            rows = self._session.execute(self._query().where(AlertRow.alert_id.in_(part)))
            alerts += [_alert(row.AlertRow, row.name) for row in rows]
        return alerts

    def _waiting(self, meter_ids: set[int]) -> set[tuple[int, Kind]]:
        """Kinds that are unresolved at these meters."""
        ordered = sorted(meter_ids)
        waiting: set[tuple[int, Kind]] = set()
        for start in range(0, len(ordered), ROWS_MAX):
            rows = self._session.execute(
                select(AlertRow.meter_id, AlertRow.kind).where(
                    AlertRow.tenant_id == self._tenant_id,
                    AlertRow.state.in_(UNRESOLVED),
                    AlertRow.meter_id.in_(ordered[start : start + ROWS_MAX]),
                )
            )
            waiting |= {(meter_id, Kind(kind)) for meter_id, kind in rows}
        return waiting

    def _remember(self, steps: Sequence[Mapping[str, Any]], now_ms: int) -> None:
        common = {"tenant_id": self._tenant_id, "at": to_datetime(now_ms)}
        if steps:
            self._session.execute(insert(HistoryRow), [{**step, **common} for step in steps])


def _history(
    alert_id: uuid.UUID, old: State | None, new: State, actor: str, note: str
) -> dict[str, Any]:
    return {
        "alert_id": alert_id,
        "from_state": old,
        "to_state": new,
        "actor": actor,
        "note": note,
    }


def _row(tenant_id: int, alert_id: uuid.UUID, alert: Described) -> dict[str, Any]:
    ended_ms = alert.ended_at_ms
    return {
        "alert_id": alert_id,
        "tenant_id": tenant_id,
        "meter_id": alert.meter_id,
        "channel": alert.channel,
        "kind": alert.kind,
        "severity": alert.severity,
        "state": State.OPEN if ended_ms is None else State.RESOLVED,
        "started_at": to_datetime(alert.started_at_ms),
        "detected_at": to_datetime(alert.detected_at_ms),
        "ended_at": None if ended_ms is None else to_datetime(ended_ms),
        "message": alert.message,
        "evidence": alert.evidence,
    }


def _alert(row: AlertRow, name: str | None) -> Alert:
    return Alert(
        alert_id=row.alert_id,
        tenant_id=row.tenant_id,
        meter_id=row.meter_id,
        meter=name or "",
        channel=row.channel,
        kind=Kind(row.kind),
        severity=Severity(row.severity),
        state=State(row.state),
        started_at_ms=to_ms(row.started_at),
        detected_at_ms=to_ms(row.detected_at),
        ended_at_ms=None if row.ended_at is None else to_ms(row.ended_at),
        message=row.message,
        evidence=row.evidence,
    )
