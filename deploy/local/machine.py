"""What the parts of the local stack share: processes known by pid, ports, progress, reasons.

A process is recorded with the instant it started, because a pid alone may by now be another's.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

# Nothing is said about what takes less; a line comes this often while something goes on.
QUIET_S = 2.0
LINE_EVERY_S = 5.0


class StackUnavailable(Exception):  # noqa: N818 – a state of the machine rather than an error
    """This machine cannot have the stack; the text says exactly what is missing."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that was started: its process and the port it listens on.

    Attributes:
        pid: the process.
        started_ticks: when it started, in the kernel's ticks since boot.
        port: on 127.0.0.1.
        scratch: it was started for tests, on data of their own.
    """

    pid: int
    started_ticks: int
    port: int
    scratch: bool = False

    def is_alive(self) -> bool:
        """Say whether that very process still runs."""
        return _started_ticks(self.pid) == self.started_ticks


def record(path: Path, pid: int, port: int, *, scratch: bool) -> Running:
    """Write down what was started, so that a later command can find and stop it."""
    running = Running(pid, _started_ticks(pid) or 0, port, scratch)
    path.write_text(json.dumps(asdict(running)))
    return running


def recall(path: Path) -> Running | None:
    """Give what was started and still runs."""
    if not path.exists():
        return None
    running = Running(**json.loads(path.read_text()))
    return running if running.is_alive() else None


def stop(path: Path, name: str, how: signal.Signals, patience_s: float = 30.0) -> None:
    """Stop what was recorded, the hard way when it does not go by itself, and forget it."""
    running = recall(path)
    if running is not None:
        os.kill(running.pid, how)
        if not _ends(running, patience_s):
            say(f"{name}: did not stop in {patience_s:.0f} s, killing pid {running.pid}")
            os.kill(running.pid, signal.SIGKILL)
            _ends(running, patience_s)
        say(f"{name}: stopped")
    path.unlink(missing_ok=True)


def choose_port(wanted: int | None, default: int) -> int:
    """Give the port asked for, or the default one, or any that is free.

    Raises:
        StackUnavailable: the port that was asked for is taken.
    """
    for port in [wanted] if wanted is not None else [default, 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise StackUnavailable(f"port {wanted} on 127.0.0.1 is taken by another process")


def say(text: str) -> None:
    """Tell a person how far it is, on stderr: stdout is for the addresses."""
    print(text, file=sys.stderr, flush=True)


def run(name: str, command: Sequence[str], log: Path, timeout_s: float) -> None:
    """Run a command to its end, its output in `log`, with a line of progress now and then.

    Raises:
        StackUnavailable: it failed or took longer than `timeout_s`; with the end of its output.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_until(name, lambda: process.poll() is not None, timeout_s)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode:
        raise StackUnavailable(f"{name} failed ({command[0]}): {tail(log)}")


def wait_until(name: str, is_done: Callable[[], bool], timeout_s: float) -> None:
    """Wait with a line of progress now and then.

    Raises:
        StackUnavailable: it took longer than `timeout_s`.
    """
    began_s = time.monotonic()
    next_line_s = QUIET_S
    while not is_done():
        elapsed_s = time.monotonic() - began_s
        if elapsed_s > timeout_s:
            raise StackUnavailable(f"{name} took longer than {timeout_s:.0f} s")
        if elapsed_s > next_line_s:
            say(f"{name} … {elapsed_s:.0f} s")
            next_line_s = elapsed_s + LINE_EVERY_S
        time.sleep(0.1)


def launch(command: Sequence[str], log: Path, environment: dict[str, str] | None = None) -> int:
    """Start a server that outlives this process and give its pid."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=None if environment is None else {**os.environ, **environment},
        )
    # Nobody waits for it by this object, which would otherwise warn when it goes.
    process.returncode = 0
    _CHILDREN.add(process.pid)
    return process.pid


def need(program: str, reason: str) -> str:
    """Give the path of a program.

    Raises:
        StackUnavailable: this machine does not have it.
    """
    found = shutil.which(program)
    if found is None:
        raise StackUnavailable(f"{program} is missing: {reason}")
    return found


def tail(log: Path, lines: int = 8) -> str:
    """Give the end of a log, for a person to read."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


# Servers that this very process started: it is their parent and must reap them when they end.
_CHILDREN: set[int] = set()


def _ends(running: Running, patience_s: float) -> bool:
    deadline_s = time.monotonic() + patience_s
    while running.is_alive():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    if running.pid in _CHILDREN:
        _CHILDREN.discard(running.pid)
        os.waitpid(running.pid, 0)
    return True


def _started_ticks(pid: int) -> int | None:
    """Read when a process started; None when there is none, or only its corpse."""
    try:
        # The name of the program stands in brackets and may hold anything, blanks included.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])
