"""The tools agree: lint, format, types, contracts and the stubs made from them."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.sources import ROOT, STUBS

BUF = "@bufbuild/buf@1.75.0"
NPM_FOLDER = ROOT / ".cache" / "npm"


def run(*command: str | Path, cwd: Path = ROOT, timeout_s: float = 600) -> None:
    """Run a tool; what it prints is what the failure shows."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_ruff_check() -> None:
    """All of ruff's rules hold, but for those pyproject.toml excepts with a reason."""
    run(sys.executable, "-m", "ruff", "check", "--no-cache", ".")


def test_ruff_format() -> None:
    """Every file is formatted."""
    run(sys.executable, "-m", "ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_mypy() -> None:
    """All services and the load test are typed, strictly."""
    run(sys.executable, "-m", "mypy")


def test_stubs_are_what_the_contracts_make(tmp_path: Path) -> None:
    """The generated files in the repository are those `proto/` makes now: none edited, none old."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "proto" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.generate(tmp_path)

    def contents(folder: Path) -> dict[str, bytes]:
        paths = (p for p in folder.rglob("*") if p.suffix in {".py", ".pyi"})
        return {str(p.relative_to(folder)): p.read_bytes() for p in paths}

    made, kept = contents(tmp_path), contents(ROOT / STUBS)
    assert sorted(made) == sorted(kept), "run `make proto`"
    assert [name for name in made if made[name] != kept[name]] == [], "run `make proto`"


def _buf() -> Path:
    """The buf program, installed by npm once into the cache."""
    program = NPM_FOLDER / "node_modules" / ".bin" / "buf"
    if program.exists():
        return program
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("buf comes by npm, which is not installed")
    NPM_FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            [npm, "install", "--prefix", str(NPM_FOLDER), "--no-audit", "--no-fund", BUF],
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not fetch buf within 100 s")
    if done.returncode or not program.exists():
        pytest.skip(f"npm could not fetch buf: {done.stderr.strip()[-200:]}")
    return program


@pytest.mark.slow
def test_contracts_are_linted() -> None:
    """The contracts keep buf's STANDARD rules."""
    run(_buf(), "lint", cwd=ROOT / "proto", timeout_s=60)
