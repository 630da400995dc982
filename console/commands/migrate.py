"""`journeys migrate`: the schema in ClickHouse and the topics in Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from console.invocation import Invocation, kafka_options, make_console
from console.migration_targets import Target, check_missing, choose_target
from console.plurals import counted
from deploy.services import Services, clickhouse_client_options
from producers.topics import check_topics, create_topics
from schemas.errors import Misconfigured
from sinks.migrate import Migration, read_migrations

EPILOG = """Examples:

journeys migrate

journeys migrate --list

journeys migrate --plan --up-to 12

journeys migrate --status || echo something is pending

journeys migrate --check || echo somebody has changed the schema

journeys migrate --repair

journeys migrate --cluster main"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("migrate", epilog=EPILOG)(migrate)


def migrate(
    context: typer.Context,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only print the SQL that would be run, with a mark on what costs data")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Only list what has run; exit 1 if anything is due")] = False,
    list_all: Annotated[
        bool, typer.Option("--list", help="Only list the migrations and when they ran; topics are not looked at")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only compare the schema with what the migrations made; exit 1 if it differs"),
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Only make views again that somebody has dropped; tables are left alone")
    ] = False,
    up_to: Annotated[
        int | None, typer.Option("--up-to", metavar="N", help="Run or plan migrations up to this number, and no topics")
    ] = None,
    allow_dangerous: Annotated[
        bool, typer.Option("--allow-dangerous", help="Also run what deletes or changes rows that are there")
    ] = False,
    cluster: Annotated[
        str | None, typer.Option(metavar="NAME", help="Migrate each server of this cluster (docs/cluster.md)")
    ] = None,
    without_replication: Annotated[
        bool, typer.Option("--without-replication", help="With --cluster: one server for each shard, and no Keeper")
    ] = False,
    replication_factor: Annotated[
        int | None,
        typer.Option(
            min=1, max=32, help="Copies that Kafka keeps of each new topic  [default: one on each server, up to 3]"
        ),
    ] = None,
) -> None:
    """Bring ClickHouse's schema up to this version and create the Kafka topics that are missing.

    It can be repeated without harm. What would delete or change rows that are there is refused, with how many they are,
    unless --allow-dangerous is given. `journeys up` and `journeys demo` do it by themselves.
    """
    _check_choice(up_to, plan=plan, status=status, list=list_all, check=check, repair=repair)
    if without_replication and cluster is None:
        raise Misconfigured("--without-replication is about a cluster: name it with --cluster")
    settings = Invocation.of(context).settings()
    services = Services.resolve(settings)
    clickhouse = clickhouse_client_options(services.clickhouse_url, settings)
    kafka = kafka_options(services, settings)
    target = choose_target(clickhouse, cluster, is_replicated=not without_replication)
    console = make_console()
    if plan:
        typer.echo(target.plan(up_to) or "-- nothing is pending")
    elif list_all:
        _print_list(console, target)
    elif check:
        raise typer.Exit(_print_check(console, target))
    elif repair:
        _repair(console, target)
    elif status:
        raise typer.Exit(_print_status(console, target, kafka))
    else:
        _run(console, target, up_to, allow_dangerous)
        if up_to is None:
            topics = create_topics(kafka, settings.partitions, replication_factor)
            _print_done(console, target, topics, check_topics(kafka))


def _check_choice(up_to: int | None, **wanted: bool) -> None:
    given = [f"--{name}" for name, is_wanted in wanted.items() if is_wanted]
    if len(given) > 1:
        raise Misconfigured(f"give one of {', '.join(given[:-1])} and {given[-1]}")
    if up_to is not None and given not in ([], ["--plan"]):
        raise Misconfigured("--up-to is for running and for --plan")


def _repair(console: Console, target: Target) -> None:
    made = target.repair()
    for line in made:
        console.print(Text(f"made     {line}"), soft_wrap=True)
    check_missing(target.find_missing())
    if not made:
        console.print("nothing is missing")


def _print_list(console: Console, target: Target) -> None:
    due, times = target.pending(), target.run_times()
    for each in read_migrations():
        when = "pending" if each.version in due else f"{times[each.version]:%Y-%m-%d %H:%M:%S}"
        style = "yellow" if each.version in due else "green"
        console.print(Text.assemble((f"{when:19}", style), f"  {_describe(each, due)}"), soft_wrap=True)


def _describe(migration: Migration, due: dict[int, list[str]]) -> str:
    servers = due.get(migration.version)
    return f"{migration.name}  on {', '.join(servers)}" if servers else migration.name


def _print_check(console: Console, target: Target) -> int:
    deviations = target.check()
    for line in deviations:
        console.print(Text(line), soft_wrap=True)
    due = len(target.pending())
    if not deviations:
        rest = f"; {due} are pending" if due else ""
        console.print(
            f"the schema is what the {len(read_migrations()) - due} migrations that have run made of it{rest}"
        )
    return 1 if deviations else 0


def _run(console: Console, target: Target, up_to: int | None, allow_dangerous: bool) -> None:
    for done in target.migrate(up_to, allow_dangerous):
        console.print(Text(f"run      {done}"), soft_wrap=True)
    if up_to is not None:
        _print_rest(console, target, up_to)


def _print_done(console: Console, target: Target, topics: Sequence[str], partitions: int) -> None:
    for name in topics:
        console.print(Text(f"created  topic {name}"))
    check_missing(target.find_missing())
    console.print(f"ClickHouse and Kafka are up to date ({counted(partitions, 'partition')})")


def _print_rest(console: Console, target: Target, up_to: int) -> None:
    left = len(target.pending())
    rest = f"{left} later ones are pending" if left else "none is pending"
    console.print(f"all migrations up to {up_to} have run; {rest}; topics were not looked at", soft_wrap=True)


def _print_status(console: Console, target: Target, kafka: dict[str, object]) -> int:
    due = target.pending()
    for each in read_migrations():
        word, style = ("pending", "yellow") if each.version in due else ("run    ", "green")
        console.print(Text.assemble((word, style), f"  {_describe(each, due)}"), soft_wrap=True)
    missing = target.find_missing()
    for lost in missing:
        console.print(Text.assemble(("missing", "yellow"), f"  {lost.name}"), soft_wrap=True)
    try:
        console.print(Text.assemble(("ready  ", "green"), f"  topics, {counted(check_topics(kafka), 'partition')}"))
    except Misconfigured as error:
        console.print(Text.assemble(("pending", "yellow"), f"  {error}"))
        return 1
    return 1 if due or missing else 0
