"""`journeys migrate`: the schema in ClickHouse and the topics in Kafka."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from console.invocation import Invocation, kafka_options, make_console
from deploy.services import Services, clickhouse_client_options
from producers.topics import check_topics, create_topics
from schemas.errors import Misconfigured
from sinks import migrate as migrations

EPILOG = """Examples:

journeys migrate

journeys migrate --plan

journeys migrate --status || echo something is pending"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate", epilog=EPILOG)(migrate)


def migrate(
    context: typer.Context,
    plan: Annotated[bool, typer.Option("--plan", help="Only print the SQL that would be run")] = False,
    status: Annotated[bool, typer.Option("--status", help="Only list what has run; exit 1 if anything is due")] = False,
    replication_factor: Annotated[
        int | None,
        typer.Option(
            min=1, max=32, help="Copies that Kafka keeps of each new topic  [default: one on each server, up to 3]"
        ),
    ] = None,
) -> None:
    """Bring ClickHouse's schema up to this version and create the Kafka topics that are missing.

    It can be repeated without harm. `journeys up` and `journeys demo` do it by themselves.
    """
    if plan and status:
        raise Misconfigured("give one of --plan and --status")
    settings = Invocation.of(context).settings()
    services = Services.resolve(settings)
    clickhouse = clickhouse_client_options(services.clickhouse_url, settings)
    if plan:
        typer.echo(migrations.plan(clickhouse) or "-- nothing is pending")
        return
    console = make_console()
    kafka = kafka_options(services, settings)
    if status:
        raise typer.Exit(_print_status(console, clickhouse, kafka))
    for done in migrations.migrate(clickhouse):
        console.print(Text(f"run      {done.name}"))
    for name in create_topics(kafka, settings.partitions, replication_factor):
        console.print(Text(f"created  topic {name}"))
    console.print(f"ClickHouse and Kafka are up to date ({check_topics(kafka)} partitions)")


def _print_status(console: Console, clickhouse: dict[str, object], kafka: dict[str, object]) -> int:
    due = {each.version for each in migrations.pending(clickhouse)}
    for each in migrations.read_migrations():
        word, style = ("pending", "yellow") if each.version in due else ("run    ", "green")
        console.print(Text.assemble((word, style), f"  {each.name}"))
    try:
        console.print(Text.assemble(("ready  ", "green"), f"  topics, {check_topics(kafka)} partitions"))
    except Misconfigured as error:
        console.print(Text.assemble(("pending", "yellow"), f"  {error}"))
        return 1
    return 1 if due else 0
