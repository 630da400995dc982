"""`journeys identity`: who is who, why, and how well it all fits together."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from console.alert_desk import Desk
from console.alert_store import Answer, Ask
from console.cells import json_value
from console.commands import identity_acts
from console.commands.sql import Output
from console.identity_family import Family, join
from console.identity_names import read_name, unknown_key
from console.identity_store import find_key, find_namesakes, is_known, list_identities, read_family, read_quality
from console.identity_views import (
    family_json,
    joint_json,
    joint_lines,
    list_note,
    make_list,
    make_others,
    make_quality,
    make_tree,
)
from console.invocation import make_pseudonymiser, make_wide_console
from console.sql_results import write_csv, write_json, write_ndjson
from streams.friction.texts import Language

DEFAULT_LIMIT = 50
DEFAULT_MEMBERS = 200
EPILOG = """Examples:

journeys identity show email:dana@example.org

journeys identity show C-1 device_id:d-7

journeys identity list --status conflict --status flagged

journeys identity unlink device_id:d-7 C-1 --reason "the shop's tablet"

journeys identity quality"""
SHOW_EPILOG = """Examples:

journeys identity show C-1

journeys identity show phone:050-1234567 --lang he

journeys identity show anonymous_id:a-9 C-1

journeys identity show email:hmac-sha256:k1:3fab12cd --json"""
LIST_EPILOG = """Examples:

journeys identity list --status conflict

journeys identity list --kind device_id --kind anonymous_id --limit 0 --format csv > devices.csv"""
QUALITY_EPILOG = """Examples:

journeys identity quality

journeys identity quality --json"""


class Format(StrEnum):
    """How one identifier is printed."""

    TABLE = "table"
    JSON = "json"


class Status(StrEnum):
    """What may have been decided of an identifier."""

    LINKED = "linked"
    CONFLICT = "conflict"
    FLAGGED = "flagged"
    UNLINKED = "unlinked"
    LOOP = "loop"


class Kind(StrEnum):
    """`schemas.identifiers.KINDS`."""

    CUSTOMER_ID = "customer_id"
    LOYALTY_ID = "loyalty_id"
    PHONE = "phone"
    EMAIL = "email"
    DEVICE_ID = "device_id"
    ANONYMOUS_ID = "anonymous_id"


AsJson = Annotated[bool, typer.Option("--json", help="The same as --format json")]


def register(app: typer.Typer) -> None:
    """Add the command and its parts."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
    group.command("show", epilog=SHOW_EPILOG)(show)
    group.command("list", epilog=LIST_EPILOG)(list_command)
    identity_acts.register(group)
    group.command("quality", epilog=QUALITY_EPILOG)(quality)
    app.add_typer(
        group, name="identity", epilog=EPILOG, help="See which identifiers are one customer, why, and undo it."
    )


def show(
    context: typer.Context,
    identifier: Annotated[
        str, typer.Argument(metavar="IDENTIFIER", help="C-1, or kind:value such as email:dana@a.org")
    ],
    other: Annotated[
        str | None, typer.Argument(metavar="[IDENTIFIER]", help="With a second one: why both are one customer")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Identifiers to show, about; 0 for all")] = DEFAULT_MEMBERS,
    lang: Annotated[Language, typer.Option("--lang", help="Language of the texts")] = "en",
    output: Annotated[Format, typer.Option("--format", "-f", help="How to print it")] = Format.TABLE,
    as_json: AsJson = False,
) -> None:
    """Show to whom an identifier belongs, with all that belong to it, and why; or why two are one customer.

    Raw e-mail addresses and phone numbers are hidden as the workers hide them. What is hidden is shown by its
    first digits, which are enough to name it here.
    """
    desk = Desk.of(context)
    pseudonymiser = make_pseudonymiser(desk.settings)
    names = [(text, read_name(text, pseudonymiser)) for text in (identifier, other) if text is not None]
    with desk.asking() as ask:
        families = [_read(ask, text, find_key(ask, named), limit) for text, named in names]
    to_json = as_json or output is Format.JSON
    if len(families) == 1:
        _print_family(families[0], lang, to_json)
    else:
        _print_joint(families[0], families[1], lang, to_json)


def _read(ask: Ask, text: str, key: str, limit: int) -> Family:
    family = read_family(ask, key, limit)
    if not is_known(ask, family):
        raise unknown_key(text, key, find_namesakes(ask, text))
    return family


def _print_family(family: Family, lang: Language, to_json: bool) -> None:
    if to_json:
        _print_json(family_json(family))
        return
    console = make_wide_console()
    console.print(make_tree(family, lang))
    others = make_others(family, lang)
    if others is not None:
        console.print(others)


def _print_joint(first: Family, second: Family, lang: Language, to_json: bool) -> None:
    joint = join(first, second)
    if to_json:
        _print_json(joint_json(first, second, joint))
        return
    _print_lines(make_wide_console(), joint_lines(first, second, joint, lang))


def _print_lines(console: Console, lines: Iterable[Text]) -> None:
    for line in lines:
        console.print(line, soft_wrap=True)


def _print_json(found: dict[str, Any]) -> None:
    typer.echo(json.dumps(json_value(found), ensure_ascii=False, indent=2))


def list_command(
    context: typer.Context,
    status: Annotated[list[Status] | None, typer.Option(help="Only with this status; give it again for more")] = None,
    kind: Annotated[list[Kind] | None, typer.Option(help="Only of this kind; give it again for more")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Identifiers to show, the latest decided first; 0 for all")] = (
        DEFAULT_LIMIT
    ),
    output: Annotated[Output, typer.Option("--format", "-f", help="How to print them")] = Output.TABLE,
    as_json: AsJson = False,
) -> None:
    """List identifiers and to whom they belong. Formats other than the table hold all columns and whole identifiers."""
    with Desk.of(context).asking() as ask:
        answer, count = list_identities(ask, status or (), kind or (), limit)
    if as_json or output is not Output.TABLE:
        _write(answer, Output.JSON if as_json else output)
        return
    console = make_wide_console()
    if answer.rows:
        console.print(make_list(answer.records()))
    console.print(Text(list_note(len(answer.rows), count), style="dim"))


def quality(
    context: typer.Context,
    output: Annotated[Output, typer.Option("--format", "-f", help="How to print it")] = Output.TABLE,
    as_json: AsJson = False,
) -> None:
    """Show in numbers how well identifiers are put together: the row of analytics.identity_quality."""
    with Desk.of(context).asking() as ask:
        answer = read_quality(ask)
    if as_json or output is not Output.TABLE:
        _write(answer, Output.JSON if as_json else output)
        return
    make_wide_console().print(make_quality(answer.records()[0]))


def _write(answer: Answer, output: Output) -> None:
    write = {Output.CSV: write_csv, Output.JSON: write_json, Output.NDJSON: write_ndjson}[output]
    write(sys.stdout, answer.columns, answer.rows)
