"""TimescaleDB, Apache edition, from Debian 13's packages in a root of its own.

The root is made by mmdebstrap. The server runs in it by chroot, as the root's postgres user, in a
mount namespace of its own: /dev and /proc are bound there and nowhere else, so they are gone with
the process, however it ends.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg

from deploy.local.machine import (
    StackUnavailable,
    choose_port,
    launch,
    need,
    recall,
    record,
    run,
    say,
    stop,
    tail,
    wait_until,
)

PORT = 15432
SUITE = "trixie"
PACKAGES = "postgresql-17,postgresql-17-timescaledb"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))

_BINARIES = "/usr/lib/postgresql/17/bin"

# Runs in a new mount namespace: what it mounts, nobody else sees and nobody has to unmount.
_ENTER = """\
set -eu
root="$1"; shift
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
exec chroot --userspec=postgres:postgres "$root" "$@"
"""


class Timescale:
    """The database under `directory/timescale`.

    Args:
        directory: where the stack keeps everything.
        scratch: use a data set of its own that is emptied at each start, for tests.
    """

    def __init__(self, directory: Path, *, scratch: bool) -> None:
        self._home = directory / "timescale"
        self._root = self._home / f"root-{SUITE}"
        # As the server sees it, inside of its root.
        self._data = f"/var/lib/postgresql/{'scratch' if scratch else 'data'}"
        self._scratch = scratch
        self._record = self._home / "running.json"
        self._log = self._home / "postgresql.log"

    def is_scratch(self) -> bool:
        """Say whether it runs for tests, on data of their own."""
        running = recall(self._record)
        return running is not None and running.scratch

    def address(self) -> str | None:
        """Give the database's URL while the server runs."""
        running = recall(self._record)
        if running is None:
            return None
        return f"postgresql://postgres@127.0.0.1:{running.port}/postgres"

    def start(self, port: int | None) -> None:
        """Start the server and wait until it answers and offers TimescaleDB.

        Raises:
            StackUnavailable: this is not root, the root cannot be made, or it did not start.
        """
        if os.geteuid() != 0:
            raise StackUnavailable("TimescaleDB's root needs chroot and mount: run as root")
        self._home.mkdir(parents=True, exist_ok=True)
        if not self._root.exists():
            self._make_root()
        self._prepare_data()
        chosen = choose_port(port, PORT)
        self._log.unlink(missing_ok=True)
        settings = [f"-c{name}={value}" for name, value in self._settings(chosen).items()]
        server = [f"{_BINARIES}/postgres", "-D", self._data, *settings]
        pid = launch(self._inside(server), self._log, {"LC_ALL": "C.UTF-8"})
        running = record(self._record, pid, chosen, scratch=self._scratch)
        try:
            wait_until(
                "TimescaleDB: starting",
                lambda: not running.is_alive() or _answers(self.address() or ""),
                timeout_s=60,
            )
            if not running.is_alive():
                raise StackUnavailable(f"PostgreSQL did not start: {tail(self._log)}")
        except BaseException:
            self.stop()
            raise
        say(f"TimescaleDB: pid {pid} answers on 127.0.0.1:{chosen}")

    def stop(self) -> None:
        """Stop the server, its connections cut; its data stays."""
        stop(self._record, "TimescaleDB", signal.SIGINT)

    def _settings(self, port: int) -> dict[str, str | int]:
        settings: dict[str, str | int] = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "shared_preload_libraries": "timescaledb",
            "timescaledb.telemetry_level": "off",
            "max_connections": 100,
            "shared_buffers": "256MB",
            "max_wal_size": "2GB",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if self._scratch:
            # Test data need not outlive the machine's power; they do outlive kill -9, which is what
            # crash tests do.
            settings |= {"fsync": "off", "full_page_writes": "off"}
        return settings

    def _inside(self, command: list[str]) -> list[str]:
        unshare = need("unshare", "it comes with util-linux")
        return [unshare, "--mount", "sh", "-c", _ENTER, "enter", str(self._root), *command]

    def _prepare_data(self) -> None:
        data = self._root / self._data.lstrip("/")
        if self._scratch:
            shutil.rmtree(data, ignore_errors=True)
        if (data / "PG_VERSION").exists():
            return
        initdb = [f"{_BINARIES}/initdb", "-D", self._data, "-U", "postgres", "--auth=trust"]
        run(
            "TimescaleDB: initdb",
            self._inside([*initdb, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]),
            self._home / "initdb.log",
            timeout_s=60,
        )

    def _make_root(self) -> None:
        """Make the root from the mirror this machine itself uses."""
        mmdebstrap = _need_mmdebstrap(self._home / "apt.log")
        mirror = debian_mirror()
        if not KEYRING.exists():
            raise StackUnavailable(f"{KEYRING} is missing: apt-get install debian-archive-keyring")
        # The package would make a database of its own, which nobody uses.
        no_cluster = (
            "--essential-hook=mkdir -p $1/etc/postgresql-common && "
            "echo create_main_cluster=false >$1/etc/postgresql-common/createcluster.conf"
        )
        options = [f"--include={PACKAGES}", f"--keyring={KEYRING}", no_cluster]
        say("TimescaleDB: mmdebstrap makes a Debian 13 root (530 MB, about 45 s, once)")
        with _complete(self._root) as part:
            run(
                "TimescaleDB: mmdebstrap makes the root",
                [mmdebstrap, "--mode=root", "--variant=apt", *options, SUITE, str(part), mirror],
                self._home / "mmdebstrap.log",
                timeout_s=1200,
            )


def debian_mirror() -> str:
    """Read which Debian mirror this machine's apt uses.

    Raises:
        StackUnavailable: apt's configuration names none.
    """
    for path in SOURCES:
        if not path.exists():
            continue
        lines = [line.strip() for line in path.read_text().splitlines()]
        for line in lines:
            # deb822 (`URIs: …`) or one line (`deb [options] … suite main`).
            found = re.match(r"(?:URIs:|deb(?:\s+\[[^]]*\])?)\s+(\S+)", line)
            if found is not None and "security" not in found[1]:
                return found[1]
    places = " and ".join(str(path) for path in SOURCES)
    raise StackUnavailable(f"no Debian mirror is named in {places}")


@contextlib.contextmanager
def _complete(target: Path) -> Iterator[Path]:
    """Lend a path to fill that becomes `target` when complete, and is removed when not."""
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    part.rename(target)


def _need_mmdebstrap(log: Path) -> str:
    """Give mmdebstrap, installed now when the machine lets us."""
    found = shutil.which("mmdebstrap")
    if found is not None:
        return found
    apt_get = need("apt-get", "mmdebstrap is missing, and so is the way to install it")
    install = [apt_get, "install", "-y", "--no-install-recommends", "mmdebstrap"]
    say("TimescaleDB: installing mmdebstrap")
    if subprocess.run(install, capture_output=True, check=False).returncode:
        run("TimescaleDB: apt-get update", [apt_get, "update"], log, timeout_s=300)
        run("TimescaleDB: apt-get install mmdebstrap", install, log, timeout_s=300)
    return need("mmdebstrap", "apt-get did not install it")


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            row = connection.execute(
                "SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'"
            ).fetchone()
    except psycopg.Error:
        return False
    if row is None:
        raise StackUnavailable("PostgreSQL runs but does not offer TimescaleDB")
    return True
