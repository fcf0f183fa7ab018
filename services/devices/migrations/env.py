"""Alembic's entry for the devices schema."""

from services.devices.tables import Base
from services.kit.db import run_migrations

run_migrations(Base.metadata)
