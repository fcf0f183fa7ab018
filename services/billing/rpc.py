"""gRPC: runs and bills."""

from __future__ import annotations

import json
from datetime import date
from uuid import UUID

import grpc

from services.billing.repository.bills import BillHead, Bills
from services.billing.runs import BillRuns, RunRequest
from services.billing.tables import BillLineRow
from services.kit.auth import Role
from services.kit.db import Database
from services.kit.errors import Fault, InvalidInputError
from services.kit.money import decimal_to_text
from services.kit.rpc import caller
from services.stubs.meterfleet.billing.v1 import billing_pb2, billing_pb2_grpc

NAMES = ("meterfleet.billing.v1.BillingService",)


class BillingServicer(billing_pb2_grpc.BillingServiceServicer):
    """Runs and bills of the caller's tenant."""

    def __init__(self, database: Database, runs: BillRuns) -> None:
        self._database = database
        self._runs = runs

    def RunBills(  # noqa: N802 - the contract's name
        self, request: billing_pb2.RunBillsRequest, context: grpc.ServicerContext
    ) -> billing_pb2.RunBillsResponse:
        """Make bills for every agreement over a period; safe to repeat."""
        identity = caller().require(Role.OPERATOR)
        result = self._runs.run(identity.tenant_id, _run_request(request))
        return billing_pb2.RunBillsResponse(
            run_id=str(result.run_id),
            issued=result.issued,
            already_issued=result.already_issued,
            held=result.held,
        )

    def GetBill(  # noqa: N802 - the contract's name
        self, request: billing_pb2.GetBillRequest, context: grpc.ServicerContext
    ) -> billing_pb2.GetBillResponse:
        """One bill with its lines and their lineage."""
        identity = caller().require(Role.READER)
        faults: list[Fault] = []
        bill_id = _uuid(request.bill_id, "bill_id", faults)
        if faults:
            raise InvalidInputError(faults[0].detail, faults=faults)
        with self._database.transaction() as session:
            head, lines = Bills(session, identity.tenant_id).one(bill_id)
        return billing_pb2.GetBillResponse(bill=_bill(head, lines))


def _run_request(request: billing_pb2.RunBillsRequest) -> RunRequest:
    faults: list[Fault] = []
    from_date = _date(request.from_date, "from_date", faults)
    to_date = _date(request.to_date, "to_date", faults)
    ids = [
        _uuid(text, f"agreement_ids/{index}", faults)
        for index, text in enumerate(request.agreement_ids)
    ]
    if faults:
        raise InvalidInputError(f"{len(faults)} faults in the request", faults=faults)
    return RunRequest(from_date, to_date, tuple(ids))


def _date(text: str, where: str, faults: list[Fault]) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        faults.append(Fault(f"/{where}", "input.date", f"{text!r} is no date like 2026-01-31"))
        return date.min


def _uuid(text: str, where: str, faults: list[Fault]) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        faults.append(Fault(f"/{where}", "input.uuid", f"{text!r} is no id"))
        return UUID(int=0)


def _bill(head: BillHead, lines: list[BillLineRow]) -> billing_pb2.Bill:
    bill = head.bill
    return billing_pb2.Bill(
        bill_id=str(bill.bill_id),
        agreement_id=str(bill.agreement_id),
        account=head.account,
        service_point=head.service_point,
        from_date=bill.from_date.isoformat(),
        to_date=bill.to_date.isoformat(),
        currency=bill.currency,
        total="" if bill.total is None else decimal_to_text(bill.total),
        state=bill.state,
        lines=[
            billing_pb2.Line(
                line_id=line.line_id,
                quantity=decimal_to_text(line.quantity),
                unit=line.unit,
                price=decimal_to_text(line.price),
                amount=decimal_to_text(line.amount),
                because=line.because,
                lineage_json=json.dumps(line.lineage, ensure_ascii=False),
            )
            for line in lines
        ],
    )
