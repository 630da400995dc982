"""What every command is given: where its data is, which settings hold, and how the servers are reached."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from deploy.services import KafkaLibrary, Services, clickhouse_client_options, kafka_client_options
from schemas.identifiers import Pseudonymiser
from schemas.settings import Settings
from sinks.writer import ClickHouseWriter


@dataclass(frozen=True)
class Invocation:
    """The global options of one call of `journeys`."""

    data_dir: Path | None = None
    debug: bool = False

    def settings(self, **overrides: Any) -> Settings:
        """Read the settings; overrides win, then the command line, the environment, `journeys.toml`."""
        if self.data_dir is not None:
            overrides.setdefault("data_dir", self.data_dir)
        return Settings(**overrides)

    @staticmethod
    def of(context: typer.Context) -> Invocation:
        """The invocation that the command line's global options made."""
        found = context.find_root().obj
        return found if isinstance(found, Invocation) else Invocation()


def kafka_options(services: Services, settings: Settings, library: KafkaLibrary = "kafka-python") -> dict[str, Any]:
    """Keyword arguments of any Kafka client of that library, the address among them. Raises `Misconfigured`."""
    return {"bootstrap_servers": services.kafka.split(","), **kafka_client_options(settings, library)}


def open_clickhouse(services: Services, settings: Settings, *, as_analyst: bool = False) -> ClickHouseWriter:
    """A connection as the user who reads, or as the one who writes and administers. It connects when first asked."""
    url = services.analyst_url if as_analyst else services.clickhouse_url
    return ClickHouseWriter(clickhouse_client_options(url, settings))


def make_pseudonymiser(settings: Settings) -> Pseudonymiser | None:
    """What hides e-mail addresses and phone numbers; None without a key."""
    if settings.identifier_key is None:
        return None
    key = settings.identifier_key.get_secret_value().encode()
    return Pseudonymiser(key, settings.identifier_key_id, settings.default_region)


def program() -> str:
    """How this program is called from this shell, to be copied: `journeys`, or the path by which it is reached."""
    here = Path(sys.argv[0])
    if here.name != "journeys":
        return "python -m console.cli"
    found = shutil.which("journeys")
    if found and os.path.samefile(found, here):
        return "journeys"
    relative = os.path.relpath(here)
    return relative if len(relative) < len(str(here)) else str(here)


def make_console(*, stderr: bool = False) -> Console:
    """A console that colours on a terminal only and never guesses at words to colour."""
    return Console(stderr=stderr, highlight=False)
