"""Alembic's entry for the billing schema."""

from services.billing.tables import Base
from services.kit.db import run_migrations

run_migrations(Base.metadata)
