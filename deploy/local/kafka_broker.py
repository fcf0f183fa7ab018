"""One real Apache Kafka broker in KRaft mode, its jars resolved by Maven, on Java 17."""

import hashlib
import re
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path

from deploy.local.machine import (
    Running,
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

PORT = 19092
CONTROLLER_PORT = 19093
JAVA_MIN = 17
POM = Path(__file__).with_name("pom.xml")

# Any identity will do: the cluster has one member and never meets another.
_CLUSTER_ID = "TWV0ZXJmbGVldFN0YWNrIQ"

# One broker for tests on a shared machine: no second copy to wait for, little memory, no pauses
# that only help large groups to gather, and none at a restart until the broker's earlier life is
# forgotten. Topics are made by name and settings, never by accident.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=8388608
log.index.size.max.bytes=1048576
"""

_LOG4J = """\
status=error
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %m (%c)%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
"""


class Broker:
    """The broker under `directory/kafka`.

    Args:
        directory: where the stack keeps everything.
        scratch: use a data set of its own that is emptied at each start, for tests.
    """

    def __init__(self, directory: Path, *, scratch: bool) -> None:
        self._home = directory / "kafka"
        self._data = self._home / ("scratch" if scratch else "data")
        self._scratch = scratch
        self._record = self._home / "running.json"
        self._log = self._home / "kafka.log"

    def is_scratch(self) -> bool:
        """Say whether it runs for tests, on data of their own."""
        running = recall(self._record)
        return running is not None and running.scratch

    def address(self) -> str | None:
        """Give the log's URL while the broker runs."""
        running = recall(self._record)
        if running is None:
            return None
        return f"kafka://127.0.0.1:{running.port}?replication=1&min_insync=1"

    def start(self, port: int | None, controller_port: int | None) -> None:
        """Start the broker and wait until it answers.

        Raises:
            StackUnavailable: Java, Maven or the jars are not to be had, or it did not start.
        """
        java = _need_java()
        self._home.mkdir(parents=True, exist_ok=True)
        jars = self._resolve()
        if self._scratch:
            shutil.rmtree(self._data, ignore_errors=True)
        chosen = choose_port(port, PORT)
        properties = self._configure(chosen, choose_port(controller_port, CONTROLLER_PORT))
        command = [java, "-cp", f"{jars}/*", *self._tuning()]
        if not (self._data / "meta.properties").exists():
            format_command = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID]
            run(
                "Kafka: format the storage",
                [*command, *format_command, "-c", str(properties)],
                self._home / "format.log",
                timeout_s=60,
            )
        self._log.unlink(missing_ok=True)
        pid = launch([*command, "kafka.Kafka", str(properties)], self._log)
        running = record(self._record, pid, chosen, scratch=self._scratch)
        try:
            self._await(running)
        except BaseException:
            self.stop()
            raise
        say(f"Kafka: pid {pid} answers on 127.0.0.1:{chosen}")

    def stop(self) -> None:
        """Stop the broker; its data stays."""
        stop(self._record, "Kafka", signal.SIGTERM)

    def _await(self, running: Running) -> None:
        wait_until(
            "Kafka: starting",
            lambda: not running.is_alive() or _answers(running.port),
            timeout_s=90,
        )
        if not running.is_alive():
            raise StackUnavailable(f"Kafka did not start: {tail(self._log)}")

    def _tuning(self) -> list[str]:
        """Give a heap that holds a test's load; serial collection is the lightest on two cores."""
        logging = f"-Dlog4j2.configurationFile={self._home / 'log4j2.properties'}"
        return ["-Xms256m", "-Xmx768m", "-XX:+UseSerialGC", logging]

    def _resolve(self) -> Path:
        """Let Maven bring the jars, once for each content of the pom."""
        digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
        jars = self._home / f"jars-{digest}"
        if jars.exists():
            return jars
        maven = need("mvn", "Maven resolves Kafka's jars (Debian: apt-get install maven)")
        part = self._home / "jars.part"
        shutil.rmtree(part, ignore_errors=True)
        say("Kafka: Maven resolves the jars (45 MB, once)")
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={part}"]
        run(
            "Kafka: Maven resolves the jars",
            [maven, "-q", "-B", "-f", str(POM), *goal],
            self._home / "maven.log",
            timeout_s=900,
        )
        # Renamed when complete, so a run that was cut off leaves no half set behind.
        part.rename(jars)
        return jars

    def _configure(self, port: int, controller_port: int) -> Path:
        (self._home / "log4j2.properties").write_text(_LOG4J)
        properties = self._home / "server.properties"
        properties.write_text(
            _PROPERTIES.format(port=port, controller_port=controller_port, data=self._data)
        )
        return properties


def _need_java() -> str:
    java = need("java", f"Kafka needs Java {JAVA_MIN} (Debian: openjdk-{JAVA_MIN}-jre-headless)")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', told)
    if found is None or int(found[1]) < JAVA_MIN:
        raise StackUnavailable(f"Kafka needs Java {JAVA_MIN} or later, this one says: {told!r}")
    return java


def _answers(port: int) -> bool:
    """Ask for the supported versions (ApiVersions 0), which a broker answers once it serves."""
    question = struct.pack(">ihhih", 10, 18, 0, 1, -1)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(question)
            return len(connection.recv(8)) == 8
    except OSError:
        return False
