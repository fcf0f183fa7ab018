"""Fixtures of the billing tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.billing.api import router
from services.billing.masters import MasterData
from services.billing.runs import BillRuns
from services.kit.auth import Authenticator, key_digest
from services.kit.clock import FixedClock, SystemClock
from services.kit.db import Database, connect, migrate
from services.kit.http import create_app
from services.kit.ids import IdSource
from tests.integration.billing.service import KEYS, NOW_MS, Billing
from tests.unit.billing.fake_usage import FakeSource


@pytest.fixture(scope="module")
def billing(database_url: str) -> Iterator[Billing]:
    """Billing on a fresh database, one for each test module."""
    engine = connect(database_url, name="billing-test")
    migrate(engine, "billing")
    database = Database(engine)
    ids = IdSource()
    source = FakeSource()
    runs = BillRuns(database, source, FixedClock(NOW_MS), ids, known_ppm_min=950_000)
    routes = router(database, MasterData(database, ids), runs)
    identities = {key_digest(key): identity for key, identity in KEYS.items()}
    authenticator = Authenticator(identities.get, "internal", SystemClock())
    app = create_app("billing", "Billing", authenticator, [routes], [database.check])
    yield Billing(database, source, runs, app)
    database.close()
