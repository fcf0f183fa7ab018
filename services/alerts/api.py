"""Alerts over HTTP (docs/api.md, alerts)."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from services.alerts.domain import (
    NOTE_CHARS_MAX,
    Alert,
    HistoryStep,
    Kind,
    Severity,
    State,
    Step,
)
from services.alerts.pages import after_alert
from services.alerts.progress import records_behind
from services.alerts.repository.alerts import AlertFilter, Alerts
from services.kit.auth import Identity
from services.kit.clock import Clock, to_rfc3339
from services.kit.db import Database
from services.kit.http import Operator, Reader
from services.kit.log import Log
from services.kit.page import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

PageSize = Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)]
PageToken = Annotated[str | None, Query(max_length=500)]


class AlertOut(BaseModel):
    """An alert in a list; instants are RFC 3339 in UTC."""

    alert_id: uuid.UUID
    meter_id: int
    meter: str
    channel: int
    kind: Kind
    severity: Severity
    state: State
    started_at: str
    detected_at: str
    ended_at: str | None
    message: str


class HistoryOut(BaseModel):
    """A step in an alert's life; `from` is null for its beginning."""

    at: str
    actor: str
    from_state: State | None = Field(serialization_alias="from")
    to_state: State = Field(serialization_alias="to")
    note: str


class AlertDetailOut(AlertOut):
    """An alert with what it was found by and what was done about it."""

    evidence: dict[str, Any]
    history: list[HistoryOut]


class AlertsOut(BaseModel):
    """A page of alerts; the token asks for the next one and is null at the end."""

    items: list[AlertOut]
    next_page_token: str | None


class SummaryOut(BaseModel):
    """What waits for somebody: open and acknowledged alerts."""

    open: int
    by_kind: dict[str, int]
    by_severity: dict[str, int]
    records_behind: int


class StepIn(BaseModel):
    """Why a step is taken."""

    note: str = Field("", max_length=NOTE_CHARS_MAX, pattern=r"^[^\x00]*$")


def router(database: Database, log: Log, clock: Clock) -> APIRouter:
    """All routes of the alerts service."""
    routes = APIRouter(prefix="/v1", tags=["alerts"])
    _add_reads(routes, database, log)
    _add_steps(routes, database, clock)
    return routes


def _add_reads(routes: APIRouter, database: Database, log: Log) -> None:
    @routes.get("/alerts")
    def list_alerts(
        identity: Reader,
        state: State | None = None,
        kind: Kind | None = None,
        meter_id: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
        severity: Severity | None = None,
        page_size: PageSize = PAGE_SIZE_DEFAULT,
        page_token: PageToken = None,
    ) -> AlertsOut:
        """Alerts, newest first."""
        after = after_alert(page_token)
        narrow = AlertFilter(state, kind, meter_id, severity)
        with database.transaction() as session:
            page = Alerts(session, identity.tenant_id).page(narrow, page_size, after)
        items = [AlertOut(**_fields(alert)) for alert in page.items]
        return AlertsOut(items=items, next_page_token=page.next_page_token)

    @routes.get("/alerts/{alert_id}")
    def get_alert(alert_id: uuid.UUID, identity: Reader) -> AlertDetailOut:
        """One alert with its evidence and history."""
        return _detail(database, identity, alert_id)

    @routes.get("/summary")
    def get_summary(identity: Reader) -> SummaryOut:
        """How many alerts wait for somebody, and how far the detectors have come."""
        with database.transaction() as session:
            counts = Alerts(session, identity.tenant_id).unresolved()
        by_kind: dict[str, int] = {}
        by_severity: dict[str, int] = {}
        for kind, severity, count in counts:
            by_kind[kind] = by_kind.get(kind, 0) + count
            by_severity[severity] = by_severity.get(severity, 0) + count
        return SummaryOut(
            open=sum(by_kind.values()),
            by_kind=by_kind,
            by_severity=by_severity,
            records_behind=records_behind(database, log),
        )


def _add_steps(routes: APIRouter, database: Database, clock: Clock) -> None:
    def take(
        step: Step, alert_id: uuid.UUID, identity: Identity, body: StepIn | None
    ) -> AlertDetailOut:
        actor, note = f"key:{identity.key_id}", body.note if body else ""
        with database.transaction() as session:
            alerts = Alerts(session, identity.tenant_id)
            alerts.step(alert_id, step, actor, note, clock.now_ms())
        return _detail(database, identity, alert_id)

    @routes.post("/alerts/{alert_id}/acknowledge")
    def acknowledge(
        alert_id: uuid.UUID, identity: Operator, body: StepIn | None = None
    ) -> AlertDetailOut:
        """Somebody has taken note."""
        return take(Step.ACKNOWLEDGE, alert_id, identity, body)

    @routes.post("/alerts/{alert_id}/resolve")
    def resolve(
        alert_id: uuid.UUID, identity: Operator, body: StepIn | None = None
    ) -> AlertDetailOut:
        """Nothing is left to do."""
        return take(Step.RESOLVE, alert_id, identity, body)

    @routes.post("/alerts/{alert_id}/reopen")
    def reopen(
        alert_id: uuid.UUID, identity: Operator, body: StepIn | None = None
    ) -> AlertDetailOut:
        """It was resolved too early."""
        return take(Step.REOPEN, alert_id, identity, body)


def _detail(database: Database, identity: Identity, alert_id: uuid.UUID) -> AlertDetailOut:
    with database.transaction() as session:
        alerts = Alerts(session, identity.tenant_id)
        alert, history = alerts.get(alert_id), alerts.history(alert_id)
    return AlertDetailOut(
        **_fields(alert),
        evidence=dict(alert.evidence),
        history=[_history(step) for step in history],
    )


def _fields(alert: Alert) -> dict[str, Any]:
    ended_ms = alert.ended_at_ms
    return {
        "alert_id": alert.alert_id,
        "meter_id": alert.meter_id,
        "meter": alert.meter,
        "channel": alert.channel,
        "kind": alert.kind,
        "severity": alert.severity,
        "state": alert.state,
        "started_at": to_rfc3339(alert.started_at_ms),
        "detected_at": to_rfc3339(alert.detected_at_ms),
        "ended_at": None if ended_ms is None else to_rfc3339(ended_ms),
        "message": alert.message,
    }


def _history(step: HistoryStep) -> HistoryOut:
    return HistoryOut(
        at=to_rfc3339(step.at_ms),
        actor=step.actor,
        from_state=step.from_state,
        to_state=step.to_state,
        note=step.note,
    )
