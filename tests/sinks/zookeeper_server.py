"""Apache ZooKeeper, which replicated tables need and the embedded ClickHouse has nothing of: one server, for tests."""

from __future__ import annotations

import socket
from pathlib import Path

from deploy.local.apache_kafka import JAVA_OPTIONS, find_java, render
from deploy.local.ports import HOST
from deploy.local.supervisor import ProcessSpec
from tests.integration.harness import ROOT

TARGET = ROOT / "deploy" / "zookeeper" / "target"
NAME = "zookeeper"
TICK_MILLISECONDS = 500
ANSWER_SECONDS = 2.0


def why_missing(target: Path = TARGET) -> str | None:
    """Say in one line what Apache ZooKeeper needs here and has not; None when it can be started."""
    if find_java() is None:
        return "Apache ZooKeeper needs Java and no java is on the PATH: install it, then run `make zookeeper`"
    if not (target / ".ready").exists():
        return "Apache ZooKeeper is not here yet: run `make zookeeper` (it needs Java and Maven)"
    return None


def zookeeper_spec(home: Path, port: int) -> ProcessSpec:
    """Write its configuration into `home`, which is made, and describe the process; `why_missing` was asked before."""
    (home / "tmp").mkdir(parents=True)
    (home / "zoo.cfg").write_text(render(_settings(port)))
    java = find_java()
    assert java is not None
    options = (*JAVA_OPTIONS, "-Xmx128m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
    jars, main = str(TARGET / "lib" / "*"), "org.apache.zookeeper.server.ZooKeeperServerMain"
    return ProcessSpec(
        NAME, (java, *options, "-cp", jars, main, "zoo.cfg"), home, lambda: _serves(port), {"LC_ALL": "C.UTF-8"}
    )


def _settings(port: int) -> dict[str, str]:
    return {
        "dataDir": "data",
        "clientPortAddress": HOST,
        "clientPort": str(port),
        "tickTime": str(TICK_MILLISECONDS),
        "admin.enableServer": "false",
        # A test's data need not outlive the machine, and each write would wait for the disk.
        "forceSync": "no",
    }


def _serves(port: int) -> bool:
    """Whether it answers `srvr`, the one of its four-letter questions that is allowed by default."""
    try:
        with socket.create_connection((HOST, port), ANSWER_SECONDS) as connection:
            connection.sendall(b"srvr")
            return b"Zookeeper version" in connection.recv(4096)
    except OSError:
        return False
