"""`journeys forget`: erases a customer wherever the platform keeps one, and proves it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from rich.status import Status

from console.alert_desk import name_actor, read_clock
from console.forgetting import Forgetting, Tell
from console.forgetting_names import Asked, read_identifiers
from console.forgetting_receipt import Receipt, show_receipt
from console.forgetting_servers import opened_servers
from console.forgetting_workers import Answer, look_for_worker, wait_for_workers
from console.invocation import Invocation, kafka_options, make_console, make_pseudonymiser, unwrap
from deploy.services import Services, clickhouse_client_options
from schemas.durations import parse_duration
from schemas.errors import Misconfigured
from schemas.moments import format_epoch_ms, to_epoch_ms
from schemas.settings import Settings
from sinks.writer import ClickHouseWriter

STATEMENT_SECONDS = 3_600
"""How long ClickHouse may rewrite one table."""
EPILOG = """Examples:

journeys forget email:dana@example.com --dry-run

journeys forget customer_id:C-1004 --receipt C-1004.json

journeys forget "phone:050-123 4567" --yes --scan-topics --format json

journeys forget C-1004 email:dana@example.com --yes --wait 5m"""


class Form(StrEnum):
    """How a receipt is printed."""

    TABLE = "table"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("forget", epilog=EPILOG)(forget)


def forget(
    context: typer.Context,
    identifiers: Annotated[
        list[str],
        typer.Argument(
            metavar="IDENTIFIER...",
            help="kind:value, e-mail and phone as people write them; or a customer_id. Several are one customer's",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be erased")] = False,
    block: Annotated[
        bool, typer.Option("--block", help="Block the identifier even if nothing is stored of it")
    ] = False,
    wait: Annotated[str, typer.Option(metavar="SPAN", help="How long the workers have to obey")] = "60s",
    scan_topics: Annotated[
        bool, typer.Option("--scan-topics", help="Also count records in the topics that cannot be erased")
    ] = False,
    receipt_file: Annotated[
        Path | None, typer.Option("--receipt", metavar="FILE", help="Also write the receipt, as JSON, to a new file")
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who does it (default: who is logged in)")] = None,
    form: Annotated[Form, typer.Option("--format", "-f", help="How to print the receipt")] = Form.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json")] = False,
) -> None:
    """Erase a customer: all identifiers that are theirs alone, in every table, in the workers and in compacted topics.

    What comes under these identifiers later is dropped. At the end all tables and compacted topics are read once more;
    the receipt says what was found, what is left, and what is out of reach until when. Exits with 0 only if nothing is
    left.
    """
    settings = Invocation.of(context).settings()
    asked = read_identifiers(identifiers, make_pseudonymiser(settings))
    seconds = _read_span(wait)
    _check_file(receipt_file)
    now = read_clock()
    with _progress() as tell, _opened(settings, asked, name_actor(by), now, dry_run, tell) as (run, services):
        run.look(with_raw_topics=scan_topics)
        if not dry_run:
            if run.is_unknown and not block:
                raise Misconfigured(
                    f"nothing is stored under {asked.typed!r}: is it written as the sources write it, and of an e-mail "
                    "or phone, is JOURNEYS_IDENTIFIER_KEY the right one? --block puts it on the block list all the same"
                )
            tell("")
            _confirm(run.receipt, yes or (block and run.is_unknown))
            run.erase(lambda offsets: _wait(run.clickhouse, services, settings, offsets, seconds))
    _print(run.receipt, Form.JSON if as_json else form)
    if receipt_file is not None:
        receipt_file.write_text(_to_json(run.receipt) + "\n", "utf-8")
    if not dry_run and not run.receipt.is_clean:
        raise typer.Exit(1)


def _read_span(text: str) -> float:
    try:
        return float(parse_duration(text).total_seconds())
    except (ValueError, AttributeError) as error:
        raise Misconfigured(f"--wait: {text!r} is no duration: write it as 90s or 5m") from error


def _check_file(path: Path | None) -> None:
    if path is not None and path.exists():
        raise Misconfigured(f"{path} is there already: a receipt is written to a new file")
    if path is not None and not path.absolute().parent.is_dir():
        raise Misconfigured(f"{path}: there is no such directory")


@contextmanager
def _opened(
    settings: Settings, asked: Asked, by: str, now: datetime, dry_run: bool, tell: Tell
) -> Iterator[tuple[Forgetting, Services]]:
    services = Services.resolve(settings)
    options = clickhouse_client_options(services.clickhouse_url, settings)
    options = {**options, "send_receive_timeout": STATEMENT_SECONDS}
    now_ms = to_epoch_ms(now)
    receipt = Receipt(str(uuid4()), asked.typed, by, format_epoch_ms(now_ms), dry_run)
    with closing(ClickHouseWriter(options)) as clickhouse, opened_servers(clickhouse, options) as servers:
        yield Forgetting(clickhouse, servers, kafka_options(services, settings), asked, receipt, now_ms, tell), services


@contextmanager
def _progress() -> Iterator[Tell]:
    """Says on a terminal what is being done; nothing is no longer said while somebody is asked."""
    console = make_console(stderr=True)
    status = Status("", console=console)

    def tell(doing: str) -> None:
        if not doing:
            status.stop()
        elif console.is_terminal:
            status.update(doing)
            status.start()

    try:
        yield tell
    finally:
        status.stop()


def _confirm(receipt: Receipt, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Misconfigured("nobody can be asked here: --yes erases without asking, --dry-run shows what there is")
    make_console(stderr=True).print(show_receipt(replace(receipt, dry_run=True)))
    typer.confirm(f"Erase all of it for good ({receipt.found:,} rows and records)?", abort=True, err=True)


def _wait(
    clickhouse: ClickHouseWriter, services: Services, settings: Settings, offsets: Mapping[int, int], seconds: float
) -> Answer:
    group, is_local = settings.consumer_group, settings.kafka is None
    options = kafka_options(services, settings)

    def is_running() -> bool | None:
        return look_for_worker(options, group, settings.data_dir, is_local=is_local)

    return wait_for_workers(clickhouse, group, offsets, seconds, is_running)


def _print(receipt: Receipt, form: Form) -> None:
    if form is Form.JSON:
        typer.echo(_to_json(receipt))
        return
    console = make_console()
    unwrap(console)
    console.print(show_receipt(receipt))


def _to_json(receipt: Receipt) -> str:
    return json.dumps(receipt.as_json(), ensure_ascii=False, indent=2)
