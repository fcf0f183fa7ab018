"""Settings of the console: what would be unsafe does not start."""

from __future__ import annotations

import pytest

from services.console.app import build
from services.console.settings import ConsoleSettings, is_loopback
from services.kit.errors import InvalidInputError
from services.kit.settings import load


@pytest.mark.parametrize(
    "wrong",
    [
        {"auto_login_key": "mf_key", "host": "0.0.0.0"},
        {"auto_login_key": "mf_key", "host": "meters.example"},
        {"session_secret": "short"},
    ],
)
def test_unsafe_settings_do_not_start(wrong: dict[str, str]) -> None:
    """No automatic key on an address others reach, no session secret that could be guessed."""
    with pytest.raises(InvalidInputError):
        load(ConsoleSettings, **wrong)


def test_what_is_loopback() -> None:
    """Names and addresses of this machine, and nothing else."""
    assert all(map(is_loopback, ("127.0.0.1", "127.0.0.9", "::1", "[::1]", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "localhost.example", "", "::")))


def test_build_wires_a_process() -> None:
    """The console is one HTTP process on its own port, without gRPC."""
    process = build(load(ConsoleSettings, http_port=0))
    assert (process.service, process.http_port, process.rpc) == ("console", 8080, None)
