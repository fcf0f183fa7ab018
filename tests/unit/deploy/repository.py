"""What the deploy tests read: manifests, settings and metrics of this repository."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from services.cli.serve import Service
from services.kit.settings import KitSettings
from tests.tidy import documents, sources

ROOT = Path(__file__).resolve().parents[3]
Document = dict[str, Any]


def load(path: str) -> Any:
    """The one document of a YAML file."""
    return yaml.safe_load((ROOT / path).read_text())


def load_all(path: Path) -> list[Document]:
    """All documents of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def settings_of(process: str) -> type[KitSettings]:
    """Settings class of a process; the rules of its own name hold (`devices` → DevicesSettings)."""
    kinds = {documents.process_of(kind): kind for kind in documents.settings_classes()}
    return kinds[process]


def variables_of(process: str) -> set[str]:
    """Environment variables a process reads."""
    return {f"METERFLEET_{name.upper()}" for name in settings_of(process).model_fields}


def address_variables_of(process: str) -> dict[str, str]:
    """Variables of a process that name another service, with their embedded defaults."""
    fields = settings_of(process).model_fields
    return {
        f"METERFLEET_{name.upper()}": str(info.default)
        for name, info in fields.items()
        if name.endswith(("_target", "_url")) and name not in {"database_url", "log_url"}
    }


def processes() -> list[str]:
    """What `meterfleet serve` can be."""
    return [str(service) for service in Service]


@cache
def documented_ports() -> dict[str, tuple[int, int | None]]:
    """HTTP and gRPC port of each process, from the table in docs/architecture.md."""
    ports = {}
    for line in (ROOT / "docs/architecture.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[1].isdigit():
            name = cells[0].split()[0]
            ports[name] = (int(cells[1]), int(cells[2]) if cells[2].isdigit() else None)
    return ports


@cache
def declared_metrics() -> dict[str, set[str]]:
    """Names of series our code makes, with their labels."""
    found: dict[str, set[str]] = {}
    for source in sources.python():
        if not source.under("services", "loadtest"):
            continue
        for node in source.nodes:
            if isinstance(node, ast.Call) and node.args:
                kind = getattr(node.func, "id", getattr(node.func, "attr", ""))
                name = node.args[0]
                if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
                    continue
                if kind in {"counter", "gauge", "histogram"}:
                    found |= _series(kind, f"meterfleet_{name.value}", node)
                elif kind in {"Counter", "Gauge", "Histogram"}:
                    found |= _series(kind.lower(), name.value, node)
    return found


def _series(kind: str, name: str, node: ast.Call) -> dict[str, set[str]]:
    given = node.args[2:3] + [k.value for k in node.keywords if k.arg in {"labels", "labelnames"}]
    labels = set(ast.literal_eval(given[0])) if given else set()
    if kind == "counter":
        return {name.removesuffix("_total") + "_total": labels}
    if kind == "gauge":
        return {name: labels}
    return {f"{name}_bucket": labels | {"le"}, f"{name}_count": labels, f"{name}_sum": labels}
