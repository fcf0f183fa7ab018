"""Ports of one machine: everything follows from one base."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from services.cli.serve import Service
from services.kit.errors import ConflictError

_ORDER = (
    Service.CONSOLE,
    Service.DEVICES,
    Service.INGEST,
    Service.ALERTS,
    Service.BILLING,
    Service.PIPELINE,
)
#: The console and the pipeline have no gRPC server.
_WITH_GRPC = (Service.DEVICES, Service.INGEST, Service.ALERTS, Service.BILLING)
_BASES = range(21_080, 60_000, 97)


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of one tree, all from one base."""

    base: int

    def http(self, service: Service) -> int:
        """HTTP port of a service."""
        return self.base + _ORDER.index(service)

    def grpc(self, service: Service) -> int:
        """gRPC port of a service that has one."""
        return self.http(service) + 1000

    def url(self, service: Service) -> str:
        """Base URL of a service."""
        return f"http://127.0.0.1:{self.http(service)}"

    def target(self, service: Service) -> str:
        """gRPC address of a service."""
        return f"127.0.0.1:{self.grpc(service)}"

    def taken(self) -> list[int]:
        """Those that somebody listens on."""
        wanted = [self.http(service) for service in Service]
        return [port for port in (*wanted, *map(self.grpc, _WITH_GRPC)) if not _is_free(port)]

    def check_free(self) -> None:
        """Refuse ports that are taken.

        Raises:
            ConflictError: Some are; the text names them and what to set.
        """
        taken = self.taken()
        if taken:
            raise ConflictError(
                f"ports {taken} are taken; choose others with METERFLEET_PORT_BASE"
                f" (now {self.base})",
                code="tree.ports_taken",
            )


def free_ports() -> Ports:
    """Ports nobody uses, for a platform beside one that may run.

    Raises:
        ConflictError: There are none.
    """
    for base in _BASES:
        ports = Ports(base)
        if not ports.taken():
            return ports
    raise ConflictError("no free ports on 127.0.0.1", code="tree.ports_taken")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
