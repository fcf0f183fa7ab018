"""Billing over HTTP (docs/api.md, billing)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.billing import shapes
from services.billing.masters import MasterData, NewAccount, NewAgreement
from services.billing.repository.bills import Bills
from services.billing.repository.masters import Masters
from services.billing.runs import BillRuns, RunRequest
from services.kit.db import Database
from services.kit.http import Operator, Reader
from services.kit.page import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX

PageSize = Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)]
PageToken = Annotated[str | None, Query(max_length=500)]
AccountNumber = Annotated[str | None, Query(max_length=200, pattern=shapes.TEXT_PATTERN)]

TariffName = Annotated[str, Path(max_length=64, pattern=shapes.TEXT_PATTERN)]


def router(database: Database, masters: MasterData, runs: BillRuns) -> APIRouter:
    """All routes of billing.

    Args:
        database: Where reads go.
        masters: Where accounts, tariffs and agreements go.
        runs: Makes bills.
    """
    routes = APIRouter(prefix="/v1")
    _add_tariffs(routes, database, masters)
    _add_accounts(routes, database, masters)
    _add_agreements(routes, database, masters)
    _add_bills(routes, database, runs)
    return routes


async def _body(request: Request) -> bytes:
    return await request.body()


def _add_tariffs(routes: APIRouter, database: Database, masters: MasterData) -> None:
    @routes.post(
        "/tariffs",
        status_code=201,
        tags=["tariffs"],
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"type": "object"}},
                    "application/yaml": {"schema": {"type": "object"}},
                },
            }
        },
    )
    def post_tariff(
        identity: Operator, body: Annotated[bytes, Depends(_body)], response: Response
    ) -> shapes.TariffOut:
        """Take in a tariff version, JSON or YAML; the same again is 200, another content 409."""
        tariff, new = masters.add_tariff(identity.tenant_id, body)
        if not new:
            response.status_code = 200
        return get_tariff(identity, tariff.code, tariff.version)

    @routes.get("/tariffs", tags=["tariffs"])
    def list_tariffs(
        identity: Reader, page_size: PageSize = PAGE_SIZE_DEFAULT, page_token: PageToken = None
    ) -> shapes.PageOut[shapes.TariffHeadOut]:
        """Tariff versions by code and version."""
        with database.transaction() as session:
            page = Masters(session, identity.tenant_id).tariffs(page_size, page_token)
        return shapes.page_out(page, shapes.tariff_head)

    @routes.get("/tariffs/{code}/{version}", tags=["tariffs"])
    def get_tariff(identity: Reader, code: TariffName, version: TariffName) -> shapes.TariffOut:
        """One tariff version with its document."""
        with database.transaction() as session:
            row = Masters(session, identity.tenant_id).tariff(code, version)
        return shapes.tariff_out(row)


def _add_accounts(routes: APIRouter, database: Database, masters: MasterData) -> None:
    @routes.post("/accounts", status_code=201, tags=["accounts"])
    def post_accounts(body: shapes.AccountsIn, identity: Operator) -> shapes.AccountsOut:
        """Open accounts, all or none."""
        new = [NewAccount(one.number, one.name, one.language) for one in body.accounts]
        ids = masters.add_accounts(identity.tenant_id, new)
        return shapes.AccountsOut(
            accounts=[
                shapes.AccountOut(account_id=account_id, **one.model_dump())
                for account_id, one in zip(ids, body.accounts, strict=True)
            ]
        )

    @routes.get("/accounts", tags=["accounts"])
    def list_accounts(
        identity: Reader, page_size: PageSize = PAGE_SIZE_DEFAULT, page_token: PageToken = None
    ) -> shapes.PageOut[shapes.AccountOut]:
        """Accounts by number."""
        with database.transaction() as session:
            page = Masters(session, identity.tenant_id).accounts(page_size, page_token)
        return shapes.page_out(page, shapes.account_out)


def _add_agreements(routes: APIRouter, database: Database, masters: MasterData) -> None:
    @routes.post("/agreements", status_code=201, tags=["agreements"])
    def post_agreements(body: shapes.AgreementsIn, identity: Operator) -> shapes.AgreementsOut:
        """Make agreements, all or none."""
        new = [NewAgreement(**one.model_dump()) for one in body.agreements]
        ids = masters.add_agreements(identity.tenant_id, new)
        return shapes.AgreementsOut(
            agreements=[
                shapes.AgreementOut(agreement_id=agreement_id, **one.model_dump())
                for agreement_id, one in zip(ids, body.agreements, strict=True)
            ]
        )

    @routes.get("/agreements", tags=["agreements"])
    def list_agreements(
        identity: Reader,
        account: AccountNumber = None,
        page_size: PageSize = PAGE_SIZE_DEFAULT,
        page_token: PageToken = None,
    ) -> shapes.PageOut[shapes.AgreementOut]:
        """Agreements in the order they were made, perhaps of one account."""
        with database.transaction() as session:
            page = Masters(session, identity.tenant_id).agreements(page_size, page_token, account)
        return shapes.page_out(page, shapes.agreement_out)


def _add_bills(routes: APIRouter, database: Database, runs: BillRuns) -> None:
    @routes.post("/bill-runs", tags=["bills"])
    def post_bill_run(body: shapes.BillRunIn, identity: Operator) -> shapes.BillRunOut:
        """Make bills for every agreement over local days; repeating it makes no second bill."""
        request = RunRequest(
            body.from_date, body.to_date, tuple(body.agreement_ids), body.accept_partial
        )
        result = runs.run(identity.tenant_id, request)
        return shapes.BillRunOut(
            run_id=result.run_id,
            issued=result.issued,
            already_issued=result.already_issued,
            held=result.held,
        )

    @routes.get("/bills", tags=["bills"])
    def list_bills(
        identity: Reader,
        account: AccountNumber = None,
        from_date: date | None = None,
        state: Literal["issued", "held"] | None = None,
        page_size: PageSize = PAGE_SIZE_DEFAULT,
        page_token: PageToken = None,
    ) -> shapes.PageOut[shapes.BillHeadOut]:
        """Bills in the order they were made."""
        with database.transaction() as session:
            bills = Bills(session, identity.tenant_id)
            page = bills.page(page_size, page_token, account, from_date, state)
        return shapes.page_out(page, shapes.bill_head)

    @routes.get("/bills/{bill_id}", tags=["bills"])
    def get_bill(identity: Reader, bill_id: UUID) -> shapes.BillOut:
        """One bill: each line with its reason and its lineage."""
        with database.transaction() as session:
            head, lines = Bills(session, identity.tenant_id).one(bill_id)
        return shapes.bill_out(head, lines)

    @routes.get("/summary", tags=["bills"])
    def get_summary(identity: Reader) -> shapes.SummaryOut:
        """What was billed, at all and by month."""
        with database.transaction() as session:
            return shapes.summary_out(Bills(session, identity.tenant_id).by_month())
