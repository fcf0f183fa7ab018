"""Tables of the documents that are made from the code: settings and error codes.

`python -m tests.tidy.documents` writes them anew; `test_documents.py` compares.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from services.kit.settings import KitSettings
from tests.tidy import sources
from tests.tidy.sources import ROOT, STUBS, Source

#: Document, and name of the marked block in it.
SETTINGS = ("docs/operate.md", "settings")
ERRORS = ("docs/errors.md", "errors")
FAULTS = ("docs/errors.md", "faults")


def block(path: str, name: str) -> str:
    """What stands between the marks of a block; the marks are comments in the document."""
    begin, end = _marks(name)
    return (ROOT / path).read_text().partition(begin)[2].partition(end)[0].strip()


def _marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: made by python -m tests.tidy.documents -->", f"<!-- end of {name} -->"


def _write(path: str, name: str, table: str) -> None:
    begin, end = _marks(name)
    text = (ROOT / path).read_text()
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    (ROOT / path).write_text(f"{before}{begin}\n{table}\n{end}{after}")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _said(text: str) -> str:
    """What an error says, or a dash where all of it is filled in when it is raised."""
    return _cell(text) if text.strip("… ") else "–"


def _code_python() -> Iterator[Source]:
    return (s for s in sources.python() if s.under("services", "loadtest") and not s.under(STUBS))


@cache
def settings_classes() -> tuple[type[KitSettings], ...]:
    """All settings classes: the kit's first, then those of the processes by name."""
    found = {}
    for source in _code_python():
        for node in source.tree.body:
            bases = [getattr(b, "id", "") for b in getattr(node, "bases", [])]
            if isinstance(node, ast.ClassDef) and any(b.endswith("Settings") for b in bases):
                module = importlib.import_module(source.path[:-3].replace("/", "."))
                kind = getattr(module, node.name)
                if issubclass(kind, KitSettings):
                    found[node.name] = kind
    others = sorted((k for k in found.values() if k is not KitSettings), key=lambda k: k.__name__)
    return KitSettings, *others


def process_of(kind: type[KitSettings]) -> str:
    """`DevicesSettings` are those of process `devices`."""
    return kind.__name__.removesuffix("Settings").lower()


def settings_table() -> str:
    """One row for each environment variable: default, processes that read it, meaning."""
    rows = ["| variable | default | read by | meaning |", "|---|---|---|---|"]
    for name in dict.fromkeys(n for kind in settings_classes() for n in kind.model_fields):
        kinds = [k for k in settings_classes() if name in k.__annotations__]
        readers = "all" if kinds[0] is KitSettings else ", ".join(map(process_of, kinds))
        info = kinds[0].model_fields[name]
        meaning = (info.description or "") + _choices(info.annotation)
        rows.append(
            f"| `METERFLEET_{name.upper()}` | {_defaults(name, kinds)} | {readers} | "
            f"{_cell(meaning)} |"
        )
    return "\n".join(rows)


def _choices(annotation: Any) -> str:
    if get_origin(annotation) is not Literal:
        return ""
    return f" One of {', '.join(map(str, get_args(annotation)))}."


def _defaults(name: str, kinds: list[type[KitSettings]]) -> str:
    if len(kinds) == 1:
        return _default(kinds[0].model_fields[name])
    own = [k for k in kinds if k is not KitSettings]
    return ", ".join(f"{_default(k.model_fields[name])} {process_of(k)}" for k in own)


def _default(info: FieldInfo) -> str:
    value = info.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else "–"


@dataclass(frozen=True)
class ErrorClass:
    """An error class as it stands in the code."""

    name: str
    bases: tuple[str, ...]
    code: str
    status: int
    title: str
    where: str


@dataclass(frozen=True)
class Code:
    """One use of a code: who defines it, the HTTP status it goes with, and what it says."""

    code: str
    status: int
    text: str
    where: str


@cache
def error_classes() -> dict[str, ErrorClass]:
    """All error classes by name, with what they inherit filled in."""
    raw: dict[str, tuple[ast.ClassDef, Source]] = {}
    for source in _code_python():
        for node in source.nodes:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                raw[node.name] = (node, source)
    made: dict[str, ErrorClass] = {}
    while raw:
        ready = [n for n, (node, _) in raw.items() if not set(_bases(node)) & set(raw)]
        for name in ready:
            node, source = raw.pop(name)
            made[name] = _error_class(node, source, made)
    return {name: kind for name, kind in made.items() if kind.code}


def _bases(node: ast.ClassDef) -> list[str]:
    return [getattr(base, "id", getattr(base, "attr", "")) for base in node.bases]


def _error_class(node: ast.ClassDef, source: Source, made: dict[str, ErrorClass]) -> ErrorClass:
    own: dict[str, Any] = {
        target.id: statement.value.value
        for statement in node.body
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    parent = next((made[base] for base in _bases(node) if base in made), None)
    return ErrorClass(
        name=node.name,
        bases=tuple(_bases(node)),
        code=own.get("code", parent.code if parent else ""),
        status=own.get("status", parent.status if parent else 0),
        title=own.get("title", parent.title if parent else ""),
        where=source.at(node, node.name) if "code" in own else "",
    )


@cache
def error_codes() -> tuple[Code, ...]:
    """Every code of an error: those of classes, and those given where an error is raised."""
    classes = error_classes()
    found = [Code(k.code, k.status, k.title, k.where) for k in classes.values() if k.where]
    for source in _code_python():
        for node in source.nodes:
            if isinstance(node, ast.Call):
                kind = classes.get(getattr(node.func, "id", getattr(node.func, "attr", "")))
                code = _keyword(node, "code")
                if kind and isinstance(code, ast.Constant) and isinstance(code.value, str):
                    text = _text(node.args[0]) if node.args else kind.title
                    found.append(Code(code.value, kind.status, text, source.at(node, kind.name)))
    return tuple(found)


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in call.keywords if k.arg == name), None)


def _text(node: ast.expr) -> str:
    """A text as written, with … where a value is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(v) if isinstance(v, ast.Constant) else "…" for v in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    return "…"


def errors_table() -> str:
    """One row for each code: HTTP status and what it says."""
    rows = ["| code | HTTP | says |", "|---|---|---|"]
    first = {entry.code: entry for entry in reversed(error_codes())}
    rows += [f"| `{c}` | {first[c].status} | {_said(first[c].text)} |" for c in sorted(first)]
    return "\n".join(rows)


def faults_table() -> str:
    """One row for each code of a fault that stands in the code as a text."""
    found: dict[str, str] = {}
    for source in _code_python():
        for node in source.nodes:
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Fault":
                arguments = dict(zip(("where", "code", "detail"), node.args, strict=False))
                arguments |= {k.arg: k.value for k in node.keywords if k.arg}
                code = _text(arguments["code"]) if "code" in arguments else "…"
                text = _text(arguments["detail"]) if "detail" in arguments else "…"
                if code != "…" and found.get(code, "…") == "…":
                    found[code] = text
    rows = ["| fault | says |", "|---|---|"]
    return "\n".join(rows + [f"| `{code}` | {_said(found[code])} |" for code in sorted(found)])


def main() -> None:
    """Write all tables into their documents."""
    _write(*SETTINGS, settings_table())
    _write(*ERRORS, errors_table())
    _write(*FAULTS, faults_table())


if __name__ == "__main__":
    main()
