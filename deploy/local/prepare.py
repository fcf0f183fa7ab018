"""`python -m deploy.local.prepare`: installs what the tests need beside Python, where it may.

As root on a Debian machine, missing programs are installed with apt-get; elsewhere it says what is
missing and the tests that need it skip with that reason. It never fails: a test run tells more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

#: Program to the Debian package that brings it, and what for.
NEEDED = {
    "chromium": ("chromium", "browser tests"),
    "mmdebstrap": ("mmdebstrap", "a real TimescaleDB"),
    "java": ("openjdk-17-jre-headless", "a real Kafka"),
    "mvn": ("maven", "Kafka's jars"),
    "promtool": ("prometheus", "tests of the alert rules"),
}
INSTALL_TIMEOUT_S = 900


def missing() -> dict[str, tuple[str, str]]:
    """Programs that are not there: package and what for."""
    return {name: entry for name, entry in NEEDED.items() if shutil.which(name) is None}


def install(packages: list[str]) -> None:
    """Install Debian packages without their suggestions and without starting services."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        subprocess.run(
            command,
            env=environment,
            check=False,
            timeout=INSTALL_TIMEOUT_S,
            stdout=subprocess.DEVNULL,
        )


def main() -> None:
    """Install what is missing, then say what still is."""
    wanted = missing()
    if wanted and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = sorted({package for package, _ in wanted.values()})
        print(f"· installing {', '.join(packages)} for the tests", file=sys.stderr, flush=True)
        try:
            install(packages)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"· apt-get failed: {error}", file=sys.stderr)
    for name, (package, purpose) in missing().items():
        print(f"· no {name} (package {package}): {purpose} will skip", file=sys.stderr)


if __name__ == "__main__":
    main()
