"""`journeys rules backtest`: what changed rules would have found in the history that is in ClickHouse."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from console.alert_desk import read_clock
from console.alert_filters import parse_since
from console.backtest_views import Shown, show_report
from console.invocation import Invocation, make_console
from deploy.services import Warehouse, clickhouse_client_options
from schemas.errors import Misconfigured
from schemas.moments import format_epoch_ms, from_epoch_ms, to_epoch_ms
from schemas.settings import MOST_PROCESSES
from sinks.writer import ClickHouseWriter
from streams.backtest import Window
from streams.backtest_report import Report
from streams.backtest_rules import read_change
from streams.backtest_run import (
    Observe,
    Span,
    Task,
    choose_processes,
    count_journeys,
    count_touchpoints,
    read_span,
    reading_only,
    run_task,
)
from streams.configuration import Configuration
from streams.friction.plan import Plan
from streams.friction.texts import Language

DEFAULT_TOP = 10
DEFAULT_EXAMPLES = 2
EPILOG = """Examples:

journeys rules backtest my-rules/long_wait.yaml --since 30d

journeys rules backtest my-rules --since 2026-10-01 --until 2026-11-01 --picture change.svg

journeys rules backtest

journeys rules backtest my-rules --json | python -m json.tool"""


def backtest(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE|DIR", help="Rule files, files of calendars, directories of both"),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="SPAN|TIME", help="Episodes that opened since: so long before the end, or a moment")
    ] = "30d",
    until: Annotated[
        str | None,
        typer.Option(metavar="SPAN|TIME", help=r"The end, as of which all is judged  \[default: the end of history]"),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="Stores and days to show, 0 for all")] = DEFAULT_TOP,
    examples: Annotated[
        int, typer.Option(min=0, help="Examples of what is added, removed and changed, for each rule")
    ] = DEFAULT_EXAMPLES,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it too, into a file that ends in .svg or .png")
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_PROCESSES, help=r"Processes  \[default: one per core, if it is worth it]"),
    ] = None,
    lang: Annotated[Language, typer.Option(help="Language of the reasons")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, with all of it")] = False,
) -> None:
    """Show what changed rules would have found in history, against those in force. Nothing that is live is touched.

    Each FILE takes the place of the rule of its id, adds one, or switches one off; all others stay as they are.

    Without FILE it shows what the rules in force find. docs/backtest.md says how to read it.
    """
    if picture is not None:
        # Drawing is not needed for the rest, and takes its time to load.
        from console.backtest_picture import check_picture, draw_picture

        check_picture(picture)
    settings = Invocation.of(context).settings()
    change = read_change(paths or [], settings.rules_dir)
    console = make_console()
    if not change.told:
        if as_json:
            typer.echo(json.dumps({"is_comparison": True, "rules": []}))
        else:
            console.print("no rule differs from those in force: there is nothing to try")
        return
    options = reading_only(clickhouse_client_options(Warehouse.resolve(settings).clickhouse_url, settings))
    configuration = Configuration.of(settings, Plan())
    with closing(ClickHouseWriter(options)) as writer:
        window = choose_window(read_span(writer), since, until, read_clock(), configuration.live_within_ms)
        task = Task(change, window, configuration.policy.stitching, examples)
        touchpoints = count_touchpoints(writer, task)
        cores = len(os.sched_getaffinity(0))
        with show_progress(touchpoints, make_console(stderr=True)) as observe:
            tally = run_task(options, task, processes or choose_processes(touchpoints, cores), observe)
        report = Report(change, window, tally, count_journeys(writer, window))
    if as_json:
        typer.echo(json.dumps(report.as_json(), ensure_ascii=False, indent=2))
    else:
        _print(console, report, Shown(top, lang))
    if picture is not None:
        draw_picture(report, picture)
        make_console(stderr=True).print(Text(f"drawn into {picture}"))


def choose_window(span: Span | None, since: str, until: str | None, now: datetime, live_within_ms: int) -> Window:
    """The window that is asked for. Raises Misconfigured where no history lies in it."""
    if span is None:
        raise Misconfigured("there is no history yet: ClickHouse holds no touchpoints")
    end = from_epoch_ms(span.until_ms(to_epoch_ms(now), live_within_ms)) if until is None else parse_since(until, now)
    begin = parse_since(since, end)
    if begin >= end:
        raise Misconfigured(f"--since ({_show(begin)}) must lie before --until ({_show(end)})")
    window = Window(to_epoch_ms(begin), to_epoch_ms(end))
    if window.until_ms < span.first_ms or window.since_ms > span.newest_ms:
        reach = f"{format_epoch_ms(span.first_ms)} to {format_epoch_ms(span.newest_ms)}"
        raise Misconfigured(f"no history from {_show(begin)} to {_show(end)}: it reaches from {reach}")
    return window


def _show(moment: datetime) -> str:
    return format_epoch_ms(to_epoch_ms(moment))


def _print(console: Console, report: Report, shown: Shown) -> None:
    if not console.is_terminal:
        console.width = 120
    for part in show_report(report, shown):
        console.print(part, soft_wrap=isinstance(part, Text))


@contextmanager
def show_progress(touchpoints: int, console: Console) -> Iterator[Observe]:
    """Yield an observer that is told how many more touchpoints are done. It draws on a terminal only."""
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn()
    began = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("history", total=touchpoints, rate="")
        done = 0

        def observe(more: int) -> None:
            nonlocal done
            done += more
            progress.update(task, completed=done, rate=describe(done, touchpoints, time.monotonic() - began))

        yield observe


def describe(done: int, touchpoints: int, seconds: float) -> str:
    """How far it is, in words."""
    rate = done / seconds if seconds > 0 else 0.0
    return f"{done:,} of {max(done, touchpoints):,} touchpoints, {rate:,.0f}/s"
