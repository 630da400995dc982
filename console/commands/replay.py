"""`journeys replay`: files of history into Kafka."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from console.cells import printable
from console.file_options import FromStartOption, MappingOption
from console.invocation import Invocation, make_console
from console.spooling import SpoolOption, open_client, tell_left
from console.spread_objects import CUT_OFF, ONE_A_LINE
from producers.mapping import load_mapping
from producers.progress_bar import show_progress
from producers.replay import RejectedRows, ReplayOptions, ReplaySummary, replay_file
from schemas.errors import Misconfigured

SHOWN_REASONS = 5
EPILOG = """Examples:

journeys replay shop.ndjson

journeys replay clicks.csv.gz --mapping clicks.yaml --speed 60

journeys replay shop.ndjson --spool .spool

docs/mappings.md says what a mapping may hold; producers/mappings/ecom.yaml in the source is one to begin with: \
journeys replay tests/data/ecom.csv.gz --mapping producers/mappings/ecom.yaml"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", epilog=EPILOG)(replay)


def replay(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="NDJSON or CSV, also .gz; - is NDJSON")],
    mapping: MappingOption = None,
    speed: Annotated[
        float | None,
        typer.Option(metavar="X", help=r"1 is as it was lived, 60 a minute a second \[default: no waiting]"),
    ] = None,
    from_start: FromStartOption = False,
    state_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help=r"Where progress and rejected rows go  \[default: beside the file]"),
    ] = None,
    spool: SpoolOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each file")] = False,
) -> None:
    """Send files of touchpoints, or of anything with a mapping, and show progress.

    Rows that cannot be sent go to FILE.rejected.ndjson with their reason, the reasons are counted on the screen, and
    the exit code is 1, also of a run that has nothing left to do. Once they can be sent, --from-start sends all again.
    Stopped at any moment, the same command goes on where it was; what is sent twice does not count twice. With --spool
    no broker need be there: a row is done with once it lies in the spool, which is written to disk before progress is
    (JOURNEYS_SPOOL_FSYNC=never leaves that to the system), and the spool sends it later.
    """
    settings = Invocation.of(context).settings()
    loaded = load_mapping(mapping) if mapping is not None else None
    missing = [str(file) for file in files if str(file) != "-" and not file.is_file()]
    if missing:
        is_folder = " (name the files of a folder: FOLDER/*.ndjson)" if any(map(Path.is_dir, files)) else ""
        raise Misconfigured(f"no such file: {', '.join(missing)}{is_folder}")
    options = ReplayOptions(speed=speed, from_start=from_start, state_dir=state_dir)
    console, rejected = make_console(), 0
    with open_client(settings, spool, history=True) as client:
        for file in files:
            with show_progress(file.name, make_console(stderr=True)) as observe:
                summary = replay_file(file, client, loaded, options, observe)
            rejected += summary.rejected + summary.rejected_before
            _print_summary(console, file, summary, as_json)
        tell_left(client)
    if rejected:
        raise typer.Exit(1)


def _print_summary(console: Console, file: Path, summary: ReplaySummary, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"file": str(file), **asdict(summary)}, default=str))
        return
    for line in (describe(file, summary), *describe_reasons(file, summary.reasons), *advise(summary.reasons)):
        console.print(Text(line), soft_wrap=True)


def describe(file: Path, summary: ReplaySummary) -> str:
    """One line about one file's run."""
    rate = summary.delivered / summary.seconds if summary.seconds > 0 else 0.0
    parts: list[Any] = [f"{file}: {summary.delivered:,} delivered in {summary.seconds:.1f} s ({rate:,.0f}/s)"]
    if summary.spooled:
        parts.append(f"{summary.spooled:,} went into the spool")
    if summary.resumed_after_line:
        parts.append(f"went on after line {summary.resumed_after_line:,}, where an earlier run had come to")
    if summary.skipped:
        parts.append(f"{summary.skipped:,} skipped by the mapping")
    if summary.rejected or summary.rejected_before:
        before = f" and {summary.rejected_before:,} in earlier runs" if summary.rejected_before else ""
        parts.append(f"{summary.rejected:,} rejected{before}, see {summary.rejected_file}")
    return "; ".join(parts)


def describe_reasons(file: Path, reasons: Sequence[RejectedRows]) -> list[str]:
    """A line for each of the commonest reasons why rows were rejected, with the place of the first such row."""
    shown = reasons[:SHOWN_REASONS]
    lines = [
        f"  {each.count:>9,}  {each.reason}: first {file}:{each.first_line}: {printable(each.first_detail)}"
        for each in shown
    ]
    left = reasons[SHOWN_REASONS:]
    if left:
        lines.append(f"  {sum(each.count for each in left):>9,}  for {len(left)} other reasons")
    return lines


def advise(reasons: Sequence[RejectedRows]) -> list[str]:
    """What to do about a file whose objects go over several lines."""
    if not any(each.reason == "invalid_json" and each.first_detail == CUT_OFF for each in reasons):
        return []
    return [f"  {ONE_A_LINE}: `jq -c . FILE` makes objects so, `jq -c '.[]' FILE` a list"]
