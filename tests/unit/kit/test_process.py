"""Process: serves until told to stop, stops in order, and says when a port is taken."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import grpc
import httpx
import pytest

from services.kit import rpc
from services.kit.auth import Authenticator
from services.kit.clock import FixedClock
from services.kit.errors import UnavailableError
from services.kit.http import create_app
from services.kit.process import Process


class Step:
    """A worker that writes down when it starts and stops."""

    def __init__(self, name: str, diary: list[str]) -> None:
        self.name = name
        self.diary = diary

    def start(self) -> None:
        """Begin."""
        self.diary.append(f"start {self.name}")

    def stop(self) -> None:
        """End."""
        self.diary.append(f"stop {self.name}")


@pytest.fixture(autouse=True)
def _restore_signals() -> Iterator[None]:
    """A process takes over the signals; pytest wants Ctrl-C back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def build(diary: list[str], http_port: int, grpc_port: int) -> Process:
    """A process with both servers and two workers."""
    door = Authenticator(lambda _: None, "", FixedClock(0))
    return Process(
        service="wells",
        host="127.0.0.1",
        http=create_app("wells", "Wells", door, []),
        http_port=http_port,
        rpc=rpc.create_server("wells", door, [], [], workers=1),
        grpc_port=grpc_port,
        workers=[Step("outbox", diary), Step("pipeline", diary)],
        closers=[lambda: diary.append("close log"), lambda: diary.append("close database")],
    )


def answers(http_port: int) -> bool:
    """Whether the process is alive within ten seconds."""
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        try:
            return httpx.get(f"http://127.0.0.1:{http_port}/healthz", trust_env=False).is_success
        except httpx.TransportError:
            time.sleep(0.02)
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_and_stops_in_order(number: signal.Signals) -> None:
    """Both servers answer; a signal stops the workers in reverse and closes what they used."""
    diary: list[str] = []
    http_port, grpc_port = free_port(), free_port()

    def use_and_stop() -> None:
        diary.append("http answers" if answers(http_port) else "http is silent")
        with rpc.connect(f"127.0.0.1:{grpc_port}") as channel:
            grpc.channel_ready_future(channel).result(10)
        os.kill(os.getpid(), number)

    user = threading.Thread(target=use_and_stop)
    user.start()
    build(diary, http_port, grpc_port).run()
    user.join(10)
    assert diary == [
        "start outbox",
        "start pipeline",
        "http answers",
        "stop pipeline",
        "stop outbox",
        "close log",
        "close database",
    ]


@pytest.mark.parametrize("taken", ["HTTP", "GRPC"])
def test_a_taken_port_is_an_error(taken: str) -> None:
    """A process that cannot listen ends with an error that names the setting, never in silence."""
    diary: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ports = (port, free_port()) if taken == "HTTP" else (free_port(), port)
        with pytest.raises(UnavailableError, match=f"{port}.*METERFLEET_{taken}_PORT"):
            build(diary, *ports).run()
