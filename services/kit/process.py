"""One process: an HTTP server, a gRPC server and worker threads that start and stop together."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import grpc
import uvicorn
from fastapi import FastAPI

from services.kit.errors import UnavailableError
from services.kit.telemetry import logger

#: Kubernetes gives 30 s from SIGTERM to SIGKILL; requests and workers get most of it.
DRAIN_S = 20.0
#: Set by a supervisor to its process id: without it, the process ends by itself.
PARENT_VARIABLE = "METERFLEET_PARENT_PID"
_LOG = logger("process")


class Worker(Protocol):
    """Something that runs beside the servers in a thread of its own."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End; returns when it has."""


@dataclass(slots=True)
class Process:
    """What one process is made of; `app.py` of each service builds one.

    Attributes:
        service: Short name, for logs.
        host: Address both servers listen on.
        http: The HTTP application.
        http_port: Its port.
        rpc: The gRPC server, if there is one.
        grpc_port: Its port.
        workers: Started in order after the servers are bound, stopped in reverse.
        closers: Called last, in order.
    """

    service: str
    host: str
    http: FastAPI
    http_port: int
    rpc: grpc.Server | None = None
    grpc_port: int = 0
    workers: Sequence[Worker] = ()
    closers: Sequence[Callable[[], None]] = ()
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain and stop everything.

        Raises:
            UnavailableError: A port is taken.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        if self.rpc is not None:
            self._bind_rpc(self.rpc)
        server = uvicorn.Server(
            uvicorn.Config(
                self.http,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=int(DRAIN_S),
                lifespan="off",
            )
        )
        # In a thread of its own uvicorn leaves the signals alone: the process stops in our order.
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [self._bind_http()]}, name="http", daemon=True
        )
        thread.start()
        for worker in self.workers:
            worker.start()
        _LOG.info("serving", http_port=self.http_port, grpc_port=self.grpc_port)
        parent = os.environ.get(PARENT_VARIABLE, "")
        while thread.is_alive() and not self._stop.wait(0.5):
            if parent and os.getppid() != int(parent):
                _LOG.warning("the parent is gone")
                break
        self._drain(server, thread)

    def _bind_http(self) -> socket.socket:
        """Bound here, because uvicorn's thread would end in silence on a taken port."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.http_port), family=family)
        except OSError as error:
            raise UnavailableError(
                f"HTTP port {self.http_port} on {self.host} is taken; set METERFLEET_HTTP_PORT"
            ) from error

    def _bind_rpc(self, rpc: grpc.Server) -> None:
        try:
            rpc.add_insecure_port(f"{self.host}:{self.grpc_port}")
        except RuntimeError as error:
            raise UnavailableError(
                f"gRPC port {self.grpc_port} on {self.host} is taken; set METERFLEET_GRPC_PORT"
            ) from error
        rpc.start()

    def _drain(self, server: uvicorn.Server, thread: threading.Thread) -> None:
        _LOG.info("stopping")
        if self.rpc is not None:
            self.rpc.stop(DRAIN_S)
        server.should_exit = True
        for worker in reversed(self.workers):
            worker.stop()
        thread.join(DRAIN_S)
        for close in self.closers:
            close()
