"""Wiring of the alerts service."""

from __future__ import annotations

from functools import partial

from services.alerts import rpc
from services.alerts.api import router
from services.alerts.consumer import AlertsConsumer
from services.alerts.events import topics
from services.alerts.registry import RegistrySlice
from services.alerts.settings import AlertsSettings
from services.alerts.tables import OUTBOX
from services.kit.db import Database, connect, migrate
from services.kit.http import create_app
from services.kit.identity import remote_authenticator
from services.kit.ids import IdSource
from services.kit.log import open_log
from services.kit.outbox import Outbox
from services.kit.process import Process
from services.kit.rpc import create_server
from services.stubs.meterfleet.alerts.v1.alerts_pb2_grpc import (
    add_AlertsServiceServicer_to_server,
)


def build(settings: AlertsSettings) -> Process:
    """The process of the alerts service: schema migrated, topics made, servers not yet bound.

    Raises:
        UnavailableError: The database or the log is away.
    """
    ids = IdSource()
    engine = connect(settings.database_url.get_secret_value(), name="alerts")
    migrate(engine, "alerts")
    database = Database(engine)
    log = open_log(settings.log_url)
    log.ensure_topics(topics(settings.log_partitions))
    outbox = Outbox(database, OUTBOX, log)
    registry = RegistrySlice(database, log, settings.alerts_meters_wait_s)
    consumer = AlertsConsumer(settings, database, log, outbox, registry, ids)
    authenticator = remote_authenticator(settings, ids.clock)
    return Process(
        service="alerts",
        host=settings.host,
        http=create_app(
            "alerts",
            "Meterfleet alerts",
            authenticator,
            [router(database, log, ids.clock)],
            [database.check, registry.check, consumer.check],
        ),
        http_port=settings.http_port,
        rpc=create_server(
            "alerts",
            authenticator,
            [partial(add_AlertsServiceServicer_to_server, rpc.AlertsServicer(database, log))],
            rpc.NAMES,
        ),
        grpc_port=settings.grpc_port,
        workers=[outbox, registry, consumer],
        closers=[log.close, database.close],
    )
