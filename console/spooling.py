"""What `emit` and `replay` do alike about a spool: open a client through it, wait at the end, say what is left."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from console.invocation import kafka_options, make_console, make_pseudonymiser, program
from console.plurals import counted
from console.settings_view import format_duration
from deploy.services import Services
from producers.client import Client
from producers.spool import KafkaReach, Spool, SpoolStatus
from producers.time_bounds import TimeBounds
from schemas.errors import Misconfigured, Transient
from schemas.settings import Settings

PATIENCE_SECONDS = 15.0
SpoolOption = Annotated[
    Path | None,
    typer.Option(
        "--spool",
        metavar="DIR",
        help=r"Keep on disk what the broker does not take, and send it later  \[default: JOURNEYS_SPOOL_DIR]",
    ),
]


def open_client(settings: Settings, spool_dir: Path | None, *, history: bool) -> Client:
    """A client to the Kafka in use, through a spool if a directory for one is named here or in the settings.

    Raises `Misconfigured`, and without a spool `Transient`.
    """
    pseudonymiser = make_pseudonymiser(settings)
    bounds: dict[str, Any] = {
        "max_bytes": settings.max_touchpoint_bytes,
        "time_bounds": TimeBounds.of(settings, history=history),
    }
    directory = spool_dir or settings.spool_dir
    if directory is None:
        return Client.connect(kafka_options(Services.resolve(settings), settings), pseudonymiser, **bounds)
    return Client.through(open_spool(settings, directory), pseudonymiser, **bounds)


def open_spool(settings: Settings, directory: Path) -> Spool:
    """The spool there. Raises `Misconfigured`."""
    return Spool(
        directory,
        KafkaReach(lambda: _find_kafka(settings)),
        limit_bytes=settings.spool_bytes,
        fsync=settings.spool_fsync,
        say=lambda line: print(line, file=sys.stderr),
    )


def spool_directory(settings: Settings, given: Path | None) -> Path:
    """The spool that is to be drained. Raises `Misconfigured` when there is none."""
    directory = given or settings.spool_dir
    if directory is None:
        raise Misconfigured("which spool? name its directory with --spool, or with JOURNEYS_SPOOL_DIR")
    if not directory.is_dir():
        raise Misconfigured(f"no spool there: {directory}")
    return directory


def tell_left(client: Client) -> SpoolStatus | None:
    """Give the broker a moment to take what is in the client's spool, and say on standard error what is left then."""
    if client.spool is None:
        return None
    client.drain()
    left = client.spool
    for line in describe_left(left):
        print(line, file=sys.stderr)
    return left


def describe_left(left: SpoolStatus) -> list[str]:
    """What lies in the spool and what becomes of it; nothing for an empty one."""
    lines = []
    if left.records:
        fault = "" if left.fault is None else f" ({left.fault})"
        age = format_duration(timedelta(seconds=round(left.oldest_age_seconds)))
        lines.append(
            f"{counted(left.records, 'record lies', 'records lie')} in the spool {left.directory}, the oldest for "
            f"{age}{fault}: the next command with this spool sends them, or "
            f"`{program()} emit --spool {left.directory} --drain`"
        )
    if left.set_aside:
        lines.append(
            f"{left.set_aside} files in the spool {left.directory} hold records that cannot be sent "
            "(*.damaged, refused.ndjson): look at them, and delete them"
        )
    return lines


def drain_spool(settings: Settings, given: Path | None, as_json: bool) -> None:
    """Send what lies in a spool and say what became of it; exits with 1 when some stays, or cannot be sent.

    Raises `Misconfigured` when there is no spool.
    """
    spool = open_spool(settings, spool_directory(settings, given))
    try:
        with show_drain(spool.status().records) as observe:
            spool.drain(PATIENCE_SECONDS, observe)
        left = spool.status()
    finally:
        spool.close(0.0)
    for line in describe_left(left):
        print(line, file=sys.stderr)
    if as_json:
        typer.echo(json.dumps({"delivered": left.delivered, "in_spool": left.records}))
    else:
        make_console().print(f"{left.delivered:,} delivered, {left.records:,} still in the spool")
    if left.records or left.set_aside:
        raise typer.Exit(1)


@contextmanager
def show_drain(total: int) -> Iterator[Callable[[SpoolStatus], None]]:
    """A progress bar on a terminal, on standard error."""
    console = make_console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("spool", total=total)
        yield lambda status: progress.update(task, completed=total - status.records)


def _find_kafka(settings: Settings) -> dict[str, Any]:
    try:
        services = Services.resolve(settings)
    except Misconfigured as error:
        # A local stack that is not up yet is a broker that is away.
        raise Transient(str(error)) from error
    return kafka_options(services, settings)
