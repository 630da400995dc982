"""The parts of `journeys identity` that change something: undo a link, or order one."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from console.alert_desk import Desk, name_actor, read_clock
from console.alert_filters import parse_span
from console.alert_store import Ask
from console.alert_views import show_moment
from console.cells import json_value, printable
from console.identity_acts import (
    Ground,
    await_decision,
    find_objection,
    is_fulfilled,
    make_act,
    read_ground,
    refuse_circle,
    result_line,
    send_link,
    stands_already,
)
from console.identity_family import Decision, Statement
from console.identity_names import read_name, show_key
from console.identity_store import find_key
from console.invocation import kafka_options, make_console, make_pseudonymiser
from console.worker_files import find_workers
from schemas.errors import Misconfigured
from schemas.links import Link, LinkRule
from schemas.moments import to_epoch_ms

WAIT = timedelta(seconds=30)
WAIT_FOR_NOBODY = timedelta(seconds=1)
Weaker = Annotated[str, typer.Argument(metavar="IDENTIFIER", help="The weaker one, such as device_id:d-7")]
Stronger = Annotated[str, typer.Argument(metavar="OWNER", help="The one that it belongs to, such as C-1")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: it is kept with the link")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who does it (default: who is logged in)")]
Wait = Annotated[
    str | None, typer.Option("--wait", metavar="SPAN", help="How long to wait for the decision  [default: 30s]")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first")]
Force = Annotated[bool, typer.Option("--force", help="Even if nothing joins the two, or it was said before")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object")]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    for name, command, example in (
        ("unlink", unlink, 'unlink device_id:d-7 C-1 --reason "the shop\'s tablet"'),
        ("relink", relink, 'relink email:dana@example.org C-1 --reason "she called" --by noa --yes'),
    ):
        group.command(name, epilog=f"Examples:\n\njourneys identity {example}")(command)


def unlink(
    context: typer.Context,
    identifier: Weaker,
    owner: Stronger,
    reason: Reason,
    by: By = None,
    wait: Wait = None,
    yes: Yes = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Undo a link for good: whatever sources say later, the identifier does not belong to that owner again.

    What came through the link leaves the customer, whose journeys, promises and alerts are made anew.
    Exits with 0 once Kafka has it, also when no worker has decided within --wait, and says which; with 1 when
    the worker decided otherwise.
    """
    _act(context, "unlinked", _Order(identifier, owner, reason, name_actor(by), _read_wait(wait), yes, force, as_json))


def relink(
    context: typer.Context,
    identifier: Weaker,
    owner: Stronger,
    reason: Reason,
    by: By = None,
    wait: Wait = None,
    yes: Yes = False,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Order a link, whatever else is known: it takes back an `unlink`, and settles a conflict or a flag.

    What came under the identifier joins the owner's journeys. Exits as `unlink` does.
    """
    _act(context, "relinked", _Order(identifier, owner, reason, name_actor(by), _read_wait(wait), yes, force, as_json))


@dataclass(frozen=True)
class _Order:
    """What was typed. `wait` None: as long as is sensible."""

    identifier: str
    owner: str
    reason: str
    by: str
    wait: timedelta | None
    yes: bool
    force: bool
    to_json: bool


def _act(context: typer.Context, rule: LinkRule, order: _Order) -> None:
    desk = Desk.of(context)
    pseudonymiser = make_pseudonymiser(desk.settings)
    names = [read_name(text, pseudonymiser) for text in (order.identifier, order.owner)]
    with desk.asking() as ask:
        identifier, owner = (find_key(ask, named) for named in names)
        link = make_act(rule, (identifier, owner), order.by, order.reason, read_clock())
        ground = read_ground(ask, link)
        refuse_circle(ask, link)
        if not order.force:
            if ground.act is not None and stands_already(link, ground):
                _say_already(ground.act, order.to_json)
                return
            if objection := find_objection(ask, link, ground):
                raise Misconfigured(f"{objection} (--force records it all the same)")
        if not order.yes:
            link = _confirm(link, ground)
        send_link(kafka_options(desk.services, desk.settings), link)
        decision = _await(ask, link, ground.decision, _waiting(desk, order.wait))
    _say(link, decision, order.to_json)
    if decision is not None and not is_fulfilled(link, decision):
        raise typer.Exit(1)


def _read_wait(text: str | None) -> timedelta | None:
    if text is None:
        return None
    return timedelta() if text.strip() in ("0", "0s") else parse_span(text)


def _confirm(link: Link, ground: Ground) -> Link:
    """Ask on a terminal; the act then counts from the answer on."""
    if not sys.stdin.isatty():
        return link
    key, owner = show_key(link.identifier), show_key(link.owner)
    now = "belongs to nobody"
    if ground.decision is not None and ground.decision.owner:
        now = f"belongs to {show_key(ground.decision.owner)}"
    do = f"Keep it from {owner} for good" if link.rule == "unlinked" else f"Let it belong to {owner}"
    typer.confirm(printable(f"{key} {now}. {do}?"), abort=True, err=True)
    return msgspec.structs.replace(link, occurred_ms=to_epoch_ms(read_clock()))


def _waiting(desk: Desk, asked: timedelta | None) -> float:
    """Seconds to wait. A local stack's workers are this directory's; others may run anywhere."""
    if asked is not None:
        return asked.total_seconds()
    is_alone = desk.services.kafka_is_local and not find_workers(desk.settings.data_dir)
    return (WAIT_FOR_NOBODY if is_alone else WAIT).total_seconds()


def _await(ask: Ask, link: Link, former: Decision | None, seconds: float) -> Decision | None:
    console = make_console(stderr=True)
    if not console.is_terminal:
        return await_decision(ask, link, former, seconds)
    with console.status("recorded in Kafka; a worker decides"):
        return await_decision(ask, link, former, seconds)


def _say_already(act: Statement, to_json: bool) -> None:
    if to_json:
        _print_json({"new": False, "act": vars(act), "decided": True})
        return
    done = "unlinked from" if act.rule == "unlinked" else "linked to"
    key, owner, at = show_key(act.identifier), show_key(act.owner), show_moment(act.occurred_at)
    line = f"{key}: already {done} {owner} by {act.by}, {at} UTC: {act.reason}"
    make_console().print(Text(printable(line), style="dim"), soft_wrap=True)


def _say(link: Link, decision: Decision | None, to_json: bool) -> None:
    if to_json:
        found = None if decision is None else vars(decision)
        _print_json({"new": True, "act": msgspec.to_builtins(link), "decided": decision is not None, "decision": found})
        return
    style = "yellow" if decision is None or not is_fulfilled(link, decision) else "green"
    make_console().print(Text(printable(result_line(link, decision)), style=style), soft_wrap=True)


def _print_json(found: dict[str, Any]) -> None:
    typer.echo(json.dumps(json_value(found), ensure_ascii=False, indent=2))
