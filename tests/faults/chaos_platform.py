"""A platform whose links to Kafka and to ClickHouse can be disturbed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from deploy.local import apache_kafka, broker
from deploy.local.ports import HOST, choose_ports
from deploy.local.secrets import write_private
from deploy.local.stack import LocalStack
from deploy.local.supervisor import ProcessSpec, Supervisor
from tests.faults.chaos_proxy import ChaosProxy
from tests.integration.harness import Platform, WorkerProcess


@dataclass
class ChaosPlatform(Platform):
    """As `Platform`, with one broker, of either kind, which is `broker`.

    Workers reach ClickHouse over `clickhouse_link` and Kafka over `worker_link`, which is what the broker names as its
    own address. Who sends with `producer_options` does so over `producer_link`; all else is not disturbed.
    """

    def __enter__(self) -> ChaosPlatform:
        with contextlib.ExitStack() as opened:
            self.stack = opened.enter_context(LocalStack(self.directory, run_kafka=False))
            address = urlsplit(self.stack.clickhouse_url)
            self.clickhouse_link = opened.enter_context(ChaosProxy(address.port or 0))
            self._clickhouse = self.stack.clickhouse_url.replace(f":{address.port}", f":{self.clickhouse_link.port}")
            ports = choose_ports(apache_kafka.wanted_ports(0, 1))
            port = ports["kafka_port"]
            self.worker_link = opened.enter_context(ChaosProxy(port))
            self.producer_link = opened.enter_context(ChaosProxy(port, tunnel=True))
            undisturbed = opened.enter_context(ChaosProxy(port, tunnel=True))
            is_apache = self.kafka == "apache"
            supervisor = Supervisor(self.directory / "log", apache_kafka.POLICY if is_apache else None)
            opened.callback(supervisor.stop)
            supervisor.start([self._apache_broker(ports) if is_apache else self._memory_broker(port)])
            self.broker = supervisor.process(broker.NAME)
            self.producer_options = self._through(self.producer_link)
            self.kafka_options = self._through(undisturbed)
            self._furnish(opened)
            self._opened = opened.pop_all()
        return self

    def _through(self, tunnel: ChaosProxy) -> dict[str, Any]:
        address = f"{HOST}:{self.worker_link.port}"
        return {"bootstrap_servers": [address], "proxy_url": f"http://{HOST}:{tunnel.port}"}

    def _memory_broker(self, port: int) -> ProcessSpec:
        """The broker on a port, of which it tells nobody."""
        plain, link = broker.broker_spec(self.directory, port), self.worker_link.port
        command = list(plain.command)
        command[command.index("--advertised-listener-url") + 1] = f"tcp://{HOST}:{link}"
        return replace(plain, command=tuple(command), is_healthy=lambda: broker.answers_metadata(link))

    def _apache_broker(self, ports: dict[str, int]) -> ProcessSpec:
        """The same of Apache Kafka. With one broker, nothing of its own takes the way that it tells."""
        directory, link = self.directory / "kafka", self.worker_link.port
        [node] = nodes = apache_kafka.make_nodes(ports)
        [plain] = apache_kafka.broker_specs(directory, nodes)
        settings = {**apache_kafka.broker_settings(node, nodes), "advertised.listeners": f"BROKER://{HOST}:{link}"}
        write_private(plain.directory / apache_kafka.SETTINGS_FILE, apache_kafka.render(settings))
        return replace(plain, is_healthy=lambda: broker.answers_metadata(link))

    def start_worker(self, **settings: str) -> WorkerProcess:
        address = f"{HOST}:{self.worker_link.port}"
        return super().start_worker(kafka=address, clickhouse=self._clickhouse, **settings)
