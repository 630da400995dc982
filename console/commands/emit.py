"""`journeys emit`: touchpoints as NDJSON, from standard input or a file, to Kafka."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.text import Text

from console.cells import printable
from console.invocation import Invocation, kafka_options, make_console, make_pseudonymiser
from deploy.services import Services
from producers.client import Client
from schemas.errors import Misconfigured, Undecodable
from schemas.wire import parse_object

FLUSH_TOUCHPOINTS = 50_000
EPILOG = """Examples:

journeys emit touchpoints.ndjson

tail -F pos.ndjson | journeys emit

python -m producers.simulator --count 10000 --no-personal | journeys emit --json -"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("emit", epilog=EPILOG)(emit)


@dataclass
class Tally:
    """What became of the lines so far."""

    delivered: int = 0
    refused: int = 0
    undelivered: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> str:
        """One object."""
        return json.dumps(vars(self))


def emit(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="[FILE|-]", help="NDJSON; - is standard input")] = Path("-"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON")] = False,
) -> None:
    """Check touchpoints, one JSON object a line, and send them to Kafka.

    A line that is no valid touchpoint is refused with its number and reason on standard error, and the rest goes on.
    Exits with 1 when anything was refused or could not be delivered. `journeys replay` is for history: it resumes.
    """
    settings = Invocation.of(context).settings()
    options = kafka_options(Services.resolve(settings), settings)
    pseudonymiser = make_pseudonymiser(settings)
    tally = Tally()
    with _open(file) as lines:
        client = Client.connect(options, pseudonymiser, max_bytes=settings.max_touchpoint_bytes)
        try:
            send_lines(lines, client, tally)
        finally:
            _print_summary(tally, as_json)
    if tally.refused or tally.undelivered:
        raise typer.Exit(1)


def send_lines(lines: BinaryIO, client: Client, tally: Tally) -> None:
    """Send every line that is not blank, close the client and count in `tally` what became of them."""
    sent = 0
    try:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                client.emit(parse_object(line.rstrip(b"\r\n")))
                sent += 1
            except Undecodable as error:
                _refuse(tally, number, error)
            except Misconfigured as error:
                # A personal identifier and no key: the other lines may have none.
                _refuse(tally, number, Undecodable("invalid_identifier", str(error)))
            if sent and sent % FLUSH_TOUCHPOINTS == 0:
                _settle(tally, client, last=False)
    finally:
        _settle(tally, client, last=True)


def _refuse(tally: Tally, number: int, error: Undecodable) -> None:
    tally.refused += 1
    tally.reasons[error.reason] = tally.reasons.get(error.reason, 0) + 1
    print(f"line {number}: {error.reason}: {printable(error.detail)}", file=sys.stderr)


def _settle(tally: Tally, client: Client, *, last: bool) -> None:
    report = client.close() if last else client.flush()
    tally.delivered += report.delivered
    tally.undelivered += len(report.undelivered)
    for failure in report.undelivered:
        print(f"not delivered: {printable(failure.event_id)}: {printable(failure.reason)}", file=sys.stderr)


def _print_summary(tally: Tally, as_json: bool) -> None:
    if as_json:
        typer.echo(tally.as_json())
        return
    words = [(f"{tally.delivered:,} delivered", "green")]
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
