"""Wiring of the registry."""

from __future__ import annotations

from functools import partial

from services.devices import rpc
from services.devices.api import router
from services.devices.events import topics
from services.devices.keys import key_lookup
from services.devices.registry import Registry
from services.devices.settings import DevicesSettings
from services.devices.tables import OUTBOX
from services.kit.auth import Authenticator
from services.kit.db import Database, connect, migrate
from services.kit.http import create_app
from services.kit.ids import IdSource
from services.kit.log import open_log
from services.kit.outbox import Outbox
from services.kit.process import Process
from services.kit.rpc import create_server
from services.stubs.meterfleet.devices.v1.devices_pb2_grpc import (
    add_RegistryServiceServicer_to_server,
)
from services.stubs.meterfleet.identity.v1.identity_pb2_grpc import (
    add_IdentityServiceServicer_to_server,
)


def build(settings: DevicesSettings) -> Process:
    """The registry's process: schema migrated, topics made, servers not yet bound.

    Raises:
        UnavailableError: The database or the log is away.
    """
    ids = IdSource()
    engine = connect(settings.database_url.get_secret_value(), name="devices")
    migrate(engine, "devices")
    database = Database(engine)
    log = open_log(settings.log_url)
    log.ensure_topics(topics(settings.log_partitions))
    outbox = Outbox(database, OUTBOX, log)
    lookup = key_lookup(database, settings.platform_key.get_secret_value())
    token = settings.internal_token.get_secret_value()
    authenticator = Authenticator(lookup, token, ids.clock)
    routes = router(database, Registry(database, outbox, ids), ids)
    return Process(
        service="devices",
        host=settings.host,
        http=create_app(
            "devices", "Meterfleet registry", authenticator, [routes], [database.check]
        ),
        http_port=settings.http_port,
        rpc=create_server(
            "devices",
            authenticator,
            [
                partial(add_IdentityServiceServicer_to_server, rpc.IdentityServicer(lookup)),
                partial(add_RegistryServiceServicer_to_server, rpc.RegistryServicer(database)),
            ],
            rpc.NAMES,
        ),
        grpc_port=settings.grpc_port,
        workers=[outbox],
        closers=[log.close, database.close],
    )
