"""`journeys backfill`: years of history from files into finished journeys, past Kafka."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from console.file_options import FromStartOption, MappingOption
from console.forgetting_topics import Record, send
from console.forgetting_workers import look_for_worker
from console.invocation import Invocation, kafka_options, make_console
from deploy.services import Services, clickhouse_client_options
from producers.mapping import load_mapping
from producers.topics import check_topics
from schemas.errors import Misconfigured, Transient
from schemas.partitioning import partition_of
from schemas.settings import Settings
from streams.identity.sending import tell_release
from streams.records import Release

if TYPE_CHECKING:
    from console.backfilling import Backfill, Result, Tell

MOST_PROCESSES = 64
STATEMENT_SECONDS = 3_600
"""Moving a month's history is one statement, and the server says nothing until it is done."""
EPILOG = """Examples:

journeys backfill history/*.parquet

journeys backfill clicks.csv.gz --mapping clicks.yaml

journeys backfill 2024.ndjson 2025.ndjson --processes 8 --json

producers/mappings/ecom.yaml in the source is a mapping to begin with: journeys backfill tests/data/ecom.csv.gz \
--mapping producers/mappings/ecom.yaml"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("backfill", epilog=EPILOG)(backfill)


def backfill(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Parquet, NDJSON or CSV; the latter also .gz")],
    mapping: MappingOption = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=MOST_PROCESSES, help=r"Processes  \[default: one per core]")
    ] = None,
    from_start: FromStartOption = False,
    state_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help=r"Where progress and rejected rows go  \[default: the data directory]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON")] = False,
) -> None:
    """Load files of history and stitch whole customers at once, past Kafka and many times as fast as `replay`.

    Journeys, promises, alerts and who is who come out as if all of it had come through Kafka, in order; nothing is
    late. Alerts of the past are written and not told. The workers must be stopped meanwhile: what comes then waits in
    Kafka. Stopped at any moment, the same command goes on where it was. Rows that are no touchpoints are kept with
    their reason, and the exit code is 1.
    """
    # Reading Parquet is needed for nothing else, and takes its time to load.
    from console.backfilling import Backfill, Wanted

    settings = Invocation.of(context).settings()
    services = Services.resolve(settings)
    kafka = kafka_options(services, settings)
    partitions = check_topics(kafka)
    _check_workers(kafka, settings)
    directory = state_dir if state_dir is not None else settings.data_dir
    loaded = load_mapping(mapping) if mapping is not None else None
    wanted = Wanted(files, loaded, directory, processes or len(os.sched_getaffinity(0)), from_start)
    options = {**clickhouse_client_options(services.clickhouse_url, settings)}
    options["send_receive_timeout"] = STATEMENT_SECONDS
    with _progress() as tell:
        run = Backfill(wanted, settings, options, partitions, tell, partial(_send, kafka, partitions))
        if run.is_done:
            raise Misconfigured(
                "these files are loaded already: --from-start does it again (what is there does not count twice)"
            )
        result = _go_on(run)
    if as_json:
        typer.echo(json.dumps(_as_json(result)))
    else:
        _print(make_console(), result)
    if result.loaded.rejected:
        raise typer.Exit(1)


def _go_on(run: Backfill) -> Result:
    try:
        return run.run()
    except Transient as error:
        raise Transient(f"{error}: the same command goes on where it was") from error


def _check_workers(kafka: dict[str, Any], settings: Settings) -> None:
    if look_for_worker(kafka, settings.consumer_group, settings.data_dir, is_local=settings.kafka is None):
        raise Misconfigured(
            "a worker is running: stop all of them first (`journeys up --workers 0` runs the servers alone); what "
            "comes meanwhile waits in Kafka"
        )


def _send(kafka: dict[str, Any], partitions: int, releases: Sequence[tuple[str, str, int]]) -> None:
    told = [tell_release(former, Release(identifier, version)) for former, identifier, version in releases]
    records = [
        Record(each.topic, partition_of(each.key, partitions), each.key, each.value, each.headers) for each in told
    ]
    if records:
        send(kafka, records, "all requests, which may be sent again")


@contextmanager
def _progress() -> Iterator[Tell]:
    """Shows on a terminal what is being done, how far it is and how fast."""
    console = make_console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, done="")
        began: dict[str, tuple[float, int]] = {}

        def tell(what: str, done: int, total: int) -> None:
            since, first = began.setdefault(what, (time.monotonic(), done))
            seconds = time.monotonic() - since
            rate = f"{done:,} touchpoints, {(done - first) / seconds:,.0f}/s" if done and seconds else ""
            bar.update(task, description=what, completed=done, total=total or None, done=rate)

        yield tell


def _print(console: Console, result: Result) -> None:
    loaded, stitched = result.loaded, result.stitched
    console.print(
        f"{loaded.accepted:,} touchpoints loaded in {result.seconds:,.0f} s; {stitched.customers:,} customers "
        f"stitched: {stitched.journeys:,} journeys, {stitched.alerts:,} alerts and delights"
    )
    for count, text in (
        (loaded.facts, "facts loaded"),
        (loaded.forgotten, "left out: their customers were erased"),
        (result.releases, "identifiers have another owner now: the workers bring their history there once they run"),
    ):
        if count:
            console.print(Text(f"{count:,} {text}"))
    if loaded.rejected:
        console.print(
            Text(f"{loaded.rejected:,} of {loaded.rows:,} rows rejected, see {result.rejected_file}:", "yellow")
        )
        for reason, count in sorted(loaded.reasons.items(), key=lambda each: -each[1]):
            console.print(Text(f"  {count:,} {reason}, first {loaded.first.get(reason, '')}"))


def _as_json(result: Result) -> dict[str, Any]:
    loaded, stitched = result.loaded, result.stitched
    return {
        "rows": loaded.rows,
        "touchpoints": loaded.accepted,
        "facts": loaded.facts,
        "forgotten": loaded.forgotten,
        "rejected": loaded.rejected,
        "reasons": loaded.reasons,
        "rejected_file": str(result.rejected_file) if result.rejected_file else None,
        "customers": stitched.customers,
        "journeys": stitched.journeys,
        "alerts": stitched.alerts,
        "releases": result.releases,
        "resumed": result.resumed,
        "seconds": round(result.seconds, 3),
    }
