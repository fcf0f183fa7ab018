"""A running ingest with two tenants and a key of every role, spoken to over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from services.ingest import app, events
from services.ingest.settings import IngestSettings
from services.kit import rpc
from services.kit.auth import Authenticator, Identity, Role, key_digest
from services.kit.clock import FixedClock, SystemClock
from services.kit.log import (
    Consumed,
    Log,
    LogUnavailableError,
    Pending,
    Position,
    Record,
    open_log,
)
from tests.ingest_harness import TENANT, Harness, open_harness
from tests.unit.kit.serving import served

INTERNAL_TOKEN = "internal-token-of-the-tests"
TENANTS = {"city": TENANT, "village": TENANT + 1}
ROLES = ("gateway", "reader", "operator", "admin")
PARTITIONS = 4
POLLS_MAX = 200

_IDENTITIES = {
    key_digest(f"mf_{tenant}-{role}"): Identity(tenant_id, tenant, Role(role), f"{tenant}-{role}")
    for tenant, tenant_id in TENANTS.items()
    for role in ROLES
}


@dataclass
class World:
    """What tests speak to; a key is named `tenant-role`.

    Attributes:
        http: A client without credentials.
        channel: A gRPC channel to the same process.
        harness: The pipeline's transactions on the same database, to put readings in place.
        log: The log the doors append to.
    """

    http: httpx.Client
    channel: grpc.Channel
    harness: Harness
    log: Log

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        key: str | None = "city-operator",
        content_type: str = "application/json",
    ) -> httpx.Response:
        """One request with a named key; None sends no credentials."""
        headers = {"content-type": content_type} | dict(credentials(key))
        content = body if isinstance(body, bytes) else json.dumps(body)
        return self.http.request(
            method, path, content=None if method == "GET" else content, headers=headers
        )

    def get(self, path: str, key: str = "city-reader") -> Any:
        """The answer to a GET that must succeed."""
        answer = self.call("GET", path, key=key)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(
        self,
        method: str,
        path: str,
        body: Any = None,
        key: str | None = "city-operator",
        content_type: str = "application/json",
    ) -> Any:
        """The problem document of a request that must fail."""
        answer = self.call(method, path, body, key, content_type)
        assert answer.status_code >= 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.json()

    def ends(self) -> dict[int, int]:
        """Where the log of received readings ends now."""
        return self.log.end_offsets(events.RECEIVED)

    def appended(self, since: Mapping[int, int]) -> list[Consumed]:
        """What came onto the log of received readings after `since`, by partition and offset."""
        return [r for r in read_all(self.log, events.RECEIVED) if r.offset >= since[r.partition]]


def credentials(key: str | None) -> list[tuple[str, str]]:
    """Headers or gRPC metadata of a named key; none for None."""
    return [] if key is None else [("authorization", f"Bearer mf_{key}")]


def codes(problem: Any) -> list[tuple[str, str]]:
    """(where, code) of each fault of a problem document."""
    return [(fault["where"], fault["code"]) for fault in problem["faults"]]


def read_all(log: Log, topic: str) -> list[Consumed]:
    """All records of a topic, by partition and offset."""
    ends = log.end_offsets(topic)
    wanted = sum(end - start for end, start in
                 zip(ends.values(), log.start_offsets(topic).values(), strict=True))  # fmt: skip
    reader = log.reader(topic)
    records: list[Consumed] = []
    for _ in range(POLLS_MAX):
        if len(records) >= wanted:
            break
        records += reader.poll(0.1, 10_000)
    reader.close()
    assert len(records) == wanted
    return sorted(records, key=lambda record: (record.partition, record.offset))


@dataclass
class AwayLog:
    """A log whose disk or brokers do not answer appends."""

    inner: Log
    away: bool = True
    refused: list[int] = field(default_factory=list)

    def append(self, topic: str, records: list[Record], timeout_s: float = 10.0) -> list[Position]:
        """Refuse while away."""
        if self.away:
            self.refused.append(len(records))
            raise LogUnavailableError("not confirmed in time")
        return self.inner.append(topic, records, timeout_s)

    def append_async(self, topic: str, records: list[Record]) -> Pending:
        """As `append`."""
        if self.away:
            self.refused.append(len(records))
            raise LogUnavailableError("not confirmed in time")
        return self.inner.append_async(topic, records)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@contextmanager
def running(database_url: str, folder: Path, *, away: bool = False) -> Iterator[World]:
    """A world on an empty database; with `away` its log refuses every append."""
    log_url = f"sqlite://{folder}/log.db"
    clock = SystemClock()
    with pytest.MonkeyPatch.context() as patch:
        authenticator = Authenticator(_IDENTITIES.get, INTERNAL_TOKEN, clock)
        patch.setattr(app, "remote_authenticator", lambda *_: authenticator)
        if away:
            patch.setattr(app, "open_log", lambda url: AwayLog(open_log(url)))
        process = app.build(
            IngestSettings(
                database_url=database_url,
                log_url=log_url,
                log_partitions=PARTITIONS,
                internal_token=INTERNAL_TOKEN,
            )
        )
    assert process.rpc is not None
    port = process.rpc.add_insecure_port("127.0.0.1:0")
    process.rpc.start()
    log = open_log(log_url)
    harness = open_harness(database_url)
    # Entries in quarantine are replayed if they are older than the replay, by the machine's clock.
    harness.clock = FixedClock(clock.now_ms())
    try:
        with served(process.http) as http, rpc.connect(f"127.0.0.1:{port}") as channel:
            http.timeout = httpx.Timeout(30)
            yield World(http, channel, harness, log)
    finally:
        process.rpc.stop(0).wait(5)
        log.close()
        harness.database.close()
        for close in process.closers:
            close()
