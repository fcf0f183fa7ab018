"""Fixtures every test may ask for live in modules by subject; this file only names them."""

pytest_plugins = ["tests.database_fixtures", "tests.stack_fixtures"]
