"""The local stack: Kafka and ClickHouse of one directory, as one thing to start, look at and stop.

<directory>/stack.json    addresses and process ids while the stack is healthy; no secrets
<directory>/secrets.json  passwords, readable by the owner only; kept from start to start
<directory>/stack.lock    locked while a stack uses the directory
<directory>/clickhouse/   configuration and data of ClickHouse
<directory>/kafka/        configuration and data of Apache Kafka; the memory-only broker has none
<directory>/log/          one log per process
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, get_args
from urllib.parse import quote

import psutil

from deploy.local import apache_kafka, broker, clickhouse, secrets
from deploy.local.lock import DirectoryLock
from deploy.local.ports import HOST, choose_ports
from deploy.local.supervisor import Process, ProcessSpec, ProcessStatus, RestartPolicy, Supervisor
from schemas.errors import Misconfigured

STACK_FILE = "stack.json"
CLOCK_STEP_SECONDS = 60.0
"""The clock of a machine may be set by so much while a stack runs on it."""
USERS = (clickhouse.WRITER, clickhouse.ANALYST)

KafkaKind = Literal["memory", "apache"]
"""`memory`: a small broker that keeps topics in memory only. `apache`: Apache Kafka, which keeps them on disk."""


@dataclass(frozen=True)
class StackAddresses:
    """Where a running stack answers. A part that this stack does not run is None; the URLs hold passwords."""

    pid: int
    kafka: str | None
    clickhouse_url: str | None = field(repr=False)
    clickhouse_http_url: str | None
    analyst_url: str | None = field(repr=False)


class LocalStack:
    """Kafka and ClickHouse on 127.0.0.1 with all their files under `directory`. A context manager.

    A port of 0 means any free one; it stays the same over the restarts of its process. `run_kafka` and `run_clickhouse`
    leave a part out when an existing server takes its place. Apache Kafka has one broker or three; then `kafka_port` is
    that of the first. Raises `Misconfigured` for another number.
    """

    def __init__(
        self,
        directory: Path,
        *,
        kafka: KafkaKind = "memory",
        brokers: int = 1,
        kafka_port: int = 0,
        clickhouse_port: int = 0,
        clickhouse_http_port: int = 0,
        run_kafka: bool = True,
        run_clickhouse: bool = True,
        policy: RestartPolicy | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self._kafka_kind = check_kafka(kafka, brokers)
        kafka_ports = (
            {"kafka_port": kafka_port} if kafka == "memory" else apache_kafka.wanted_ports(kafka_port, brokers)
        )
        clickhouse_ports = {"clickhouse_port": clickhouse_port, "clickhouse_http_port": clickhouse_http_port}
        self._wanted_ports = (kafka_ports if run_kafka else {}) | (clickhouse_ports if run_clickhouse else {})
        self._lock = DirectoryLock(self.directory / "stack.lock")
        self._policy = policy or (apache_kafka.POLICY if kafka == "apache" else None)
        self._supervisor: Supervisor | None = None
        self._ports: dict[str, int] = {}
        self._publishing = threading.Lock()
        self._is_published = False

    def __enter__(self) -> LocalStack:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all parts and block until they are healthy.

        Raises `Misconfigured`, having stopped what was started, when the directory is in use or unusable, a port is
        taken, a wheel or Apache Kafka is missing, or a process does not become healthy.
        """
        if self._supervisor is not None:
            raise Misconfigured(f"the local stack in {self.directory} has been started already")
        self._prepare_directory()
        self._lock.acquire()
        try:
            self._start_processes()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all parts, the last started first, and return when none is left. May be called again."""
        if self._supervisor is not None:
            with self._publishing:
                self._is_published = False
                (self.directory / STACK_FILE).unlink(missing_ok=True)
            self._supervisor.stop()
            self._supervisor = None
        self._lock.release()

    def status(self) -> list[ProcessStatus]:
        """Return a snapshot of each process; nothing when the stack has not been started."""
        return [] if self._supervisor is None else self._supervisor.status()

    @property
    def failure(self) -> str | None:
        """One line about the first process that has been given up; None while all are kept alive."""
        return None if self._supervisor is None else self._supervisor.failure

    def process(self, name: str) -> Process:
        """Return a process, to look at or to disturb: `clickhouse`, `kafka`, or of three brokers `kafka-1` and so on.

        Raises `Misconfigured` on others.
        """
        if self._supervisor is None:
            raise Misconfigured(f"the local stack in {self.directory} is not running")
        try:
            return self._supervisor.process(name)
        except KeyError:
            raise Misconfigured(f"the local stack runs no process named {name!r}") from None

    @property
    def addresses(self) -> StackAddresses:
        """Where the parts answer. Raises `Misconfigured` when the stack is not running."""
        if self._supervisor is None:
            raise Misconfigured(f"the local stack in {self.directory} is not running")
        return _make_addresses(os.getpid(), self._ports, secrets.load_passwords(self.directory))

    @property
    def keeps_topics(self) -> bool:
        """Whether topics and positions are there again after a restart of Kafka."""
        return self._kafka_kind == "apache"

    @property
    def kafka(self) -> str:
        """The brokers' `host:port`, with a comma between several."""
        return self._require("kafka", self.addresses.kafka)

    @property
    def clickhouse_url(self) -> str:
        """`clickhouse://journeys:PASSWORD@127.0.0.1:PORT/`: the user who writes and administers."""
        return self._require("clickhouse", self.addresses.clickhouse_url)

    @property
    def analyst_url(self) -> str:
        """`clickhouse://analyst:PASSWORD@127.0.0.1:PORT/`: the user who reads `analytics`."""
        return self._require("clickhouse", self.addresses.analyst_url)

    @property
    def clickhouse_http_url(self) -> str:
        """`http://127.0.0.1:PORT/`, without a user."""
        return self._require("clickhouse", self.addresses.clickhouse_http_url)

    def _require(self, name: str, address: str | None) -> str:
        if address is None:
            raise Misconfigured(f"the local stack runs no process named {name!r}")
        return address

    def _prepare_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.directory / "log").mkdir(exist_ok=True)
        except OSError as error:
            raise Misconfigured(f"cannot use {self.directory} for the local stack: {error.strerror}") from error

    def _start_processes(self) -> None:
        passwords = secrets.load_or_create_passwords(self.directory, USERS)
        self._ports = choose_ports(self._wanted_ports)
        self._supervisor = Supervisor(self.directory / "log", self._policy, self._publish_again)
        self._supervisor.start(self._specs(passwords))
        with self._publishing:
            self._is_published = True
        self._publish_again()

    def _publish_again(self) -> None:
        """Write the stack file anew: a restarted process has another id. Only between a whole start and the stop."""
        with self._publishing:
            if self._is_published:
                secrets.write_private(self.directory / STACK_FILE, json.dumps(self._describe(), indent=2) + "\n")

    def _specs(self, passwords: dict[str, str]) -> list[ProcessSpec]:
        specs: list[ProcessSpec] = []
        if "clickhouse_port" in self._ports:
            ports = self._ports["clickhouse_port"], self._ports["clickhouse_http_port"]
            log_directory = self.directory / "log"
            specs.append(clickhouse.clickhouse_spec(self.directory / "clickhouse", log_directory, *ports, passwords))
        if "kafka_port" in self._ports and self._kafka_kind == "apache":
            specs += apache_kafka.broker_specs(self.directory / "kafka", apache_kafka.make_nodes(self._ports))
        elif "kafka_port" in self._ports:
            specs.append(broker.broker_spec(self.directory, self._ports["kafka_port"]))
        return specs

    def _describe(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "pid_created_at": psutil.Process().create_time(),
            "host": HOST,
            "ports": self._ports,
            "users": list(USERS),
            "secrets_file": str(self.directory / secrets.FILE_NAME),
            "processes": {status.name: status.pid for status in self.status()},
        }


def check_kafka(kind: str, brokers: int) -> KafkaKind:
    """Return the kind of Kafka. Raises `Misconfigured` when there is none such, or not with so many brokers."""
    kinds = get_args(KafkaKind)
    if kind not in kinds:
        raise Misconfigured(f"there is no local Kafka {kind!r}: choose {' or '.join(kinds)}")
    if kind == "memory" and brokers != 1:
        raise Misconfigured("the memory-only broker is always one: several need --kafka apache")
    if brokers not in apache_kafka.BROKER_COUNTS:
        raise Misconfigured(f"Apache Kafka runs with one broker or three here, not with {brokers}")
    return "apache" if kind == "apache" else "memory"


def read_stack(directory: Path) -> StackAddresses | None:
    """Return where the running stack of a directory answers; None when none is running or healthy there.

    Raises `Misconfigured` when one is running and its files cannot be read.
    """
    path = directory / STACK_FILE
    try:
        described = json.loads(path.read_text("utf-8"))
        pid, created_at, ports = described["pid"], described["pid_created_at"], described["ports"]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"{path} is damaged: delete it and start the local stack anew") from error
    if not _is_alive(pid, created_at):
        return None
    return _make_addresses(pid, ports, secrets.load_passwords(directory))


def _is_alive(pid: int, created_at: float) -> bool:
    """A process id alone could have been given to another process since.

    When a process was created is told by the clock as it is now: where that was set, it is not the same as it was.
    """
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - created_at) < CLOCK_STEP_SECONDS
        return bool(is_same and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _make_addresses(pid: int, ports: dict[str, int], passwords: dict[str, str]) -> StackAddresses:
    kafka_ports, http_port = apache_kafka.listener_ports(ports), ports.get("clickhouse_http_port")
    return StackAddresses(
        pid=pid,
        kafka=",".join(f"{HOST}:{port}" for port in kafka_ports) or None,
        clickhouse_url=_make_url(clickhouse.WRITER, ports, passwords),
        clickhouse_http_url=f"http://{HOST}:{http_port}/" if http_port else None,
        analyst_url=_make_url(clickhouse.ANALYST, ports, passwords),
    )


def _make_url(user: str, ports: dict[str, int], passwords: dict[str, str]) -> str | None:
    port = ports.get("clickhouse_port")
    return f"clickhouse://{user}:{quote(passwords[user], safe='')}@{HOST}:{port}/" if port else None
