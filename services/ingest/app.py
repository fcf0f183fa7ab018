"""Wiring of ingest's two processes: the doors and read side, and the pipeline worker."""

from __future__ import annotations

from services.ingest import events
from services.ingest.api import Api
from services.ingest.directory import MeterDirectory
from services.ingest.doors.accept import Acceptor
from services.ingest.keeper import RegistryKeeper
from services.ingest.pipeline.worker import PipelineWorker
from services.ingest.rpc import IngestServicer, UsageServicer
from services.ingest.settings import IngestSettings, PipelineSettings
from services.ingest.store.readings import ReadingStore
from services.ingest.usage.service import UsageService
from services.kit.clock import SystemClock
from services.kit.db import Database, connect, migrate
from services.kit.http import create_app
from services.kit.identity import remote_authenticator
from services.kit.ids import IdSource
from services.kit.log import open_log
from services.kit.process import Process
from services.kit.rpc import create_server
from services.stubs.meterfleet.ingest.v1 import (
    ingest_pb2,
    ingest_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
)


def build(settings: IngestSettings) -> Process:
    """The doors and the read side."""
    clock = SystemClock()
    ids = IdSource(clock)
    engine = connect(settings.database_url.get_secret_value(), name="ingest")
    migrate(engine, "ingest")
    database = Database(engine)
    log = open_log(settings.log_url)
    log.ensure_topics(events.topics(settings.log_partitions))
    directory = MeterDirectory(database, clock)
    acceptor = Acceptor(log, directory, clock, ids)
    store = ReadingStore(database)
    usage = UsageService(database, store)
    authenticator = remote_authenticator(settings, clock)
    doors, reads = IngestServicer(acceptor, database, log), UsageServicer(usage)
    names = [
        ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name,
        usage_pb2.DESCRIPTOR.services_by_name["UsageService"].full_name,
    ]
    return Process(
        service="ingest",
        host=settings.host,
        http=create_app(
            "ingest",
            "Meterfleet ingest",
            authenticator,
            [Api(acceptor, usage, store, database, log).router()],
            [database.check],
        ),
        http_port=settings.http_port,
        rpc=create_server(
            "ingest",
            authenticator,
            [
                lambda server: ingest_pb2_grpc.add_IngestServiceServicer_to_server(doors, server),
                lambda server: usage_pb2_grpc.add_UsageServiceServicer_to_server(reads, server),
            ],
            names,
        ),
        grpc_port=settings.grpc_port,
        closers=[log.close, database.close],
    )


def build_pipeline(settings: PipelineSettings) -> Process:
    """The worker that owns partitions of readings.received."""
    clock = SystemClock()
    engine = connect(settings.database_url.get_secret_value(), name="pipeline")
    migrate(engine, "ingest")
    database = Database(engine)
    log = open_log(settings.log_url)
    log.ensure_topics(events.topics(settings.log_partitions))
    keeper = RegistryKeeper(database, log, clock)
    worker = PipelineWorker(
        database,
        log,
        MeterDirectory(database, clock),
        clock,
        IdSource(clock),
        settings.pipeline_group_readings,
    )
    return Process(
        service="pipeline",
        host=settings.host,
        http=create_app(
            "pipeline",
            "Meterfleet pipeline",
            None,
            [],
            [database.check, worker.check, keeper.check],
        ),
        http_port=settings.http_port,
        workers=[keeper, worker],
        closers=[log.close, database.close],
    )
