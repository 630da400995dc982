"""`journeys status`: what runs, how far it is, and what is open."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.addresses import without_password
from console.checks import MEND_RULES, rule_faults
from console.invocation import Invocation, kafka_options, make_console, open_clickhouse
from console.kafka_positions import TopicPosition, read_positions
from console.stored import Stored, read_stored
from console.worker_files import WorkerLook, look_at_workers
from deploy.services import Services
from schemas.errors import JourneysError
from schemas.settings import Settings

EPILOG = """Examples:

journeys status

journeys status --json | python -m json.tool

journeys status > /dev/null || echo something is down"""


@dataclass
class Status:
    """All that was found; `down` has one line for each part that does not work."""

    kafka: str
    clickhouse: str
    workers: list[WorkerLook] = field(default_factory=list)
    topics: list[TopicPosition] = field(default_factory=list)
    stored: Stored | None = None
    down: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """One object."""
        return json.dumps({**asdict(self), "up": not self.down}, indent=2)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", epilog=EPILOG)(status)


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Show servers, workers, topics with their lag, rows, open alerts and dead letters; exit 1 when something is down.

    A worker that cannot use its rule files counts as down, though it works on with the rules of before.
    Workers are looked for on this machine only, in the data directory.
    """
    settings = Invocation.of(context).settings()
    found = look(settings)
    if as_json:
        typer.echo(found.as_json())
    else:
        _print(make_console(), found)
    if found.down:
        raise typer.Exit(1)


def look(settings: Settings) -> Status:
    """Ask every part once. Raises `Misconfigured` when there is nothing to ask."""
    services = Services.resolve(settings)
    found = Status(services.kafka, without_password(services.clickhouse_url))
    _look_at_workers(found, settings)
    try:
        found.topics = read_positions(kafka_options(services, settings), settings.consumer_group)
        missing = [topic.name for topic in found.topics if not topic.partitions]
        if missing:
            found.down.append(f"topics are missing: {', '.join(missing)}: run `journeys migrate`")
    except JourneysError as error:
        found.down.append(str(error))
    clickhouse = open_clickhouse(services, settings)
    try:
        found.stored = read_stored(clickhouse)
    except JourneysError as error:
        found.down.append(str(error))
    finally:
        clickhouse.close()
    return found


def _look_at_workers(found: Status, settings: Settings) -> None:
    found.workers = look_at_workers(settings.data_dir)
    if not found.workers:
        found.down.append(f"no worker runs in {settings.data_dir}: start one with `journeys worker`")
    found.down += [fault for worker in found.workers for fault in worker.faults]
    found.down += [f"{fault}: {MEND_RULES}" for fault in rule_faults(found.workers)]


def describe_worker(worker: WorkerLook) -> str:
    """Where a worker answers, since when, and what it does."""
    line = f"{worker.metrics_url}  since {worker.started_at}"
    if not worker.processes:
        return line
    share = "1 partition" if worker.partitions == 1 else f"{worker.partitions} partitions"
    processes = f" in {worker.processes} processes" if worker.processes > 1 else ""
    return f"{line}  {share if worker.has_joined else 'joining its group'}{processes}"


def _print(console: Console, found: Status) -> None:
    heads = [("Kafka", found.kafka), ("ClickHouse", found.clickhouse)]
    heads += [(f"worker {worker.pid}", describe_worker(worker)) for worker in found.workers]
    for name, value in heads:
        console.print(Text.assemble((f"{name:<14}", "bold"), value), soft_wrap=True)
    if found.topics:
        console.print(_topics_table(found.topics))
    if found.stored is not None:
        _print_stored(console, found.stored)
    for line in found.down:
        console.print(Text.assemble(("down  ", "bold red"), line), soft_wrap=True)


def _topics_table(topics: list[TopicPosition]) -> Table:
    table = _table("topic", "partitions", "end offsets", "lag")
    for topic in topics:
        lag = Text("-" if topic.lag is None else f"{topic.lag:,}", style="yellow" if topic.lag else "")
        table.add_row(topic.name, str(topic.partitions), f"{topic.records:,}", lag)
    return table


def _print_stored(console: Console, stored: Stored) -> None:
    table = _table("table", "rows (all versions)")
    for name, rows in stored.rows.items():
        table.add_row(name, f"{rows:,}")
    console.print(table)
    last = f"{stored.last_occurred_at}, written {stored.last_ingested_at}" if stored.last_occurred_at else "none yet"
    lines = [
        ("last touchpoint", last, ""),
        ("open alerts", _counts(stored.open_alerts), "yellow" if stored.open_alerts else ""),
        ("dead letters", _counts(stored.dead_letters), "red" if stored.dead_letters else ""),
    ]
    for name, value, style in lines:
        console.print(Text.assemble((f"{name:<17}", "bold"), (value, style)), soft_wrap=True)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column(first)
    for name in numbers:
        table.add_column(name, justify="right")
    return table
