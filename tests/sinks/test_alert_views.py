"""What people did about alerts, as analysts see it: the last of each kind counts."""

from datetime import UTC, datetime
from time import time
from typing import Any

import pytest

from sinks.tables import ALERT_ACTIONS, ALERTS
from sinks.writer import ClickHouseWriter
from tests.sinks.rows import put, uuid

pytestmark = pytest.mark.integration

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
NOW_MS = int(time() * 1000)
EPISODE = {"episode_id": str(uuid(1)), "rule": "long_wait", "customer_id": "C-1", "store_id": "S-1", "subject": "tills"}
FIELDS = "acknowledged_by, acknowledged_at, assigned_to, human_resolved_by, human_resolved_at, effective_status, notes"


def alert(**changed: Any) -> dict[str, Any]:
    return {**EPISODE, "status": "open", "_version": 1, **changed}


def act(number: int, action: str, minute: int, **more: Any) -> dict[str, Any]:
    """Action `number`, done by Noa `minute` minutes from now."""
    said = {"action_id": str(uuid(number)), "episode": str(uuid(1)), "action": action, "by": "Noa"}
    return {**said, "acted_at_ms": NOW_MS + minute * MINUTE_MS, **more}


def silence(number: int, minute: int, until: int, action: str = "silence", **matchers: str) -> dict[str, Any]:
    return act(number, action, minute, episode="", until_ms=NOW_MS + until * MINUTE_MS, **matchers)


def moment(minute: int) -> datetime:
    return datetime.fromtimestamp((NOW_MS + minute * MINUTE_MS) / 1000, UTC)


def shown(analyst: ClickHouseWriter) -> tuple[Any, ...]:
    (row,) = analyst.query(f"SELECT {FIELDS} FROM analytics.alerts")
    return row


def test_the_last_action_of_each_kind_counts(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    put(clickhouse, ALERTS, alert())
    assert shown(analyst) == ("", None, "", "", None, "open", [])
    put(clickhouse, ALERT_ACTIONS, act(9, "resolve", -1, note="paid back"), act(2, "assign", -3, assignee="Dan"))
    put(
        clickhouse,
        ALERT_ACTIONS,
        act(3, "ack", -5, note="mine", by="Tal"),
        act(4, "ack", -4),
        act(5, "note", -6, note="x"),
    )
    assert shown(analyst) == (
        "Noa", moment(-4), "Dan", "Noa", moment(-1), "resolved", ["x", "mine", "paid back"],
    )  # fmt: skip
    put(clickhouse, ALERT_ACTIONS, act(6, "unack", -2), act(7, "reopen", 0), act(8, "assign", 0, assignee=""))
    assert shown(analyst) == ("", None, "", "", None, "open", ["x", "mine", "paid back"])


def test_actions_at_one_moment_are_told_apart_by_their_ids(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    put(clickhouse, ALERTS, alert())
    put(clickhouse, ALERT_ACTIONS, act(3, "ack", 0, by="third"), act(2, "ack", 0, by="second"))
    assert shown(analyst)[0] == "third"


def test_a_resolution_by_hand_leaves_the_machine_its_say(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    put(clickhouse, ALERTS, alert(), alert(episode_id=str(uuid(2)), status="resolved"))
    put(clickhouse, ALERT_ACTIONS, act(1, "resolve", 0))
    statuses = "SELECT status, effective_status FROM analytics.alerts ORDER BY episode_id"
    assert analyst.query(statuses) == [("open", "resolved"), ("resolved", "resolved")]
    put(clickhouse, ALERTS, alert(status="withdrawn", _version=2))
    assert analyst.query(statuses)[0] == ("withdrawn", "withdrawn")


def test_an_action_sent_twice_is_one(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    put(clickhouse, ALERTS, alert())
    for _ in range(2):
        put(clickhouse, ALERT_ACTIONS, act(1, "note", 0, note="once"))
    assert shown(analyst)[-1] == ["once"]


MATCHERS = ({"rule": "long_wait"}, {"customer_id": "C-1"}, {"store_id": "S-1"}, {"subject": "tills"})


@pytest.mark.parametrize("matcher", MATCHERS, ids=lambda each: next(iter(each)))
def test_a_silence_matches_by_what_it_names(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter, matcher: dict[str, str]
) -> None:
    other = dict.fromkeys(matcher, "other")
    put(clickhouse, ALERTS, alert(), alert(episode_id=str(uuid(2)), **other))
    put(clickhouse, ALERT_ACTIONS, silence(1, -1, 600, **matcher))
    silenced = analyst.query("SELECT episode_id, silenced FROM analytics.alerts ORDER BY episode_id")
    assert silenced == [(uuid(1), True), (uuid(2), False)]


def test_a_silence_of_one_episode(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    put(clickhouse, ALERTS, alert(), alert(episode_id=str(uuid(2))))
    put(clickhouse, ALERT_ACTIONS, {**silence(1, -1, 600), "episode": str(uuid(1))})
    assert analyst.query("SELECT episode_id FROM analytics.alerts WHERE silenced") == [(uuid(1),)]


def test_all_that_a_silence_names_must_match(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    put(clickhouse, ALERTS, alert())
    put(clickhouse, ALERT_ACTIONS, silence(1, -1, 600, rule="long_wait", store_id="S-2"))
    assert analyst.query("SELECT silenced FROM analytics.alerts") == [(False,)]


ROUND = silence(1, -9, 600, rule="long_wait")
PAST = silence(1, -9, -5, rule="long_wait")


def resolved(minute: int) -> dict[str, Any]:
    return {"status": "resolved", "resolved_at_ms": NOW_MS + minute * MINUTE_MS}


STRETCHES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], bool]] = {
    "in force": ([ROUND], {}, True),
    "run out": ([PAST], {}, False),
    "lifted": ([ROUND, silence(2, -5, 0, "unsilence", rule="long_wait")], {}, False),
    "another lifted": ([ROUND, silence(2, -5, 0, "unsilence", rule="x")], {}, True),
    "silenced again for less": ([ROUND, silence(2, -5, -3, rule="long_wait")], {}, False),
    "in force, resolved before": ([ROUND], resolved(-60), True),
    "run out, resolved in it": ([PAST], resolved(-7), True),
    "run out, resolved at its end": ([PAST], resolved(-5), False),
    "run out, resolved before": ([PAST], resolved(-60), False),
}


@pytest.mark.parametrize(("actions", "state", "silenced"), STRETCHES.values(), ids=STRETCHES)
def test_when_a_silence_counts(
    clickhouse: ClickHouseWriter,
    analyst: ClickHouseWriter,
    actions: list[dict[str, Any]],
    state: dict[str, Any],
    silenced: bool,
) -> None:
    put(clickhouse, ALERTS, alert(**state))
    put(clickhouse, ALERT_ACTIONS, *actions)
    assert analyst.query("SELECT silenced FROM analytics.alerts") == [(silenced,)]


def test_silenced_is_true_or_false_in_every_format(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    kinds = {row[0]: row[1] for row in analyst.query("DESCRIBE TABLE analytics.alerts")}
    assert (kinds["silenced"], kinds["notes"]) == ("Bool", "Array(String)")
    assert kinds["acknowledged_at"] == kinds["human_resolved_at"] == "Nullable(DateTime64(3, 'UTC'))"


def test_silences_end_when_they_were_said_to_or_sooner(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    lifted = silence(2, -5, 0, "unsilence", rule="long_wait")
    put(clickhouse, ALERT_ACTIONS, silence(1, -9, 5, rule="long_wait"), lifted, silence(3, -4, 7, store_id="S-1"))
    found = analyst.query("SELECT silence_id, rule, store_id, silenced_at, until FROM analytics.silences ORDER BY 1")
    assert found == [(uuid(1), "long_wait", "", moment(-9), moment(-5)), (uuid(3), "", "S-1", moment(-4), moment(7))]


def test_thousands_of_silences_are_no_burden(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    put(clickhouse, ALERTS, *[alert(episode_id=str(uuid(n)), customer_id=f"C-{n}") for n in range(20_000)])
    put(clickhouse, ALERT_ACTIONS, *[silence(n, -1, 600, customer_id=f"C-{n}") for n in range(5_000)])
    question = "SELECT count() FROM analytics.alerts WHERE silenced SETTINGS max_memory_usage = 300000000"
    assert analyst.query(question) == [(5_000,)]


def test_one_customers_alerts_are_found_by_key(clickhouse: ClickHouseWriter) -> None:
    put(clickhouse, ALERTS, *[alert(customer_id=f"C-{n:06}", episode_id=str(uuid(n))) for n in range(20_000)])
    explained = clickhouse.query("EXPLAIN indexes = 1 SELECT * FROM analytics.alerts WHERE customer_id = 'C-000777'")
    assert any("Condition: (customer_id in ['C-000777', 'C-000777'])" in line for (line,) in explained)
