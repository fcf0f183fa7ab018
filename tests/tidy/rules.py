"""The house rules of docs/architecture.md, each a function from a file to its findings.

A rule is shown to fire in `test_rules_fire.py` and is held over the repository in `test_house.py`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

from tests.tidy.sources import STUBS, Source

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
LINE_CHARS_MAX = 100

SERVICES = ("devices", "ingest", "alerts", "billing")
_STUBS = "services.stubs"
_PURE_KIT = tuple(f"services.kit.{part}" for part in ("errors", "ids", "clock", "money"))
#: Folder to what it may import of ours; the first that fits counts. None is everything.
IMPORTS: tuple[tuple[str, tuple[str, ...] | None], ...] = (
    ("services/kit/identity.py", ("services.kit", f"{_STUBS}.meterfleet.identity")),
    ("services/kit", ("services.kit",)),
    ("services/metering", ("services.metering", *_PURE_KIT, _STUBS)),
    *(
        (f"services/{name}", (f"services.{name}", "services.kit", "services.metering", _STUBS))
        for name in SERVICES
    ),
    ("services/console", ("services.console", "services.kit", "services.metering")),
    ("services/cli", None),
    ("loadtest", ("loadtest", "services.metering", _STUBS)),
    ("proto", ()),
)
#: What does input or output, or is a framework: not for the pure parts.
_IMPURE = {
    "alembic", "asyncio", "fastapi", "grpc", "httpx", "kafka", "psycopg", "requests", "socket",
    "sqlalchemy", "sqlite3", "starlette", "subprocess", "urllib", "uvicorn",
}  # fmt: skip
_MARKERS = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|NotImplemented" r"Error)\b")
_HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|repo1?\.maven|\bmaven\.org|"
    r"deb\.debian\.org|proxy\.golang\.org|docker\.io|ghcr\.io|quay\.io|\bgcr\.io"
)
_PLACES = re.compile(r"(?<![\w.$}])/(?:work|root|home|Users)/|\.\./shared\b")
_CLOCKS = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
    ("time", "time"), ("time", "time_ns"), ("time", "localtime"), ("time", "gmtime"),
}  # fmt: skip
_SQL_FILES = ("repository.py", "tables.py")
_SQL_FOLDERS = ("repository", "store", "migrations")
_SQL_KIT = (
    "services/kit/db.py",
    "services/kit/outbox.py",
    "services/kit/embedded_postgres.py",
    "services/kit/log",
)
_SQL_NAMES = {"select", "insert", "update", "delete", "text", "union", "union_all"}
_SQL_CALLS = {"execute", "executemany", "exec_driver_sql", "scalar", "scalars"}
_SQL_TEXT = re.compile(
    r"\s*(?:select\b.+\bfrom\b|insert\s+into\b|update\s+\S+\s+set\b|delete\s+from\b|"
    r"(?:create|alter|drop)\s+(?:table|schema|index|view)\b|copy\s+\S+.*\bfrom\s+stdin\b)",
    re.IGNORECASE | re.DOTALL,
)
_TOOL_NOTE = re.compile(r"\s*# (?:noqa|type: ignore|fmt:).*$")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def imported(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """Full names of all modules and names a file imports, those within functions too."""
    package = source.path.removesuffix(".py").split("/")[:-1]
    for node in source.nodes:
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from ((node, f"{module}.{alias.name}") for alias in node.names)


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def imports(source: Source) -> list[str]:
    """Each folder imports only what the table of the house allows it."""
    found = [allowed for folder, allowed in IMPORTS if source.under(folder)]
    if not found or found[0] is None:
        return []
    ours = ("services", "loadtest", "tests", "deploy")
    return [
        source.at(node, f"may not import {name}")
        for node, name in imported(source)
        if any(_within(name, package) for package in ours)
        and not any(_within(name, package) for package in found[0])
    ]


def purity(source: Source) -> list[str]:
    """The field's knowledge and the services' rules do no input or output."""
    parts = source.path.split("/")
    domain = parts[0] == "services" and ("domain" in parts or parts[-1] == "domain.py")
    if not (domain or source.under("services/metering", "services/kit/money.py")):
        return []
    return [
        source.at(node, f"is pure and may not import {name}")
        for node, name in imported(source)
        if name.split(".")[0] in _IMPURE or "_pb2_grpc" in name
    ]


def sizes(source: Source) -> list[str]:
    """Files, functions and lines stay within what a reader can hold."""
    lines = source.text.splitlines()
    findings = [
        source.at(number, f"{len(line)} characters, at most {LINE_CHARS_MAX}")
        for number, line in enumerate(lines, 1)
        # Notes to a tool at the end of a line do not count, for ruff either.
        if len(_TOOL_NOTE.sub("", line)) > LINE_CHARS_MAX
    ]
    if len(lines) > FILE_LINES_MAX:
        findings.append(source.at(1, f"{len(lines)} lines, at most {FILE_LINES_MAX}"))
    for node in source.nodes:
        if isinstance(node, Function):
            length = _own_lines(node)
            if length > FUNCTION_LINES_MAX:
                findings.append(
                    source.at(node, f"{node.name}: {length} lines, at most {FUNCTION_LINES_MAX}")
                )
    return findings


def _own_lines(function: Function) -> int:
    """Lines of a function without those of functions within it, which are measured themselves."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    inner: list[ast.AST] = list(ast.iter_child_nodes(function))
    while inner:
        node = inner.pop()
        if isinstance(node, Function):
            total -= (node.end_lineno or node.lineno) - node.lineno + 1
        else:
            inner += ast.iter_child_nodes(node)
    return total


def _constant(node: ast.AST, kind: type) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, kind)


def markers(source: Source) -> list[str]:
    """Nothing is left for later: no marker, no stand-in."""
    if source.under(STUBS):
        return []
    return [
        source.at(number, f"{match[0]} is no code")
        for number, line in enumerate(source.text.splitlines(), 1)
        if (match := _MARKERS.search(line))
    ]


def prints(source: Source) -> list[str]:
    """Only commands print; everything else logs."""
    if source.under("services/cli", "loadtest", "deploy"):
        return []
    return [
        source.at(node, "print: log it instead")
        for node in source.nodes
        if isinstance(node, ast.Call) and _name(node.func) == "print"
    ]


def _name(node: ast.AST) -> str:
    """`a.b.c` as written, or nothing for other expressions."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _name(node.value)
        return f"{base}.{node.attr}" if base else ""
    return ""


def clocks(source: Source) -> list[str]:
    """The time comes from an injected clock; durations may be measured."""
    if not source.under("services") or source.under("services/kit/clock.py"):
        return []
    findings = []
    for node in source.nodes:
        if isinstance(node, ast.Attribute):
            parts = _name(node).split(".")
            if tuple(parts[-2:]) in _CLOCKS:
                findings.append(source.at(node, f"{'.'.join(parts)}: ask a Clock"))
    return findings + [
        source.at(node, f"{name}: ask a Clock")
        for node, name in imported(source)
        if name in {"time.time", "time.time_ns"}
    ]


def randomness(source: Source) -> list[str]:
    """Ids and random numbers come from an injected source, so that a run can be repeated."""
    # A request's trace id and an API key have no use for repetition.
    allowed = ("services/kit/http.py", "services/kit/auth.py", "services/kit/ids.py")
    if not source.under("services", "loadtest") or source.under(*allowed):
        return []
    findings = []
    for node in source.nodes:
        if not isinstance(node, ast.Call):
            continue
        name = _name(node.func)
        last = name.rpartition(".")[2]
        drawn = name.startswith("random.") and last != "Random"
        numpys = ".random." in name and last not in {"default_rng", "Generator", "PCG64"}
        unseeded = last == "default_rng" and not node.args and not node.keywords
        if drawn or numpys or unseeded or last in {"uuid1", "uuid4"}:
            findings.append(source.at(node, f"{name}: take a seeded source or an IdSource"))
    return findings


def floats(source: Source) -> list[str]:
    """No float for money or billed quantity."""
    if not source.under("services/billing", "services/kit/money.py"):
        return []
    exact = source.under(
        "services/billing/rating", "services/billing/tariffs", "services/kit/money.py"
    )
    # Asking whether something is a float is how a float is refused.
    asked = {
        id(part)
        for node in source.nodes
        if isinstance(node, ast.Call) and _name(node.func) == "isinstance"
        for part in ast.walk(node)
    }
    return [
        source.at(node, "a float: use Decimal or Fraction")
        for node in source.nodes
        if (isinstance(node, ast.Call) and _name(node.func) == "float")
        or (exact and _constant(node, float))
        or (exact and _name(node) == "float" and id(node) not in asked)
    ]


def sql(source: Source) -> list[str]:
    """All SQL of a service stands in its repository, its store or its migrations."""
    parts = source.path.split("/")
    tables = parts[-1] == "tables.py"
    if (
        not source.under("services")
        or source.under(*_SQL_KIT)
        or (parts[-1] in _SQL_FILES and not tables)
        or any(folder in parts for folder in _SQL_FOLDERS)
    ):
        return []
    findings = [
        source.at(node, f"{name} belongs to the repository")
        for node, name in imported(source)
        if _within(name, "sqlalchemy")
        and name.rpartition(".")[2] in _SQL_NAMES - ({"text"} if tables else set())
    ]
    for node in source.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in _SQL_CALLS:
                findings.append(source.at(node, f".{node.func.attr}() belongs to the repository"))
        elif _constant(node, str) and _SQL_TEXT.match(getattr(node, "value", "")):
            findings.append(source.at(node, "SQL text belongs to the repository"))
    return findings


def docstrings(source: Source) -> list[str]:
    """Everything public in the services says what it is for."""
    if not source.under("services", "loadtest") or "/migrations/" in source.path:
        return []
    findings = []
    if not ast.get_docstring(source.tree) and not source.path.endswith("__init__.py"):
        findings.append(source.at(1, "the module says nothing of itself"))
    return findings + [
        source.at(node, f"{node.name} has no docstring")
        for node in _public(source.tree)
        if not ast.get_docstring(node)
    ]


def _public(parent: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    for node in parent.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            decorators = {_name(d).rpartition(".")[2] for d in node.decorator_list}
            if not decorators & {"setter", "overload", "override"}:
                yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def proofs(source: Source) -> list[str]:
    """Each test says in a sentence what it proves."""
    if not source.under("tests"):
        return []
    return [
        source.at(node, f"{node.name} does not say what it proves")
        for node in source.nodes
        if isinstance(node, Function)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]


def places(source: Source) -> list[str]:
    """No file names a package registry, or a place on somebody's machine."""
    return [
        source.at(number, f"names {match[0]}")
        for number, line in enumerate(source.text.splitlines(), 1)
        if (match := _HOSTS.search(line) or _PLACES.search(line))
    ]


def locks(source: Source) -> list[str]:
    """Lock files pin by hash and do not say where from."""
    name = source.path.rpartition("/")[2]
    if name == "package-lock.json":
        packages = json.loads(source.text).get("packages", {})
        return [
            source.at(1, f"{package or 'the root'} has 'resolved'")
            for package, entry in packages.items()
            if "resolved" in entry
        ]
    if not name.endswith(".lock"):
        return []
    findings = [
        source.at(number, "names an address")
        for number, line in enumerate(source.text.splitlines(), 1)
        if "://" in line or line.startswith(("--index-url", "--extra-index-url", "--find-links"))
    ]
    pins = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", source.text))
    return findings + [
        source.at(1, f"{pin.split()[0]} has no hash")
        for pin in pins
        if pin.strip() and "--hash=sha256:" not in pin
    ]


#: Rules over Python files, and rules over every text file.
PYTHON_RULES = (
    imports, purity, sizes, prints, clocks, randomness, floats, sql, docstrings, proofs,
)  # fmt: skip
TEXT_RULES = (markers, places, locks)
