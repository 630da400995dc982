"""The parts of `journeys alerts` that do something: acknowledge, assign, note, resolve, silence and their opposites."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.text import Text

from console.alert_actions import list_silences
from console.alert_desk import Desk, make_action, name_actor, plan, read_clock
from console.alert_filters import parse_span
from console.alert_silences import warn_of_misses
from console.alert_store import count_open, find_absent, find_ids, read_actions
from console.alert_views import describe_silence
from console.invocation import make_console
from schemas.alert_action import ActionName, AlertAction
from schemas.errors import Misconfigured

LONGEST = timedelta(days=366)
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Alerts, or the beginnings of their ids")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who does it (default: who is logged in)")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="What there is to say")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object")]
OfRule = Annotated[str, typer.Option("--rule", metavar="RULE", help="Alerts of this rule")]
OfCustomer = Annotated[str, typer.Option("--customer", metavar="ID", help="Alerts of this customer")]
InStore = Annotated[str, typer.Option("--store", metavar="ID", help="Alerts in this store")]
About = Annotated[str, typer.Option("--subject", metavar="TEXT", help="Alerts about this order, queue, topic…")]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    for name, command, example in (
        ("ack", ack, 'ack 3f2a91c4 77b0 --note "calling the carrier"'),
        ("unack", unack, "unack 3f2a91c4"),
        ("assign", assign, "assign 3f2a91c4 --to dana"),
        ("note", note, 'note 3f2a91c4 --note "the parcel is at the depot"'),
        ("resolve", resolve, 'resolve 3f2a91c4 --note "refunded" --json'),
        ("reopen", reopen, "reopen 3f2a91c4"),
        ("silence", silence, "silence --store S-07 --rule long_wait --for 2h --note stock-taking"),
        ("unsilence", unsilence, "unsilence --store S-07 --rule long_wait"),
    ):
        group.command(name, epilog=f"Examples:\n\njourneys alerts {example}")(command)


def ack(context: typer.Context, ids: Ids, by: By = None, note: Note = "", as_json: AsJson = False) -> None:
    """Say that you have seen alerts and deal with them."""
    _act(context, "ack", ids, by, as_json, note=note)


def unack(context: typer.Context, ids: Ids, by: By = None, note: Note = "", as_json: AsJson = False) -> None:
    """Take an acknowledgement back, whoever gave it."""
    _act(context, "unack", ids, by, as_json, note=note)


def assign(
    context: typer.Context,
    ids: Ids,
    to: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="To whom; '' for nobody (default: you)")
    ] = None,
    by: By = None,
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Give alerts to somebody."""
    actor = name_actor(by)
    _act(context, "assign", ids, actor, as_json, note=note, assignee=actor if to is None else to)


def note(
    context: typer.Context,
    ids: Ids,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What there is to say")],
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Write a note on alerts."""
    _act(context, "note", ids, by, as_json, note=note)


def resolve(context: typer.Context, ids: Ids, by: By = None, note: Note = "", as_json: AsJson = False) -> None:
    """Say that the problem is solved. The machine goes on watching and keeps its own status beside yours."""
    _act(context, "resolve", ids, by, as_json, note=note)


def reopen(context: typer.Context, ids: Ids, by: By = None, note: Note = "", as_json: AsJson = False) -> None:
    """Take a person's `resolve` back."""
    _act(context, "reopen", ids, by, as_json, note=note)


def silence(
    context: typer.Context,
    span: Annotated[str, typer.Option("--for", metavar="SPAN", help="For how long, from now: 30m, 2h, 1d")],
    rule: OfRule = "",
    customer: OfCustomer = "",
    store: InStore = "",
    subject: About = "",
    by: By = None,
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Keep alerts out of sight for a while: those that match all that you name. They are found and kept all the same.

    Silencing the same again takes the place of the silence before.
    """
    now = read_clock()
    matchers = _read_matchers(rule, customer, store, subject)
    until = _end_after(now, span)
    wanted = make_action("silence", name_actor(by), now, note=note, until=until, **matchers)
    _silence(context, wanted, as_json)


def unsilence(
    context: typer.Context,
    rule: OfRule = "",
    customer: OfCustomer = "",
    store: InStore = "",
    subject: About = "",
    by: By = None,
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """End a silence before its time. Name just what it names."""
    matchers = _read_matchers(rule, customer, store, subject)
    wanted = make_action("unsilence", name_actor(by), read_clock(), note=note, **matchers)
    _unsilence(context, wanted, as_json)


def _read_matchers(rule: str, customer: str, store: str, subject: str) -> dict[str, str]:
    matchers = {"rule": rule, "customer_id": customer, "store_id": store, "subject": subject}
    if not any(value.strip() for value in matchers.values()):
        raise Misconfigured("say which alerts: name at least one of --rule, --customer, --store and --subject")
    return matchers


def _end_after(now: datetime, span: str) -> datetime:
    length = parse_span(span)
    if length > LONGEST:
        raise Misconfigured(f"--for {span} is longer than a year ({LONGEST.days}d), the longest that a silence lasts")
    return now + length


def _silence(context: typer.Context, wanted: AlertAction, to_json: bool) -> None:
    desk = Desk.of(context)
    with desk.asking() as ask:
        desk.check_rules(ask, [wanted.rule] if wanted.rule else [])
        former = read_actions(ask)
        (hidden,) = count_open(ask, [wanted])
        absent = [] if hidden else find_absent(ask, wanted)
    desk.carry_out([replace(each, open_alerts=hidden) for each in plan(former, [wanted])], to_json)
    if not hidden:
        line = f"warning: {warn_of_misses(wanted, absent)}"
        make_console(stderr=True).print(Text(line, style="yellow"), soft_wrap=True)


def _unsilence(context: typer.Context, wanted: AlertAction, to_json: bool) -> None:
    desk = Desk.of(context)
    with desk.asking() as ask:
        former = read_actions(ask)
        if not any(each.matchers == wanted.matchers for each in former):
            # A misspelt rule is told as such.
            desk.check_rules(ask, [wanted.rule] if wanted.rule else [])
            in_force = [each for each in list_silences(former) if each.covers(wanted.acted_at)]
            shown = "; ".join(describe_silence(each) for each in in_force) or "none"
            raise Misconfigured(f"nobody has silenced just that; in force: {shown}")
    desk.carry_out(plan(former, [wanted]), to_json)


def _act(
    context: typer.Context, action: ActionName, ids: list[str], by: str | None, to_json: bool, **said: Any
) -> None:
    actor, now = name_actor(by), read_clock()
    # What no action can say is refused before any server is asked.
    make_action(action, actor, now, episode_id="00000000-0000-0000-0000-000000000000", **said)
    desk = Desk.of(context)
    with desk.asking() as ask:
        episode_ids = find_ids(ask, ids)
        former = read_actions(ask, episode_ids)
    wanted = [make_action(action, actor, now, episode_id=episode_id, **said) for episode_id in episode_ids]
    desk.carry_out(plan(former, wanted), to_json)
