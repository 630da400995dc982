"""Live, replay and back-test find the same: a fortnight through Kafka and a worker, and then out of ClickHouse."""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from producers.simulator import Shop
from schemas.fact import check_fact, encode_fact, fact_key
from schemas.identifiers import record_key
from schemas.moments import format_epoch_ms, to_epoch_ms
from schemas.partitioning import partition_of
from schemas.settings import Settings
from schemas.topics import FACTS
from schemas.wire import encode_touchpoint
from sinks.tables import ALERT_ACTIONS, TABLES
from streams.backtest import Window
from streams.backtest_run import find_episodes
from streams.configuration import Configuration
from streams.friction import Plan
from streams.rules.loading import RuleSet, load_rule_set
from streams.states import EpisodeState
from tests.console.running import journeys
from tests.integration.conftest import StartPlatform
from tests.integration.expectations import differences, touchpoint
from tests.integration.harness import Feed, Platform, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.no_cover, pytest.mark.timeout(240)]

PARTITIONS = 2
END = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
"""Long enough ago for a worker to go by the touchpoints' time alone."""
WINDOW = Window(to_epoch_ms(END - timedelta(days=14)), to_epoch_ms(END))
LATER = Window(to_epoch_ms(END - timedelta(days=7)), WINDOW.until_ms)
STITCHING = Configuration.of(Settings(), Plan()).policy.stitching
LIVE = """SELECT toString(episode_id), rule, severity, status, toUnixTimestamp64Milli(opened_at),
       toUnixTimestamp64Milli(resolved_at), actual
FROM analytics.alerts WHERE status != 'withdrawn' AND kind != 'source'"""
Row = tuple[Any, ...]


def test_a_back_test_finds_what_the_worker_found_and_touches_nothing(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    platform = start_platform(PARTITIONS)
    live(platform)
    alerts = {identity: tuple(rest) for identity, *rest in platform.query(LIVE)}
    found_rules = Counter(row[0] for row in alerts.values())
    assert len(found_rules) >= 15 and found_rules["restock_silence"] and found_rules["friction_then_abandonment"]
    acknowledge(platform, next(iter(of_rule(alerts, "long_wait"))))
    write_what_counts_for_nothing(platform)
    before = fingerprints(platform)

    rule_set = load_rule_set()
    assert_same(platform, rule_set, WINDOW, alerts)
    for rule in rule_set.rules:
        if not rule.is_sequel:
            # What is read for one rule alone, and for half of the time, is far from all.
            assert_same(platform, RuleSet((rule,), rule_set.calendars, ""), LATER, of_rule(alerts, rule.id))

    told = run_command(platform, tmp_path)
    waits = {rule["rule"]: rule for rule in told["rules"]}["long_wait"]
    assert told["since"] == format_epoch_ms(LATER.since_ms)
    assert (waits["before"], waits["acknowledged"]) == (len(of_rule(alerts, "long_wait")), 1)
    assert waits["after"] == waits["before"] + waits["added"] and waits["removed"] == 0 < waits["added"]
    assert waits["per_1000_journeys_before"] == 1000 * waits["before"] / told["journeys"]
    assert fingerprints(platform) == before


def of_rule(alerts: Mapping[str, Row], rule: str) -> dict[str, Row]:
    """Its alerts of the second half of the fortnight."""
    return {identity: row for identity, row in alerts.items() if row[0] == rule and LATER.holds(row[3])}


def live(platform: Platform) -> None:
    """The shop's fortnight, as a worker lived it to its end."""
    steps = list(eventful_shop().steps())
    facts = [check_fact(step.payload) for step in steps if step.kind == "fact"]
    platform.send([Feed(fact_key(fact), encode_fact(fact), partition=0) for fact in facts], FACTS)
    # No group commits the facts, so nobody may wait for that.
    platform.ends.clear()
    worker = platform.start_worker()
    wait_until(lambda: platform.query("SELECT count() FROM analytics.facts") == [(len(facts),)], "the facts")
    platform.wait_assigned(worker)
    lived = [to_feed(step.payload) for step in steps if step.kind == "touchpoint"]
    platform.send([*lived, *last_touchpoints()])
    platform.wait_idle()
    worker.terminate()
    assert platform.dead_letter_reasons() == {}


def eventful_shop() -> Shop:
    """A shop in whose fortnight the rarest frictions are met: what a seed brings depends on the moment it begins at."""
    for seed in range(3, 30):
        shop = Shop(seed=seed, start=END - timedelta(days=14), end=END, customers=1_000, personal=False)
        if {"restock_silence", "friction_then_abandonment"} <= {each.rule for each in shop.truth()}:
            return shop
    raise AssertionError("no seed brings them: has the simulator changed?")


def to_feed(payload: dict[str, Any]) -> Feed:
    key = record_key("customer_id", payload["identifiers"]["customer_id"])
    return Feed(key.encode(), encode_touchpoint(payload))


def last_touchpoints() -> list[Feed]:
    """One at the very end in each partition, so that all of them come to the same time."""
    found: dict[int, Feed] = {}
    for number in range(100):
        feed = touchpoint(f"last-{number}", f"last-{number}", WINDOW.until_ms, "page_viewed", properties={"url": "/"})
        found.setdefault(partition_of(feed.key or b"", PARTITIONS), feed)
    assert len(found) == PARTITIONS
    return list(found.values())


def acknowledge(platform: Platform, episode_id: str) -> None:
    row = str(UUID(int=7)), episode_id, "ack", "Noa", "", "", "", "", "", "", 0, WINDOW.until_ms
    platform.writer.insert(ALERT_ACTIONS, [[value] for value in row])


def write_what_counts_for_nothing(platform: Platform) -> None:
    """Rows once more, as after a crash; gifts that came too late, and some that were taken back."""
    platform.query("INSERT INTO journeys.touchpoints SELECT * FROM journeys.touchpoints")
    for changes in (
        "concat(event_id, '-late') AS event_id, true AS late",
        "concat(event_id, '-gone') AS event_id",
        "concat(event_id, '-gone') AS event_id, _version + 1 AS _version, 1 AS _is_deleted",
    ):
        gifts = f"SELECT * REPLACE ({changes}) FROM journeys.touchpoints FINAL"
        platform.query(f"INSERT INTO journeys.touchpoints {gifts} WHERE type = 'gift_given'")


def fingerprints(platform: Platform) -> dict[str, Row]:
    """Of each table how many rows it holds, and a sum over all that is in them."""
    return {
        table.name: platform.query(f"SELECT count(), sum(cityHash64(toString(tuple(*)))) FROM {table.name} FINAL")[0]
        for table in TABLES
    }


def assert_same(platform: Platform, rule_set: RuleSet, window: Window, alerts: Mapping[str, Row]) -> None:
    found = find_episodes(platform.writer, rule_set, window, STITCHING)
    rows = {identity: as_row(state) for identity, (_, state) in found.items()}
    differing = differences(rows, dict(alerts))
    assert not differing, "\n".join(differing)


def as_row(state: EpisodeState) -> Row:
    return state.rule, state.severity, state.status, state.opened_ms, state.resolved_ms, state.actual


def run_command(platform: Platform, directory: Path) -> dict[str, Any]:
    """What the command says of shorter waits, over the second half of the fortnight."""
    shipped = next(rule for rule in load_rule_set().rules if rule.id == "long_wait")
    waits = shipped.model_dump(mode="json", exclude_unset=True)
    for case in waits["wait"]["cases"]:
        case["longer_than"] = "30s"
    path = directory / "long_wait.yaml"
    path.write_text(json.dumps(waits), "utf-8")
    done = journeys(
        "--data-dir", str(platform.directory), "rules", "backtest", str(path), "--since", "7d", "--json",
        "--processes", "2", cwd=directory,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told
