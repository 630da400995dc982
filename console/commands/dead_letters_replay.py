"""`journeys dead-letters replay`: what was refused goes through the door once more, mended or as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from console.alert_desk import name_actor, read_clock
from console.cells import printable
from console.invocation import Invocation, kafka_options, make_console, make_pseudonymiser, open_clickhouse
from console.letter_filters import Status, make_filters
from console.letter_replay import BATCH_LETTERS, Door, Run, Tally, Verdict, hold_back
from console.letter_store import Head, Letter, Replay, find_heads, iterate_letters, record_replays
from console.letter_views import tally_line, to_json
from deploy.services import Services
from producers.emitters import Emitter, KafkaEmitter
from producers.letter_edits import Editor, load_edits
from schemas.errors import JourneysError
from schemas.settings import Settings
from schemas.topics import FACTS
from sinks.writer import ClickHouseWriter

SHOWN_REFUSALS = 20
EPILOG = """Examples:

journeys dead-letters replay touchpoints-0-42 touchpoints-3-7

journeys dead-letters replay --reason unknown_source --since 1d --map mend.yaml --dry-run

journeys dead-letters replay --status refused-again --again --map mend.yaml --yes

mend.yaml says what to edit, for instance: values: {source: {shop: store}}; docs/dead-letters.md has all of it"""
Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only for this reason; give it again for more")]
Topics = Annotated[list[str] | None, typer.Option("--source-topic", help="Only from this topic")]
Since = Annotated[
    str | None, typer.Option(metavar="SPAN|TIME", help="Only refused since: 2h, 2026-11-21, 2026-11-21T10:00:00Z")
]
Until = Annotated[str | None, typer.Option(metavar="SPAN|TIME", help="Only refused before, written the same way")]
Key = Annotated[str | None, typer.Option(help="Only with just this record key, such as customer_id:C-1")]
Contains = Annotated[str | None, typer.Option(metavar="TEXT", help="Only with this text in the record or the detail")]


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("replay", epilog=EPILOG)(replay)


def replay(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Letters; without any, what matches")] = None,
    reason: Reasons = None,
    source_topic: Topics = None,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    contains: Contains = None,
    status: Annotated[list[Status] | None, typer.Option(help="Only with this status")] = None,
    mapping: Annotated[
        Path | None, typer.Option("--map", metavar="FILE", help="YAML that says what to edit in each record")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many, the oldest first; 0 for all")] = 0,
    again: Annotated[
        bool, typer.Option("--again", help="Also those that were sent again before, or refused again")
    ] = False,
    history: Annotated[bool, typer.Option("--history", help="Take what is of any age since 1970")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of each")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first")] = False,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who does it (default: who is logged in)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Send refused records again, under the same event_id, to the topic of their kind.

    They pass the same checks as anything that is sent; what would be refused again is not sent. What was sent is
    recorded once Kafka has it, and is not sent a second time without --again. Exits with 1 when anything is still
    refused or could not be delivered.
    """
    settings = Invocation.of(context).settings()
    editor = Editor(load_edits(mapping)) if mapping is not None else None
    actor = name_actor(by)
    filters = make_filters(
        read_clock(), reasons=reason or (), topics=source_topic or (), status=status or (), ids=ids or (), key=key,
        contains=contains, since=since, until=until,
    )  # fmt: skip
    services = Services.resolve(settings)
    with closing(open_clickhouse(services, settings)) as clickhouse:
        heads, held = hold_back(find_heads(clickhouse, filters), again)
        heads = heads[:limit] if limit else heads
        if heads and not dry_run:
            _confirm(len(heads), services.kafka, yes)
        tally, verdicts = Tally(held_back=len(held)), _Verdicts(dry_run, as_json)
        try:
            if heads:
                with _open_door(settings, services, editor, history=history, is_dry=dry_run) as door:
                    record = _recorder(None if dry_run else clickhouse)
                    run = Run(door, record, verdicts.tell, actor, mapping.name if mapping else "")
                    _follow(run, clickhouse, heads, tally)
        finally:
            _print_summary(tally, verdicts, held)
    if not tally.is_clean:
        raise typer.Exit(1)


def _confirm(count: int, kafka: str, yes: bool) -> None:
    if not yes and sys.stdin.isatty():
        noun = "dead letter" if count == 1 else "dead letters"
        typer.confirm(f"Send {count:,} {noun} to Kafka at {kafka} again?", abort=True, err=True)


@contextmanager
def _open_door(
    settings: Settings, services: Services, editor: Editor | None, *, history: bool, is_dry: bool
) -> Iterator[Door]:
    emitters: tuple[Emitter, Emitter] | None = None
    if not is_dry:
        # What was too large for the worker may be larger than the library sends by itself.
        largest = {"max_request_size": 2 * settings.max_touchpoint_bytes + (1 << 20)}
        emitter = KafkaEmitter({**kafka_options(services, settings), **largest})
        emitters = emitter, emitter.to(FACTS)
    with closing(Door(settings, make_pseudonymiser(settings), emitters, editor=editor, history=history)) as door:
        yield door


def _recorder(clickhouse: ClickHouseWriter | None) -> Any:
    def record(delivered: list[tuple[Letter, Replay]]) -> None:
        if clickhouse is None:
            return
        try:
            record_replays(clickhouse, delivered)
        except JourneysError as error:
            raise type(error)(
                f"{len(delivered):,} letters were sent again, but that could not be written down, so the next replay "
                f"sends them once more (under the same event_id, so they count once): {error}"
            ) from error

    return record


def _follow(run: Run, clickhouse: ClickHouseWriter, heads: Sequence[Head], tally: Tally) -> None:
    console = make_console(stderr=True)
    columns = TextColumn("dead letters"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(heads))
        for done in run.replay(iterate_letters(clickhouse, heads, BATCH_LETTERS), tally):
            progress.advance(task, done)


class _Verdicts:
    """What is said of each letter: on a dry run of all, else of the first that are still refused."""

    def __init__(self, is_dry: bool, as_json: bool) -> None:
        self.is_dry = is_dry
        self.as_json = as_json
        self.found: list[dict[str, Any]] = []
        self._told = 0

    def tell(self, verdict: Verdict) -> None:
        if self.as_json:
            if self.is_dry or verdict.sent is None:
                sent = None if verdict.sent is None else asdict(verdict.sent)
                found = {"id": str(verdict.head.id), "reason": verdict.reason, "detail": verdict.detail, "sent": sent}
                self.found.append({name: value for name, value in found.items() if value})
        elif self.is_dry:
            typer.echo(printable(verdict.line(self.is_dry)))
        elif verdict.sent is None:
            self._told += 1
            if self._told <= SHOWN_REFUSALS:
                typer.echo(printable(verdict.line(self.is_dry)), err=True)


def _print_summary(tally: Tally, verdicts: _Verdicts, held: Sequence[Head]) -> None:
    if verdicts.as_json:
        found = {"dry_run": verdicts.is_dry, **vars(tally), "letters": verdicts.found}
        typer.echo(to_json(found, indent=2))
        return
    console = make_console()
    style = "" if tally.is_clean else "red"
    console.print(Text(tally_line(tally, verdicts.is_dry), style=style), soft_wrap=True)
    for name, count in sorted(tally.reasons.items(), key=lambda each: (-each[1], each[0])):
        console.print(Text(f"  {count:>9,}  {name}"), soft_wrap=True)
