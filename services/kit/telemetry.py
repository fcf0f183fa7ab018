"""Structured logs and metrics, set up once per process."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: One registry per process; services make their metrics in it, `/metrics` shows it.
METRICS = CollectorRegistry(auto_describe=True)

HTTP_SECONDS = Histogram(
    "meterfleet_http_request_seconds",
    "Duration of HTTP requests by route.",
    ["service", "method", "route", "status"],
    registry=METRICS,
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
RPC_SECONDS = Histogram(
    "meterfleet_grpc_call_seconds",
    "Duration of gRPC calls by method.",
    ["service", "method", "code"],
    registry=METRICS,
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

_SECRETS = ("authorization", "api_key", "secret", "password", "token", "payload_key")


def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
    """A counter named `meterfleet_<name>` in the process's registry."""
    return Counter(f"meterfleet_{name}", text, labels, registry=METRICS)


def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
    """A gauge named `meterfleet_<name>` in the process's registry."""
    return Gauge(f"meterfleet_{name}", text, labels, registry=METRICS)


def histogram(
    name: str,
    text: str,
    labels: tuple[str, ...] = (),
    buckets: tuple[float, ...] = (0.01, 0.1, 1, 10),
) -> Histogram:
    """A histogram named `meterfleet_<name>` in the process's registry."""
    return Histogram(f"meterfleet_{name}", text, labels, registry=METRICS, buckets=buckets)


def _hide_secrets(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Last fence: a field named like a secret never reaches a log line."""
    for name in event:
        if any(secret in name.lower() for secret in _SECRETS):
            event[name] = "hidden"
    return event


def configure_logging(service: str, *, level: str = "info", style: str = "auto") -> None:
    """Send structured logs to standard error: pretty on a terminal, JSON lines elsewhere."""
    pretty = style == "pretty" or (style == "auto" and sys.stderr.isatty())
    renderer: Any = (
        # Plain tracebacks: the pretty ones print local variables, secrets among them.
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if pretty
        else structlog.processors.JSONRenderer()
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    # Libraries log through the standard module; their warnings go the same way.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared)
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def logger(name: str) -> Any:
    """A structured logger; `name` says which part speaks."""
    return structlog.get_logger(part=name)
