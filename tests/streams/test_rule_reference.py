"""`docs/rules.md`: what is made from the rule files is up to date, and the example that it gives works."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter

from schemas.errors import Misconfigured
from schemas.yaml_files import parse_yaml
from streams.rules.key_tables import EXAMPLES, SMALLEST, inner_model
from streams.rules.loading import load_rule_set, load_rules, parse_rule
from streams.rules.model import PLACEHOLDERS, PRIMITIVES, Rule
from streams.rules.patterns import Pattern
from streams.rules.reference import PAGE, write_page
from streams.rules.scenario_model import Expected, Scenario, parse_scenarios
from streams.rules.scenarios import run_scenario
from streams.rules.wording import brief, say_end, say_severity, say_when, spell, sum_up, sum_up_severity

TEXTS = {"en": "Text", "he": "טקסט"}


def example(name: str) -> str:
    found = re.search(rf"<!-- example: {name} -->\n```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def rule(**parameters: Any) -> Rule:
    texts = dict.fromkeys(("title", "meaning", "reason", "advice"), TEXTS)
    head = {"id": "mine", "version": 1, "severity": "warning", "why": "because", **texts}
    return parse_yaml(yaml.safe_dump({**head, **parameters}), "mine.yaml", Rule, "a rule")


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text("utf-8")
    assert write_page(page) == page, "run `python -m streams.rules.reference`"


def test_the_example_is_a_rule_and_does_what_its_scenarios_say() -> None:
    mine, file = parse_rule(example("rule"), "rule.yaml"), parse_scenarios(example("scenarios"), "scenarios.yaml")
    calendars = load_rule_set().calendars
    assert file.rule == mine.id
    assert [run_scenario(scenario, mine.id, [mine], calendars) for scenario in file.scenarios] == [[], [], []]


def test_the_example_depends_on_the_calendar_and_on_the_scope() -> None:
    mine, file = parse_rule(example("rule"), "rule.yaml"), parse_scenarios(example("scenarios"), "scenarios.yaml")
    at_once = mine.model_copy(update={"calendar": None, "scope": type(mine.scope)()})
    told = [run_scenario(scenario, mine.id, [at_once], {}) for scenario in file.scenarios]
    assert [bool(faults) for faults in told] == [False, True, True]


def test_the_page_names_every_key() -> None:
    head = PAGE.read_text("utf-8").partition("## The shipped rules")[0]
    keys = {*Rule.model_fields} - {*PRIMITIVES} | {*Scenario.model_fields} | {*Expected.model_fields}
    assert {name for name in keys if f"`{name}`" not in head} == set()
    assert {name for name in PRIMITIVES if f"| [`{name}`](#keys-of-{name}) |" not in head} == set()
    assert {name for name in PLACEHOLDERS if f"`{{{name}}}`" not in head} == set()


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model, and all those whose keys stand below its own."""
    yield model
    for field in model.model_fields.values():
        inner = inner_model(field.annotation)
        if inner is not None:
            yield from models(inner)


FIELDS = [
    (each, name)
    for each in {model: None for root in (Rule, Pattern) for model in models(root)}
    for name in each.model_fields
    if name not in PRIMITIVES or each is not Rule
]


@pytest.mark.parametrize(("model", "name"), FIELDS, ids=lambda each: each if isinstance(each, str) else each.__name__)
def test_each_key_has_a_meaning_and_an_example_that_may_stand_there(model: type[BaseModel], name: str) -> None:
    field = model.model_fields[name]
    assert field.description
    text = yaml.load(f"it: {EXAMPLES[model][name]}", yaml.BaseLoader if field.annotation is str else yaml.SafeLoader)
    form: Any = Annotated[(field.annotation, *field.metadata, "")]
    TypeAdapter(form).validate_python(text["it"])


def test_no_example_is_left_of_a_key_that_is_gone() -> None:
    assert {(model, name) for model, names in EXAMPLES.items() for name in names} == set(FIELDS)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_the_smallest_example_of_a_primitive_is_a_rule(name: str) -> None:
    assert rule(**yaml.safe_load(SMALLEST[name])).primitive_name == name


def test_the_fault_that_the_page_shows_is_the_one_that_is_told() -> None:
    shown = re.search(r"^fail .*?fitting_room_wait\.yaml:(.*) id, version, …$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert shown is not None
    with pytest.raises(Misconfigured) as refused:
        parse_rule(example("rule").replace("calendar:", "calender:"), "x.yaml")
    assert str(refused.value).startswith(f"x.yaml:{shown[1]}")


def test_every_rule_is_summed_up_in_a_few_words() -> None:
    long = {found.id: sum_up(found) for found in load_rules() if len(sum_up(found)) > 60}
    assert long == {}
    assert all(text.endswith(".") for found in load_rules() for text in (*say_when(found), say_end(found)))


@pytest.mark.parametrize(
    ("span", "short", "words"),
    [
        (timedelta(hours=1, minutes=30), "1h 30m", "1 hour 30 minutes"),
        (timedelta(days=7), "7d", "7 days"),
        (timedelta(milliseconds=1), "1ms", "1 millisecond"),
        (timedelta(hours=48, seconds=2), "2d 2s", "2 days 2 seconds"),
    ],
)
def test_spans_in_words(span: timedelta, short: str, words: str) -> None:
    assert (brief(span), spell(span)) == (short, words)


WAIT = {"begins": "queue_joined", "ends": ["service_started"], "match": ["queue"], "longer_than": "10m"}
ABSENCE = {"first": {"types": ["payment_failed"]}, "without": "purchased", "within": "30m"}


@pytest.mark.parametrize(
    ("parameters", "when", "end"),
    [
        (
            {"wait": {"cases": [WAIT]}, "calendar": "store_hours", "scope": {"stores": ["S-1"], "channels": ["app"]}},
            [
                "`queue_joined`, and for more than 10 minutes no `service_started` with the same `queue`.",
                "Only for channels app; stores S-1.",
                "Clocks run in the opening hours of `store_hours` only.",
            ],
            "When the wait ends, or 12 hours after it began.",
        ),
        (
            {"sequence": ABSENCE, "cooldown": "1d"},
            [
                "`payment_failed`, and within 30 minutes no `purchased`.",
                "What comes within 1 day after the last episode belongs to that one.",
            ],
            "Never: give it a `resolve`.",
        ),
        (
            {"sequence": {**ABSENCE, "then": "visit_started"}, "resolve": {"after": "1h"}},
            ["`payment_failed`, then within 30 minutes `visit_started`, with no `purchased` in between."],
            "1 hour after it opened.",
        ),
        (
            {"threshold": {"types": ["gift_given"], "channels": ["store"], "where": "kind != 'coupon'"}},
            ["Each `gift_given` (on store, where `kind != 'coupon'`)."],
            "It is a moment, over as it begins.",
        ),
    ],
)
def test_a_rule_in_words(parameters: dict[str, Any], when: list[str], end: str) -> None:
    mine = rule(**parameters)
    assert (say_when(mine), say_end(mine)) == (when, end)


def test_severity_in_words() -> None:
    repeat = {"types": ["contact_started"], "same": ["topic"], "within": "7d", "measures": [{"count": 2}]}
    mine = rule(repeat=repeat, escalate=[{"to": "critical", "count": 4}, {"to": "critical", "after": "3d"}])
    assert sum_up_severity(mine) == "warning, critical from 4 on, critical after 3d"
    assert say_severity(mine) == "warning; critical at 4; critical once open for 3 days"
