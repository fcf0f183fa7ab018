"""Alembic's entry for the alerts schema."""

from services.alerts.tables import Base
from services.kit.db import run_migrations

run_migrations(Base.metadata)
