"""`meterfleet serve NAME`: one process of the platform, as Kubernetes and the tree start it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from services.kit.process import Process
from services.kit.settings import load
from services.kit.telemetry import configure_logging


class Service(StrEnum):
    """What can be served."""

    DEVICES = "devices"
    INGEST = "ingest"
    PIPELINE = "pipeline"
    ALERTS = "alerts"
    BILLING = "billing"
    CONSOLE = "console"


def _devices() -> Process:
    from services.devices.app import build
    from services.devices.settings import DevicesSettings

    return build(load(DevicesSettings))


def _ingest() -> Process:
    from services.ingest.app import build
    from services.ingest.settings import IngestSettings

    return build(load(IngestSettings))


def _pipeline() -> Process:
    from services.ingest.app import build_pipeline
    from services.ingest.settings import PipelineSettings

    return build_pipeline(load(PipelineSettings))


def _alerts() -> Process:
    from services.alerts.app import build
    from services.alerts.settings import AlertsSettings

    return build(load(AlertsSettings))


def _billing() -> Process:
    from services.billing.app import build
    from services.billing.settings import BillingSettings

    return build(load(BillingSettings))


def _console() -> Process:
    from services.console.app import build
    from services.console.settings import ConsoleSettings

    return build(load(ConsoleSettings))


#: Imports stand within the functions: a process pays only for the service it is.
BUILDERS: dict[Service, Callable[[], Process]] = {
    Service.DEVICES: _devices,
    Service.INGEST: _ingest,
    Service.PIPELINE: _pipeline,
    Service.ALERTS: _alerts,
    Service.BILLING: _billing,
    Service.CONSOLE: _console,
}


def serve(service: Service, *, level: str, style: str) -> None:
    """Run one service until it is told to stop."""
    configure_logging(str(service), level=level, style=style)
    BUILDERS[service]().run()
