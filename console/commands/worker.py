"""`journeys worker`: one worker in the foreground, of one process or several."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from console.addresses import without_password
from console.invocation import Invocation
from deploy.services import Services, clickhouse_client_options, kafka_client_options
from deploy.worker_group import count_processes, run_worker_group
from schemas.settings import MOST_PROCESSES, Settings

EPILOG = """Examples:

journeys worker

journeys worker --processes 0

JOURNEYS_KAFKA=kafka-1:9092,kafka-2:9092 JOURNEYS_CLICKHOUSE=clickhouse://writer:secret@db:9000/ journeys worker"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker", epilog=EPILOG)(worker)


def worker(
    context: typer.Context,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            metavar="N",
            min=0,
            max=MOST_PROCESSES,
            show_default=False,
            help="Share the work among N processes, to use as many cores; 0 is one per usable core. Limits such as "
            "buffer_rows and hot_customers, and so memory, count for each; what exceeds the partitions is idle  "
            r"\[default: setting worker_processes, 1]",
        ),
    ] = None,
) -> None:
    """Run one worker: it reads touchpoints, stitches journeys, raises alerts and writes to ClickHouse.

    Several share the partitions among them. SIGTERM or Ctrl-C lets it write what it holds and exit with 0; it exits
    with another code when it cannot go on, and should then be started again.
    """
    invocation = Invocation.of(context)
    settings = invocation.settings(**({} if processes is None else {"worker_processes": processes}))
    services = Services.resolve(settings)
    # What is wrong with these is said once, by this process.
    aiokafka_options = kafka_client_options(settings, "aiokafka")
    clickhouse_options = clickhouse_client_options(services.clickhouse_url, settings)
    count = count_processes(settings.worker_processes, len(os.sched_getaffinity(0)))
    if settings.worker_notes_dir is None:
        # A process that a parent keeps leaves it to the parent to say so.
        typer.echo(describe_work(services, settings, count), err=True)
    if count > 1:
        raise typer.Exit(run_worker_group(settings, count, member_command(invocation)))
    # Faust takes a second to import, and nothing else needs it.
    from streams.connections import Connections
    from streams.worker import run_worker

    run_worker(
        settings,
        Connections(
            kafka=services.kafka,
            faust_options=kafka_client_options(settings, "faust"),
            aiokafka_options=aiokafka_options,
            clickhouse_options=clickhouse_options,
        ),
    )


def describe_work(services: Services, settings: Settings, count: int) -> str:
    """One line about what a worker of `count` processes is about to do."""
    processes = f" in {count} processes" if count > 1 else ""
    return (
        f"worker of group {settings.consumer_group}{processes}: reads Kafka at {services.kafka}, "
        f"writes to ClickHouse at {without_password(services.clickhouse_url)}; Ctrl-C stops it"
    )


def member_command(invocation: Invocation) -> tuple[str, ...]:
    """The call that runs one process of a worker, with the global options of this call."""
    options = [] if invocation.data_dir is None else ["--data-dir", str(invocation.data_dir)]
    options += ["--debug"] if invocation.debug else []
    return (sys.executable, "-m", "console.cli", *options, "worker", "--processes", "1")
