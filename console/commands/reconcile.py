"""`journeys reconcile`: whether everything that came is there, once."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Annotated, Literal

import typer
from prometheus_client import CollectorRegistry, Gauge, start_http_server
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from console.alert_desk import read_clock
from console.alert_filters import parse_since, parse_span
from console.invocation import Invocation, kafka_options, make_console, open_clickhouse
from console.reconciling import Reconciliation, Tell, make_decoder, reconcile
from console.sql_results import Columns, write_csv, write_table
from deploy.services import Services
from schemas.errors import JourneysError, Misconfigured
from schemas.moments import format_epoch_ms, to_epoch_ms
from schemas.settings import Settings
from sinks.comparison import HourFound
from streams.configuration import Configuration
from streams.friction.plan import Plan

EPILOG = """Examples:

journeys reconcile

journeys reconcile --since all --format csv > hours.csv

journeys reconcile --since 2h || echo something is missing

journeys reconcile --every 1h --metrics-port 9465"""
COUNTS = ("records", "refused", "repeats", "missing", "doubled", "strange")
COLUMNS = Columns(
    ("topic", "partition", "hour", *COUNTS, "named"),
    ("String", "UInt16", "DateTime('UTC')", *["UInt64"] * len(COUNTS), "Array(String)"),
)


class Gauges:
    """What the last comparison found, for Prometheus."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counts = {
            name: Gauge(f"journeys_reconcile_{name}", f"{what} in the last comparison", registry=registry)
            for name, what in (
                ("records", "records compared"),
                ("missing", "records that are neither touchpoints nor refused"),
                ("doubled", "touchpoints that are there twice"),
                ("strange", "touchpoints that no record has brought"),
            )
        }
        self._ended = Gauge(
            "journeys_reconcile_last_success_timestamp_seconds", "when a comparison last ended", registry=registry
        )

    def show(self, found: Reconciliation) -> None:
        """Take the result of one comparison."""
        for name, gauge in self._counts.items():
            gauge.set(found.total(name))
        self._ended.set_to_current_time()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconcile", epilog=EPILOG)(command)


def command(
    context: typer.Context,
    since: Annotated[
        str, typer.Option(metavar="SPAN|TIME|all", help="What came since: so long before now, a moment, or all")
    ] = "24h",
    form: Annotated[
        Literal["table", "json", "csv"], typer.Option("--format", help="A table of the hours with faults, or all hours")
    ] = "table",
    every: Annotated[str | None, typer.Option(metavar="SPAN", help="Compare again and again until Ctrl-C")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Serve /metrics there, with --every; 0 is any free port")
    ] = None,
) -> None:
    """Compare what the topics hold with what ClickHouse holds, per partition and hour; exit 1 where they differ.

    Each record must be a touchpoint or a dead letter, and each touchpoint must be there once. What is named as missing,
    doubled or strange (there, though no record brought it) is a fault of the platform: please report it.

    Only what the workers have committed is compared, and only what the topics still keep. Records of customers who were
    erased (`journeys forget`) are left out.
    """
    settings = Invocation.of(context).settings()
    if metrics_port is not None and every is None:
        raise Misconfigured("--metrics-port goes with --every: a single comparison prints what it finds")
    if every is None:
        found = look(settings, since)
        write(found, form)
        if found.faults:
            raise typer.Exit(1)
        return
    watch(settings, since, parse_span(every).total_seconds(), form, metrics_port or 0)


def watch(settings: Settings, since: str, seconds: float, form: Literal["table", "json", "csv"], port: int) -> None:
    """Compare again and again, and serve what was found last."""
    registry = CollectorRegistry()
    gauges = Gauges(registry)
    try:
        server, _ = start_http_server(port, settings.metrics_host, registry)
    except OSError as error:
        raise Misconfigured(f"--metrics-port {port} is taken: name another, or 0 for a free one") from error
    console = make_console(stderr=True)
    console.print(Text(f"metrics at http://{settings.metrics_host}:{server.server_port}/metrics"), soft_wrap=True)
    while True:
        try:
            found = look(settings, since)
        except JourneysError as error:
            # What cannot be reached now may be by the next time; the time of the last success tells.
            console.print(Text(str(error)), soft_wrap=True)
        else:
            gauges.show(found)
            write(found, form)
        time.sleep(seconds)


def look(settings: Settings, since: str) -> Reconciliation:
    """Compare once. Raises JourneysError."""
    services = Services.resolve(settings)
    since_ms = 0 if since == "all" else to_epoch_ms(parse_since(since, read_clock()))
    decoder = make_decoder(Configuration.of(settings, Plan()).door)
    with closing(open_clickhouse(services, settings)) as clickhouse, show_progress(make_console(stderr=True)) as tell:
        return reconcile(
            kafka_options(services, settings), settings.consumer_group, clickhouse, decoder, since_ms, tell
        )


def write(found: Reconciliation, form: Literal["table", "json", "csv"]) -> None:
    """Print what was found."""
    if form == "json":
        hours = [{**asdict(hour), "hour": _show_hour(hour)} for hour in found.hours]
        totals = {name: found.total(name) for name in COUNTS}
        said = {"is_right": not found.faults, **totals, "forgotten": found.forgotten, "hours": hours}
        typer.echo(json.dumps(said, indent=2))
    elif form == "csv":
        write_csv(sys.stdout, COLUMNS, map(_row, found.hours))
    else:
        _print(make_console(), found)


def _print(console: Console, found: Reconciliation) -> None:
    if found.faults:
        write_table(console, COLUMNS, map(_row, found.faults), None)
    sums = ", ".join(f"{found.total(name):,} {name}" for name in COUNTS[1:])
    if found.forgotten:
        sums += f"; {found.forgotten:,} of erased customers left out"
    style = "bold red" if found.faults else "green"
    console.print(Text(f"{found.total('records'):,} records compared: {sums}", style=style), soft_wrap=True)


def _row(hour: HourFound) -> tuple[object, ...]:
    counts = (getattr(hour, name) for name in COUNTS)
    return (hour.topic, hour.partition, _show_hour(hour), *counts, list(hour.named))


def _show_hour(hour: HourFound) -> str:
    return format_epoch_ms(to_epoch_ms(hour.hour))


@contextmanager
def show_progress(console: Console) -> Iterator[Tell]:
    """Yield what to tell how far it is. It draws on a terminal only."""
    columns = TextColumn("comparing"), BarColumn(), TextColumn("{task.completed:,} records"), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
