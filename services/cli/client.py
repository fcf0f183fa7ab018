"""The platform's HTTP API as commands use it: one client for the four services."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from services.cli.ports import Ports
from services.cli.serve import Service
from services.kit.errors import Fault, MeterfleetError, UnavailableError

KEY_VARIABLE = "METERFLEET_KEY"

TIMEOUT_S = 300.0
#: Entries of one bulk request.
BULK_MAX = 1000


@dataclass(slots=True)
class Platform:
    """The four services, seen by the holder of one API key."""

    key: str
    devices_url: str
    ingest_url: str
    alerts_url: str
    billing_url: str

    def get(self, base_url: str, path: str, **query: Any) -> Any:
        """GET and decode JSON.

        Raises:
            MeterfleetError: The problem the service answered with.
        """
        return self._send("GET", base_url + path, params=query)

    def post(self, base_url: str, path: str, body: Any) -> Any:
        """POST JSON and decode the answer; raises as `get`."""
        return self._send("POST", base_url + path, json=body)

    def post_file(self, path: str, content: bytes, content_type: str, **query: str) -> Any:
        """POST a file to ingest; raises as `get`."""
        return self._send(
            "POST",
            self.ingest_url + path,
            content=content,
            params=query,
            headers={"content-type": content_type},
        )

    def post_bulk(
        self, base_url: str, path: str, name: str, entries: Sequence[Any]
    ) -> list[dict[str, Any]]:
        """POST many entries in portions; returns what the answers list under `name`."""
        answers: list[dict[str, Any]] = []
        for start in range(0, len(entries), BULK_MAX):
            body = {name: list(entries[start : start + BULK_MAX])}
            answers += self.post(base_url, path, body)[name]
        return answers

    def pages(self, base_url: str, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """All items of a paged list."""
        token: str | None = None
        while True:
            extra = {"page_token": token} if token else {}
            page = self.get(base_url, path, page_size=1000, **query, **extra)
            yield from page["items"]
            token = page["next_page_token"]
            if not token:
                return

    def _send(self, method: str, url: str, **options: Any) -> Any:
        headers = {"authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        try:
            response = httpx.request(method, url, headers=headers, timeout=TIMEOUT_S, **options)
        except httpx.TransportError as error:
            raise UnavailableError(f"{url}: {error}") from error
        if response.is_success:
            return response.json()
        raise _problem(response)


def platform_at(ports: Ports, key: str) -> Platform:
    """The services of one machine's ports."""
    urls = (Service.DEVICES, Service.INGEST, Service.ALERTS, Service.BILLING)
    return Platform(key, *(ports.url(service) for service in urls))


def known_key(data_dir: Path) -> str | None:
    """The API key to use: METERFLEET_KEY, else the one `meterfleet up` keeps beside its data."""
    given = os.environ.get(KEY_VARIABLE)
    if given:
        return given
    try:
        known: dict[str, str] = json.loads((data_dir / "secrets.json").read_text())
    except (OSError, ValueError):
        return None
    return known.get("admin_key")


def _problem(response: httpx.Response) -> MeterfleetError:
    try:
        body = response.json()
    except ValueError:
        body = {"detail": response.text[:500], "code": "http"}
    faults = [Fault(**fault) for fault in body.get("faults", [])[:100]]
    error = MeterfleetError(str(body.get("detail")), faults=faults, code=str(body.get("code")))
    error.status = response.status_code
    return error


def wait_until_drained(
    platform: Platform, on_progress: Callable[[dict[str, Any]], None], timeout_s: float
) -> dict[str, Any]:
    """Wait until the pipeline and the detectors have taken everything; returns the tally.

    A service that is just being started again is waited for.

    Raises:
        UnavailableError: Not done within `timeout_s`.
    """
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        try:
            tally: dict[str, Any] = platform.get(platform.ingest_url, "/v1/tally")
            alerts = platform.get(platform.alerts_url, "/v1/summary")
        except UnavailableError:
            time.sleep(0.5)
            continue
        on_progress(tally)
        if tally["records_behind"] == 0 and alerts["records_behind"] == 0:
            return tally
        time.sleep(0.2)
    raise UnavailableError(f"the pipeline was not done within {timeout_s:.0f} s")
