"""gRPC: alerts of the caller's tenant, and how far the detectors have come."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

import grpc

from services.alerts.domain import Kind, State
from services.alerts.events import to_message
from services.alerts.pages import after_alert
from services.alerts.progress import records_behind
from services.alerts.repository.alerts import AlertFilter, Alerts
from services.kit.auth import Role
from services.kit.db import Database
from services.kit.errors import Fault, InvalidInputError
from services.kit.log import Log
from services.kit.page import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from services.kit.rpc import caller
from services.stubs.meterfleet.alerts.v1 import alerts_pb2, alerts_pb2_grpc

NAMES = ("meterfleet.alerts.v1.AlertsService",)
ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


class AlertsServicer(alerts_pb2_grpc.AlertsServiceServicer):
    """Alerts for reading."""

    def __init__(self, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    def ListAlerts(  # noqa: N802 - the contract's name
        self, request: alerts_pb2.ListAlertsRequest, context: grpc.ServicerContext
    ) -> alerts_pb2.ListAlertsResponse:
        """Lists alerts, newest first; empty fields do not narrow the list.

        Raises:
            InvalidInputError: A field has a value that does not exist; all faults at once.
        """
        tenant_id = caller().require(Role.READER).tenant_id
        faults: list[Fault] = []
        narrow = AlertFilter(
            state=_choice(State, "state", request.state, faults),
            kind=_choice(Kind, "kind", request.kind, faults),
            meter_id=request.meter_id or None,
        )
        page_size = request.page_size or PAGE_SIZE_DEFAULT
        if not 1 <= page_size <= PAGE_SIZE_MAX:
            text = f"from 1 to {PAGE_SIZE_MAX}"
            faults.append(Fault("page_size", "page_size.invalid", text))
        if faults:
            raise InvalidInputError(f"{len(faults)} faults in the request", faults=faults)
        after = after_alert(request.page_token)
        with self._database.transaction() as session:
            page = Alerts(session, tenant_id).page(narrow, page_size, after)
        return alerts_pb2.ListAlertsResponse(
            alerts=[to_message(alert) for alert in page.items],
            next_page_token=page.next_page_token or "",
        )

    def GetProgress(  # noqa: N802 - the contract's name
        self, request: alerts_pb2.GetProgressRequest, context: grpc.ServicerContext
    ) -> alerts_pb2.GetProgressResponse:
        """Records the detectors have not committed, and alerts of the tenant by kind."""
        tenant_id = caller().require(Role.READER).tenant_id
        # Counted after the positions: what is not behind is in the counts.
        behind = records_behind(self._database, self._log)
        with self._database.transaction() as session:
            by_kind = Alerts(session, tenant_id).count_by_kind()
        return alerts_pb2.GetProgressResponse(records_behind=behind, alerts=by_kind)


def _choice(kind: type[ChoiceT], name: str, text: str, faults: list[Fault]) -> ChoiceT | None:
    if not text:
        return None
    try:
        return kind(text)
    except ValueError:
        detail = f"{text!r} is none of {', '.join(kind)}"
        faults.append(Fault(name, f"{name}.unknown", detail))
        return None
