"""An Apache Kafka that clients reach by SASL/SCRAM over TLS only, with a certificate of a throw-away CA."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

from deploy.local import apache_kafka
from deploy.local.ports import HOST, choose_ports, is_open
from deploy.local.supervisor import ProcessSpec, Supervisor

USER, PASSWORD = "journeys", "for-this-test-only"
MECHANISM = "SCRAM-SHA-512"


@contextmanager
def secured_kafka(directory: Path) -> Iterator[dict[str, str]]:
    """Start it under `directory`; yields the settings with which the platform reaches it."""
    authority = trustme.CA()
    ca_file = directory / "kafka-ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    home = directory / "kafka"
    (home / "tmp").mkdir(parents=True)
    (home / "server.pem").write_bytes(_make_keystore(authority.issue_cert(HOST)))
    ports = choose_ports({**apache_kafka.wanted_ports(0, 1), "client_port": 0})
    _prepare(home, ports)
    supervisor = Supervisor(directory / "log", apache_kafka.POLICY)
    (directory / "log").mkdir(exist_ok=True)
    port = ports["client_port"]
    command = apache_kafka.command("kafka.Kafka", apache_kafka.SETTINGS_FILE)
    supervisor.start([ProcessSpec("kafka", command, home, lambda: is_open(port), {"LC_ALL": "C.UTF-8"})])
    try:
        yield {
            "JOURNEYS_KAFKA": f"{HOST}:{port}",
            "JOURNEYS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "JOURNEYS_KAFKA_SASL_MECHANISM": MECHANISM,
            "JOURNEYS_KAFKA_USERNAME": USER,
            "JOURNEYS_KAFKA_PASSWORD": PASSWORD,
            "JOURNEYS_KAFKA_CA_FILE": str(ca_file),
        }
    finally:
        supervisor.stop()


def _make_keystore(issued: trustme.LeafCert) -> bytes:
    """Key and certificates as Kafka reads them: the key as PKCS 8."""
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return pem + b"".join(each.bytes() for each in issued.cert_chain_pems)


def _prepare(home: Path, ports: dict[str, int]) -> None:
    """Write the configuration, and format the data with the one user that there is."""
    nodes = apache_kafka.make_nodes(ports)
    settings = apache_kafka.broker_settings(nodes[0], nodes)
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    settings |= {
        "listeners": f"{settings['listeners']},CLIENT://{HOST}:{ports['client_port']}",
        "listener.security.protocol.map": f"{settings['listener.security.protocol.map']},CLIENT:SASL_SSL",
        "sasl.enabled.mechanisms": MECHANISM,
        f"listener.name.client.{MECHANISM.lower()}.sasl.jaas.config": login,
        "listener.name.client.ssl.keystore.type": "PEM",
        "listener.name.client.ssl.keystore.location": "server.pem",
    }
    (home / apache_kafka.SETTINGS_FILE).write_text(apache_kafka.render(settings), "ascii")
    cluster_id = apache_kafka.load_or_create_cluster(home, 1)
    user = f"{MECHANISM}=[name={USER},password={PASSWORD}]"
    subprocess.run(
        apache_kafka.command(
            "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "--config", apache_kafka.SETTINGS_FILE,
            "--add-scram", user,
        ),
        cwd=home, env={"LC_ALL": "C.UTF-8"}, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
