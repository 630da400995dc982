"""All that analysts see, view by view, and where two warehouses differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from clickhouse_driver import Client

from benchmarks.cookbook import read_recipes
from deploy.services import clickhouse_client_options
from schemas.settings import Settings
from sinks.connection import connect
from tests.integration.harness import Platform

NUDGE = 1 + 1e-11

WRITTEN = "when it was written"
STEPS = "what the last state added to the one before: which states were seen on the way depends on where flushes fell"
COUNTED = "counted of what was stored while the alert was open, and not at all if it was over by the next flush"
LEARNED = "what was under an identifier before its link was heard: that depends on what the workers read first"

LEFT_OUT: Mapping[str, Mapping[str, str]] = {
    "alerts": {"detected_at": WRITTEN, "change": STEPS, "affected_customers": COUNTED},
    "alerts_as_known_at": {"known_at": WRITTEN, "change": STEPS, "affected_customers": COUNTED},
    "alerts_between_as_known_at": {"known_at": WRITTEN, "change": STEPS, "affected_customers": COUNTED},
    "journeys_as_known_at": {"known_at": WRITTEN},
    "journeys_between_as_known_at": {"known_at": WRITTEN},
    **dict.fromkeys(
        ("alert_history", "alert_history_between"),
        {
            "known_at": WRITTEN, "change": STEPS, "affected_customers": COUNTED,
            "state": "number of the state, of all that were seen on the way",
        },
    ),
    "journey_history": {"known_at": WRITTEN, "state": "number of the state, of all that were seen on the way"},
    "dead_letters": {
        "refused_at": WRITTEN, "arrived_at": WRITTEN, "letter_id": "where it lies in its topic",
        "offset": "where it lies in its partition",
    },
    "identity": {
        "decided_at": WRITTEN, "first_seen_at": LEARNED,
    },
    "identity_conflicts": {"decided_at": WRITTEN},
    "identity_quality": {
        "timed_merges": LEARNED, "median_seconds_to_merge": LEARNED, "p95_seconds_to_merge": LEARNED,
    },
}  # fmt: skip
"""Columns that two runs over the same touchpoints may differ in, and why."""

STANDING = "status != 'withdrawn' AND rule != 'source_silent'"
LAST_STATE = "known_until IS NULL AND NOT is_retracted"
ONLY: Mapping[str, str] = {
    # What was told before all was known, and taken back, depends on what the workers read first; whether a source that
    # spoke weeks ago is silent is asked of the clock.
    "alerts": STANDING,
    "alerts_as_known_at": STANDING,
    "alerts_between_as_known_at": STANDING,
    "episode_places": STANDING,
    "source_outages": "false",
    # Of a history the states on the way are as they were; the last one is what is so.
    "alert_history": f"{STANDING} AND {LAST_STATE}",
    "alert_history_between": f"{STANDING} AND {LAST_STATE}",
    "journey_history": LAST_STATE,
}
"""Rows to which a view is held, and why."""

EVIDENCE = """
SELECT identifier, owner, rule, min((occurred_at, source, event_id)) AS first, by, reason FROM analytics.identity_links
GROUP BY identifier, owner, rule, by, reason, intDiv(toUnixTimestamp(occurred_at), 30 * 86400)
"""
LEADS_NOWHERE = """
SELECT count() AS journeys FROM analytics.journey_redirects
WHERE (customer_id, journey_id) NOT IN (SELECT customer_id, journey_id FROM analytics.journeys)
"""
INSTEAD: Mapping[str, str] = {
    # Promised is the first touchpoint of a window that says so. Further ones are kept where the first came after them.
    "identity_links": EVIDENCE,
    # Which provisional journeys there ever were depends on when a link was heard. Each must have led to one of now.
    "journey_redirects": LEADS_NOWHERE,
}
"""What is asked in the place of a whole view."""

EMPTY: Mapping[str, str] = {
    "source_outages": "not asked: a matter of the clock",
}
"""Views without a row here."""


@dataclass(frozen=True)
class Answer:
    """Rows of one question, each as text of which equal values give the same, and how often it came."""

    columns: tuple[str, ...]
    rows: Counter[tuple[str, ...]]


Warehouse = dict[str, Answer]
"""Question to answer. A view is asked as it is, or once with each of the arguments that the recipes give it."""


def read_warehouse(platform: Platform, views: Iterable[str] = ()) -> Warehouse:
    """All views of `analytics`, or some, as the analyst sees them. Raises what ClickHouse says of a bad question."""
    calls = read_calls()
    answers: Warehouse = {}
    with closing(_Analyst(platform)) as analyst:
        every = (name for (name,) in analyst.ask("SELECT name FROM system.tables WHERE database = 'analytics'")[1])
        for view in views or every:
            for arguments in calls.get(view, ("",)):
                columns, rows = analyst.ask(_question(view, arguments))
                answers[view + arguments] = Answer(columns, Counter(tuple(map(_canonical, row)) for row in rows))
    return answers


class _Analyst:
    def __init__(self, platform: Platform) -> None:
        self._client: Client = connect(clickhouse_client_options(platform.stack.analyst_url, Settings()))

    def ask(self, sql: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        rows, columns = self._client.execute(sql, with_column_types=True)
        return tuple(name for name, _ in columns), rows

    def close(self) -> None:
        self._client.disconnect()


def _question(view: str, arguments: str) -> str:
    if view in INSTEAD:
        return INSTEAD[view]
    left_out = f" EXCEPT ({', '.join(LEFT_OUT[view])})" if view in LEFT_OUT else ""
    return f"SELECT *{left_out} FROM analytics.{view}{arguments} WHERE {ONLY.get(view, 'true')}"


def read_calls() -> dict[str, list[str]]:
    """View to the different arguments, `(name = value, …)`, with which the recipes of the cookbook ask it."""
    calls: dict[str, list[str]] = {}
    for recipe in read_recipes():
        for found in re.finditer(r"analytics\.(\w+)\(", recipe.sql):
            arguments = _until_closed(recipe.sql[found.end() - 1 :])
            if arguments not in calls.setdefault(found[1], []):
                calls[found[1]].append(arguments)
    return calls


def _until_closed(text: str) -> str:
    depth = 0
    for place, letter in enumerate(text, 1):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return " ".join(text[:place].split())
    raise AssertionError(f"not closed: {text}")


def _canonical(value: Any) -> str:
    """Means depend on the order of adding in their last digits, and maps have no order.

    Many a mean lies in the middle between two roundings, so all are nudged upwards before. The driver gives False as
    0 where a part of the table stores the column as sparse.
    """
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return f"{value * NUDGE:.9g}"
    if isinstance(value, dict):
        return "{" + ", ".join(sorted(f"{key}: {_canonical(member)}" for key, member in value.items())) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_canonical, value)) + "]"
    return str(value)


def compare(found: Warehouse, expected: Warehouse, at_most: int = 3) -> dict[str, list[str]]:
    """By question that is answered differently the first rows that only one side has, one readable line each."""
    differences: dict[str, list[str]] = {}
    for question in sorted(found.keys() | expected.keys()):
        there, here = found.get(question), expected.get(question)
        if there is None or here is None or there.columns != here.columns:
            differences[question] = [f"columns {there and there.columns}, expected {here and here.columns}"]
        elif there.rows != here.rows:
            more, less = there.rows - here.rows, here.rows - there.rows
            lines = [f"+ {row}" for row in sorted(more)[:at_most]] + [f"- {row}" for row in sorted(less)[:at_most]]
            differences[question] = [f"{more.total()} more, {less.total()} less", *lines]
    return differences


def empty_views(warehouse: Warehouse) -> set[str]:
    """Views of which no question has a row."""
    asked = {question.partition("(")[0] for question in warehouse}
    return asked - {question.partition("(")[0] for question, answer in warehouse.items() if answer.rows}
