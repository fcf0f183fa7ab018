"""Rows are narrowed to a tenant in one place."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.orm import Session

from services import devices
from services.devices import tables
from services.devices.repository.meters import MeterFilter, Meters
from services.devices.repository.tenant import TenantRows


def test_no_other_file_compares_tenants() -> None:
    """Only repository/tenant.py says which tenant's rows are seen; joins go by key."""
    assert devices.__file__ is not None
    root = Path(devices.__file__).parent
    comparing = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "tenant_id ==" in path.read_text().replace("Row.tenant_id == ApiKeyRow.tenant_id", "")
    }
    assert comparing == {"repository/tenant.py"}


def test_every_table_has_its_tenant() -> None:
    """All rows carry their tenant, but for the outbox, whose messages do."""
    bare = {
        table.name for table in tables.Base.metadata.tables.values() if "tenant_id" not in table.c
    }
    assert bare == {"outbox"}


def test_every_subquery_of_the_fleet_list_is_narrowed() -> None:
    """Search looks into identifiers and service points of the tenant only."""
    with Session() as session:
        meters = Meters(session, 7)
        statement = meters._lines().where(*meters._conditions(MeterFilter("a", "gas", "x", "z")))
    assert isinstance(meters, TenantRows)
    sql = str(statement)
    for table in ("meters", "identifiers", "service_points"):
        assert f"devices.{table}.tenant_id = " in sql
