"""Rating without a server: a tariff and a plain series of use, cut into calendar months."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from services.billing.rating.determinants import Determinants, IntervalSeries
from services.billing.rating.engine import Context, RatedBill, rate
from services.billing.rating.localtime import holidays_in, local_date, midnight_ms
from services.billing.rating.period import Period, cut
from services.billing.rating.tariff import Tariff
from services.kit.clock import to_rfc3339
from services.kit.errors import Fault, InvalidInputError
from services.kit.money import decimal_to_text

#: Months of one call: ten years.
MONTHS_MAX = 120


def series_of_registers(
    at_ms: list[int], register: list[int], unit: str, scaler: int
) -> IntervalSeries:
    """Use between consecutive readings of a continuous register.

    Raises:
        InvalidInputError: Fewer than two readings, or instants that do not rise.
    """
    values = np.array(register, dtype=np.int64)
    return IntervalSeries(np.array(at_ms, dtype=np.int64), np.diff(values), unit, scaler)


def rate_months(tariff: Tariff, series: IntervalSeries) -> dict[str, Any]:
    """Rate a series by calendar months of the tariff's zone.

    The first and last day count as billed days even if the series has only a part of them.

    Returns:
        `{"currency", "periods": [{"from", "to", "lines": […], "total"}], "total"}`, amounts as
        decimal texts.

    Raises:
        InvalidInputError: An interval lies across the end of a month, or does not fit the tariff's
            periods; all months at fault are listed.
    """
    periods = _periods(tariff, series)
    bills = [(period, _rate_one(tariff, series, period)) for period in periods]
    total = sum((bill.total for _, bill in bills), Decimal(0))
    return {
        "currency": tariff.currency,
        "periods": [
            {
                "from": period.from_date.isoformat(),
                "to": period.to_date.isoformat(),
                "lines": [line.as_json() for line in bill.lines],
                "total": decimal_to_text(bill.total),
            }
            for period, bill in bills
        ],
        "total": decimal_to_text(total),
    }


def _periods(tariff: Tariff, series: IntervalSeries) -> list[Period]:
    zone = tariff.time_zone
    first = local_date(int(series.boundaries_ms[0]), zone)
    # The last boundary is not included: a series that ends at midnight ends the day before.
    last = local_date(int(series.boundaries_ms[-1]) - 1, zone)
    periods = cut(first, last.fromordinal(last.toordinal() + 1))
    if len(periods) > MONTHS_MAX:
        raise InvalidInputError(f"{len(periods)} months at once; at most {MONTHS_MAX}")
    ends_ms = [midnight_ms(period.to_date, zone) for period in periods[:-1]]
    faults = [
        Fault(to_rfc3339(end_ms), "usage.across_months", "no boundary at this end of a month")
        for end_ms in ends_ms
        if end_ms not in series.boundaries_ms
    ]
    if faults:
        raise InvalidInputError("use lies across ends of months", faults=faults)
    return periods


def _rate_one(tariff: Tariff, series: IntervalSeries, period: Period) -> RatedBill:
    zone = tariff.time_zone
    edges = [midnight_ms(period.from_date, zone), midnight_ms(period.to_date, zone)]
    first, end = np.searchsorted(series.boundaries_ms, edges).tolist()
    end = min(end, len(series.quantity))
    part = IntervalSeries(
        series.boundaries_ms[first : end + 1],
        series.quantity[first:end],
        series.unit,
        series.scaler,
    )
    context = Context(holidays=holidays_in(tariff.holidays, period))
    return rate(tariff, Determinants.of_series(part), period, context)
