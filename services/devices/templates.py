"""Product templates that come with the platform: one file for each commodity."""

from __future__ import annotations

import importlib.resources
from typing import Any

import yaml

_FOLDER = importlib.resources.files("services.devices") / "products"


def names() -> list[str]:
    """Names of the templates, which are commodities."""
    files = (file.name for file in _FOLDER.iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def load(name: str) -> dict[str, Any]:
    """The product file of a template, as `POST /v1/products` takes it.

    Raises:
        FileNotFoundError: There is no such template.
    """
    text = (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document
