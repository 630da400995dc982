"""`journeys alerts`: what hurts now, one alert in full, and what people do about it."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text

from console import alert_acts
from console.alert_actions import fold, list_silences, silencing
from console.alert_desk import Desk, read_clock
from console.alert_filters import Filters, parse_since
from console.alert_silences import COLUMNS, SilenceLine, make_silences_table, pick_silences, silences_note
from console.alert_store import (
    Answer,
    count_alerts,
    count_open,
    find_ids,
    list_alerts,
    read_actions,
    read_alert,
    read_evidence,
)
from console.alert_views import (
    detail_table,
    evidence_lines,
    head_line,
    history_lines,
    list_note,
    make_list,
    read_properties,
)
from console.alert_words import LABELS
from console.cells import json_value
from console.commands.sql import Output
from console.invocation import make_wide_console
from console.sql_results import write_csv, write_json, write_ndjson
from console.timeline import make_timeline, plain_lines
from streams.friction.texts import Language

DEFAULT_LIMIT = 50
EPILOG = """Examples:

journeys alerts list --severity critical

journeys alerts show 3f2a91c4

journeys alerts ack 3f2a91c4 --note "calling the carrier"

journeys alerts silence --store S-07 --for 2h --note stock-taking"""
LIST_EPILOG = """Examples:

journeys alerts list

journeys alerts list --rule long_wait --rule wismo --store S-07 --since 2h

journeys alerts list --kind delight --since 2026-11-21 --json

journeys alerts list --all --limit 0 --format csv > alerts.csv"""
SHOW_EPILOG = """Examples:

journeys alerts show 3f2a91c4

journeys alerts show 3f2a91c4 --lang he

journeys alerts show 3f2a91c4 --json | python -m json.tool"""
SILENCES_EPILOG = """Examples:

journeys alerts silences

journeys alerts silences --all --format csv > silences.csv"""


class Status(StrEnum):
    """`schemas.episode.EpisodeStatus`."""

    OPEN = "open"
    RESOLVED = "resolved"
    WITHDRAWN = "withdrawn"


class Grade(StrEnum):
    """`schemas.episode.Severity`."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Kind(StrEnum):
    """`schemas.episode.EpisodeKind`."""

    FRICTION = "friction"
    DELIGHT = "delight"
    OPPORTUNITY = "opportunity"
    SOURCE = "source"


InLanguage = Annotated[Language, typer.Option("--lang", help="Language of the texts")]


def register(app: typer.Typer) -> None:
    """Add the command and its parts."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
    group.command("list", epilog=LIST_EPILOG)(list_command)
    group.command("show", epilog=SHOW_EPILOG)(show)
    alert_acts.register(group)
    group.command("silences", epilog=SILENCES_EPILOG)(silences_command)
    app.add_typer(group, name="alerts", epilog=EPILOG, help="List alerts, look at one, and deal with them.")


def list_command(
    context: typer.Context,
    rule: Annotated[list[str] | None, typer.Option(help="Only of this rule; give it again for more")] = None,
    status: Annotated[
        list[Status] | None,
        typer.Option(help="Only with this status (default: open; of delight, which is over at once, also resolved)"),
    ] = None,
    severity: Annotated[list[Grade] | None, typer.Option(help="Only of this severity")] = None,
    kind: Annotated[list[Kind] | None, typer.Option(help="Only of this kind")] = None,
    customer: Annotated[list[str] | None, typer.Option(help="Only of this customer")] = None,
    store: Annotated[list[str] | None, typer.Option(help="Only in this store")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="SPAN|TIME", help="Only opened since: 2h, 2026-11-21, 2026-11-21T10:00:00Z")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Alerts to show, the newest first; 0 for all")] = DEFAULT_LIMIT,
    show_all: Annotated[bool, typer.Option("--all", help="Whatever their status, and silenced ones too")] = False,
    lang: InLanguage = "en",
    output: Annotated[Output, typer.Option("--format", "-f", help="How to print them")] = Output.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json")] = False,
) -> None:
    """List alerts, the newest first. Without --all, those that somebody has silenced are left out.

    What a person has resolved counts as resolved. Several values of one option
    mean any of them. Formats other than the table hold all columns.
    """
    desk = Desk.of(context)
    with desk.asking() as ask:
        filters = Filters(
            rules=desk.check_rules(ask, rule or ()),
            statuses=tuple(status or ()),
            severities=tuple(severity or ()),
            kinds=tuple(kind or ()),
            customers=tuple(customer or ()),
            stores=tuple(store or ()),
            since=None if since is None else parse_since(since, read_clock()),
            show_all=show_all,
        )
        answer = list_alerts(ask, filters, limit)
        if as_json or output is not Output.TABLE:
            _write(answer, Output.JSON if as_json else output)
            return
        heard, silenced = count_alerts(ask, filters)
    console = make_wide_console()
    if answer.rows:
        console.print(make_list(answer.records(), lang))
    console.print(Text(list_note(len(answer.rows), heard, silenced, show_all, lang), style="dim"))


def _write(answer: Answer, output: Output) -> None:
    write = {Output.CSV: write_csv, Output.JSON: write_json, Output.NDJSON: write_ndjson}[output]
    write(sys.stdout, answer.columns, answer.rows)


def silences_command(
    context: typer.Context,
    show_all: Annotated[bool, typer.Option("--all", help="Those that have ended, too")] = False,
    output: Annotated[Output, typer.Option("--format", "-f", help="How to print them")] = Output.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json")] = False,
) -> None:
    """List silences, the newest first: what each hides, how many open alerts that is, until when, and who wanted it."""
    now = read_clock()
    with Desk.of(context).asking() as ask:
        silences = pick_silences(list_silences(read_actions(ask)), now, show_all)
        in_force = [each for each in silences if each.covers(now)]
        counts = dict(zip(in_force, count_open(ask, [each.action for each in in_force]), strict=True))
    lines = [SilenceLine(each, each in counts, counts.get(each, 0)) for each in silences]
    if as_json or output is not Output.TABLE:
        _write(Answer(COLUMNS, [line.row() for line in lines]), Output.JSON if as_json else output)
        return
    console = make_wide_console()
    if lines:
        console.print(make_silences_table(lines))
    console.print(Text(silences_note(lines, show_all), style="dim"))


def show(
    context: typer.Context,
    alert_id: Annotated[str, typer.Argument(metavar="ID", help="The alert, or the beginning of its id")],
    lang: InLanguage = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object")] = False,
) -> None:
    """Show all about one alert: why it is one, what to do, its evidence in time, and what people did."""
    with Desk.of(context).asking() as ask:
        (episode_id,) = find_ids(ask, [alert_id])
        alert = read_alert(ask, episode_id)
        actions = read_actions(ask, [episode_id])
        touchpoints = read_evidence(ask, alert)
    silences = silencing(alert, list_silences(actions), read_clock())
    own = [action for action in actions if action.episode_id == episode_id]
    if as_json:
        found: dict[str, Any] = {
            **alert,
            "evidence_touchpoints": [
                {**each, "properties": read_properties(each["properties"])} for each in touchpoints
            ],
            "actions": [action.model_dump(mode="json") for action in own],
            "silences": [silence.action.model_dump(mode="json") for silence in silences],
        }
        typer.echo(json.dumps(json_value(found), ensure_ascii=False, indent=2))
        return
    words, console = LABELS[lang], make_wide_console()
    console.print(head_line(alert, lang), soft_wrap=True)
    console.print(detail_table(alert, fold(own), silences, lang))
    console.print(Text(f"\n{words['evidence']}", style="bold"))
    lines = evidence_lines(alert, touchpoints, lang)
    if console.is_terminal:
        console.print(make_timeline(lines))
    else:
        console.print(Text("\n".join(plain_lines(lines))), soft_wrap=True)
    console.print(Text(f"\n{words['history']}", style="bold"))
    console.print(Text("\n".join(history_lines(own, lang)) or words["nothing"]), soft_wrap=True)
