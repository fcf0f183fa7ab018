"""The repository's own files as the house rules see them: path, text, syntax tree."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Generated, and watched by a test of their own.
STUBS = "services/stubs/"


@dataclass(frozen=True)
class Source:
    """One file.

    Attributes:
        path: Relative to the repository, with slashes.
        text: Its content.
    """

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree of a Python file."""
        return ast.parse(self.text, self.path)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the tree, walked once for all rules."""
        return list(ast.walk(self.tree))

    def under(self, *folders: str) -> bool:
        """Whether the file is one of these, or lies below one of them."""
        return any(self.path == f or self.path.startswith(f.rstrip("/") + "/") for f in folders)

    def at(self, node: ast.AST | int, text: str) -> str:
        """A finding with its place."""
        line = node if isinstance(node, int) else getattr(node, "lineno", 1)
        return f"{self.path}:{line}: {text}"


@cache
def files() -> tuple[str, ...]:
    """Paths of all files git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    paths = sorted(set(filter(None, listed.split("\0"))))
    return tuple(path for path in paths if (ROOT / path).is_file())


@cache
def texts() -> tuple[Source, ...]:
    """All text files of the repository."""
    sources = []
    for path in files():
        data = (ROOT / path).read_bytes()
        if b"\0" not in data:
            sources.append(Source(path, data.decode()))
    return tuple(sources)


@cache
def python() -> tuple[Source, ...]:
    """All Python files but the generated ones."""
    return tuple(s for s in texts() if s.path.endswith(".py") and not s.under(STUBS))
