"""Settings: read from the environment, all faults at once, secrets never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pydantic
import pytest
from pydantic import Field, SecretStr

from services.kit.errors import InvalidInputError
from services.kit.settings import KitSettings, load


class WellSettings(KitSettings):
    """A service's settings, for the tests."""

    depth_m: int = Field(10, ge=1, description="How deep the well is.")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this a developer's own environment would decide."""
    for name in os.environ:
        if name.startswith("METERFLEET_"):
            monkeypatch.delenv(name)


def test_defaults_run_locally() -> None:
    """Nothing has to be set on a laptop, and nothing listens beyond it."""
    settings = load(KitSettings)
    assert settings.host == "127.0.0.1"
    assert settings.http_port == 0


def test_environment_names_have_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting is read from METERFLEET_ and its name, a service's own among them."""
    monkeypatch.setenv("METERFLEET_HTTP_PORT", "9000")
    monkeypatch.setenv("METERFLEET_DEPTH_M", "12")
    monkeypatch.setenv("METERFLEET_DATA_DIR", "/var/lib/meterfleet")
    monkeypatch.setenv("HTTP_PORT", "1")
    settings = load(WellSettings)
    assert (settings.http_port, settings.depth_m) == (9000, 12)
    assert settings.data_dir == Path("/var/lib/meterfleet")


def test_an_override_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the code passes, as the one process tree does, wins over the environment."""
    monkeypatch.setenv("METERFLEET_DEPTH_M", "12")
    assert load(WellSettings, depth_m=13).depth_m == 13


def test_all_faults_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wrong setting is one fault that names its variable."""
    monkeypatch.setenv("METERFLEET_HTTP_PORT", "70000")
    monkeypatch.setenv("METERFLEET_LOG_LEVEL", "loud")
    monkeypatch.setenv("METERFLEET_LOG_PARTITIONS", "many")
    monkeypatch.setenv("METERFLEET_DEPTH_M", "0")
    with pytest.raises(InvalidInputError) as caught:
        load(WellSettings)
    error = caught.value
    assert {fault.where for fault in error.faults} == {
        "METERFLEET_HTTP_PORT",
        "METERFLEET_LOG_LEVEL",
        "METERFLEET_LOG_PARTITIONS",
        "METERFLEET_DEPTH_M",
    }
    assert error.code == "settings.invalid"
    assert all(fault.where in error.detail for fault in error.faults)


def test_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither printing nor dumping settings shows a password or a token."""
    monkeypatch.setenv("METERFLEET_DATABASE_URL", "postgresql://u:hush@db/x")
    monkeypatch.setenv("METERFLEET_INTERNAL_TOKEN", "hush")
    settings = load(KitSettings)
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hush" not in text
    assert settings.database_url.get_secret_value() == "postgresql://u:hush@db/x"


def test_a_wrong_secret_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of a fault does not repeat what was set."""

    class Strict(KitSettings):
        internal_token: SecretStr = Field(SecretStr("x" * 40), min_length=32)

    monkeypatch.setenv("METERFLEET_INTERNAL_TOKEN", "hush")
    with pytest.raises(InvalidInputError) as caught:
        load(Strict)
    assert "hush" not in str(caught.value)
    assert "METERFLEET_INTERNAL_TOKEN" in str(caught.value)


def test_settings_do_not_change() -> None:
    """Settings are read once: a running process keeps what it started with."""
    with pytest.raises(pydantic.ValidationError):
        setattr(load(KitSettings), "http_port", 1)  # noqa: B010 - the type forbids it too
