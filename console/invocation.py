"""What every command is given: where its data is, which settings hold, and how the servers are reached."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from deploy.services import KafkaLibrary, Services, Warehouse, clickhouse_client_options, kafka_client_options
from schemas.errors import Misconfigured
from schemas.identifiers import Pseudonymiser
from schemas.settings import Settings
from sinks.writer import ClickHouseWriter

PREFIX = "JOURNEYS_"


@dataclass(frozen=True)
class Invocation:
    """The global options of one call of `journeys`."""

    data_dir: Path | None = None
    debug: bool = False

    def settings(self, **overrides: Any) -> Settings:
        """Read the settings; overrides win, then the command line, the environment, `journeys.toml`."""
        if self.data_dir is not None:
            overrides.setdefault("data_dir", self.data_dir)
        check_environment(os.environ)
        return Settings(**overrides)

    @staticmethod
    def of(context: typer.Context) -> Invocation:
        """The invocation that the command line's global options made."""
        found = context.find_root().obj
        return found if isinstance(found, Invocation) else Invocation()


def check_environment(environment: Iterable[str]) -> None:
    """Refuse a `JOURNEYS_…` variable that is no setting: it was meant to change something. Raises `Misconfigured`."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = get_close_matches(name.upper(), known, n=1)
            hint = f"did you mean {near[0]}?" if near else "`journeys doctor` lists the settings"
            raise Misconfigured(f"{name} is no setting: {hint}")


def kafka_options(services: Services, settings: Settings, library: KafkaLibrary = "kafka-python") -> dict[str, Any]:
    """Keyword arguments of any Kafka client of that library, the address among them. Raises `Misconfigured`."""
    return {"bootstrap_servers": services.kafka.split(","), **kafka_client_options(settings, library)}


def open_clickhouse(
    services: Services | Warehouse, settings: Settings, *, as_analyst: bool = False
) -> ClickHouseWriter:
    """A connection as the user who reads, or as the one who writes and administers. It connects when first asked."""
    url = services.analyst_url if as_analyst else services.clickhouse_url
    return ClickHouseWriter(clickhouse_client_options(url, settings))


def make_pseudonymiser(settings: Settings) -> Pseudonymiser | None:
    """What hides e-mail addresses and phone numbers; None without a key."""
    if settings.identifier_key is None:
        return None
    key = settings.identifier_key.get_secret_value().encode()
    previous = {name: each.get_secret_value().encode() for name, each in settings.identifier_previous_keys.items()}
    return Pseudonymiser(key, settings.identifier_key_id, settings.default_region, tuple(previous.items()))


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


def make_wide_console() -> Console:
    """A console that wraps nothing in a file or a pipe."""
    console = make_console()
    unwrap(console)
    return console


def unwrap(console: Console) -> None:
    """Wrap nothing from now on where the console writes to a file or a pipe, which have no width."""
    if not console.is_terminal:
        console.width = 100_000


def make_console(*, stderr: bool = False) -> Console:
    """A console that colours on a terminal only and never guesses at words to colour."""
    return Console(stderr=stderr, highlight=False)
