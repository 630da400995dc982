"""How the worker reaches its servers; whoever starts it fills this in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Connections:
    """Addresses and client options. `kafka` is `host:port,host:port`; the options hold secrets and are not printed."""

    kafka: str
    faust_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    aiokafka_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    clickhouse_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def kafka_servers(self) -> list[str]:
        """The bootstrap servers, one by one."""
        return [server.strip() for server in self.kafka.split(",") if server.strip()]
