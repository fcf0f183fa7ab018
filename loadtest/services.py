"""The platform's HTTP APIs as a load test needs them (docs/api.md)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import numpy as np

from loadtest.check import Stored, Tally
from loadtest.clock import Clock
from loadtest.driver import Progress
from loadtest.errors import ServiceError
from loadtest.traffic import CHANNEL, MAKER, Traffic

#: What `POST /v1/meters` takes at once.
METERS_PER_CALL = 10_000
PAGE_SIZE = 1_000
TIMEOUT_S = 60.0
#: How long the registry's news may take to reach ingest.
KNOWN_S = 60.0
_POLL_S = 0.2


class Http:
    """One service's HTTP API with a key; every failure becomes a `ServiceError`."""

    def __init__(
        self, base_url: str, key: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._base_url = base_url
        self._client = httpx.Client(
            base_url=base_url,
            headers={"authorization": f"Bearer {key}"},
            timeout=TIMEOUT_S,
            transport=transport,
        )

    def call(self, method: str, path: str, **options: Any) -> Any:
        """The JSON answer of a request.

        Raises:
            ServiceError: No answer, or a problem; its code is the problem's.
        """
        try:
            response = self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            text = f"{method} {self._base_url}{path}: {error}"
            raise ServiceError("service.unreachable", text) from error
        if response.is_success:
            return response.json()
        code, detail, faults = _problem(response)
        raise ServiceError(
            code, f"{method} {path} answered {response.status_code}: {detail}", faults=faults
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _problem(response: httpx.Response) -> tuple[str, str, list[tuple[str, str]]]:
    try:
        problem = response.json()
        faults = [(f["where"], f["detail"]) for f in problem.get("faults", [])]
        return problem["code"], problem["detail"], faults
    except (ValueError, KeyError, TypeError):
        return "service.failed", response.text[:200], []


def register_fleet(
    devices: Http, traffic: Traffic, progress: Progress | None = None
) -> dict[int, int]:
    """Register the product and all known meters of a run.

    Returns:
        The registry's id of each registered meter, by its number in the run.

    Raises:
        ServiceError: The registry refused it.
    """
    product = traffic.product
    devices.call("POST", "/v1/products", json=product)
    numbers = np.flatnonzero(traffic.known).tolist()
    ids: dict[int, int] = {}
    for first in range(0, len(numbers), METERS_PER_CALL):
        chunk = numbers[first : first + METERS_PER_CALL]
        meters = [
            {"maker": MAKER, "serial": traffic.serials[n], "product": product["code"]}
            for n in chunk
        ]
        answer = devices.call("POST", "/v1/meters", json={"meters": meters})
        ids.update(zip(chunk, (int(m["meter_id"]) for m in answer["meters"]), strict=True))
        if progress is not None:
            progress("registering", len(ids), len(numbers))
    return ids


def await_known(ingest: Http, meter_ids: Sequence[int], clock: Clock) -> None:
    """Wait until ingest knows meters that were just registered: it answers 404 until then.

    Raises:
        ServiceError: It still does not know one after `KNOWN_S`.
    """
    deadline_s = clock.monotonic_s() + KNOWN_S
    for meter_id in meter_ids:
        while True:
            try:
                ingest.call("GET", f"/v1/meters/{meter_id}/readings", params={"page_size": 1})
                break
            except ServiceError as error:
                if error.code != "not_found" or clock.monotonic_s() > deadline_s:
                    raise
            clock.sleep(_POLL_S)


class HttpStoreView:
    """Looks at the store through ingest's HTTP API; a `check.StoreView`.

    Args:
        ingest: Ingest's API.
        meter_ids: The registry's id by number in the run.
    """

    def __init__(self, ingest: Http, meter_ids: dict[int, int]) -> None:
        self._ingest = ingest
        self._meter_ids = meter_ids

    def tally(self) -> Tally:
        """The tenant's tally now."""
        answer = self._ingest.call("GET", "/v1/tally")
        names = ("received", "stored", "duplicates", "quarantined", "records_behind")
        return Tally(*(int(answer[name]) for name in names))

    def readings(self, meter: int) -> Stored:
        """All stored readings of a meter, page by page."""
        path = f"/v1/meters/{self._meter_ids[meter]}/readings"
        params: dict[str, Any] = {"channel": 1, "page_size": PAGE_SIZE}
        items: list[dict[str, Any]] = []
        while True:
            page = self._ingest.call("GET", path, params=params)
            items += page["items"]
            if not page.get("next_page_token"):
                break
            params["page_token"] = page["next_page_token"]
        at_ms = [_milliseconds(item["at"]) for item in items]
        value = [_least_digits(item["value"]) for item in items]
        return Stored(np.array(at_ms, dtype=np.int64), np.array(value, dtype=np.int64))


def _milliseconds(text: str) -> int:
    elapsed = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    return elapsed // timedelta(milliseconds=1)


def _least_digits(text: str) -> int:
    """A quantity in least digits; -1, which nobody sends, if it is no whole number of them."""
    value = Decimal(text).scaleb(-CHANNEL.scaler)
    return int(value) if value == value.to_integral_value() else -1
