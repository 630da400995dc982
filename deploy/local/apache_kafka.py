"""The local Apache Kafka: one broker or three in KRaft mode, each of them a controller too. What it holds is on disk.

<directory>/cluster.json          the cluster's id and its number of brokers, for good
<directory>/N/server.properties   configuration of broker N, written anew at each start
<directory>/N/data/               its log directory, formatted once
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.local import broker
from deploy.local.ports import HOST
from deploy.local.secrets import write_private
from deploy.local.supervisor import ProcessSpec, RestartPolicy
from schemas.errors import Misconfigured

# A Java machine that shares its cores with two others and a log to recover takes its time.
POLICY = RestartPolicy(start_timeout_seconds=90.0, stop_timeout_seconds=10.0)
BROKER_COUNTS = (1, 3)

FILES = Path(__file__).resolve().parents[1] / "kafka"
JARS = FILES / "target" / "lib"
FETCHED = FILES / "target" / ".ready"
"""Left by `make kafka` once all is there."""
CLUSTER_FILE = "cluster.json"
SETTINGS_FILE = "server.properties"
DATA = "data"
FORMAT_SECONDS = 120
KIBIBYTE, MEBIBYTE = 1024, 1024 * 1024
RETENTION_MINUTES = 60 * 24 * 60

# Half of the time to start would go into the optimising compiler, and cores into more collecting threads.
JAVA_OPTIONS = (
    "-Xmx300m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Djava.io.tmpdir=tmp",
)


@dataclass(frozen=True)
class Node:
    """One broker, which is a controller too: its number, from 1, and the ports of both."""

    number: int
    port: int
    controller_port: int


def why_missing(environment: Mapping[str, str] = os.environ, fetched: Path = FETCHED) -> str | None:
    """Say in one line what Apache Kafka needs here and has not; None when it can be started."""
    if find_java(environment) is None:
        return "Apache Kafka needs Java 17 or newer and no java is on the PATH: install it, then run `make kafka`"
    if not fetched.exists():
        return "Apache Kafka is not here yet: run `make kafka` in the project's directory (it needs Java and Maven)"
    return None


def find_java(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the path of the `java` to use: that of JAVA_HOME, or else the first on the PATH."""
    home = environment.get("JAVA_HOME")
    own = shutil.which("java", path=str(Path(home) / "bin")) if home else None
    return own or shutil.which("java", path=environment.get("PATH", os.defpath))


def wanted_ports(kafka_port: int, brokers: int) -> dict[str, int]:
    """Return the ports to choose, by setting: `kafka_port` is the first broker's, all others are any free ones."""
    further = {f"kafka_{number}_port": 0 for number in range(2, brokers + 1)}
    return {
        "kafka_port": kafka_port,
        **further,
        **{f"kafka_controller_{number}_port": 0 for number in range(1, brokers + 1)},
    }


def make_nodes(ports: Mapping[str, int]) -> list[Node]:
    """Return the brokers whose ports, by setting, were chosen."""
    listening = enumerate(listener_ports(ports), 1)
    return [Node(number, port, ports[f"kafka_controller_{number}_port"]) for number, port in listening]


def listener_ports(ports: Mapping[str, int]) -> list[int]:
    """Return the ports at which clients find the brokers, the first broker's first."""
    names = ("kafka_port", *(f"kafka_{number}_port" for number in range(2, max(BROKER_COUNTS) + 1)))
    return [ports[name] for name in names if name in ports]


def broker_specs(directory: Path, nodes: Sequence[Node]) -> list[ProcessSpec]:
    """Write each broker's configuration under `directory`, format what is new, and describe the processes.

    One is named `kafka`, three `kafka-1` to `kafka-3`. Takes seconds the first time. Raises `Misconfigured` when Java
    or the server is missing, or the directory holds a cluster of another size.
    """
    missing = why_missing()
    if missing:
        raise Misconfigured(missing)
    cluster_id = load_or_create_cluster(directory, len(nodes))
    for node in nodes:
        home = directory / str(node.number)
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        write_private(home / SETTINGS_FILE, render(broker_settings(node, nodes)))
    fresh = [node for node in nodes if not (directory / str(node.number) / DATA / "meta.properties").exists()]
    with ThreadPoolExecutor(len(nodes)) as pool:
        list(pool.map(lambda node: _format(directory / str(node.number), cluster_id), fresh))
    return [_spec(directory / str(node.number), node, alone=len(nodes) == 1) for node in nodes]


def load_or_create_cluster(directory: Path, brokers: int) -> str:
    """Return the cluster's id, made up the first time. Raises `Misconfigured` when the cluster has another size."""
    path = directory / CLUSTER_FILE
    try:
        described = json.loads(path.read_text("utf-8"))
        cluster_id, found = str(described["id"]), int(described["brokers"])
    except FileNotFoundError:
        cluster_id, found = _make_cluster_id(), brokers
        directory.mkdir(parents=True, exist_ok=True)
        write_private(path, json.dumps({"id": cluster_id, "brokers": brokers}) + "\n")
    except (ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"{path} is damaged: delete {directory}, and all topics with it") from error
    if found != brokers:
        raise Misconfigured(
            f"{directory} holds a cluster of {found}, not of {brokers}: start it with --brokers {found}, or choose "
            "another directory with JOURNEYS_DATA_DIR"
        )
    return cluster_id


def broker_settings(node: Node, nodes: Sequence[Node]) -> dict[str, str]:
    """Return `server.properties` of one broker. With three, each record has three copies, and two before it counts."""
    copies, least = (3, 2) if len(nodes) == 3 else (1, 1)
    internal_topics = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
    return {
        "node.id": str(node.number),
        "process.roles": "broker,controller",
        "controller.quorum.voters": ",".join(f"{each.number}@{HOST}:{each.controller_port}" for each in nodes),
        "listeners": f"BROKER://{HOST}:{node.port},CONTROLLER://{HOST}:{node.controller_port}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        # Seen from the broker's own directory: a path from above may hold what a properties file cannot.
        "log.dirs": DATA,
        "auto.create.topics.enable": "false",
        "unclean.leader.election.enable": "false",
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(least),
        **{f"{topic}.replication.factor": str(copies) for topic in internal_topics},
        **{f"{topic}.num.partitions": "4" for topic in internal_topics},
        "transaction.state.log.min.isr": str(least),
        "share.coordinator.state.topic.min.isr": str(least),
        # Longer than touchpoints are kept: a worker that comes back after a holiday goes on where it was.
        "offsets.retention.minutes": str(RETENTION_MINUTES),
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "3000",
        # All three stop together, and the last would wait for a majority that has gone.
        "controlled.shutdown.enable": str(len(nodes) == 1).lower(),
        # By default a third of the heap, taken at the start.
        "log.cleaner.dedupe.buffer.size": str(8 * MEBIBYTE),
        "log.cleaner.io.buffer.size": str(64 * KIBIBYTE),
    }


def render(settings: Mapping[str, str]) -> str:
    """Turn settings, plain ASCII without backslashes, into a Java properties file."""
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _spec(home: Path, node: Node, *, alone: bool) -> ProcessSpec:
    return ProcessSpec(
        name=broker.NAME if alone else f"{broker.NAME}-{node.number}",
        command=command("kafka.Kafka", SETTINGS_FILE),
        directory=home,
        is_healthy=lambda: broker.answers_metadata(node.port),
        # Nothing of the caller's: Java and Kafka read options from the environment.
        environment={"LC_ALL": "C.UTF-8"},
    )


def _format(home: Path, cluster_id: str) -> None:
    """Make the log directory of one broker; what was begun and not finished has no meta.properties yet."""
    options = (f"--cluster-id={cluster_id}", "--config", SETTINGS_FILE)
    try:
        done = subprocess.run(
            command("kafka.tools.StorageTool", "format", *options),
            cwd=home, env={"LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=FORMAT_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Misconfigured(f"Apache Kafka could not prepare {home}: {error}") from error
    if "UnsupportedClassVersionError" in done.stdout:
        raise Misconfigured(f"Apache Kafka needs Java 17 or newer, and {find_java()} is older: name one in JAVA_HOME")
    if done.returncode:
        told = " | ".join(done.stdout.splitlines()[-3:]) or f"exit status {done.returncode}"
        raise Misconfigured(f"Apache Kafka could not prepare {home}: {told}")


def command(main: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a class of Apache Kafka's; `why_missing` has been asked before."""
    java = find_java()
    assert java is not None, "looked for before"
    logging = f"-Dlog4j2.configurationFile={FILES / 'log4j2.xml'}"
    return (java, *JAVA_OPTIONS, logging, "-cp", str(JARS / "*"), main, *arguments)


def _make_cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
