"""Compose and Dockerfile: what can be known without an engine to run them."""

from __future__ import annotations

import re
import runpy
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.deploy.repository import (
    ROOT,
    address_variables_of,
    documented_ports,
    load,
    processes,
    settings_of,
    variables_of,
)

COMPOSE: dict[str, Any] = load("docker-compose.yml")
SERVICES: dict[str, Any] = COMPOSE["services"]
PROCESSES = processes()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def filled(text: str) -> str:
    """A value with its defaults, as an engine without an environment reads it."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", text)


def environment(name: str) -> dict[str, str]:
    """Variables of a service, defaults filled in."""
    return {key: filled(str(value)) for key, value in SERVICES[name]["environment"].items()}


def test_every_process_is_a_service() -> None:
    """Whatever can be served is started, under its own name and command."""
    for name in PROCESSES:
        assert SERVICES[name]["command"] == ["serve", name]
        assert SERVICES[name]["image"] == SERVICES["devices"]["image"]


@pytest.mark.parametrize("name", PROCESSES)
def test_settings_exist_and_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variable is one the process reads, and the process accepts its value."""
    assert set(environment(name)) <= variables_of(name)
    for variable, value in environment(name).items():
        monkeypatch.setenv(variable, value)
    settings = settings_of(name)()
    assert settings.host == "0.0.0.0"


def test_parts_are_where_the_settings_say() -> None:
    """Log and database are services of this file; one broker keeps one copy of each record."""
    given = environment("ingest")
    log = urlsplit(given["METERFLEET_LOG_URL"])
    assert (log.scheme, log.hostname, log.port) == ("kafka", "kafka", 9092)
    assert parse_qs(log.query) == {"replication": ["1"], "min_insync": ["1"]}
    assert urlsplit(given["METERFLEET_DATABASE_URL"]).hostname in SERVICES


@pytest.mark.parametrize("name", PROCESSES)
def test_addresses_lead_to_services(name: str) -> None:
    """Each address a process is given is a service of this file on its documented port."""
    given = environment(name)
    for variable in address_variables_of(name):
        if variable == "METERFLEET_IDENTITY_TARGET" and name not in {
            "ingest",
            "alerts",
            "billing",
        }:
            continue
        assert variable in given
        host, port = given[variable].removeprefix("http://").split(":")
        assert int(port) in documented_ports()[host]


@pytest.mark.parametrize("name", PROCESSES)
def test_ports_are_the_documented_ones(name: str) -> None:
    """Published ports are those of docs/architecture.md, unchanged and on loopback only."""
    http, grpc = documented_ports()[name]
    published = SERVICES[name].get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in published)
    numbers = {tuple(port.split(":")[1:]) for port in published}
    if name != "pipeline":
        assert numbers == {(str(p), str(p)) for p in (http, grpc) if p}
    assert f"127.0.0.1:{http}/readyz" in SERVICES[name]["healthcheck"]["test"][-1]


@pytest.mark.parametrize("name", PROCESSES)
def test_containers_are_confined(name: str) -> None:
    """Read-only, no capability, no new privilege, and time to drain."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["stop_grace_period"] == "30s"


@pytest.mark.parametrize("name", SERVICES)
def test_images_and_parts(name: str) -> None:
    """Images have a version, what is waited for has a health check, volumes are declared."""
    service = SERVICES[name]
    image = filled(service["image"])
    assert re.search(r":v?\d+\.\d+", image), image
    assert "latest" not in image
    for other, condition in service.get("depends_on", {}).items():
        assert condition["condition"] == "service_healthy"
        assert "healthcheck" in SERVICES[other]
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).exists()


def test_demo_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader runs a file that is mounted, once, with settings it reads and real addresses."""
    loader = SERVICES["demo"]
    assert loader["restart"] == "no"
    source, mounted, _ = loader["volumes"][0].split(":")
    assert loader["entrypoint"] == ["python", mounted]
    kind = runpy.run_path(str(ROOT / source))["LoaderSettings"]
    given = environment("demo")
    assert set(given) <= {f"METERFLEET_{name.upper()}" for name in kind.model_fields}
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
        if variable.endswith(("_URL", "_TARGET")):
            host, port = value.removeprefix("http://").split(":")
            assert int(port) in documented_ports()[host]
            assert host in loader["depends_on"]
    assert (
        kind().platform_key.get_secret_value() == environment("devices")["METERFLEET_PLATFORM_KEY"]
    )


def test_no_password_is_a_real_one() -> None:
    """Each secret can be replaced from outside, and its default says that it is no secret."""
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN|_KEY$|SECRET|DATABASE_URL", variable):
                assert re.search(r"\$\{\w+:-[^}]*dev-only", str(value)), f"{name}: {variable}"


def test_dockerfile() -> None:
    """Two stages of the Python we support, hashed dependencies, nobody's account, our command."""
    build, final = DOCKERFILE.split("\nFROM ")[1:]
    assert f"PYTHON={sys.version_info.major}.{sys.version_info.minor}-slim" in DOCKERFILE
    assert "--require-hashes" in build
    assert "-r requirements/run.lock" in build
    assert "pip install" not in final
    assert "pip uninstall" in final
    assert "USER 10001:10001" in final
    assert 'ENTRYPOINT ["meterfleet"]' in final
    assert "org.opencontainers.image.licenses" in final


def test_dockerfile_copies_what_is_sent() -> None:
    """Each file the build copies is there, and .dockerignore lets it in."""
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", DOCKERFILE):
        for path in line.split()[:-1]:
            assert path in allowed
            assert (ROOT / path).exists()
