"""Wiring of billing."""

from __future__ import annotations

from functools import partial

from services.billing import rpc
from services.billing.api import router
from services.billing.masters import MasterData
from services.billing.runs import BillRuns
from services.billing.settings import BillingSettings
from services.billing.usage_client import RpcUsageSource
from services.kit import rpc as kit_rpc
from services.kit.db import Database, connect, migrate
from services.kit.http import create_app
from services.kit.identity import remote_authenticator
from services.kit.ids import IdSource
from services.kit.process import Process
from services.stubs.meterfleet.billing.v1.billing_pb2_grpc import (
    add_BillingServiceServicer_to_server,
)


def build(settings: BillingSettings) -> Process:
    """Billing's process: schema migrated, servers not yet bound.

    Raises:
        UnavailableError: The database is away.
    """
    ids = IdSource()
    engine = connect(settings.database_url.get_secret_value(), name="billing")
    migrate(engine, "billing")
    database = Database(engine)
    authenticator = remote_authenticator(settings, ids.clock)
    channel = kit_rpc.connect(settings.ingest_target)
    source = RpcUsageSource(channel, settings.internal_token.get_secret_value())
    runs = BillRuns(database, source, ids.clock, ids, settings.billing_known_ppm_min)
    routes = router(database, MasterData(database, ids), runs)
    return Process(
        service="billing",
        host=settings.host,
        http=create_app("billing", "Meterfleet billing", authenticator, [routes], [database.check]),
        http_port=settings.http_port,
        rpc=kit_rpc.create_server(
            "billing",
            authenticator,
            [partial(add_BillingServiceServicer_to_server, rpc.BillingServicer(database, runs))],
            rpc.NAMES,
        ),
        grpc_port=settings.grpc_port,
        closers=[channel.close, database.close],
    )
