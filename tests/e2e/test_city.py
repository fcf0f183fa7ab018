"""The main job on the embedded default: what was planted is found, what was used is billed."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.kit.clock import to_rfc3339
from services.kit.errors import MeterfleetError
from services.metering.simulator import FaultKind
from tests.e2e.conftest import Demo

#: How a planted fault shows up as an alert.
KIND_OF = {
    FaultKind.LEAK: "leak",
    FaultKind.BURST: "burst",
    FaultKind.BACKFLOW: "reverse",
    FaultKind.STUCK: "stuck",
    FaultKind.OFFLINE: "offline",
    FaultKind.WILD: "bad_read",
}


def alerts_of(demo: Demo) -> list[dict[str, Any]]:
    """All alerts."""
    return list(demo.platform.pages(demo.platform.alerts_url, "/v1/alerts"))


def test_every_reading_is_accounted_for(demo: Demo) -> None:
    """What the city sent is stored, a duplicate or in quarantine, to the last reading."""
    tally = demo.platform.get(demo.platform.ingest_url, "/v1/tally")
    assert tally["received"] > 50_000
    assert tally["received"] == tally["stored"] + tally["duplicates"] + tally["quarantined"]
    assert tally["quarantined"] == 0, tally["by_reason"]


def test_each_planted_fault_raises_its_alert_and_little_else_does(demo: Demo) -> None:
    """Leaks, burst, backflow, stuck, silent meters and a wild read are found where they are."""
    planted = {(f.meter, KIND_OF[f.kind]) for f in demo.city.plan.faults if f.kind in KIND_OF}

    def raised() -> set[tuple[str, str]]:
        return {(alert["meter"], alert["kind"]) for alert in alerts_of(demo)}

    # A silent meter is missed only when live readings show that time has gone on without it.
    deadline_s = time.monotonic() + 120
    while not planted <= raised() and time.monotonic() < deadline_s:
        time.sleep(1)
    found = raised()
    assert planted <= found, f"missed: {sorted(planted - found)}"
    false = found - planted
    assert len(false) <= 3, f"false alarms: {sorted(false)}"
    rolled = {f.meter for f in demo.city.plan.faults if f.kind is FaultKind.ROLLOVER}
    assert not rolled & {meter for meter, _ in found}, "a rollover is no alarm"


def test_an_alert_fires_once_for_one_cause(demo: Demo) -> None:
    """No meter has two unresolved alerts of one kind."""
    unresolved = Counter(
        (a["meter"], a["channel"], a["kind"]) for a in alerts_of(demo) if a["state"] != "resolved"
    )
    assert all(count == 1 for count in unresolved.values()), unresolved


def test_bills_add_up_and_explain_themselves(demo: Demo) -> None:
    """Each line is quantity × price rounded, the lines sum to the total, and lead to payloads."""
    platform = demo.platform
    assert demo.run["issued"] > 0
    bills = list(platform.pages(platform.billing_url, "/v1/bills"))
    for head in bills[:12]:
        bill = platform.get(platform.billing_url, f"/v1/bills/{head['bill_id']}")
        if bill["state"] != "issued":
            continue
        assert sum(Decimal(line["amount"]) for line in bill["lines"]) == Decimal(bill["total"])
        metered = [line for line in bill["lines"] if line["lineage"].get("registers")]
        assert metered, bill
        for line in metered:
            assert line["because"]
            assert all(len(r["payload_digest"]) == 64 for r in line["lineage"]["registers"])


def test_a_second_bill_run_makes_no_second_bill(demo: Demo) -> None:
    """The same month again issues nothing."""
    platform, month = demo.platform, demo.city.billed_month
    after = (month + timedelta(days=32)).replace(day=1)
    body = {"from_date": month.isoformat(), "to_date": after.isoformat()}
    again = platform.post(platform.billing_url, "/v1/bill-runs", body)
    assert again["issued"] == 0
    assert again["already_issued"] == demo.run["issued"]


def test_an_exchanged_meter_is_one_curve_of_its_service_point(demo: Demo) -> None:
    """Use goes on across the exchange: no jump, no negative, the register never falls."""
    exchanged = next(m for m in demo.city.plan.meters if m.last_ms is not None)
    supply = demo.city.plan.supplies[exchanged.supply]
    points = demo.platform.pages(demo.platform.devices_url, "/v1/service-points")
    point = next(p for p in points if p["name"] == supply.name)
    usage = demo.platform.get(
        demo.platform.ingest_url,
        "/v1/usage",
        service_point_id=point["service_point_id"],
        bucket="day",
        **{"from": to_rfc3339(demo.city.plan.start_ms), "to": to_rfc3339(demo.city.history_end_ms)},
    )
    (channel,) = usage["channels"]
    registers = [Decimal(bucket["register"]) for bucket in channel["buckets"]]
    assert registers == sorted(registers)
    assert max(Decimal(bucket["quantity"]) for bucket in channel["buckets"]) < 5


def test_an_unknown_meter_waits_and_is_replayed_when_registered(demo: Demo) -> None:
    """Readings before registration are kept in quarantine and stored once the meter is known."""
    platform = demo.platform
    at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    rows = [
        {"meter": "NEW:1", "obis": "8-0:1.0.0", "at": (at + timedelta(hours=h)).isoformat(),
         "value": f"{h}.5", "unit": "m3"}
        for h in range(3)
    ]  # fmt: skip
    platform.post(platform.ingest_url, "/v1/readings", {"readings": rows})
    wait_for(lambda: tally(demo)["by_reason"] == {"meter.unknown": 3})
    product = {
        **platform.get(platform.devices_url, "/v1/products/aqualith-u20"),
        "code": "new-1",
        "maker": "NEW",
    }
    fields = ("code", "maker", "name", "commodity", "channels")
    platform.post(platform.devices_url, "/v1/products", {k: product[k] for k in fields})
    meters = [{"maker": "NEW", "serial": "1", "product": "new-1"}]
    (meter,) = platform.post(platform.devices_url, "/v1/meters", {"meters": meters})["meters"]
    wait_for(lambda: tally(demo)["quarantined"] == 0)
    path = f"/v1/meters/{meter['meter_id']}/readings"
    wait_for(lambda: len(platform.get(platform.ingest_url, path)["items"]) == 3)
    values = [row["value"] for row in platform.get(platform.ingest_url, path)["items"]]
    assert values == ["0.500", "1.500", "2.500"]


def test_bad_input_gives_one_problem_with_all_faults(demo: Demo) -> None:
    """A request with two faulty readings is refused whole, and both are named."""
    good = {"meter": "x", "obis": "8-0:1.0.0", "at": "2026-01-01T00:00:00Z", "value": "1",
            "unit": "m3"}  # fmt: skip
    before = tally(demo)["received"]
    rows = [good, good | {"unit": "?"}, good | {"value": "NaN"}]
    with pytest.raises(MeterfleetError) as caught:
        demo.platform.post(demo.platform.ingest_url, "/v1/readings", {"readings": rows})
    assert {f.where for f in caught.value.faults} == {"/readings/1/unit", "/readings/2/value"}
    assert tally(demo)["received"] == before


def tally(demo: Demo) -> dict[str, Any]:
    """The tenant's readings by outcome."""
    answer: dict[str, Any] = demo.platform.get(demo.platform.ingest_url, "/v1/tally")
    return answer


def wait_for(condition: Any, timeout_s: float = 30.0) -> None:
    """Wait until something holds."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.1)
