"""Every shipped rule does what its scenarios say, in any order; and the runner can tell where one does not."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.errors import Misconfigured
from streams.rules.loading import SHIPPED, RuleSet, load_rule_set, read_text, scenario_paths
from streams.rules.model import Rule
from streams.rules.scenario_model import Scenario, ScenarioFile, Sort, parse_scenarios
from streams.rules.scenarios import run_scenario, show_span

FILES = scenario_paths(SHIPPED)
QUEUED = {"at": "0s", "type": "queue_joined", "store_id": "S-1", "queue": "tills"}
SERVED = {"at": "12m", "type": "service_started", "store_id": "S-1", "queue": "tills"}
LONG: dict[str, Any] = {"name": "a long wait", "touchpoints": [QUEUED, SERVED], "expect": [{"opened": "10m 1ms"}]}

EXPECTLESS = {name: value for name, value in LONG.items() if name != "expect"}


@cache
def rule_set() -> RuleSet:
    return load_rule_set()


@cache
def read(path: Path) -> ScenarioFile:
    return parse_scenarios(read_text(path), path.name)


def run(file: ScenarioFile) -> Iterator[str]:
    rules = rule_set()
    for scenario in file.scenarios:
        faults = run_scenario(scenario, file.rule, rules.rules, rules.calendars)
        yield from (f"{scenario.name}: {fault}" for fault in faults)


def write(*scenarios: dict[str, Any], rule: str = "long_wait") -> str:
    return yaml.safe_dump({"rule": rule, "scenarios": list(scenarios)})


def told(*scenarios: dict[str, Any], rule: str = "long_wait") -> list[str]:
    return list(run(parse_scenarios(write(*scenarios, rule=rule), "mine.yaml")))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_rule_does_what_its_scenarios_say(path: Path) -> None:
    assert list(run(read(path))) == []


def required_sorts(rule: Rule) -> Iterator[Sort]:
    """The sorts of scenarios without which a rule is not known well enough."""
    yield from ("fires", "silent")
    cases = rule.wait.cases if rule.wait is not None else ()
    is_absence = (
        any(case.longer_than is not None for case in cases)
        or (rule.deadline is not None and rule.deadline.when in ("broken", "lapsed"))
        or (rule.sequence is not None and rule.sequence.then is None)
    )
    if rule.threshold is None or rule.threshold.where is not None:
        yield "boundary"
    if is_absence:
        yield "waiting"
    if is_absence or rule.repeat is not None or rule.resolve.after is not None:
        yield "resolves"
    if rule.threshold is None and (rule.repeat is None or rule.repeat.breaks is not None):
        yield "late_data"


@pytest.mark.parametrize("rule", rule_set().rules, ids=lambda rule: rule.id)
def test_each_rule_has_a_scenario_of_each_sort_that_applies(rule: Rule) -> None:
    file = read(SHIPPED / "scenarios" / f"{rule.id}.yaml")
    assert file.rule == rule.id
    shown = {sort for scenario in file.scenarios for sort in scenario.shows}
    assert shown == set(required_sorts(rule))


def shows_it(scenario: Scenario, sort: Sort) -> bool:
    statuses = [expected.status for expected in scenario.expect]
    return {
        "fires": bool(scenario.expect),
        "silent": not scenario.expect,
        "boundary": True,
        "waiting": "open" in statuses,
        "resolves": "resolved" in statuses,
        "late_data": "withdrawn" in [expected.status for expected in scenario.expect_later or ()],
    }[sort]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_shows_what_it_says_it_shows(path: Path) -> None:
    scenarios = read(path).scenarios
    assert [each.name for each in scenarios if not all(shows_it(each, sort) for sort in each.shows)] == []
    sides = {bool(scenario.expect) for scenario in scenarios if "boundary" in scenario.shows}
    assert sides in (set(), {True, False}), "a boundary has two sides"


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"expect": []}, "expected no episode, found S-1/tills resolved from 10m 1ms until 12m, warning, 720 seconds"),
        ({"expect": [{}, {}]}, "expected 2 episodes, found S-1/tills resolved"),
        ({"touchpoints": [QUEUED]}, "expected one episode, found nothing"),
        ({"expect": [{"opened": "10m"}]}, "opened: expected 10m, found 10m 1ms"),
        ({"expect": [{"resolved": None}]}, "resolved: expected never, found 12m"),
        ({"expect": [{"status": "open"}]}, "status: expected open, found resolved"),
        ({"expect": [{"severity": "critical"}]}, "severity: expected critical, found warning"),
        ({"expect": [{"actual": "11m"}]}, "actual: expected 660, found 720"),
        ({"expect": [{"subject": "S-2/tills"}]}, "subject: expected S-2/tills, found S-1/tills"),
        (
            {"until": "1h", "later": [{**SERVED, "at": "5m"}], "expect_later": [{"status": "resolved"}]},
            "after what came later: status: expected resolved, found withdrawn",
        ),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_what_is_not_as_expected_is_told(changed: dict[str, Any], line: str) -> None:
    faults = told({**LONG, **changed})
    assert len(faults) == 1 and faults[0].startswith(f"a long wait: {line}")


def test_what_is_not_named_is_not_compared() -> None:
    assert told({**LONG, "expect": [{}]}) == []


def test_a_touchpoint_that_is_refused_is_told() -> None:
    faults = told({**LONG, "touchpoints": [{**QUEUED, "event_id": " x"}, SERVED]})
    assert len(faults) == 1 and "touchpoint t1 is refused: " in faults[0]


def test_a_rule_that_is_not_there_is_told() -> None:
    assert told(LONG, rule="long_wiat") == [
        "a long wait: there is no rule 'long_wiat' that is on; did you mean long_wait?"
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "rule: long_wait",
            "scenarios.yaml:1: give `scenarios:` too, and it is a file of scenarios; a rule file has `id:`",
        ),
        (write(), "scenarios.yaml:2: scenarios: "),
        (
            write(EXPECTLESS),
            "yaml:3: scenarios.0: scenario 'a long wait': give `expect`, a list of episodes, or `expect: []`",
        ),
        (write({**EXPECTLESS, "expct": []}), "expct: unknown key; did you mean expect?"),
        (write({**LONG, "expectt": []}), "expectt: unknown key; did you mean expect?"),
        (write({**LONG, "shows": ["fire"]}), "did you mean fires?"),
        (write(LONG, LONG), "two scenarios are called 'a long wait'"),
        (write({**LONG, "until": "11m"}), "`until` lies before one of `touchpoints`"),
        (write({**LONG, "later": [QUEUED]}), "`later` and `expect_later` go together"),
        (write({**LONG, "touchpoints": []}), "scenarios.0.touchpoints: "),
        (write({**LONG, "touchpoints": [{**QUEUED, "type": "queue_left"}]}), "no touchpoint type 'queue_left'"),
        (write({**LONG, "touchpoints": [{**QUEUED, "at": "soon"}]}), "scenarios.0.touchpoints.0.at: "),
        (write({**LONG, "touchpoints": [{**QUEUED, "que": "x"}]}), "'que' is neither a field nor a property"),
        (
            write({**LONG, "touchpoints": [{**QUEUED, "queue": 3}]}),
            'queue: write a text; in quotes a number is one, "3"',
        ),
        (
            write({**LONG, "touchpoints": [{"at": "0s", "type": "callback_promised", "contact_id": "K", "due_at": 7}]}),
            "7 is no duration",
        ),
        (write({**LONG, "facts": [{"at": "0s", "type": "restock", "sku": "K"}]}), "'restock' is no fact about stock"),
        (write({**LONG, "facts": [{"at": "0s", "type": "restocked"}]}), "sku: it is missing"),
        (write({**LONG, "expect": [{"actual": "long"}]}), "'long' is no duration"),
    ],
    ids=lambda value: "" if "\n" in value else value,
)
def test_a_bad_file_is_refused_with_one_line(text: str, line: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        parse_scenarios(text, "scenarios.yaml")
    message = str(refused.value)
    assert "\n" not in message and message.startswith("scenarios.yaml:") and line in message


def test_the_line_of_the_fault_is_named() -> None:
    text = "rule: x\nscenarios:\n  - name: y\n    touchpoints:\n      - {at: 0s, type: gift_given, kind: z, sku: K}\n"
    text += "    expect: []\n"
    with pytest.raises(Misconfigured, match=r"^mine\.yaml:5: scenarios\.0\.touchpoints\.0\.sku: 'sku' is neither"):
        parse_scenarios(text, "mine.yaml")


@pytest.mark.parametrize(
    ("moment_ms", "text"),
    [(0, "0s"), (1, "1ms"), (600_001, "10m 1ms"), (90_061_000, "1d 1h 1m 1s"), (-5_000, "-5s"), (None, "never")],
)
def test_a_span_is_shown_as_it_is_written(moment_ms: int | None, text: str) -> None:
    assert show_span(moment_ms, 0) == text
