"""The report of the simulated shop says what the stored rows say."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest

from console.report_measures import make_sections
from console.report_model import Facts, Part
from console.report_page import render
from console.report_reading import STEPS, has_touchpoints, read_facts
from console.report_span import Span
from console.report_words import Words
from deploy.local.stack import LocalStack
from sinks.writer import ClickHouseWriter
from tests.console.report_samples import Page
from tests.console.running import journeys

SPAN = Span(date(2026, 10, 5), date(2026, 10, 12), "Asia/Jerusalem")


@pytest.fixture(scope="module")
def facts(shop: ClickHouseWriter) -> Facts:
    return read_facts(shop, SPAN, "", "en", lambda _: None)


def rows(shop: ClickHouseWriter, table: str, columns: str) -> list[dict[str, Any]]:
    """All rows of a plain view, to be counted in Python."""
    found = shop.query(f"SELECT {columns} FROM analytics.{table}")
    return [dict(zip((each.strip() for each in columns.split(",")), row, strict=True)) for row in found]


@cache
def bounds(span: Span = SPAN) -> tuple[datetime, datetime]:
    return span.since, span.until


def lies_in(moment: datetime | None, span: Span = SPAN) -> bool:
    since, until = bounds(span)
    return moment is not None and since <= moment < until


def test_journeys_are_those_that_began(shop: ClickHouseWriter, facts: Facts) -> None:
    touchpoints = rows(shop, "touchpoints", "journey_id, customer_id, type, occurred_at")
    ordered = {
        each["journey_id"]
        for each in touchpoints
        if each["type"] in ("order_placed", "purchased") and each["occurred_at"] < SPAN.until
    }
    begun = [
        each
        for each in rows(shop, "journeys", "journey_id, customer_id, started_at, experience, effort")
        if lies_in(each["started_at"])
    ]
    found = facts.now.journeys
    assert found.count == len(begun) == sum(facts.now.begun.values()) > 100
    assert found.customers == len({each["customer_id"] for each in begun})
    assert found.converted == len({each["journey_id"] for each in begun} & ordered)
    assert 0 < found.converted < found.count
    assert found.experience.value == pytest.approx(mean(each["experience"] for each in begun), abs=1e-3)
    assert found.effort.value == pytest.approx(mean(each["effort"] for each in begun), abs=1e-3)
    active = [each for each in touchpoints if lies_in(each["occurred_at"])]
    assert facts.now.touchpoints == len(active)
    assert facts.now.active_journeys == len({each["journey_id"] for each in active if each["journey_id"].int})


def test_frictions_are_the_alerts_that_opened(shop: ClickHouseWriter, facts: Facts) -> None:
    alerts = [
        each
        for each in rows(shop, "alerts", "rule, customer_id, journey_id, opened_at, kind, status")
        if each["kind"] == "friction" and each["status"] != "withdrawn" and lies_in(each["opened_at"])
    ]
    by_rule = defaultdict(list)
    for each in sorted(alerts, key=lambda alert: alert["opened_at"], reverse=True):
        by_rule[each["rule"]].append(each)
    assert {each.rule: each.episodes for each in facts.now.frictions} == {
        rule: len(found) for rule, found in by_rule.items()
    }
    for counted in facts.now.frictions:
        latest = dict.fromkeys(str(alert["journey_id"]) for alert in by_rule[counted.rule][:3])
        assert counted.journeys == tuple(latest)
        assert counted.customers == len({alert["customer_id"] for alert in by_rule[counted.rule]})
    offset = timedelta(hours=3)
    hours = Counter(((each["opened_at"] + offset).isoweekday(), (each["opened_at"] + offset).hour) for each in alerts)
    assert facts.now.hours == hours
    assert sum(facts.now.hurt.values()) == len(alerts) > 20
    active = {
        each["customer_id"]
        for each in rows(shop, "touchpoints", "customer_id, occurred_at")
        if lies_in(each["occurred_at"])
    }
    hit = {each["customer_id"] for each in alerts}
    assert facts.now.customers_hit == Part(len(hit), len(active | hit))


def test_promises_are_those_whose_time_came(shop: ClickHouseWriter, facts: Facts) -> None:
    counts = Counter(
        (each["kind"], each["status"])
        for each in rows(shop, "promises", "kind, status, latest_promised_at")
        if lies_in(each["latest_promised_at"])
    )
    for each in facts.now.promises:
        assert (each.kept, each.late, each.broken) == tuple(
            counts[each.kind, status] for status in ("kept", "late", "broken")
        )
    assert sum(each.judged for each in facts.now.promises) == sum(
        count for (_, status), count in counts.items() if status in ("kept", "late", "broken")
    )


def test_contacts_are_first_or_again(shop: ClickHouseWriter, facts: Facts) -> None:
    contacts = [
        each
        for each in rows(shop, "contacts", "customer_id, contact_id, topic, order_id, started_at")
        if each["started_at"] is not None
    ]
    week = timedelta(days=7)

    def others(contact: dict[str, Any], before: bool) -> bool:
        for other in contacts:
            is_same = any(contact[name] and other[name] == contact[name] for name in ("topic", "order_id"))
            passed = (contact["started_at"] - other["started_at"]) * (1 if before else -1)
            if other["customer_id"] == contact["customer_id"] and is_same and timedelta() < passed <= week:
                return True
        return False

    found = facts.now.contacts
    assert found is not None
    now = [each for each in contacts if lies_in(each["started_at"])]
    assert found.repeats == Part(sum(others(each, True) for each in now), len(now))
    assert found.where_is_my_order == Part(sum(each["topic"] == "delivery" for each in now), len(now))
    earlier = [each for each in contacts if lies_in(each["started_at"], SPAN.earlier(week))]
    first = [each for each in earlier if not others(each, True)]
    assert found.solved == Part(sum(not others(each, False) for each in first), len(first))
    assert found.solved.cases > 20


def test_waits_are_told_by_quantiles_of_the_answered_ones(shop: ClickHouseWriter, facts: Facts) -> None:
    waits = [
        each
        for each in rows(shop, "waits", "kind, channel, waited_from, waited_until, seconds")
        if lies_in(each["waited_from"])
    ]
    for found in facts.now.waits:
        same = [each for each in waits if (each["kind"], each["channel"]) == (found.kind, found.channel)]
        answered = [each["seconds"] for each in same if lies_in(each["waited_until"])]
        assert (found.answered, found.unanswered) == (len(answered), len(same) - len(answered))
        assert found.p50 == pytest.approx(median(answered))
    assert {each.kind for each in facts.now.waits} == {"queue", "human"}


def test_complaints_surveys_and_delights(shop: ClickHouseWriter, facts: Facts) -> None:
    cases = rows(shop, "complaints", "opened_at, resolved_at")
    until = SPAN.until
    assert facts.now.complaints.opened == sum(lies_in(each["opened_at"]) for each in cases) > 0
    assert facts.now.complaints.settled == sum(lies_in(each["resolved_at"]) for each in cases) > 0
    assert facts.now.complaints.still_open == sum(
        each["opened_at"] < until and (each["resolved_at"] is None or each["resolved_at"] >= until) for each in cases
    )
    answers = Counter(
        json.loads(each["properties"]).get("metric")
        for each in rows(shop, "touchpoints", "type, occurred_at, properties")
        if each["type"] == "survey_answered" and lies_in(each["occurred_at"])
    )
    assert facts.now.surveys is not None
    assert {name: each.answers for name, each in facts.now.surveys.items()} == answers
    delights = [each for each in rows(shop, "delights", "opened_at, rule") if lies_in(each["opened_at"])]
    assert {each.rule: each.episodes for each in facts.now.delights} == Counter(each["rule"] for each in delights)


def test_orders_on_time_are_those_first_promised_for_the_week(shop: ClickHouseWriter, facts: Facts) -> None:
    orders = [
        each
        for each in rows(shop, "orders", "first_promised_at, called_off_at, on_time_first")
        if lies_in(each["first_promised_at"])
        and not (each["called_off_at"] and each["called_off_at"] < each["first_promised_at"])
    ]
    assert facts.now.on_time == Part(sum(bool(each["on_time_first"]) for each in orders), len(orders))
    assert len(orders) > 20


def test_recovered_is_what_ended_or_was_followed_by_a_delight(shop: ClickHouseWriter, facts: Facts) -> None:
    week = timedelta(days=7)
    delights = rows(shop, "delights", "customer_id, opened_at")
    frictions = [
        each
        for each in rows(shop, "frictions", "customer_id, opened_at, ended_at, ended_by")
        if lies_in(each["opened_at"], SPAN.earlier(week))
    ]

    def is_recovered(friction: dict[str, Any]) -> bool:
        opened, ended = friction["opened_at"], friction["ended_at"]
        if ended is not None and friction["ended_by"] != "time" and ended <= opened + week:
            return True
        return any(
            each["customer_id"] == friction["customer_id"] and opened < each["opened_at"] <= opened + week
            for each in delights
        )

    assert facts.now.recovered == Part(sum(map(is_recovered, frictions)), len(frictions))
    assert len(frictions) > 20


def test_silent_customers_are_those_at_the_end_of_the_week(shop: ClickHouseWriter, facts: Facts) -> None:
    found = shop.query(
        "SELECT customer_id FROM analytics.silent_customers(until = '2026-10-11 21:00:00', quiet_days = 21)"
    )
    assert facts.now.silent_count == len(found) > 12
    assert facts.now.silent is not None
    assert {each.customer for each in facts.now.silent} < {name for (name,) in found}


def test_the_span_before_is_read_alike(shop: ClickHouseWriter, facts: Facts) -> None:
    before = SPAN.before()
    assert facts.before.span == before
    begun = [each for each in rows(shop, "journeys", "started_at, orders") if lies_in(each["started_at"], before)]
    opened = [each for each in rows(shop, "frictions", "opened_at, rule") if lies_in(each["opened_at"], before)]
    assert facts.before.journeys.count == len(begun) > 100
    assert {each.rule: each.episodes for each in facts.before.frictions} == Counter(each["rule"] for each in opened)


def test_the_page_of_the_shop_is_whole(shop: ClickHouseWriter, facts: Facts) -> None:
    text = Page(render(facts, Words("en"))).text
    assert "Customer experience report, week 41 of 2026" in text
    assert "Broken delivery promise" in text


def test_the_hebrew_page_has_the_hebrew_titles_of_rules(shop: ClickHouseWriter) -> None:
    heard: list[str] = []
    text = Page(render(read_facts(shop, SPAN, "", "he", heard.append), Words("he"))).text
    assert tuple(heard) == 2 * STEPS
    assert "דוח חוויית לקוח, שבוע 41 של 2026" in text
    assert "הבטחת משלוח שהופרה" in text
    assert re.findall("[A-Za-z]+", text) == []


def test_one_store_is_a_part_of_the_whole(shop: ClickHouseWriter, facts: Facts) -> None:
    found = read_facts(shop, SPAN, "S-01", "en", lambda _: None)
    assert 0 < found.now.touchpoints < facts.now.touchpoints
    assert 0 < found.now.journeys.count < facts.now.journeys.count
    assert {each.store for each in found.now.stores} <= {"S-01"}
    assert [each.name for each in make_sections(found) if not each.is_told] == ["contacts", "surveys", "silent"]
    assert not has_touchpoints(shop, SPAN, "S-99")


def test_a_week_without_anything_is_read_and_shown(shop: ClickHouseWriter) -> None:
    span = Span(date(2025, 1, 6), date(2025, 1, 13))
    assert not has_touchpoints(shop, span, "")
    found = read_facts(shop, span, "", "en", lambda _: None)
    assert (found.now.journeys.count, found.now.episodes, found.now.silent) == (0, 0, ())
    assert "Too few cases to tell" in Page(render(found, Words("en"))).text


def test_the_command_writes_a_page_and_replaces_it_only_when_told(
    shop: ClickHouseWriter, server: LocalStack, tmp_path: Path
) -> None:
    changed = {"JOURNEYS_CLICKHOUSE": server.analyst_url, "JOURNEYS_KAFKA": "127.0.0.1:1"}
    arguments = ("report", "--week", "2026-W41")
    done = journeys(*arguments, cwd=tmp_path, changed=changed)
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path / "journeys-report-2026-W41.html"
    assert done.stdout.startswith(f"wrote {path.name}: 2026-10-05 to before 2026-10-12 (UTC), ")
    Page(path.read_text("utf-8"))
    again = journeys(*arguments, cwd=tmp_path, changed=changed)
    assert (again.returncode, again.stdout, again.stderr.count("\n")) == (1, "", 1)
    assert "is there already" in again.stderr
    forced = journeys(*arguments, "--force", "--lang", "he", "--json", cwd=tmp_path, changed=changed)
    assert json.loads(forced.stdout)["file"] == path.name
    assert 'lang="he"' in path.read_text("utf-8")


def test_the_command_says_that_a_range_has_no_touchpoint(
    shop: ClickHouseWriter, server: LocalStack, tmp_path: Path
) -> None:
    changed = {"JOURNEYS_CLICKHOUSE": server.analyst_url, "JOURNEYS_KAFKA": "127.0.0.1:1"}
    done = journeys("report", "--week", "2025-W02", cwd=tmp_path, changed=changed)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "journeys: no touchpoint lies in 2025-01-06 to before 2025-01-13 (UTC)\n"
    assert list(tmp_path.iterdir()) == []


def test_clocks_are_those_of_the_shop() -> None:
    assert SPAN.since == datetime(2026, 10, 4, 21, tzinfo=UTC)
