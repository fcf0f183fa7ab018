"""Make the Python stubs of all contracts: `python proto/generate.py [TARGET]`.

Generated imports name the package `meterfleet`; ours live in `services.stubs.meterfleet`, so the
imports are rewritten. `tests/tidy` makes them anew and compares.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
TARGET = ROOT.parent / "services" / "stubs"


def generate(target: Path) -> None:
    """Write stubs with type hints below `target`."""
    files = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.proto"))
    target.mkdir(parents=True, exist_ok=True)
    arguments = ["protoc", f"-I{ROOT}", f"--python_out={target}", f"--pyi_out={target}",
                 f"--grpc_python_out={target}", *files]  # fmt: skip
    if protoc.main(arguments):
        raise SystemExit("protoc failed")
    for path in target.rglob("*_pb2*.py*"):
        text = path.read_text()
        text = re.sub(
            r"^from meterfleet\.", "from services.stubs.meterfleet.", text, flags=re.MULTILINE
        )
        path.write_text(text)
    for folder in {path.parent for path in target.rglob("*_pb2.py")} | {target}:
        for part in (folder, *folder.parents):
            if part.is_relative_to(target):
                (part / "__init__.py").touch()


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
