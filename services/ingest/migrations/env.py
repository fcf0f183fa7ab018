"""Alembic's entry for the ingest schema."""

from services.ingest.tables import Base
from services.kit.db import run_migrations

run_migrations(Base.metadata)
