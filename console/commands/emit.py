"""`journeys emit`: touchpoints and facts as NDJSON, from standard input or a file, to Kafka."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.text import Text

from console.cells import printable
from console.invocation import Invocation, make_console
from console.spooling import SpoolOption, drain_spool, open_client, tell_left
from console.spread_objects import SpreadObjects
from producers.client import Client
from producers.deliveries import Report
from producers.replay import HEADERS
from schemas.errors import Misconfigured, Transient, Undecodable
from schemas.wire import parse_object

FLUSH_TOUCHPOINTS = 50_000
EPILOG = """Examples:

journeys emit touchpoints.ndjson

tail -F pos.ndjson | journeys emit

journeys emit --history last-year.ndjson

journeys emit --spool .spool touchpoints.ndjson

journeys emit --spool .spool --drain

python -m producers.simulator --count 10000 --no-personal | journeys emit --json -"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("emit", epilog=EPILOG)(emit)


@dataclass
class Tally:
    """What became of the lines so far; `in_spool` is all that its spool holds at the end, None without a spool."""

    delivered: int = 0
    spooled: int = 0
    refused: int = 0
    undelivered: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    in_spool: int | None = None

    def as_json(self) -> str:
        """One object; without a spool it says nothing of one."""
        hidden = ("spooled", "in_spool") if self.in_spool is None else ()
        return json.dumps({name: value for name, value in vars(self).items() if name not in hidden})


def emit(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="[FILE|-]", help="NDJSON; - is standard input")] = Path("-"),
    history: Annotated[
        bool, typer.Option("--history", help="Take what is of any age since 1970, as `journeys replay` does")
    ] = False,
    spool: SpoolOption = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="Read nothing; send what lies in the spool, and exit with 1 if some stays")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON")] = False,
) -> None:
    """Check touchpoints and facts, one JSON object a line, and send them to Kafka.

    What has a type of fact, such as restocked, and no identifiers is a fact; all else is a touchpoint.
    A line that is no valid one, or whose time the worker would refuse, is refused with its number and reason on
    standard error, and the rest goes on. Exits with 1 when anything was refused or could not be delivered.
    `journeys replay` is for files of history: it resumes.

    With --spool no broker need be there. What it does not take stays in DIR, counts as accepted (exit code 0) and as
    spooled, not as delivered; the next command with that spool sends it, also after a crash. A full spool accepts no
    more (JOURNEYS_SPOOL_BYTES), and one process at a time can have it.
    """
    settings = Invocation.of(context).settings()
    if drain:
        if str(file) != "-":
            raise typer.BadParameter(f"--drain reads nothing, and so not {file} either")
        drain_spool(settings, spool, as_json)
        return
    tally = Tally()
    with _open(file) as lines:
        client = open_client(settings, spool, history=history)
        try:
            send_lines(lines, client, tally, history=history)
        finally:
            _print_summary(tally, as_json)
            _advise(tally, history)
    if tally.refused or tally.undelivered:
        raise typer.Exit(1)


def send_lines(lines: BinaryIO, client: Client, tally: Tally, *, history: bool = False) -> None:
    """Send every line that is not blank, close the client and count in `tally` what became of them.

    An object that goes over several lines counts as one refusal.
    """
    sent, spread = 0, SpreadObjects()
    try:
        for number, line in enumerate(lines, 1):
            if not line.strip() or spread.goes_on(line):
                continue
            try:
                _send(client, parse_object(line.rstrip(b"\r\n")), history)
                sent += 1
            except Undecodable as error:
                _refuse(tally, number, error, spread.judge(line, error))
            except Misconfigured as error:
                # A personal identifier and no key: the other lines may have none.
                refusal = Undecodable("invalid_identifier", str(error))
                _refuse(tally, number, refusal, refusal)
            except Transient as error:
                raise Transient(f"line {number} and what follows is not sent: {error}") from error
            if sent and sent % FLUSH_TOUCHPOINTS == 0:
                _settle(tally, client.flush())
    finally:
        if spread.untold:
            print(f"{spread.untold:,} more objects do not end on their line", file=sys.stderr)
        _end(tally, client)


def _send(client: Client, found: dict[str, Any], history: bool) -> None:
    if history:
        client.replay(found, HEADERS)
    else:
        client.emit(found)


def _refuse(tally: Tally, number: int, error: Undecodable, told: Undecodable | None) -> None:
    tally.refused += 1
    tally.reasons[error.reason] = tally.reasons.get(error.reason, 0) + 1
    if told is not None:
        print(f"line {number}: {told.reason}: {printable(told.detail)}", file=sys.stderr)


def _advise(tally: Tally, history: bool) -> None:
    if "too_old" in tally.reasons and not history:
        print("what is that old is history: send it with --history, or with `journeys replay`", file=sys.stderr)


def _end(tally: Tally, client: Client) -> None:
    try:
        _settle(tally, client.flush())
        left = tell_left(client)
        tally.in_spool = None if left is None else left.records
    finally:
        _settle(tally, client.close())


def _settle(tally: Tally, report: Report) -> None:
    tally.delivered += report.delivered
    tally.spooled += report.spooled
    tally.undelivered += len(report.undelivered)
    for failure in report.undelivered:
        print(f"not delivered: {printable(failure.event_id)}: {printable(failure.reason)}", file=sys.stderr)


def _print_summary(tally: Tally, as_json: bool) -> None:
    if as_json:
        typer.echo(tally.as_json())
        return
    words = [(f"{tally.delivered:,} delivered", "green")]
    if tally.in_spool is not None:
        words += [(f", {tally.spooled:,} spooled", "yellow" if tally.spooled else "")]
    words += [(f", {tally.refused:,} refused", "red" if tally.refused else "")]
    words += [(f", {tally.undelivered:,} not delivered", "red" if tally.undelivered else "")]
    make_console().print(Text.assemble(*words))


@contextmanager
def _open(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    try:
        with file.open("rb") as opened:
            yield opened
    except OSError as error:
        raise Misconfigured(f"{file}: cannot be read: {error.strerror}") from error
