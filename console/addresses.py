"""Where a running platform answers, as lines for people."""

from __future__ import annotations

from urllib.parse import urlsplit

from console.worker_files import WorkerFile
from deploy.local.stack import StackAddresses
from deploy.services import Services


def without_password(url: str) -> str:
    """A server's URL without user and password."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}/"


def describe_addresses(
    services: Services, stack: StackAddresses | None, workers: list[WorkerFile], data_dir: str
) -> list[tuple[str, str]]:
    """Name and address of each part, the addresses without secrets."""
    lines = [("Kafka", services.kafka), ("ClickHouse", without_password(services.clickhouse_url))]
    if stack is not None and stack.clickhouse_http_url:
        lines.append(("ClickHouse HTTP", stack.clickhouse_http_url))
    if services.clickhouse_is_local:
        lines.append(("user analyst", f'reads analytics.*; password: key "analyst" of {data_dir}/secrets.json'))
    lines += [("metrics", worker.metrics_url) for worker in workers]
    lines.append(("data and logs", data_dir))
    return lines
