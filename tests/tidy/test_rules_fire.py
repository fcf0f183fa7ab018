"""Each house rule fires on a planted example, and keeps quiet beside it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.tidy import rules
from tests.tidy.sources import Source

Rule = Callable[[Source], list[str]]
LONG_FUNCTION = "def f() -> None:\n" + "    g()\n" * rules.FUNCTION_LINES_MAX
NESTED = (
    "def f() -> None:\n" + "    def g() -> None:\n" + "        h()\n" * rules.FUNCTION_LINES_MAX
)
#: Rule, path, text that breaks it.
BROKEN: list[tuple[Rule, str, str]] = [
    (rules.imports, "services/billing/app.py", "from services.ingest import tables"),
    (rules.imports, "services/billing/app.py", "from services import ingest"),
    (rules.imports, "services/billing/app.py", "import services.ingest.tables"),
    (rules.imports, "services/billing/app.py", "from ..ingest import tables"),
    (rules.imports, "services/billing/app.py", "def f():\n    from services.alerts import x"),
    (rules.imports, "services/kit/db.py", "from services.metering import units"),
    (rules.imports, "services/kit/db.py", "from services.stubs.meterfleet.identity.v1 import x"),
    (rules.imports, "services/kit/identity.py", "import services.stubs.meterfleet.billing.v1"),
    (rules.imports, "services/metering/units.py", "from services.kit.db import Database"),
    (rules.imports, "services/console/app.py", "from services.stubs.meterfleet.alerts import v1"),
    (rules.imports, "loadtest/driver.py", "from services.kit.ids import IdSource"),
    (rules.imports, "loadtest/driver.py", "from services.ingest import doors"),
    (rules.imports, "services/devices/app.py", "from tests.database_fixtures import database_url"),
    (rules.purity, "services/metering/units.py", "import sqlalchemy"),
    (rules.purity, "services/metering/x.py", "from services.stubs.a.v1 import a_pb2_grpc"),
    (rules.purity, "services/billing/domain.py", "from fastapi import Depends"),
    (rules.purity, "services/devices/domain/meters.py", "import httpx"),
    (rules.sizes, "services/kit/x.py", "x = 1\n" * (rules.FILE_LINES_MAX + 1)),
    (rules.sizes, "services/kit/x.py", LONG_FUNCTION),
    (rules.sizes, "services/kit/x.py", NESTED),
    (rules.sizes, "services/kit/x.py", "#" * (rules.LINE_CHARS_MAX + 1)),
    (rules.markers, "services/kit/x.py", "# TO" + "DO: later"),
    (rules.markers, "docs/x.md", "FIX" + "ME"),
    (rules.markers, "services/kit/x.py", "raise NotImplemented" + "Error"),
    (rules.prints, "services/kit/x.py", "print('x')"),
    (rules.clocks, "services/kit/x.py", "now = datetime.now(UTC)"),
    (rules.clocks, "services/kit/x.py", "now = datetime.datetime.utcnow()"),
    (rules.clocks, "services/kit/x.py", "now = time.time()"),
    (rules.clocks, "services/kit/x.py", "clock = time.time_ns"),
    (rules.clocks, "services/kit/x.py", "from time import time"),
    (rules.clocks, "services/kit/x.py", "day = date.today()"),
    (rules.randomness, "services/devices/x.py", "i = uuid.uuid4()"),
    (rules.randomness, "services/devices/x.py", "i = random.random()"),
    (rules.randomness, "services/metering/x.py", "i = np.random.rand(3)"),
    (rules.randomness, "loadtest/x.py", "r = np.random.default_rng()"),
    (rules.floats, "services/billing/run.py", "x = float('1')"),
    (rules.floats, "services/billing/rating/x.py", "x = 0.5"),
    (rules.floats, "services/kit/money.py", "def f(x: float): ..."),
    (rules.sql, "services/devices/api.py", "from sqlalchemy import select"),
    (rules.sql, "services/devices/api.py", "from sqlalchemy.dialects.postgresql import insert"),
    (rules.sql, "services/devices/api.py", "session.execute(query)"),
    (rules.sql, "services/devices/api.py", "q = 'select a from b'"),
    (rules.sql, "services/devices/api.py", "q = f'delete from {table}'"),
    (rules.sql, "services/devices/tables.py", "from sqlalchemy import update"),
    (rules.docstrings, "services/kit/x.py", "x = 1"),
    (rules.docstrings, "services/kit/x.py", "'''X.'''\ndef f(): ..."),
    (rules.docstrings, "services/kit/x.py", "'''X.'''\nclass A:\n    '''A.'''\n    def f(s): ..."),
    (rules.proofs, "tests/unit/test_x.py", "def test_x(): ..."),
    (rules.proofs, "tests/unit/test_x.py", "class TestX:\n    async def test_x(self): ..."),
    (rules.places, "Makefile", "pip install --index-url https://py" + "pi.org/simple"),
    (rules.places, "docs/x.md", "cd /wo" + "rk/main"),
    (rules.places, "docs/x.md", "see `.." + "/shared/design.md`"),
    (rules.places, "deploy/x.yaml", "image: gh" + "cr.io/a/b"),
    (rules.locks, "package-lock.json", json.dumps({"packages": {"a": {"resolved": "x"}}})),
    (rules.locks, "requirements/run.lock", "a==1\nb==2 \\\n    --hash=sha256:0\n"),
    (rules.locks, "requirements/run.lock", "a @ https://x \\\n    --hash=sha256:0\n"),
]
#: Rule, path, text that looks like a breach and is none.
CLEAN: list[tuple[Rule, str, str]] = [
    (rules.imports, "services/cli/up.py", "from services.ingest import app\nimport loadtest"),
    (rules.imports, "services/billing/app.py", "from services.billing import tables"),
    (rules.imports, "services/kit/identity.py", "import services.stubs.meterfleet.identity.v1"),
    (rules.imports, "services/metering/x.py", "from services.kit.errors import Fault"),
    (rules.imports, "services/metering/x.py", "from services.kit import errors, money"),
    (rules.imports, "tests/unit/x.py", "from services.ingest import app"),
    (rules.purity, "services/metering/units.py", "import numpy"),
    (rules.purity, "services/billing/api.py", "from fastapi import Depends"),
    (rules.sizes, "services/kit/x.py", "x" * 99 + "  # type: ignore[arg-type]"),
    (rules.markers, "services/kit/x.py", "return NotImplemented  # to do with XXXL"),
    (rules.prints, "services/cli/x.py", "print('x')"),
    (rules.prints, "services/kit/x.py", "pretty.print('x')"),
    (rules.clocks, "services/kit/clock.py", "time.time_ns()"),
    (rules.clocks, "services/kit/x.py", "time.monotonic() + time.perf_counter()"),
    (rules.randomness, "services/metering/x.py", "r = np.random.default_rng(seed)"),
    (rules.randomness, "services/metering/x.py", "r = random.Random(7)"),
    (rules.floats, "services/billing/settings.py", "timeout_s = 2.5"),
    (rules.floats, "services/ingest/x.py", "x = float('1')"),
    (rules.floats, "services/billing/rating/x.py", "bad = isinstance(x, (bool, float))"),
    (
        rules.sizes,
        "services/devices/api.py",
        "def router():\n" + "    def g():\n        h()\n" * 40,
    ),
    (rules.sql, "services/devices/repository.py", "session.execute(select(table))"),
    (rules.sql, "services/ingest/store/postgres.py", "q = 'copy x from stdin'"),
    (rules.sql, "services/devices/tables.py", "from sqlalchemy import text"),
    (rules.sql, "services/console/words.py", "x = 'Select a meter'"),
    (rules.docstrings, "services/kit/x.py", "'''X.'''\ndef _f(): ...\nclass _A:\n    def f(s): 1"),
    (rules.docstrings, "services/kit/x.py", "'''X.'''\ndef f():\n    '''F.'''\n    def g(): ..."),
    (rules.places, "docs/x.md", "an emptyDir at /tmp, `/v1/work/orders`, https://example.org/root"),
    (rules.locks, "package-lock.json", json.dumps({"packages": {"a": {"integrity": "x"}}})),
    (rules.locks, "requirements/run.lock", "a==1 \\\n    --hash=sha256:0\n    # via b\n"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN)
def test_fires(rule: Rule, path: str, text: str) -> None:
    """The rule finds the planted breach and says where it stands."""
    findings = rule(Source(path, text))
    assert findings
    assert all(finding.startswith(f"{path}:") for finding in findings)


@pytest.mark.parametrize(("rule", "path", "text"), CLEAN)
def test_keeps_quiet(rule: Rule, path: str, text: str) -> None:
    """The rule does not cry at what only looks like a breach."""
    assert rule(Source(path, text)) == []


def test_each_rule_has_an_example() -> None:
    """No rule is without a planted breach."""
    assert {rule for rule, _, _ in BROKEN} == {*rules.PYTHON_RULES, *rules.TEXT_RULES}
