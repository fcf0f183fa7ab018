"""Telemetry: one line per event, no secret in it, and tracebacks that show no variables."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from services.kit import telemetry


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    """Puts the process's logging back as pytest set it up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The log as the machine reads it."""
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Off a terminal each event is one JSON line with service, level and instant."""
    telemetry.configure_logging("wells", style="json")
    telemetry.logger("pump").info("pumped", volume_l=3)
    (entry,) = lines(capsys)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "pumped", "level": "info", "part": "pump", "service": "wells", "volume_l": 3
    }  # fmt: skip


def test_secrets_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    """A field named like a secret is hidden, however it is spelt."""
    telemetry.configure_logging("wells", style="json")
    names = ("Authorization", "internal_token", "db_password", "payload_key", "client_secret")
    telemetry.logger("pump").info("called", **dict.fromkeys(names, "hush"), depth_m=1)
    (entry,) = lines(capsys)
    assert "hush" not in entry.values()
    assert entry["depth_m"] == 1


def test_libraries_log_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    """A warning of a library is a line of the same shape; its chatter is left out."""
    telemetry.configure_logging("wells", style="json")
    logging.getLogger("some.library").warning("disk is %s", "full")
    logging.getLogger("some.library").info("chatter")
    (entry,) = lines(capsys)
    assert (entry["event"], entry["level"], entry["service"]) == (
        "disk is full",
        "warning",
        "wells",
    )


@pytest.mark.parametrize("style", ["json", "pretty"])
def test_tracebacks_show_no_variables(capsys: pytest.CaptureFixture[str], style: str) -> None:
    """An exception is logged with its traceback, and no local variable leaks with it."""
    telemetry.configure_logging("wells", style=style)
    password = "hu" + "sh"
    try:
        [][len(password)]
    except IndexError:
        telemetry.logger("pump").exception("failed")
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert "hush" not in text


def test_level(capsys: pytest.CaptureFixture[str]) -> None:
    """What is below the level is not written."""
    telemetry.configure_logging("wells", level="warning", style="json")
    telemetry.logger("pump").info("pumped")
    telemetry.logger("pump").error("broke")
    assert [entry["event"] for entry in lines(capsys)] == ["broke"]
