"""Taking in accounts, tariffs and agreements: everything or nothing, every fault at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from services.billing.rating.parse import parse, read_document
from services.billing.rating.tariff import Tariff
from services.billing.repository.masters import Masters
from services.kit.db import Database
from services.kit.errors import ConflictError, Fault, InvalidInputError, TooLargeError
from services.kit.ids import IdSource

#: Accounts or agreements of one request.
ITEMS_MAX = 10_000

Span = tuple[date, date | None]


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be opened."""

    number: str
    name: str
    language: str


@dataclass(frozen=True, slots=True)
class NewAgreement:
    """An agreement to be made; `to_date` None is without an end."""

    account: str
    service_point_id: int
    service_point: str
    tariff: str
    from_date: date
    to_date: date | None


class MasterData:
    """Writes master data, one request in one transaction."""

    def __init__(self, database: Database, ids: IdSource) -> None:
        self._database = database
        self._ids = ids

    def add_tariff(self, tenant_id: int, data: bytes) -> tuple[Tariff, bool]:
        """Take in a tariff version.

        Returns:
            The version, and whether it is new; the same content again is not.

        Raises:
            InvalidInputError: With every fault of the document.
            ConflictError: The version exists with another content, another version begins on the
                same day, or the other versions have another commodity or currency.
        """
        document = read_document(data)
        tariff = parse(document)
        with self._database.transaction() as session:
            masters = Masters(session, tenant_id)
            masters.lock_tariffs(tariff.code)
            faults = []
            for other in masters.versions([tariff.code]).get(tariff.code, ()):
                if (other.version, other.digest) == (tariff.version, tariff.digest):
                    return tariff, False
                if other.version == tariff.version:
                    text = f"version {tariff.version} exists with another content"
                    faults.append(Fault("/version", "tariff.exists", text))
                elif other.valid_from == tariff.valid_from:
                    text = f"version {other.version} begins on the same day"
                    faults.append(Fault("/valid_from", "tariff.same_day", text))
                for name in ("commodity", "currency"):
                    if getattr(other, name) != getattr(tariff, name):
                        text = f"version {other.version} has {getattr(other, name)}"
                        faults.append(Fault(f"/{name}", f"tariff.other_{name}", text))
            if faults:
                raise ConflictError(
                    "versions are never edited", faults=faults, code="tariff.conflict"
                )
            masters.add_tariff(tariff, document)
        return tariff, True

    def add_accounts(self, tenant_id: int, accounts: Sequence[NewAccount]) -> list[UUID]:
        """Open accounts; returns their ids in order.

        Raises:
            ConflictError: Numbers that exist, or stand twice; every one of them by position.
        """
        _check_size(accounts)
        numbers = [account.number for account in accounts]
        ids = [self._ids.new() for _ in accounts]
        try:
            with self._database.transaction() as session:
                masters = Masters(session, tenant_id)
                known = set(masters.account_ids(numbers))
                faults = []
                for index, number in enumerate(numbers):
                    if number in known:
                        where = f"/accounts/{index}/number"
                        text = f"{number!r} exists, or stands twice"
                        faults.append(Fault(where, "account.exists", text))
                    known.add(number)
                if faults:
                    raise ConflictError(
                        f"{len(faults)} accounts exist", faults=faults, code="account.exists"
                    )
                masters.add_accounts(
                    [
                        {"account_id": account_id, **asdict(account)}
                        for account_id, account in zip(ids, accounts, strict=True)
                    ]
                )
        except IntegrityError as error:
            raise _raced() from error
        return ids

    def add_agreements(self, tenant_id: int, agreements: Sequence[NewAgreement]) -> list[UUID]:
        """Make agreements; returns their ids in order.

        Raises:
            InvalidInputError: Unknown accounts or tariffs, days in the wrong order; all of them.
            ConflictError: A service point would have two agreements for a commodity on one day.
        """
        _check_size(agreements)
        try:
            with self._database.transaction() as session:
                masters = Masters(session, tenant_id)
                accounts = masters.account_ids({a.account for a in agreements})
                versions = masters.versions({a.tariff for a in agreements})
                commodities = {code: rows[0].commodity for code, rows in versions.items()}
                _check_agreements(agreements, accounts, commodities)
                _check_overlaps(
                    agreements,
                    commodities,
                    masters.spans({agreement.service_point_id for agreement in agreements}),
                )
                ids = [self._ids.new() for _ in agreements]
                masters.add_agreements(
                    [
                        {
                            "agreement_id": agreement_id,
                            "account_id": accounts[one.account],
                            "service_point_id": one.service_point_id,
                            "service_point": one.service_point,
                            "tariff_code": one.tariff,
                            "commodity": commodities[one.tariff],
                            "from_date": one.from_date,
                            "to_date": one.to_date,
                        }
                        for agreement_id, one in zip(ids, agreements, strict=True)
                    ]
                )
        except IntegrityError as error:
            raise _raced() from error
        return ids


def _check_size(items: Sequence[object]) -> None:
    if len(items) > ITEMS_MAX:
        raise TooLargeError(f"{len(items)} at once; at most {ITEMS_MAX}")


def _raced() -> ConflictError:
    return ConflictError("another request wrote the same at the same moment; ask again")


def _check_agreements(
    agreements: Sequence[NewAgreement], accounts: dict[str, UUID], commodities: dict[str, str]
) -> None:
    faults = []
    for index, one in enumerate(agreements):
        where = f"/agreements/{index}"
        if one.account not in accounts:
            text = f"there is no account {one.account!r}"
            faults.append(Fault(f"{where}/account", "account.unknown", text))
        if one.tariff not in commodities:
            text = f"there is no tariff {one.tariff!r}"
            faults.append(Fault(f"{where}/tariff", "tariff.unknown", text))
        if one.to_date is not None and one.to_date <= one.from_date:
            text = f"must be after {one.from_date}, not {one.to_date}"
            faults.append(Fault(f"{where}/to", "agreement.dates", text))
    if faults:
        raise InvalidInputError(f"{len(faults)} faults in the agreements", faults=faults)


def _check_overlaps(
    agreements: Sequence[NewAgreement],
    commodities: dict[str, str],
    spans: dict[tuple[int, str], list[Span]],
) -> None:
    faults = []
    for index, one in enumerate(agreements):
        span = (one.from_date, one.to_date)
        others = spans.setdefault((one.service_point_id, commodities[one.tariff]), [])
        met = next((other for other in others if _meet(span, other)), None)
        if met is not None:
            text = (
                f"service point {one.service_point_id} already has an agreement from {met[0]} "
                f"to {met[1] or 'further notice'}"
            )
            faults.append(Fault(f"/agreements/{index}/from", "agreement.overlap", text))
        others.append(span)
    if faults:
        raise ConflictError(
            f"{len(faults)} agreements overlap others", faults=faults, code="agreement.overlap"
        )


def _meet(one: Span, other: Span) -> bool:
    return (other[1] is None or one[0] < other[1]) and (one[1] is None or other[0] < one[1])
