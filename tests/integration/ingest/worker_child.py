"""A process that runs a pipeline worker until it is killed: `worker_child.py DATABASE LOG`."""

from __future__ import annotations

import sys
import threading

from services.ingest.directory import MeterDirectory
from services.ingest.pipeline.worker import PipelineWorker
from services.kit.clock import SystemClock
from services.kit.db import Database, connect
from services.kit.ids import IdSource
from services.kit.log import open_log

#: Small groups make many commits to be killed between.
GROUP_READINGS = 20
LIFETIME_S = 60.0


def main() -> None:
    """Run a worker; the bound ends a child whose parent is gone."""
    database = Database(connect(sys.argv[1], name="child", pool_size=2))
    clock = SystemClock()
    directory = MeterDirectory(database, clock)
    log = open_log(sys.argv[2])
    PipelineWorker(database, log, directory, clock, IdSource(clock), GROUP_READINGS).start()
    threading.Event().wait(LIFETIME_S)


if __name__ == "__main__":
    main()
