"""Templates and assets: one Jinja environment with the filters every page uses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from services.console import format as fmt
from services.console import words
from services.kit.clock import Clock
from services.metering.obis import COMMODITIES

HERE = Path(__file__).parent
STATIC = HERE / "static"
_ASSETS_MAX = 64


class Renderer:
    """Makes HTML from templates; escapes everything that is not marked as safe.

    Args:
        clock: What "3 h ago" is measured from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._digests: dict[str, str] = {}
        self._env = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.filters.update(
            number=fmt.number,
            unit=fmt.unit,
            day=fmt.day,
            last_day=fmt.last_day,
            instant=fmt.instant,
            span=fmt.span,
            ago=lambda value: fmt.ago(value, clock.now_ms()),
            zone_label=lambda zone: fmt.zone_label(zone, clock.now_ms()),
            rule_text=words.rule_text,
            rule_code=words.rule_code,
            event_text=words.event_text,
            alert_text=words.alert_text,
            reason_text=words.reason_text,
            humanise=words.humanise,
            fact=fmt.fact,
            json=data_json,
            short=short,
        )
        self._env.globals.update(
            quantity=fmt.quantity,
            link=link,
            asset=self.asset,
            options=options,
            commodities=COMMODITIES,
            alert_text=words.alert_text,
            reason_text=words.reason_text,
        )

    def html(self, template: str, **context: Any) -> str:
        """The page of a template."""
        return self._env.get_template(template).render(context)

    def asset(self, path: str) -> str:
        """Address of a static file, with its content's digest so that it may be kept for ever."""
        digest = self._digests.get(path)
        if digest is None:
            assert len(self._digests) < _ASSETS_MAX, "templates name a bounded set of files"
            digest = hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:12]
            self._digests[path] = digest
        return f"/static/{path}?v={digest}"


def link(path: str, **params: Any) -> str:
    """A path with the parameters that are not empty."""
    given = {name: value for name, value in params.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def options(
    counts: Any, defaults: Iterable[str] = (), name: Callable[[str], str] = words.humanise
) -> list[tuple[str, str]]:
    """Choices of a filter: what there is, with its number; `defaults` if that is not known.

    Args:
        counts: Counts by code.
        defaults: Codes to choose from without counts.
        name: Words for a code.
    """
    if isinstance(counts, dict) and counts:
        return [(code, f"{name(code)} ({fmt.number(count)})") for code, count in counts.items()]
    return [(code, name(code)) for code in defaults]


def short(text: Any, characters: int = 12) -> str:
    """The beginning of a digest or id; the whole stands in the title."""
    shown = str(text or "")
    return shown if len(shown) <= characters + 2 else f"{shown[:characters]}…"


def data_json(value: Any) -> Markup:
    """JSON for a `<script type="application/json">`: nothing in it can close the element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 - escaped above
