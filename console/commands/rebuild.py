"""`journeys rebuild`: journeys, promises and alerts anew from stored touchpoints, by the rules of today."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from console.alert_desk import read_clock
from console.alert_filters import parse_since, parse_span
from console.alert_store import Ask, asking
from console.invocation import Invocation, kafka_options, make_console, make_pseudonymiser, open_clickhouse
from console.rebuild_names import check_known, find_customer
from console.rebuilding import Choice, Rebuilding, Tell, request
from deploy.services import Services, clickhouse_client_options
from producers.topics import check_topics
from schemas.errors import Misconfigured
from schemas.moments import to_epoch_ms
from schemas.settings import Settings

MANY = 1_000
"""More than so many customers are not rebuilt without a question."""
EPILOG = """Examples:

journeys rebuild --customer C-1004

journeys rebuild --since 2026-11-01 --until 2026-11-08 --dry-run

journeys rebuild --since 30d --yes --json

journeys rebuild --all --yes"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rebuild", epilog=EPILOG)(rebuild)


def rebuild(
    context: typer.Context,
    customers: Annotated[
        list[str] | None,
        typer.Option(
            "--customer",
            metavar="IDENTIFIER",
            help="A customer, by any identifier such as C-1 or email:dana@a.org; may be repeated",
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="SPAN|TIME", help="All who were seen since so long before now, or a moment")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="SPAN|TIME", help="… and before this one")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="All customers")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help=f"Do not ask first, as is done above {MANY:,} customers")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many customers are meant")] = False,
    wait: Annotated[str, typer.Option(metavar="SPAN", help="How long nothing may move before it is given up")] = "60s",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON")] = False,
) -> None:
    """Stitch customers anew from all touchpoints that are stored of them, by the rules and settings of today.

    What came too late for its journey is in it afterwards. The running workers do it while everything else goes on;
    each customer changes from the old journeys, promises and alerts to the new ones in one flush. What was asked for is
    kept in Kafka, so it is done even if this command or a worker is stopped. Exits with 0 only if all of it is done.
    """
    settings = Invocation.of(context).settings()
    span = _read_moment(since), _read_moment(until)
    choice = Choice.of(customers or (), *span, everybody=everybody)
    patience_seconds = parse_span(wait).total_seconds()
    services = Services.resolve(settings)
    with closing(open_clickhouse(services, settings)) as clickhouse, _asking(services, settings) as ask:
        asked = [find_customer(ask, text, make_pseudonymiser(settings)) for text in customers or ()]
        if asked:
            choice = Choice.of([each.customer for each in asked], *span, everybody=everybody)
        run = Rebuilding(clickhouse, settings.consumer_group, choice)
        keys = run.choose()
        check_known(ask, asked, keys)
        if not keys:
            raise Misconfigured("no stored touchpoint lies there: `journeys sql` shows what there is")
        if dry_run:
            _print(as_json, len(keys), None)
            return
        _confirm(len(keys), yes)
        options = kafka_options(services, settings)
        send = partial(request, options, check_topics(options))
        with _progress() as tell:
            done = run.run(keys, send, patience_seconds, tell)
    _print(as_json, len(keys), done)
    if done < len(keys):
        raise typer.Exit(1)


def _asking(services: Services, settings: Settings) -> AbstractContextManager[Ask]:
    return asking(clickhouse_client_options(services.analyst_url, settings))


def _read_moment(text: str | None) -> int | None:
    return None if text is None else to_epoch_ms(parse_since(text, read_clock()))


def _confirm(count: int, yes: bool) -> None:
    if yes or count <= MANY:
        return
    if not sys.stdin.isatty():
        raise Misconfigured(f"{count:,} customers, and nobody can be asked here: --yes rebuilds without asking")
    typer.confirm(f"Rebuild the journeys of {count:,} customers?", abort=True, err=True)


@contextmanager
def _progress() -> Iterator[Tell]:
    counts = MofNCompleteColumn(), TextColumn("customers"), TimeRemainingColumn()
    console = make_console(stderr=True)
    with Progress(
        TextColumn("rebuilding"), BarColumn(), *counts, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(as_json: bool, customers: int, done: int | None) -> None:
    if as_json:
        typer.echo(json.dumps({"customers": customers, "rebuilt": done}))
        return
    noun = "customer" if customers == 1 else "customers"
    if done is None:
        typer.echo(f"{customers:,} {noun} would be rebuilt")
    elif done == customers:
        typer.echo(f"{customers:,} {noun} rebuilt")
    else:
        typer.echo(
            f"{done:,} of {customers:,} {noun} rebuilt so far, and nothing has moved for a while: is a worker running "
            "(`journeys status`)? What was asked for is done as soon as one is; start again for the rest."
        )
