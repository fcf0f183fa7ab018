"""A platform of a command's own: on free ports, in a folder that goes with it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.cli.ports import free_ports
from services.cli.progress import Steps
from services.cli.settings import TreeSettings
from services.cli.tree import Tree
from services.kit.settings import load


@contextmanager
def own_tree(steps: Steps, data_dir: Path | None = None) -> Iterator[Tree]:
    """Start every service, yield the tree, stop it.

    Args:
        steps: Told what is going on.
        data_dir: Where its data stays; None puts it in a temporary folder and removes that.
    """
    folder = data_dir or Path(tempfile.mkdtemp(prefix="meterfleet-"))
    ports = free_ports()
    tree = Tree(load(TreeSettings, data_dir=folder, port_base=ports.base), ports)
    try:
        with steps.counting("starting the platform"):
            tree.start(steps.say)
        yield tree
    finally:
        tree.stop()
        if data_dir is None:
            shutil.rmtree(folder, ignore_errors=True)
