"""`journeys worker`: one worker in the foreground."""

from __future__ import annotations

import typer

from console.invocation import Invocation
from deploy.services import Services, clickhouse_client_options, kafka_client_options

EPILOG = """Examples:

journeys worker

JOURNEYS_KAFKA=kafka-1:9092,kafka-2:9092 JOURNEYS_CLICKHOUSE=clickhouse://writer:secret@db:9000/ journeys worker"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("worker", epilog=EPILOG)(worker)


def worker(context: typer.Context) -> None:
    """Run one worker: it reads touchpoints, stitches journeys, raises alerts and writes to ClickHouse.

    Several share the partitions among them. SIGTERM or Ctrl-C lets it write what it holds and exit with 0; it exits
    with another code when it cannot go on, and should then be started again.
    """
    settings = Invocation.of(context).settings()
    services = Services.resolve(settings)
    # Faust takes a second to import, and no other command needs it.
    from streams.connections import Connections
    from streams.worker import run_worker

    run_worker(
        settings,
        Connections(
            kafka=services.kafka,
            faust_options=kafka_client_options(settings, "faust"),
            aiokafka_options=kafka_client_options(settings, "aiokafka"),
            clickhouse_options=clickhouse_client_options(services.clickhouse_url, settings),
        ),
    )
