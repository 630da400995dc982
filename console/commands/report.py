"""`journeys report`: what customers went through in a week, as one HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from console.alert_desk import read_clock
from console.invocation import Invocation, make_console, open_clickhouse
from console.report_file import as_json, check_place, name_file, write_page
from console.report_page import render
from console.report_reading import STEPS, Tell, has_touchpoints, read_facts
from console.report_span import choose_span
from console.report_words import Words
from deploy.services import Warehouse
from schemas.errors import Misconfigured
from streams.friction.texts import Language

EPILOG = """Examples:

journeys report

journeys report --week 2026-W37 --lang he

journeys report --since 2026-09-01 --until 2026-10-01 --out september.html

journeys report --store S-05 --zone Asia/Jerusalem --force

journeys report --json | jq '.worse'"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report", epilog=EPILOG)(report)


def report(
    context: typer.Context,
    week: Annotated[
        str | None, typer.Option(metavar="YEAR-Wnn", help=r"A week, Monday to Sunday  \[default: the last whole one]")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="DAY", help="The first day, such as 2026-09-07")] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="The first day left out")] = None,
    lang: Annotated[Language, typer.Option("--lang", help="Language of the page")] = "en",
    store: Annotated[str, typer.Option(metavar="STORE", help="Only what happened in this store")] = "",
    zone: Annotated[str, typer.Option(metavar="ZONE", help="Time zone in which days begin")] = "UTC",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help=r"Where to write it  \[default: journeys-report-….html here]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there")] = False,
    json_wanted: Annotated[bool, typer.Option("--json", help="Print what was written and its numbers as JSON")] = False,
) -> None:
    """Write what customers went through in a week as one HTML page, with the week before beside it.

    The page needs no network and no other file, follows the light or dark theme of whoever reads it, and prints well.
    It reads the views of analysts only. With --store it leaves out what cannot be told of one store alone.
    """
    now = read_clock()
    span = choose_span(week, since, until, zone, now)
    path = name_file(out, span, store)
    check_place(path, force)
    place = f" in store {store}" if store else ""
    settings = Invocation.of(context).settings()
    with closing(open_clickhouse(Warehouse.resolve(settings), settings, as_analyst=True)) as analyst:
        if not has_touchpoints(analyst, span, store):
            raise Misconfigured(f"no touchpoint lies in {span.first} to before {span.end} ({span.zone}){place}")
        with _progress() as tell:
            facts = replace(read_facts(analyst, span, store, lang, tell), is_over=span.until <= now)
    write_page(render(facts, Words(lang)), path, force)
    if json_wanted:
        typer.echo(json.dumps(as_json(facts, path), ensure_ascii=False))
        return
    typer.echo(
        f"wrote {path}: {span.first} to before {span.end} ({span.zone}), {facts.now.touchpoints:,} touchpoints{place}"
        + ("" if facts.is_over else "; these days are not over, and are compared with whole ones")
    )


@contextmanager
def _progress() -> Iterator[Tell]:
    console = make_console(stderr=True)
    with Progress(
        TextColumn("reading {task.description}"), BarColumn(), MofNCompleteColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    ) as bar:  # fmt: skip
        # Each part is read for both spans.
        task = bar.add_task("", total=2 * len(STEPS))
        begun = iter(range(2 * len(STEPS)))
        yield lambda name: bar.update(task, completed=next(begun, 0), description=name)
