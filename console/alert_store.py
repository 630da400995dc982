"""Alerts and what people did about them: read from ClickHouse, written there, and told to those who watch live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console.alert_filters import Filters, check_prefix, pick_id
from console.sql_results import Columns, Row, with_truths
from producers.emitters import Emitter
from schemas.alert_action import MATCHERS, SILENCING, AlertAction
from schemas.errors import JourneysError, Misconfigured, Transient
from schemas.moments import to_epoch_ms
from sinks.connection import classify, connect
from sinks.tables import ALERT_ACTIONS
from sinks.writer import Writer

COUNT_SQL = "SELECT countIf(NOT silenced), countIf(silenced) FROM analytics.alerts WHERE {condition}"
ROWS_SQL = "SELECT * FROM analytics.alerts WHERE {condition} ORDER BY opened_at DESC, episode_id"
IDS_SQL = """SELECT DISTINCT toString(episode_id) AS id FROM analytics.alerts
WHERE startsWith(id, %(prefix)s) ORDER BY id LIMIT 1000"""
ALERT_SQL = "SELECT * FROM analytics.alerts WHERE episode_id = toUUID(%(episode_id)s)"
RULES_SQL = "SELECT DISTINCT rule FROM analytics.alerts"
ACTIONS_SQL = f"""SELECT toString(action_id) AS action_id, toString(episode_id) AS episode_id,
       action, by, note, assignee, rule, customer_id, store_id, subject, until, acted_at
FROM analytics.alert_actions AS a
WHERE has(%(episodes)s, toString(a.episode_id)) OR action IN {SILENCING}"""
EVIDENCE_SQL = """SELECT source, event_id, occurred_at, type, order_id, store_id, channel, agent_id, properties
FROM analytics.touchpoints
WHERE customer_id = %(customer_id)s AND concat(source, '/', event_id) IN %(references)s"""
OPEN_SQL = "effective_status = 'open'"
AT_A_TIME = 200
"""Silences that one query counts for: its text has a limit."""
PUBLISH_SECONDS = 20.0


@dataclass(frozen=True)
class Answer:
    """All rows of a question, with the names and types of their columns."""

    columns: Columns
    rows: list[Row]

    def records(self) -> list[dict[str, Any]]:
        """The rows by column."""
        return [dict(zip(self.columns.names, row, strict=True)) for row in self.rows]


Ask = Callable[[str, Mapping[str, Any]], Answer]
"""Puts a question with its parameters; raises `Transient` or `Terminal`, one line."""


@contextmanager
def asking(options: Mapping[str, Any]) -> Iterator[Ask]:
    """A connection to ClickHouse to put questions to; it connects with the first."""
    client = connect(options)

    def ask(sql: str, parameters: Mapping[str, Any]) -> Answer:
        try:
            rows, head = client.execute(sql, dict(parameters), with_column_types=True)
        except Exception as error:
            raise classify(error) from error
        names, kinds = zip(*head, strict=True)
        columns = Columns(names, kinds)
        return Answer(columns, list(with_truths(columns, iter(rows))))

    try:
        yield ask
    finally:
        client.disconnect()


def list_alerts(ask: Ask, filters: Filters, limit: int | None) -> Answer:
    """The newest alerts that are meant, without silenced ones unless all are shown."""
    condition, asked = filters.condition()
    heard = "" if filters.show_all else " AND NOT silenced"
    sql = ROWS_SQL.format(condition=f"({condition}){heard}") + (f" LIMIT {limit}" if limit else "")
    return ask(sql, asked)


def count_alerts(ask: Ask, filters: Filters) -> tuple[int, int]:
    """How many are meant that nothing silences, and how many that something does."""
    condition, asked = filters.condition()
    heard, silenced = ask(COUNT_SQL.format(condition=condition), asked).rows[0]
    return int(heard), int(silenced)


def count_open(ask: Ask, silences: Sequence[AlertAction]) -> list[int]:
    """How many open alerts each of them matches."""
    found: list[int] = []
    for start in range(0, len(silences), AT_A_TIME):
        found += _count(ask, [_named(each) for each in silences[start : start + AT_A_TIME]], OPEN_SQL)
    return found


def find_absent(ask: Ask, silence: AlertAction) -> list[str]:
    """What it names that no alert has ever had, by the name of the field."""
    named = [{name: value} for name, value in zip(MATCHERS, silence.matchers, strict=True) if value]
    counts = _count(ask, named, "1")
    return [name for each, count in zip(named, counts, strict=True) for name in each if not count]


def _named(silence: AlertAction) -> dict[str, str]:
    fields = {"episode_id": silence.episode_id or "", **dict(zip(MATCHERS, silence.matchers, strict=True))}
    return {name: value for name, value in fields.items() if value}


def _count(ask: Ask, groups: Sequence[Mapping[str, str]], condition: str) -> list[int]:
    """How many alerts have all the values of each group."""
    counts, asked = [], {}
    for number, group in enumerate(groups):
        counts.append(f"countIf({' AND '.join(f'toString({name}) = %({name}_{number})s' for name in group)})")
        asked.update({f"{name}_{number}": value for name, value in group.items()})
    sql = f"SELECT {', '.join(counts)} FROM analytics.alerts WHERE {condition}"
    return [int(count) for count in ask(sql, asked).rows[0]]


def find_ids(ask: Ask, prefixes: Iterable[str]) -> list[str]:
    """The whole id of each alert, in order, each once. Raises `Misconfigured` for an unknown or ambiguous one."""
    found = []
    for text in prefixes:
        prefix = check_prefix(text)
        found.append(pick_id(prefix, (str(row[0]) for row in ask(IDS_SQL, {"prefix": prefix}).rows)))
    return list(dict.fromkeys(found))


def read_alert(ask: Ask, episode_id: str) -> dict[str, Any]:
    """The row of `analytics.alerts`, by column. Raises `Misconfigured` when there is none."""
    found = ask(ALERT_SQL, {"episode_id": episode_id}).records()
    if not found:
        raise Misconfigured(f"alert {episode_id} has just been taken back")
    return found[0]


def read_actions(ask: Ask, episode_ids: Sequence[str] = ()) -> list[AlertAction]:
    """All actions on these alerts, and all silences."""
    found = ask(ACTIONS_SQL, {"episodes": list(episode_ids) or [""]})
    return [AlertAction.model_validate(record) for record in found.records()]


def read_evidence(ask: Ask, alert: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The touchpoints that prove an alert, as far as they are stored, in the columns of `EVIDENCE_SQL`."""
    if not alert["evidence"]:
        return []
    asked = {"customer_id": alert["customer_id"], "references": tuple(alert["evidence"])}
    return ask(EVIDENCE_SQL, asked).records()


def known_rules(ask: Ask) -> set[str]:
    """The rules that have found something."""
    return {str(rule) for (rule,) in ask(RULES_SQL, {}).rows}


def write_actions(clickhouse: Writer, actions: Sequence[AlertAction]) -> None:
    """Write actions; on return they are there. Writing one again changes nothing."""
    if actions:
        rows = [_row(action) for action in actions]
        clickhouse.insert(ALERT_ACTIONS, [list(column) for column in zip(*rows, strict=True)])


def _row(action: AlertAction) -> tuple[Any, ...]:
    return (
        action.action_id,
        action.episode_id or "",
        action.action,
        action.by,
        action.note,
        action.assignee,
        *action.matchers,
        _epoch_ms(action.until),
        _epoch_ms(action.acted_at),
    )


def _epoch_ms(moment: datetime | None) -> int:
    return 0 if moment is None else to_epoch_ms(moment)


def publish_actions(emitter: Emitter, actions: Sequence[AlertAction]) -> None:
    """Send actions to the topic, wait until the broker has them and close. Raises `Transient`, saying why it has not.

    Sending one again does no harm: the topic keeps the last record of each action.
    """
    answers: list[str | None] = []
    try:
        for action in actions:
            emitter.send(action.action_id.encode(), action.model_dump_json().encode(), (), answers.append)
        emitter.flush(PUBLISH_SECONDS)
    finally:
        with suppress(JourneysError):
            emitter.close(PUBLISH_SECONDS)
    reasons = [reason for reason in answers if reason is not None]
    if reasons or len(answers) < len(actions):
        raise Transient(reasons[0] if reasons else f"no answer within {PUBLISH_SECONDS:.0f} s")
