"""The embedded default: every service in one process tree, started, watched and stopped here.

A child that ends is started again: a killed pipeline goes on from its committed position. Children
end by themselves when this process is killed.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL, SIGTERM

import httpx

from services.cli.ports import Ports
from services.cli.serve import Service
from services.cli.settings import TreeSettings
from services.devices.bootstrap import bootstrap_tenant
from services.kit import embedded_postgres
from services.kit.db import Database, connect, migrate
from services.kit.embedded_postgres import EmbeddedPostgres
from services.kit.errors import ConflictError, UnavailableError
from services.kit.ids import IdSource
from services.kit.process import PARENT_VARIABLE

TENANT = "demo"
READY_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0
#: A child that ends at once is started again no faster than this.
RESTART_WAIT_S = (0.2, 1.0, 3.0, 10.0)

Say = Callable[[str], None]


@dataclass(slots=True)
class _Child:
    service: Service
    process: subprocess.Popen[bytes]
    started_s: float
    restarts: int = 0


@dataclass(slots=True)
class Tree:
    """A running tree.

    Attributes:
        settings: What it was started with.
        ports: Where its services listen.
        admin_key: API key of the demo tenant's administrator.
        log_dir: Where children write their logs.
    """

    settings: TreeSettings
    ports: Ports
    admin_key: str = ""
    log_dir: Path = Path()
    _environment: dict[str, str] = field(default_factory=dict)
    _postgres: EmbeddedPostgres | None = None
    _children: list[_Child] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None

    def start(self, say: Say) -> None:
        """Start everything and wait until it answers.

        Args:
            say: Told what is going on, for progress.

        Raises:
            ConflictError: Another tree works on the data directory.
            UnavailableError: Something did not come up; the text says which log to read.
        """
        data = self.settings.data_dir.absolute()
        self.log_dir = data / "logs"
        self.log_dir.mkdir(parents=True, exist_ok=True)
        _claim(data)
        self.ports.check_free()
        say("starting PostgreSQL")
        database_url = self._start_database(data)
        known = _secrets(data / "secrets.json")
        self._environment = self._child_environment(data, database_url, known)
        say("preparing the registry")
        self.admin_key = _first_key(database_url, data / "secrets.json", known)
        self._environment["METERFLEET_AUTO_LOGIN_KEY"] = self.admin_key
        for service in (Service.DEVICES, Service.INGEST, Service.PIPELINE, Service.ALERTS,
                        Service.BILLING, Service.CONSOLE):  # fmt: skip
            say(f"starting {service}")
            self._children.append(self._spawn(service))
        self._await_ready(say)
        self._watcher = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Stop the services in reverse order, the database last. Safe to call twice."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join(5)
        for child in reversed(self._children):
            if child.process.poll() is None:
                child.process.send_signal(SIGTERM)
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        for child in self._children:
            try:
                child.process.wait(max(0.1, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.send_signal(SIGKILL)
                child.process.wait()
        if self._postgres is not None:
            self._postgres.stop()
        (self.settings.data_dir.absolute() / "tree.pid").unlink(missing_ok=True)

    def pid_of(self, service: Service) -> int:
        """Process id of a running service."""
        return next(c.process.pid for c in self._children if c.service is service)

    @property
    def database_url(self) -> str:
        """Where the services' data is."""
        return self._environment["METERFLEET_DATABASE_URL"]

    @property
    def postgres_pid(self) -> int | None:
        """Process id of the embedded server, None where the database is somebody else's."""
        return None if self._postgres is None else self._postgres.process.pid

    def _start_database(self, data: Path) -> str:
        given = self.settings.database_url.get_secret_value()
        if given:
            return given
        self._postgres = embedded_postgres.start(data / "postgres")
        return self._postgres.url

    def _child_environment(self, data: Path, url: str, known: dict[str, str]) -> dict[str, str]:
        log_file = data / "log" / "log.db"
        log_file.parent.mkdir(parents=True, exist_ok=True)
        ports = self.ports
        ours = {
            "DATABASE_URL": url,
            "LOG_URL": self.settings.log_url or f"sqlite://{log_file}",
            "LOG_PARTITIONS": str(self.settings.log_partitions),
            "DATA_DIR": str(data),
            "INTERNAL_TOKEN": known["internal_token"],
            "SESSION_SECRET": known["session_secret"],
            "IDENTITY_TARGET": ports.target(Service.DEVICES),
            "DEVICES_TARGET": ports.target(Service.DEVICES),
            "INGEST_TARGET": ports.target(Service.INGEST),
            "DEVICES_URL": ports.url(Service.DEVICES),
            "INGEST_URL": ports.url(Service.INGEST),
            "ALERTS_URL": ports.url(Service.ALERTS),
            "BILLING_URL": ports.url(Service.BILLING),
            "ALERTS_QUIET_S": str(self.settings.alerts_quiet_s),
            "LOG_FORMAT": "json",
            "LOG_LEVEL": self.settings.log_level,
        }
        named = {f"METERFLEET_{name}": value for name, value in ours.items()}
        return {**os.environ, **named, PARENT_VARIABLE: str(os.getpid())}

    def _spawn(self, service: Service, restarts: int = 0) -> _Child:
        environment = dict(self._environment)
        environment["METERFLEET_HTTP_PORT"] = str(self.ports.http(service))
        environment["METERFLEET_GRPC_PORT"] = str(self.ports.grpc(service))
        with (self.log_dir / f"{service}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.cli.main", "serve", str(service)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches only us; we stop the children in order.
                start_new_session=True,
            )
        return _Child(service, process, time.monotonic(), restarts)

    def _await_ready(self, say: Say) -> None:
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        for child in self._children:
            say(f"waiting for {child.service}")
            url = f"{self.ports.url(child.service)}/readyz"
            while not _answers(url):
                if child.process.poll() is not None or time.monotonic() > deadline_s:
                    raise UnavailableError(self._failure(child.service))
                time.sleep(0.1)

    def _failure(self, service: Service) -> str:
        path = self.log_dir / f"{service}.log"
        tail = path.read_text(errors="replace").splitlines()[-15:]
        return f"{service} did not start; the end of {path}:\n" + "\n".join(tail)

    def _watch(self) -> None:
        while not self._stopping.wait(0.3):
            for number, child in enumerate(self._children):
                if child.process.poll() is None:
                    continue
                lived_s = time.monotonic() - child.started_s
                restarts = 0 if lived_s > 60 else child.restarts
                wait_s = RESTART_WAIT_S[min(restarts, len(RESTART_WAIT_S) - 1)]
                if self._stopping.wait(wait_s):
                    return
                self._children[number] = self._spawn(child.service, restarts + 1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def running_pid(data: Path) -> int | None:
    """The process that serves a data directory, if one does."""
    try:
        pid = int((data / "tree.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if b"meterfleet" in command or b"services.cli" in command else None


def _claim(data: Path) -> None:
    """Refuse to start a second tree on the same data."""
    pid = running_pid(data)
    if pid is not None and pid != os.getpid():
        raise ConflictError(
            f"process {pid} already serves {data}; stop it, or set METERFLEET_DATA_DIR",
            code="tree.running",
        )
    (data / "tree.pid").write_text(str(os.getpid()))


def _secrets(path: Path) -> dict[str, str]:
    if path.exists():
        known: dict[str, str] = json.loads(path.read_text())
        return known
    from cryptography.fernet import Fernet

    known = {
        "internal_token": secrets.token_urlsafe(32),
        "session_secret": Fernet.generate_key().decode(),
    }
    _keep(path, known)
    return known


def _keep(path: Path, known: dict[str, str]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(known))


def _first_key(database_url: str, path: Path, known: dict[str, str]) -> str:
    """The demo tenant's admin key: made at the first start, kept beside the data."""
    engine = connect(database_url, name="up")
    try:
        migrate(engine, "devices")
        key = bootstrap_tenant(Database(engine), IdSource(), TENANT)
    finally:
        engine.dispose()
    if key is not None:
        known["admin_key"] = key
        _keep(path, known)
    if "admin_key" not in known:
        raise ConflictError(
            f"tenant {TENANT!r} exists, but {path} has no key of it; use another data directory"
        )
    return known["admin_key"]
