"""`journeys up`: the whole platform on this machine, in the foreground."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from console.addresses import describe_addresses
from console.invocation import Invocation, make_console, program
from console.local_run import LocalRun, interruptible
from console.plurals import counted
from console.worker_files import find_workers
from deploy.local.stack import KafkaKind, read_stack
from schemas.errors import Misconfigured
from schemas.settings import Settings

# After that the rest is said all the same: a group with other members may take its time.
JOIN_SECONDS = 30.0
EPILOG = """Examples:

journeys up

journeys up --kafka-port 9092 --clickhouse-port 9000 --clickhouse-http-port 8123

journeys --data-dir /var/lib/journeys up --workers 2

journeys up --kafka apache

journeys --data-dir cluster up --kafka apache --brokers 3"""

Kafka = Annotated[
    KafkaKind, typer.Option(help="memory: a small broker that forgets its topics when it ends; apache: Apache Kafka")
]
Brokers = Annotated[int, typer.Option(min=1, max=3, help="Brokers of Apache Kafka, 1 or 3")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up", epilog=EPILOG)(up)


def up(
    context: typer.Context,
    kafka: Kafka = "memory",
    brokers: Brokers = 1,
    kafka_port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of Kafka; 0 is any free one")] = 0,
    clickhouse_port: Annotated[int, typer.Option(min=0, max=65_535, help="Native port of ClickHouse")] = 0,
    clickhouse_http_port: Annotated[int, typer.Option(min=0, max=65_535, help="HTTP port of ClickHouse")] = 0,
    workers: Annotated[int, typer.Option(min=0, max=64, help="How many workers to run")] = 1,
) -> None:
    """Start the platform on this machine and keep it running until Ctrl-C.

    Kafka and ClickHouse are started unless settings name existing servers. ClickHouse keeps its data from start to
    start; topics are kept by --kafka apache, which needs Java and what `make kafka` fetches, and else in memory only.
    """
    invocation = Invocation.of(context)
    settings = invocation.settings()
    check_choice(settings, kafka)
    call = program() + (f" --data-dir {shlex.quote(str(settings.data_dir))}" if invocation.data_dir else "")
    console = make_console()
    ports = {
        "kafka_port": kafka_port,
        "clickhouse_port": clickhouse_port,
        "clickhouse_http_port": clickhouse_http_port,
    }

    def say(line: str) -> None:
        console.print(Text(f"· {line}"), soft_wrap=True)

    with (
        interruptible(),
        suppress(KeyboardInterrupt),
        LocalRun(settings, workers=workers, ports=ports, kafka=kafka, brokers=brokers, say=say) as run,
    ):
        deadline = time.monotonic() + JOIN_SECONDS
        with _warning_of_loss(run, console):
            run.run_until(lambda: run.is_ready or time.monotonic() > deadline)
            print_addresses(console, run)
            console.print(Text(f"Look: {call} status   Query: {call} sql   Stop: Ctrl-C"), soft_wrap=True)
            run.run_until(lambda: False)
    console.print("stopped")


@contextmanager
def _warning_of_loss(run: LocalRun, console: Console) -> Iterator[None]:
    """Say, once the workers have stored what they hold, what is lost with the broker."""
    try:
        yield
    finally:
        run.stop_workers()
        if unread := run.count_unread():
            told = (
                f"warning: {counted(unread, 'record')} that no worker had stored: the memory-only broker loses what it "
                "holds; send it again, and next time use --kafka apache, which keeps it"
            )
            console.print(Text(told, style="yellow"), soft_wrap=True)


def check_choice(settings: Settings, kafka: KafkaKind) -> None:
    """Raise `Misconfigured` when a Kafka was chosen and the settings name one already."""
    if kafka == "apache" and settings.kafka:
        raise Misconfigured(
            "--kafka apache would start nothing, since JOURNEYS_KAFKA names a server: choose one of both"
        )


def print_addresses(console: Console, run: LocalRun) -> None:
    """Print where the parts of a run answer."""
    data_dir = run.settings.data_dir
    for name, address in describe_addresses(run.services, read_stack(data_dir), find_workers(data_dir), str(data_dir)):
        console.print(Text.assemble((f"{name:<17}", "bold"), address), soft_wrap=True)
