"""Doing something about alerts: what is wanted is compared with what was done, written, and told to those who watch."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rich.text import Text

from console.alert_actions import settle
from console.alert_store import Ask, asking, known_rules, publish_actions, write_actions
from console.alert_views import describe_matchers, show_moment
from console.alert_words import DONE, DONE_BEFORE
from console.cells import printable
from console.invocation import Invocation, kafka_options, make_console, open_clickhouse
from deploy.services import Services, clickhouse_client_options
from producers.emitters import Emitter, KafkaEmitter
from schemas.alert_action import ActionName, AlertAction
from schemas.errors import JourneysError, Misconfigured
from schemas.hints import did_you_mean
from schemas.settings import Settings
from schemas.topics import ALERT_ACTIONS
from sinks.writer import Writer
from streams.rules.loading import directories, read_rule_files
from streams.silence import SOURCE_SILENT

OPTIONS = {"assignee": "to", "customer_id": "customer", "store_id": "store", "until": "for"}
"""The options whose names are not those of an action's fields."""


@dataclass(frozen=True)
class Outcome:
    """What was wanted, and the action that makes it so; None where there was nothing to undo.

    `open_alerts`: how many a silence hides now.
    """

    wanted: AlertAction
    action: AlertAction | None
    open_alerts: int | None = None

    @property
    def is_new(self) -> bool:
        """Whether the action has yet to be written."""
        return self.action is self.wanted

    def line(self) -> str:
        """One line for a person."""
        about = self.wanted.episode_id or describe_matchers(self.wanted)
        done = DONE[self.wanted.action]
        if self.action is None:
            return f"{about}: there is nothing to take back"
        to = f" to {printable(self.action.assignee or 'nobody')}" if self.action.action == "assign" else ""
        if not self.is_new:
            before = DONE_BEFORE[self.wanted.action]
            return f"{about}: {before}{to} by {printable(self.action.by)}, {show_moment(self.action.acted_at)} UTC"
        until = f" until {show_moment(self.action.until)} UTC" if self.action.until else ""
        return f"{about}: {done}{to}{until}{self._hides()}"

    def _hides(self) -> str:
        if self.open_alerts is None:
            return ""
        return f", hides {self.open_alerts:,} open alert{'' if self.open_alerts == 1 else 's'}"


def read_clock() -> datetime:
    """The time, to the millisecond as actions keep it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def name_actor(given: str | None) -> str:
    """Who acts: as given, or whoever is logged in. Raises `Misconfigured`."""
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as error:
        raise Misconfigured("it is not known who you are: say it with --by") from error


def make_action(action: ActionName, by: str, acted_at: datetime, **fields: Any) -> AlertAction:
    """An action with an id of its own. Raises `Misconfigured`, one line, for what no action can say."""
    try:
        return AlertAction(action_id=str(uuid4()), action=action, by=by, acted_at=acted_at, **fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Misconfigured(_describe(first)) from error


def _describe(fault: ErrorDetails) -> str:
    """What is wrong with an action, in the words of the options."""
    name = str(fault["loc"][0]) if fault["loc"] else ""
    option = f"--{OPTIONS.get(name, name)}"
    match fault["type"]:
        case "string_too_short":
            return f"{option} must not be empty"
        case "string_too_long":
            return f"{option} must not be longer than {fault['ctx']['max_length']:,} characters"
        case "string_unicode":
            return f"{option} is no text in UTF-8"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{option}: {message}" if name else message


def plan(former: Sequence[AlertAction], wanted: Iterable[AlertAction]) -> list[Outcome]:
    """What each wanted action comes to."""
    return [Outcome(each, settle(former, each)) for each in wanted]


def carry_out(
    outcomes: Sequence[Outcome],
    clickhouse: Writer,
    open_emitter: Callable[[], Emitter],
    say: Callable[[Sequence[Outcome], bool | None], None],
) -> None:
    """Write what is new, say so, and send all of it to the topic, also what stood already: that may have failed then.

    `say` is told the outcomes once they are written, with None, and at the end with whether they were sent.
    Raises `Transient` or `Terminal` when nothing is known to be written, and the same kinds, saying just that, when
    only the sending failed.
    """
    with closing(clickhouse):
        write_actions(clickhouse, [each.wanted for each in outcomes if each.is_new])
    say(outcomes, None)
    actions = [each.action for each in outcomes if each.action is not None]
    try:
        if actions:
            publish_actions(open_emitter(), actions)
    except JourneysError as error:
        say(outcomes, False)
        raise type(error)(
            f"it is written to ClickHouse and holds, but topic {ALERT_ACTIONS} did not get it, so who watches live "
            f"does not see it: {error}: run the command again to send it"
        ) from error
    say(outcomes, True)


def written_rules(own: Path | None) -> tuple[set[str], str]:
    """The ids of the rules that are written in files, and what keeps those of one's own from being read."""
    fault = ""
    try:
        files = read_rule_files(directories(own))
    except Misconfigured as error:
        files, fault = read_rule_files(directories(None)), str(error)
    return {file.rule.id for file in files}, fault


def outcomes_json(outcomes: Iterable[Outcome], published: bool) -> str:
    """One object: the actions, whether each is new, and whether the topic has them."""
    actions = [
        {"new": each.is_new, **each.action.model_dump(mode="json"), **_counted(each)}
        for each in outcomes
        if each.action is not None
    ]
    return json.dumps({"actions": actions, "published": published}, ensure_ascii=False, indent=2)


def _counted(outcome: Outcome) -> dict[str, int]:
    return {} if outcome.open_alerts is None else {"open_alerts": outcome.open_alerts}


@dataclass(frozen=True)
class Desk:
    """Where alerts are read, and actions written and sent."""

    settings: Settings
    services: Services

    @classmethod
    def of(cls, context: typer.Context) -> Desk:
        """The desk of one call of `journeys`. Raises `Misconfigured` when there are no servers."""
        settings = Invocation.of(context).settings()
        return cls(settings, Services.resolve(settings))

    def asking(self) -> AbstractContextManager[Ask]:
        """A connection of the user who reads."""
        return asking(clickhouse_client_options(self.services.analyst_url, self.settings))

    def check_rules(self, ask: Ask, names: Iterable[str]) -> tuple[str, ...]:
        """The names, each of which is a rule's or has been. Raises `Misconfigured`."""
        given = tuple(names)
        if given:
            written, fault = written_rules(self.settings.rules_dir)
            known = written | {SOURCE_SILENT.id} | known_rules(ask)
            for name in given:
                if name not in known:
                    hint = did_you_mean(name, known) or "`journeys rules list` shows them"
                    unread = f"; it may stand in files that cannot be read: {fault}" if fault else ""
                    raise Misconfigured(f"there is no rule {name!r}: {hint}{unread}")
        return given

    def carry_out(self, outcomes: Sequence[Outcome], to_json: bool) -> None:
        """Write, say and send, see `carry_out`."""
        console = make_console()

        def say(outcomes: Sequence[Outcome], published: bool | None) -> None:
            if to_json and published is not None:
                typer.echo(outcomes_json(outcomes, published))
            if not to_json and published is None:
                for outcome in outcomes:
                    console.print(Text(outcome.line(), style="" if outcome.is_new else "dim"), soft_wrap=True)

        clickhouse = open_clickhouse(self.services, self.settings)
        options = kafka_options(self.services, self.settings)
        carry_out(outcomes, clickhouse, lambda: KafkaEmitter(options, ALERT_ACTIONS), say)
