"""`journeys backfill`: years of history from files into finished journeys, past Kafka."""

from __future__ import annotations

import json
import os
import signal
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

from console.backfill_key import key_mark, tell_other_key
from console.file_options import FromStartOption, MappingOption
from console.forgetting_topics import Record, send
from console.forgetting_workers import look_for_worker
from console.invocation import Invocation, kafka_options, make_console
from console.local_run import interruptible
from console.plurals import counted
from deploy.services import Services, clickhouse_client_options
from producers.mapping import load_mapping
from producers.topics import check_topics
from schemas.errors import Misconfigured, Transient
from schemas.partitioning import partition_of
from schemas.settings import Settings
from streams.identity.sending import tell_release
from streams.records import Release

if TYPE_CHECKING:
    from console.backfill_run import Result, Run
    from console.backfilling import Tell

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
    with _stoppable(from_start):
        settings = Invocation.of(context).settings()
        # Reading Parquet is needed for nothing else, and takes its time to load.
        from console.backfill_run import Result, Wanted, look_into, opened_run

        directory = state_dir if state_dir is not None else settings.data_dir
        loaded = load_mapping(mapping) if mapping is not None else None
        count = processes or len(os.sched_getaffinity(0))
        wanted = Wanted(files, loaded, directory, count, from_start, mapping_path=mapping)
        given = look_into(wanted)
        warn = make_console(stderr=as_json)
        for path in given.empty:
            warn.print(Text(f"{path}: no rows", "yellow"), soft_wrap=True)
        if not given.pieces:
            if as_json:
                typer.echo(json.dumps(_as_json(Result())))
            return
        with opened_run(wanted, given, settings) as run:
            if run.is_done:
                _tell_done(run, settings, as_json)
                return
            result = _load(run, settings)
    if as_json:
        typer.echo(json.dumps(_as_json(result)))
    else:
        _print(make_console(), result)
    if result.loaded.rejected:
        raise typer.Exit(1)


@contextmanager
def _stoppable(from_start: bool) -> Iterator[None]:
    """Have SIGTERM and Ctrl-C end it in order, with one line and the exit code that a shell gives for them."""
    try:
        with interruptible():
            yield
    except KeyboardInterrupt as error:
        stopped = typer.TyperException(f"stopped: {_how_to_go_on(from_start)}")
        stopped.exit_code = 128 + next(iter(error.args), signal.SIGINT)
        raise stopped from None


def _how_to_go_on(from_start: bool) -> str:
    return f"the same command {'without --from-start ' if from_start else ''}goes on where it was"


def _tell_done(run: Run, settings: Settings, as_json: bool) -> None:
    """Say that an earlier run has done all of it."""
    earlier = run.earlier
    other = tell_other_key(run.journal.key, key_mark(settings), earlier.loaded.rejected)
    if as_json:
        typer.echo(json.dumps({**_as_json(earlier, is_loaded_already=True), "other_identifier_key": bool(other)}))
        return
    again = other or "--from-start does it again (what is there does not count twice)"
    line = Text(f"these files are loaded already, and there is nothing to do: {again}", "yellow" if other else "")
    make_console().print(line, soft_wrap=True)


def _load(run: Run, settings: Settings) -> Result:
    from console.backfilling import Backfill

    services = Services.resolve(settings)
    kafka = kafka_options(services, settings)
    partitions = check_topics(kafka)
    _check_workers(kafka, settings)
    options = {**clickhouse_client_options(services.clickhouse_url, settings)}
    options["send_receive_timeout"] = STATEMENT_SECONDS
    with _progress() as tell:
        try:
            return Backfill(run, settings, options, partitions, tell, partial(_send, kafka, partitions)).run()
        except Transient as error:
            raise Transient(f"{error}: {_how_to_go_on(run.wanted.from_start)}") from error


def _check_workers(kafka: dict[str, Any], settings: Settings) -> None:
    if look_for_worker(kafka, settings.consumer_group, settings.data_dir, is_local=settings.kafka is None):
        how = (
            "stop all of them first; what comes meanwhile waits in Kafka"
            if settings.kafka
            else "stop `journeys up` and other workers, start the servers alone with `journeys up --workers 0`, and run"
            " this again"
        )
        raise Misconfigured(f"a worker is running: {how}")


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
        f"{counted(loaded.accepted, 'touchpoint')} loaded in {result.seconds:,.0f} s; "
        f"{counted(stitched.customers, 'customer')} stitched: {counted(stitched.journeys, 'journey')}, "
        f"{counted(stitched.alerts, 'alert or delight', 'alerts and delights')}",
        soft_wrap=True,
    )
    if loaded.facts:
        console.print(f"{counted(loaded.facts, 'fact')} loaded")
    if loaded.forgotten:
        console.print(f"{loaded.forgotten:,} left out: their customers were erased")
    if result.releases:
        has = counted(result.releases, "identifier has", "identifiers have")
        whose = "its history" if result.releases == 1 else "their history"
        console.print(f"{has} another owner now: the workers bring {whose} there once they run", soft_wrap=True)
    if loaded.rejected:
        rejected = f"{loaded.rejected:,} of {counted(loaded.rows, 'row')} rejected, see {result.rejected_file}:"
        console.print(Text(rejected, "yellow"), soft_wrap=True)
        for reason, count in sorted(loaded.reasons.items(), key=lambda each: -each[1]):
            console.print(Text(f"  {count:,} {reason}, first {loaded.first.get(reason, '')}"), soft_wrap=True)


def _as_json(result: Result, *, is_loaded_already: bool = False) -> dict[str, Any]:
    loaded, stitched = result.loaded, result.stitched
    return {
        "loaded_already": is_loaded_already,
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
