"""A running registry with two tenants and a key of every role, spoken to over real sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import uvicorn
from sqlalchemy import Engine

from services.devices.app import build
from services.devices.settings import DevicesSettings
from services.devices.templates import load
from services.kit import db, rpc
from services.kit.process import Process

PLATFORM_KEY = "mf_platform-key-of-the-tests"
INTERNAL_TOKEN = "internal-token-of-the-tests"
ROLES = ("gateway", "reader", "operator", "admin")
FROM = "2026-01-01T00:00:00Z"


@dataclass(slots=True)
class World:
    """What tests speak to.

    Attributes:
        http: A client without credentials.
        channel: A gRPC channel to the same process.
        keys: API keys by role, of the tenant `city`; `other` is an admin of the tenant `village`,
            `platform` the platform's operator.
        tenants: Tenant ids by name.
        process: The process itself, its outbox relay not running.
        engine: A way to the database past the service.
        log_url: Where its events go.
    """

    http: httpx.Client
    channel: grpc.Channel
    keys: dict[str, str]
    tenants: dict[str, int]
    process: Process
    engine: Engine
    log_url: str

    def call(
        self, method: str, path: str, body: Any = None, key: str | None = "admin"
    ) -> httpx.Response:
        """One request with a named key; None sends no credentials."""
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {self.keys.get(key, key)}"
        # ASCII JSON can carry what UTF-8 cannot, for example half a surrogate pair.
        content = None if method in {"GET", "DELETE"} else json.dumps(body)
        return self.http.request(method, path, content=content, headers=headers)

    def get(self, path: str, key: str | None = "reader") -> Any:
        """The answer to a GET that must succeed."""
        answer = self.call("GET", path, key=key)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any, key: str | None = "operator") -> Any:
        """The answer to a POST that must succeed."""
        answer = self.call("POST", path, body, key)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    def refused(self, method: str, path: str, body: Any, key: str | None = "operator") -> Any:
        """The problem document of a request that must fail."""
        answer = self.call(method, path, body, key)
        assert answer.status_code >= 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.json()

    def register(self, *serials: str, product: str = "water", key: str = "operator") -> list[Any]:
        """Register meters of a template's product."""
        document = load(product)
        self.post("/v1/products", document, key)
        meters = [
            {"maker": document["maker"], "serial": serial, "product": document["code"]}
            for serial in serials
        ]
        return list(self.post("/v1/meters", {"meters": meters}, key)["meters"])

    def supply(self, *names: str, commodity: str = "water", **more: str) -> list[Any]:
        """Enter service points."""
        points = [
            {"name": name, "commodity": commodity, "time_zone": "Europe/Madrid", **more}
            for name in names
        ]
        return list(self.post("/v1/service-points", {"service_points": points})["service_points"])

    def install(self, meter: str, service_point: str, **more: Any) -> Any:
        """Enter one installation; it begins at FROM unless said otherwise."""
        item = {"meter": meter, "service_point": service_point, "from": FROM, **more}
        return self.post("/v1/installations", {"installations": [item]})["installations"][0]


def codes(problem: Any) -> list[tuple[str, str]]:
    """(where, code) of each fault of a problem document."""
    return [(fault["where"], fault["code"]) for fault in problem["faults"]]


@contextmanager
def running(database_url: str, folder: Path) -> Iterator[World]:
    """A world on an empty database."""
    log_url = f"sqlite://{folder}/log.db"
    process = build(
        DevicesSettings(
            database_url=database_url,
            log_url=log_url,
            log_partitions=2,
            platform_key=PLATFORM_KEY,
            internal_token=INTERNAL_TOKEN,
        )
    )
    assert process.rpc is not None
    rpc_port = process.rpc.add_insecure_port("127.0.0.1:0")
    process.rpc.start()
    server = uvicorn.Server(
        uvicorn.Config(process.http, port=0, log_config=None, access_log=False, lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive(), "the HTTP server did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    engine = db.connect(database_url, name="tests", pool_size=1)
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http,
        rpc.connect(f"127.0.0.1:{rpc_port}") as channel,
    ):
        world = World(http, channel, {"platform": PLATFORM_KEY}, {}, process, engine, log_url)
        _populate(world)
        yield world
    server.should_exit = True
    process.rpc.stop(0).wait(5)
    thread.join(5)
    engine.dispose()
    for close in process.closers:
        close()


def _populate(world: World) -> None:
    for name, key in (("city", "admin"), ("village", "other")):
        body = {"name": name, "kind": "utility"}
        made = world.post("/v1/organisations", body, "platform")
        world.keys[key] = made["admin_key"]
        world.tenants[name] = made["tenant_id"]
    for role in ROLES[:-1]:
        made = world.post("/v1/api-keys", {"name": f"a {role}", "role": role}, "admin")
        world.keys[role] = made["key"]
