"""Bill runs: every agreement active in a stretch of days gets its bills, each once.

A run works in chunks; each chunk asks for use, rates, and is posted in a transaction of its own. A
run that breaks off is simply asked for again: what is issued stays, what is missing is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.billing.drafts import BillOrder, Draft, Gate, boundaries_of, draft
from services.billing.rating.parse import parse
from services.billing.rating.period import Period, cut
from services.billing.rating.tariff import Tariff
from services.billing.repository.masters import Agreement, Masters
from services.billing.repository.posting import Posted, Posting
from services.billing.tables import TariffRow
from services.billing.usage import SERVICE_POINTS_MAX, UsageSource
from services.kit.clock import Clock
from services.kit.db import Database
from services.kit.errors import Fault, InvalidInputError
from services.kit.ids import IdSource
from services.kit.telemetry import counter, logger

#: Days of one run: ten years.
RUN_DAYS_MAX = 3_660
#: Years of a run; time zones are not known beyond.
YEAR_MIN, YEAR_MAX = 1970, 2200
#: Agreements planned at once; times the months of the run this bounds a run's memory.
AGREEMENTS_PAGE = 500
#: Tariff versions kept in parsed form.
TARIFFS_KEPT_MAX = 1_000
#: Agreements that may be named in one request.
AGREEMENT_IDS_MAX = 10_000

_BILLS = counter("billing_bills", "Bills written by runs, by state.", ("state",))
_LOG = logger("bill run")


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run is asked for.

    Attributes:
        from_date: First local day.
        to_date: The day after the last.
        agreement_ids: Just these; empty is all.
        accept_partial: Issue bills where readings cover less than the settings ask for.

    Raises:
        InvalidInputError: Days in the wrong order, or a bound is passed; all faults at once.
    """

    from_date: date
    to_date: date
    agreement_ids: tuple[UUID, ...] = ()
    accept_partial: bool = False

    def __post_init__(self) -> None:
        days = (self.to_date - self.from_date).days
        faults = []
        if not 0 < days <= RUN_DAYS_MAX:
            text = f"must be 1 to {RUN_DAYS_MAX} days after from_date, not {days}"
            faults.append(Fault("/to_date", "run.days", text))
        if self.from_date.year < YEAR_MIN or self.to_date.year > YEAR_MAX:
            text = f"days lie in the years {YEAR_MIN} to {YEAR_MAX}"
            faults.append(Fault("/from_date", "run.years", text))
        if len(self.agreement_ids) > AGREEMENT_IDS_MAX:
            text = f"at most {AGREEMENT_IDS_MAX} agreements, not {len(self.agreement_ids)}"
            faults.append(Fault("/agreement_ids", "run.too_many", text))
        if faults:
            raise InvalidInputError("the run cannot be made", faults=faults, code="run.invalid")


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did, in numbers of bills."""

    run_id: UUID
    issued: int
    already_issued: int
    held: int


class BillRuns:
    """Makes bills for the agreements of a tenant."""

    def __init__(
        self,
        database: Database,
        source: UsageSource,
        clock: Clock,
        ids: IdSource,
        known_ppm_min: int,
    ) -> None:
        self._database = database
        self._source = source
        self._clock = clock
        self._ids = ids
        self._known_ppm_min = known_ppm_min
        self._tariffs: dict[str, Tariff] = {}

    def run(self, tenant_id: int, request: RunRequest) -> RunResult:
        """Make the bills of one tenant; safe to repeat.

        Raises:
            NotFoundError: The request names agreements that do not exist.
            UnavailableError: Use could not be asked for; chunks before it are issued.
        """
        run_id = self._ids.new()
        gate = Gate(self._known_ppm_min, request.accept_partial)
        posted = Posted(0, 0, 0)
        for orders in self._pages(tenant_id, request):
            missing, already = self._missing(tenant_id, orders)
            posted = posted.plus(Posted(0, already, 0))
            for chunk in _chunks(missing):
                drafts = self._drafts(tenant_id, chunk, gate)
                posted = posted.plus(self._post(tenant_id, drafts, run_id))
        _LOG.info("run done", run_id=str(run_id), issued=posted.issued, held=posted.held)
        return RunResult(run_id, posted.issued, posted.already_issued, posted.held)

    def _pages(self, tenant_id: int, request: RunRequest) -> Iterator[list[BillOrder]]:
        """The orders of the run, a page of agreements at a time."""
        after: UUID | None = None
        only = request.agreement_ids
        while True:
            with self._database.transaction() as session:
                masters = Masters(session, tenant_id)
                if only and after is None:
                    masters.require_agreements(only)
                page = masters.active(
                    request.from_date, request.to_date, only, after, AGREEMENTS_PAGE
                )
                rows = masters.versions({agreement.tariff_code for agreement in page})
            versions = {code: list(map(self._parsed, group)) for code, group in rows.items()}
            yield [
                order
                for agreement in page
                for order in plan(agreement, versions[agreement.tariff_code], request)
            ]
            if len(page) < AGREEMENTS_PAGE:
                return
            after = page[-1].agreement_id

    def _parsed(self, row: TariffRow) -> Tariff:
        tariff = self._tariffs.get(row.digest)
        if tariff is None:
            if len(self._tariffs) >= TARIFFS_KEPT_MAX:
                self._tariffs.clear()
            tariff = self._tariffs[row.digest] = parse(row.document)
        return tariff

    def _missing(self, tenant_id: int, orders: Sequence[BillOrder]) -> tuple[list[BillOrder], int]:
        """The orders that are not issued yet, and how many are."""
        if not orders:
            return [], 0
        with self._database.transaction() as session:
            standing = Posting(session, tenant_id).standing(orders)
        missing = [
            order
            for order in orders
            if not any(
                bill.issued and bill.period == order.period
                for bill in standing.get(order.agreement_id, ())
            )
        ]
        return missing, len(orders) - len(missing)

    def _drafts(self, tenant_id: int, chunk: Sequence[BillOrder], gate: Gate) -> list[Draft]:
        """Bills of one tariff version and period."""
        first = chunk[0]
        asked = [order.service_point_id for order in chunk if not order.held_because]
        usages = (
            self._source.fetch(
                tenant_id, asked, first.tariff.channel, boundaries_of(first.tariff, first.period)
            )
            if asked
            else {}
        )
        return [draft(order, usages.get(order.service_point_id, ()), gate) for order in chunk]

    def _post(self, tenant_id: int, drafts: Sequence[Draft], run_id: UUID) -> Posted:
        with self._database.transaction() as session:
            posting = Posting(session, tenant_id)
            posted = posting.post(drafts, run_id, self._clock.now_ms(), self._ids)
        _BILLS.labels("issued").inc(posted.issued)
        _BILLS.labels("held").inc(posted.held)
        return posted


def plan(agreement: Agreement, versions: Sequence[Tariff], request: RunRequest) -> list[BillOrder]:
    """The bills an agreement needs: cut at ends of months and where a tariff version begins.

    Args:
        agreement: Active on some day of the request.
        versions: Of its tariff, the earliest first, at least one.
        request: The stretch of days.
    """
    begin = max(request.from_date, agreement.from_date)
    end = min(request.to_date, agreement.to_date or request.to_date)
    return [
        _order(agreement, versions, period)
        for period in cut(begin, end, [version.valid_from for version in versions])
    ]


def _order(agreement: Agreement, versions: Sequence[Tariff], period: Period) -> BillOrder:
    in_force = [version for version in versions if version.valid_from <= period.from_date]
    reason = "" if in_force else f"No version of tariff {agreement.tariff_code} is in force yet."
    return BillOrder(
        agreement_id=agreement.agreement_id,
        account_id=agreement.account_id,
        service_point_id=agreement.service_point_id,
        tariff=in_force[-1] if in_force else versions[0],
        period=period,
        held_because=reason,
    )


def _chunks(orders: Sequence[BillOrder]) -> Iterator[list[BillOrder]]:
    """Orders of one tariff version and period together: they share boundaries and a question."""
    groups: dict[tuple[Period, str], list[BillOrder]] = {}
    for order in orders:
        groups.setdefault((order.period, order.tariff.digest), []).append(order)
    for key in sorted(groups):
        group = groups[key]
        for first in range(0, len(group), SERVICE_POINTS_MAX):
            yield group[first : first + SERVICE_POINTS_MAX]
