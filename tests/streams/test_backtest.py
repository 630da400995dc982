"""Back-tests without ClickHouse: which rules are judged, what is compared and counted, and what must be read for it."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from producers.simulator import Shop
from schemas.errors import Misconfigured, Transient
from schemas.fact import check_fact
from schemas.identifiers import record_key
from schemas.moments import to_epoch_ms
from schemas.settings import Settings
from schemas.topics import TOUCHPOINTS
from schemas.wire import encode_touchpoint
from streams.backtest import Compared, Episodes, RuleChange, Trial, Window, compare
from streams.backtest_needs import CALENDAR_SLACK_MS, Needs
from streams.backtest_report import Report
from streams.backtest_rules import read_change
from streams.backtest_run import Span, Task, choose_processes, run_task
from streams.backtest_tally import DAY_MS, Counting, Counts, Tally
from streams.configuration import Configuration
from streams.decoding import Decoder
from streams.facts import FactBook
from streams.friction import Plan
from streams.rules.loading import RuleSet, load_rule_set
from streams.rules.model import Rule
from streams.rules.scenarios import Record
from streams.states import EpisodeState
from streams.touch import Touch
from streams.touch_rows import TouchReader

IN_FORCE = load_rule_set()
SEQUELS = {"delight_opportunity", "friction_then_abandonment"}
START = datetime(2026, 10, 1, tzinfo=UTC)
WINDOW = Window(to_epoch_ms(START), to_epoch_ms(START + timedelta(days=21)))
CONFIGURATION = Configuration.of(Settings(oldest_touchpoint=timedelta(days=36_500)), Plan())
STITCHING = CONFIGURATION.policy.stitching
HOUR_MS = 3_600_000


def rule_of(name: str, rule_set: RuleSet = IN_FORCE) -> Rule:
    return next(rule for rule in rule_set.rules if rule.id == name)


def without(name: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in IN_FORCE.rules if rule.id != name)


def edit(name: str, **changed: Any) -> RuleSet:
    """The rules in force, one of them with other values."""
    rule = Rule.model_validate({**rule_of(name).model_dump(exclude_unset=True), **changed})
    return replace(IN_FORCE, rules=(*without(name), rule))


def shorter_waits(longer_than: str = "30s") -> RuleSet:
    cases = rule_of("long_wait").model_dump(exclude_unset=True)["wait"]["cases"]
    changed = [{**case, "longer_than": longer_than} for case in cases]
    return edit(
        "long_wait", wait={"cases": changed}, reason={"en": "too long: over {threshold}", "he": "יותר מ-{threshold}"}
    )


@cache
def lives() -> tuple[dict[str, list[Touch]], FactBook]:
    """Three weeks of a small shop: the touches of each customer, in order, and what is known of stock."""
    shop = Shop(seed=5, start=START, end=START + timedelta(days=21), customers=500, personal=False)
    decoder = Decoder(CONFIGURATION.door, Plan(IN_FORCE.rules, IN_FORCE.calendars).keeps)
    lived: dict[str, list[Touch]] = {}
    book = FactBook()
    for step in shop.steps():
        if step.kind == "fact":
            book.feed(check_fact(step.payload))
        elif step.kind == "touchpoint":
            name = step.payload["identifiers"]["customer_id"]
            record = Record(0, record_key("customer_id", name).encode(), encode_touchpoint(step.payload), step.at_ms)
            (arrival,) = decoder.decode(TOUCHPOINTS, 0, [record], WINDOW.until_ms).arrivals
            lived.setdefault(name, []).append(arrival.touch)
    return lived, book


def live_all(change: RuleChange) -> dict[str, tuple[Episodes, Episodes]]:
    touches, book = lives()
    trial = Trial(change, STITCHING, book)
    return {name: trial.live(name, own, WINDOW.until_ms) for name, own in touches.items()}


def test_a_changed_friction_brings_what_follows_friction_along() -> None:
    change = RuleChange(IN_FORCE, shorter_waits())
    assert change.differing == {"long_wait"} and change.told == {"long_wait", *SEQUELS}
    friction = {rule.id for rule in IN_FORCE.rules if rule.kind == "friction"}
    assert [plan.rules.keys() for plan in change.plans] == [friction | SEQUELS] * 2


def test_a_changed_delight_is_judged_alone() -> None:
    change = RuleChange(IN_FORCE, edit("promoter", severity="warning"))
    assert change.told == {"promoter"}
    assert [plan.rules.keys() for plan in change.plans] == [{"promoter"}] * 2


def test_a_changed_sequel_is_judged_with_all_friction() -> None:
    change = RuleChange(IN_FORCE, edit("delight_opportunity", cooldown="2d"))
    assert change.told == {"delight_opportunity"}
    assert "friction_then_abandonment" not in change.plans[1].rules and "late_refund" in change.plans[1].rules


def test_rules_that_come_and_go_differ() -> None:
    gone = RuleChange(IN_FORCE, replace(IN_FORCE, rules=without("promoter")))
    assert gone.told == {"promoter"} and [set(plan.rules) for plan in gone.plans] == [{"promoter"}, set()]
    new = Rule.model_validate({**rule_of("promoter").model_dump(exclude_unset=True), "id": "fan"})
    assert RuleChange(IN_FORCE, replace(IN_FORCE, rules=(*IN_FORCE.rules, new))).told == {"fan"}


def test_a_calendar_given_anew_touches_the_rules_that_name_it() -> None:
    named = edit("promoter")
    first = next(rule for rule in IN_FORCE.rules if rule.primitive_name == "deadline" and rule.kind == "delight")
    calendar = next(iter(IN_FORCE.calendars))
    timed = Rule.model_validate({**first.model_dump(exclude_unset=True), "calendar": calendar})
    both = replace(named, rules=(*(rule for rule in named.rules if rule.id != first.id), timed))
    assert RuleChange(both, both).told == frozenset()
    assert RuleChange(both, both, frozenset({calendar})).told == {first.id}


@pytest.mark.parametrize(
    "after",
    [shorter_waits(), edit("failed_deliveries", severity="critical", escalate=()), edit("early_delivery", version=9)],
    ids=["shorter waits", "graver failures", "another version"],
)
def test_what_changed_rules_find_is_what_they_find_alone(after: RuleSet) -> None:
    change = RuleChange(IN_FORCE, after)
    found, before, instead = live_all(change), live_all(RuleChange(IN_FORCE)), live_all(RuleChange(after))
    for name, (old, new) in found.items():
        assert comparable(old) == comparable(before[name][0], change.told), name
        assert comparable(new) == comparable(instead[name][0], change.told), name
    assert any(old for old, _ in found.values())


def comparable(episodes: Episodes, rules: frozenset[str] | None = None) -> Episodes:
    """Without what says only how a state came to be."""
    return {
        identity: msgspec.structs.replace(state, change="opened")
        for identity, state in episodes.items()
        if rules is None or state.rule in rules
    }


def state(identity: str, opened_ms: int, **changed: Any) -> EpisodeState:
    state = EpisodeState(
        identity, "long_wait", 1, "open", "J", "tills", "S-1", opened_ms, opened_ms, opened_ms, None, 600.0, 700.0,
        "seconds", (), None, "warning",
    )  # fmt: skip
    return msgspec.structs.replace(state, **changed)


def test_every_episode_of_the_window_is_compared_and_no_other() -> None:
    window = Window(1_000, 2_000)
    same, opened, graver, gone = (
        state("same", 1_000),
        state("opened", 2_000),
        state("graver", 1_500),
        state("gone", 1_001),
    )
    before = [same, opened, graver, gone, state("too early", 999), state("too late", 2_001)]
    after = [
        msgspec.structs.replace(same, rule_version=2, last_seen_ms=7),
        msgspec.structs.replace(opened, opened_ms=2_500),
        msgspec.structs.replace(graver, severity="critical", resolved_ms=1_700, actual=800.0),
        state("new", 1_500),
        state("too early", 1_500),
        state("new but late", 2_001),
    ]
    found = compare({s.episode_id: s for s in before}, {s.episode_id: s for s in after}, window)
    assert {each.shown.episode_id: (each.difference, each.changed) for each in found} == {
        "same": ("unchanged", ()),
        "opened": ("changed", ("opened_ms",)),
        "graver": ("changed", ("severity", "resolved_ms", "actual")),
        "gone": ("removed", ()),
        "new": ("added", ()),
    }


def test_counts_say_what_became_of_each() -> None:
    counts = Counts()
    one, other = state("1", 5), state("2", 5)
    counts.note(Compared(one, one), True)
    counts.note(Compared(one, other, ("opened_ms", "actual")), False)
    counts.note(Compared(one, None), True)
    counts.note(Compared(None, one), True)
    assert counts == Counts(
        before=3, after=3, added=1, removed=1, changed=1, opened=1, actual=1, acknowledged=2, removed_acknowledged=1
    )
    assert counts.acknowledged_share == 2 / 3 and Counts().acknowledged_share is None


def count(change: RuleChange, names: Sequence[str], acknowledged: frozenset[str] = frozenset()) -> Tally:
    found, touches = live_all(change), lives()[0]
    counting = Counting(change.plans[0].rules, change.plans[-1].rules, acknowledged, 2)
    for name in names:
        before, after = found[name]
        counting.count(name, compare(before, after, WINDOW), len(touches[name]))
    return counting.tally


def test_shares_of_the_customers_add_up_to_all() -> None:
    change = RuleChange(IN_FORCE, shorter_waits("4m"))
    names = sorted(lives()[0])
    whole = count(change, names)
    random.Random(1).shuffle(names)
    parts = count(change, names[: len(names) // 3])
    parts.merge(count(change, names[len(names) // 3 :]))
    assert (parts.counts, parts.examples) == (whole.counts, whole.examples)
    assert (parts.touchpoints, parts.customers) == (whole.touchpoints, len(names))
    differences = {difference for rule, difference in whole.examples if rule == "long_wait"}
    assert differences == {"added", "removed", "changed"}
    assert all(len(examples) <= 2 for examples in whole.examples.values())


def test_examples_give_the_reasons_of_both_rules() -> None:
    tally = count(RuleChange(IN_FORCE, shorter_waits("4m")), sorted(lives()[0]))
    added, removed, changed = (tally.examples["long_wait", name][0] for name in ("added", "removed", "changed"))
    assert added.before is None and added.after is not None and added.after.reason_en == "too long: over 4 min"
    assert removed.after is None and removed.before is not None and "is too long" in removed.before.reason_en
    assert changed.before is not None and changed.after is not None and changed.changed == ("opened",)
    assert "is too long" in changed.before.reason_en and changed.after.reason_he == "יותר מ-4 דקות"


def test_a_report_adds_up_by_rule_by_store_and_by_day() -> None:
    change = RuleChange(IN_FORCE, shorter_waits())
    report = Report(change, WINDOW, count(change, sorted(lives()[0])), 250)
    total = report.total()
    assert total.after == total.before + total.added - total.removed and total.removed == 0 < total.added
    for parts in (report.by_rule(), report.by_store(), report.by_day()):
        assert sum(counts.added for counts in parts.values()) == total.added
    assert list(report.by_rule()) == ["long_wait", *sorted(SEQUELS)]
    assert len(report.by_day()) == 21 and min(report.by_day()) == WINDOW.since_ms
    added = [counts.added + counts.changed for counts in report.by_store().values()]
    assert added == sorted(added, reverse=True)
    assert report.per_thousand(50) == 200 and replace(report, journeys=0).per_thousand(50) is None


def needs(*names: str, rule_set: RuleSet = IN_FORCE) -> Needs:
    kept = replace(rule_set, rules=tuple(rule_of(name, rule_set) for name in names))
    return Needs.of(RuleChange(kept).plans, WINDOW, STITCHING)


def test_only_what_the_rules_look_at_is_read() -> None:
    waits = needs("long_wait")
    assert waits.types is not None and "queue_joined" in waits.types and "page_viewed" not in waits.types
    assert waits.from_ms == waits.promises_from_ms == WINDOW.since_ms - 12 * HOUR_MS
    # Of a promise the journey counts too, and it may be older than anything that the rule says.
    refund = needs("late_refund")
    assert refund.types is None and refund.promises == {"refund"} and refund.from_ms == WINDOW.since_ms
    assert refund.promises_from_ms == WINDOW.since_ms - STITCHING.max_gap_ms
    assert refund.customers_with == {"refund_promised"}
    # A reminder does not begin anything.
    assert needs("hold_lost").customers_with == {"hold_created"}
    # What follows friction may be any touchpoint, of any customer who has any.
    assert needs("delight_opportunity", "late_refund").customers_with == frozenset()
    sequel = needs("delight_opportunity", "long_wait")
    assert (sequel.types, sequel.customers_with) == (None, frozenset())
    assert sequel.from_ms == WINDOW.since_ms - 12 * HOUR_MS - 7 * DAY_MS


def test_chains_lonely_contacts_and_calendars_reach_further_back() -> None:
    # Two failures, each at most 14 days after the one before: the chain may have begun and fired before.
    assert needs("failed_deliveries").from_ms == WINDOW.since_ms - 28 * DAY_MS
    assert needs("first_contact_resolution").from_ms == WINDOW.since_ms - 14 * DAY_MS
    timed = edit("silent_delay", calendar=next(iter(IN_FORCE.calendars)))
    longer_ms = needs("silent_delay").from_ms - needs("silent_delay", rule_set=timed).from_ms
    assert longer_ms == CALENDAR_SLACK_MS


STORED: list[dict[str, Any]] = [
    {"type": "queue_joined", "source": "store", "store_id": "S-1", "properties": {"queue": "tills", "more": [1, {}]}},
    # More brackets than are decoded fast, and only the contract says that they are no harm.
    {"type": "queue_joined", "source": "store", "properties": {"queue": "[" * 500, "more": {}}},
    {"type": "callback_promised", "properties": {"contact_id": "K", "due_at": "2026-10-01T12:00:00.5+02:00"}},
    {
        "type": "contact_started",
        "channel": "phone",
        "case_id": "A-1",
        "properties": {"contact_id": "K", "topic": "bill"},
    },
    {"type": "gift_given", "order_id": "O-1", "agent_id": "Noa", "properties": {"kind": "note"}},
    {"type": "page_viewed", "properties": {"url": "/"}},
]


@pytest.mark.parametrize("said", STORED, ids=[str(number) for number in range(len(STORED))])
def test_a_stored_touchpoint_is_read_as_it_was_decoded(said: dict[str, Any]) -> None:
    keeps = Plan(IN_FORCE.rules, IN_FORCE.calendars).keeps
    moment = "2026-10-01T10:00:00.123Z"
    body = {"event_id": "é-1", "source": "support", "occurred_at": moment, "identifiers": {"customer_id": "C"}, **said}
    record = Record(0, b"customer_id:C", encode_touchpoint(body), 7_000)
    (arrival,) = Decoder(CONFIGURATION.door, keeps).decode(TOUCHPOINTS, 0, [record], WINDOW.until_ms).arrivals
    touch = arrival.touch
    texts = (touch.channel, touch.order_id, touch.case_id, touch.store_id, touch.agent_id)
    row = (
        b"C", touch.occurred_ms, touch.source.encode(), touch.event_id.encode(), touch.type.encode(), touch.received_ms,
        *((text or "").encode() for text in texts),
        bytes(arrival.wire.properties) if touch.type in keeps else b"",
    )  # fmt: skip
    assert TouchReader(keeps).read(row) == touch


def put(directory: Path, name: str, content: Any) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), "utf-8")
    return path


def shipped(name: str) -> dict[str, Any]:
    return rule_of(name).model_dump(mode="json", exclude_unset=True)


def test_files_replace_add_and_switch_off(tmp_path: Path) -> None:
    own = put(tmp_path / "own", "off.yaml", {"id": "wismo", "enabled": False}).parent
    put(own, "long_wait.yaml", {**shipped("long_wait"), "version": 90})
    given = [
        put(tmp_path, "waits.yaml", {**shipped("long_wait"), "version": 91}),
        put(tmp_path, "new.yaml", {**shipped("promoter"), "id": "fan"}),
        put(tmp_path, "off.yml", {"id": "public_praise", "enabled": False}),
    ]
    change = read_change(given, own)
    assert change.after is not None
    before, after = ({rule.id: rule.version for rule in each.rules} for each in (change.before, change.after))
    assert before.keys() - after.keys() == {"public_praise"} and after.keys() - before.keys() == {"fan"}
    assert (before["long_wait"], after["long_wait"]) == (90, 91) and "wismo" not in before
    assert read_change([], own).after is None


def test_a_directory_brings_its_calendars_and_a_single_rule_only_those_it_needs(tmp_path: Path) -> None:
    hours = {"zone": "Asia/Jerusalem", "hours": {"sun": ["09:00-12:00"], "mon": ["09:00-12:00"]}}
    known = next(iter(IN_FORCE.calendars))
    calendars = put(tmp_path, "calendars.yaml", {known: hours, "mornings": hours})
    rule = put(tmp_path, "silent_delay.yaml", {**shipped("silent_delay"), "calendar": "mornings"})
    alone = read_change([rule], None)
    assert alone.after is not None and alone.calendars == frozenset()
    assert alone.after.calendars[known].add_open(0, DAY_MS) == IN_FORCE.calendars[known].add_open(0, DAY_MS)
    for given in ([tmp_path], [calendars]):
        change = read_change(given, None)
        assert change.calendars == {known, "mornings"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.yaml", None, "none.yaml: no such file or directory"),
        ("bad.yaml", "id: [", "bad.yaml:"),
        ("twice.yaml", {"id": "wismoo", "enabled": False}, "did you mean wismo?"),
        ("empty", {}, "empty holds no rule files"),
    ],
)
def test_a_file_that_no_worker_would_take_is_one_line(tmp_path: Path, name: str, content: Any, said: str) -> None:
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    elif content is not None:
        put(tmp_path, name, content)
    with pytest.raises(Misconfigured) as refused:
        read_change([path], None)
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_two_files_of_one_rule_are_refused(tmp_path: Path) -> None:
    given = [put(tmp_path / name, "promoter.yaml", shipped("promoter")) for name in ("a", "b")]
    with pytest.raises(Misconfigured, match="stands in promoter.yaml too"):
        read_change(given, None)


def test_history_ends_as_a_worker_sees_it() -> None:
    span = Span(0, 1_000)
    assert [span.until_ms(clock_ms, 500) for clock_ms in (900, 1_000, 1_500, 1_501)] == [1_000, 1_000, 1_500, 1_000]


def test_processes_are_started_where_they_pay() -> None:
    assert [choose_processes(count, 4) for count in (0, 499_999, 500_000, 10**8)] == [1, 1, 2, 4]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_server_that_is_away_ends_it_and_no_process_is_left(processes: int) -> None:
    task = Task(RuleChange(IN_FORCE, shorter_waits()), WINDOW, STITCHING)
    assert task.change.plans, "prepared rules cannot be sent to another process as they are"
    with pytest.raises(Transient, match="cannot be reached"):
        run_task({"host": "127.0.0.1", "port": 1, "connect_timeout": 2}, task, processes, lambda done: None)
    assert active_children() == []
