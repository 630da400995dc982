"""A condition is refused with one line or decided for every touch; what is absent is never equal, less or more."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import rule_engine
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalogue import BY_NAME
from schemas.errors import Misconfigured
from streams.rules.conditions import MAX_CHARACTERS, compile_condition
from streams.rules.loading import SHIPPED, parse_rule
from streams.rules.names import names_of, names_table
from streams.touch import Touch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conditions.md"
TYPES = ("survey_answered", "contact_started", "stock_shown", "callback_promised", "complaint_opened")


def touch(type_: str = "survey_answered", details: dict[str, Any] | None = None, **fields: Any) -> Touch:
    return Touch(1_000, "feedback", "e-1", type_, 1_000, details=details, **fields)


def holds(text: str, details: dict[str, Any] | None = None, **fields: Any) -> bool:
    return compile_condition(text, TYPES).holds(touch(details=details, **fields))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("scor >= 9", "unknown name 'scor'; did you mean score? known are type, source, channel, order_id, case_id"),
        ("topic == delivery", "unknown name 'delivery'; a text stands in quotes; known are type"),
        ("topic == None", "unknown name 'None'; did you mean null?"),
        ("in_stock AND score > 1", "unknown name 'AND'; did you mean and?"),
        ("len(topic) > 3", "unknown name 'len'"),
        ("due_at > d'2026-01-01'", "unknown name 'd'"),
        ("[x for x in topic]", "unknown name 'x'"),
        ("score >= 'high'", "'score' is a number, and 'high' is not: write it without quotes"),
        ("score in [1, 'two']", "'score' is a number, and 'two' is not: write it without quotes"),
        ("topic == 5", "'topic' is text, and 5 is not: write '5' in quotes"),
        ("topic == true", "'topic' is text, and true is not: write 'true' in quotes"),
        ("in_stock == 1", "'in_stock' is true or false, and 1 is not"),
        ("due_at > '2026-01-01'", "'due_at' is a moment (milliseconds since 1970), and '2026-01-01' is not"),
        ("topic == score", "'topic' is text and 'score' is a number: compare things of one kind"),
        ("topic < 'b'", "'topic' is text: only numbers and moments are less or more"),
        ("topic", "'topic' is text: compare it with something, or with null"),
        ("not score", "'score' is a number: compare it with something, or with null"),
        ("score > null", "'score' is compared with null: use == or !="),
        ("score == (topic == 'x')", "'score' is a number: compare it with one value, in a list with several"),
        ("topic == ['a']", "'topic' is text: compare it with one value, in a list with several"),
        ("metric == 'npss'", "'metric' is never 'npss'; did you mean nps? it is one of nps, csat, ces"),
        ("type == 'review_posted'", "'type' is never 'review_posted'; it is one of survey_answered"),
        ("source == 'shop'", "'source' is never 'shop'; it is one of web, store"),
        ("topic in []", "a list after `in` has at least one value"),
        ("topic in 'delivery'", "before and after `in` stand name in ['one', 'other'], or 'part' in name"),
        ("'a' in score", "'score' is a number: only a text has parts"),
        ("1 == 1", "a part of the condition looks at no name, so it is always the same"),
        ("score > 1 and 'topic' == 'delivery'", "a part of the condition looks at no name"),
        ("score = 9", "at character 7, '= 9': compare with =="),
        ("score => 9", "at character 7, '=> 9': write >="),
        ("score === 9", "at character 7, '=== 9': compare with =="),
        ("score <> 9", "at character 7, '<> 9': write !="),
        ("in_stock && score > 1", "at character 10, '&& score > 1': write `and`"),
        ("in_stock || score > 1", "at character 10, '|| score > 1': write `or`"),
        ("!in_stock", "at character 1, '!in_stock': write `not`"),
        ("topic =~ '(a+)+$'", "regular expressions are not allowed"),
        ("topic !~ 'a'", "regular expressions are not allowed"),
        ("due_at < $now", "a rule may not read the clock"),
        ("due_at < $today", "a rule may not read the clock"),
        ("topic == 'delivery", 'at character 10, "\'delivery": this quote has no end'),
        ("topic == '\\x'", "not understood: invalid string literal"),
        ("type.name == 'x'", "at character 5, \".name == 'x'\": allowed are names, 'texts', numbers"),
        ("score ** 9 ** 9 > 1", "at character 7, '** 9 ** 9 > ': allowed are names"),
        ("score > 1 << 99", "at character 11, '<< 99': allowed are names"),
        ("score > 1e99", "at character 9, '1e99': allowed are names"),
        ("score in {1, 2}", "at character 10, '{1, 2}': write a list as [1, 2]"),
        ("score > 1 # high", "no comment may stand here"),
        ("score > 99999999999999999999", "the number 99999999999999999999 is too large"),
        ("score - 1 > 2", "a comparison needs a name on one side and a value on the other"),
        ("1 < score < 3", "at character 11, '< 3': not expected here"),
        ("score > 1)", "at character 10, ')': not expected here"),
        ("score >", "'score >' is not the end: a value or a bracket is missing there"),
        ("(score > 1", "'(score > 1' is not the end"),
        (" \n", "the condition is empty: leave `where` out"),
        ("a" * (MAX_CHARACTERS + 1), "a condition has at most 500 characters, and this one 501"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_mend(text: str, told: str) -> None:
    with pytest.raises(ValueError) as refused:
        compile_condition(text, TYPES)
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_a_type_that_is_not_catalogued_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no touchpoint type 'survey_answerd'; did you mean survey_answered\?"):
        compile_condition("score > 1", ["survey_answerd"])


@pytest.mark.parametrize(
    ("text", "details", "truth"),
    [
        ("metric == 'nps' and score >= 9", {"metric": "nps", "score": 9.0}, True),
        ("metric == 'nps' and score >= 9", {"metric": "nps", "score": 8.5}, False),
        ("(metric == 'csat' and score <= 2) or (metric == 'nps' and score <= 6)", {"metric": "csat", "score": 2}, True),
        ("not in_stock", {"in_stock": False}, True),
        ("in_stock == false", {"in_stock": False}, True),
        ("quantity > -1", {"quantity": 0}, True),
        ("9 <= score", {"score": 10}, True),
        ("score == 0.1", {"score": 0.1}, True),
        ("topic in ['delivery', 'refund']", {"topic": "refund"}, True),
        ("topic not in ['delivery', 'refund']", {"topic": "invoice"}, True),
        ("'משלוח' in topic", {"topic": "איפה המשלוח?"}, True),
        ("'order' not in topic", {"topic": "delivery"}, True),
        ("'order' not in topic", {"topic": "my order"}, False),
        ("topic == 'משלוח'", {"topic": "משלוח"}, True),
        ("due_at > 1700000000000", {"due_at": 1_700_000_000_001}, True),
        ("type == 'survey_answered'", None, True),
        ("segment == 'vip'", {"segment": "vip"}, True),
        ("topic == 'a'\n or topic == 'b'", {"topic": "b"}, True),
    ],
)
def test_a_condition_means_what_it_says(text: str, details: dict[str, Any] | None, truth: bool) -> None:
    assert holds(text, details) is truth


@pytest.mark.parametrize(
    "text",
    [
        "topic == 'a'", "topic != 'a'", "topic in ['a']", "topic not in ['a']", "'a' in topic", "'a' not in topic",
        "score < 1", "score > 1", "score <= 1", "score >= 1", "in_stock", "in_stock == false", "in_stock != true",
        "topic == metric", "topic != metric", "quantity < score", "order_id != null", "order_id != 'a'",
        "segment != 'vip'",
    ],
)  # fmt: skip
@pytest.mark.parametrize("details", [None, {}, {"score": "9", "in_stock": 1, "topic": ["a"], "quantity": True}])
def test_a_comparison_with_something_absent_is_false(text: str, details: dict[str, Any] | None) -> None:
    assert holds(text, details) is False


def test_only_null_and_not_find_what_is_absent() -> None:
    assert holds("topic == null") and holds("order_id == null") and not holds("topic == null", {"topic": "a"})
    assert holds("not topic == 'a'") and holds("not in_stock") and holds("score > 5 or topic == null")


def test_a_field_of_the_envelope_comes_before_a_property_of_its_name() -> None:
    both = {"store_id": "S-2", "sku": "K"}
    assert holds("store_id == 'S-1'", both, store_id="S-1") and not holds("store_id == 'S-2'", both, store_id="S-1")
    assert holds("store_id == 'S-2'", both)


def test_a_name_has_all_values_that_one_of_the_types_gives_it() -> None:
    either = compile_condition("topic == 'delivery'", ["notification_sent", "contact_started"])
    assert either.holds(touch("contact_started", {"topic": "delivery"}))
    with pytest.raises(ValueError, match="'topic' is never 'delivery'; did you mean delay"):
        compile_condition("topic == 'delivery'", ["notification_sent"])


def test_a_condition_names_the_properties_that_it_needs() -> None:
    text = "order_id != null and (score > 1 or segment == 'topic' or store_id == 'S') and type == 'stock_shown'"
    assert compile_condition(text, TYPES).names == {"score", "segment", "store_id"}


def test_a_condition_does_not_change_and_equals_itself_compiled_again() -> None:
    condition = compile_condition("score > 1", TYPES)
    assert condition == compile_condition("score > 1", TYPES)
    with pytest.raises(FrozenInstanceError):
        condition.text = "score > 2"  # type: ignore[misc]


def test_no_depth_of_brackets_or_negations_is_too_deep() -> None:
    assert holds("(" * 240 + "in_stock" + ")" * 240, {"in_stock": True})
    assert holds("not " * 120 + "in_stock", {"in_stock": True})


def test_no_name_of_the_catalogue_has_two_kinds() -> None:
    names = names_of(list(BY_NAME))
    assert {name for name, entry in names.items() if entry.kind == "moment"} >= {"due_at", "promised_by", "expires_at"}


def test_the_page_lists_the_properties_of_every_type() -> None:
    assert names_table() in PAGE.read_text("utf-8"), f"put this there:\n{names_table()}"


def test_the_faults_that_the_page_shows_are_those_that_are_told() -> None:
    text = (SHIPPED / "unheard_feedback.yaml").read_text("utf-8")
    condition = next(line for line in text.splitlines() if line.lstrip().startswith("where:"))
    shown = [line.split(": ", 1)[1] for line in PAGE.read_text("utf-8").splitlines() if line.startswith("silent.yaml")]
    for wrong, line in zip(("metric == 'npss'", "score = 9", "scor > 6"), shown, strict=True):
        broken = f'{condition.partition("where:")[0]}where: "{wrong}"'
        with pytest.raises(Misconfigured) as refused:
            parse_rule(text.replace(condition, broken), "silent.yaml")
        told = str(refused.value).split(": ", 1)[1]
        assert told.startswith(line.removesuffix("..."))


PLAIN: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FIELDS = ("channel", "order_id")
KINDS: dict[str, tuple[type, ...]] = {
    "channel": (str,),
    "order_id": (str,),
    "topic": (str,),
    "score": (int, float),
    "quantity": (int, float),
    "due_at": (int,),
    "in_stock": (bool,),
}
WORDS = ("a", "b", "ab", "משלוח", "it's")
NUMBERS = (-3, 0, 1, 1.5, 0.1, 9, 1_700_000_000_000)

Plain = Callable[[Touch], bool]


def value_of(found: Touch, name: str) -> Any:
    value = getattr(found, name) if name in FIELDS else (found.details or {}).get(name)
    return value if type(value) in KINDS[name] else None


def written(value: Any) -> str:
    return '"' + value + '"' if isinstance(value, str) else str(value).lower()


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[str, Plain]:
    """A comparison as it is written, and what it means in plain Python."""
    name = draw(st.sampled_from(sorted(KINDS)))
    values = {str: WORDS, bool: (True, False)}.get(KINDS[name][0], NUMBERS)
    if draw(st.booleans()) and values is not NUMBERS:
        chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
        text = f"{name} in [{', '.join(map(written, chosen))}]"
        return text, lambda found: (value := value_of(found, name)) is not None and value in chosen
    sign = draw(st.sampled_from(sorted(PLAIN) if values is NUMBERS else ["==", "!="]))
    expected, compare = draw(st.sampled_from(values)), PLAIN[sign]
    text = f"{name} {sign} {written(expected)}"
    return text, lambda found: (value := value_of(found, name)) is not None and compare(value, expected)


def joined(parts: st.SearchStrategy[tuple[str, Plain]]) -> st.SearchStrategy[tuple[str, Plain]]:
    def both(left: tuple[str, Plain], right: tuple[str, Plain]) -> tuple[str, Plain]:
        return f"({left[0]}) and ({right[0]})", lambda found: left[1](found) and right[1](found)

    def either(left: tuple[str, Plain], right: tuple[str, Plain]) -> tuple[str, Plain]:
        return f"({left[0]}) or ({right[0]})", lambda found: left[1](found) or right[1](found)

    return st.builds(both, parts, parts) | st.builds(either, parts, parts)


CONDITIONS = st.recursive(comparisons(), joined, max_leaves=5).filter(lambda pair: len(pair[0]) <= MAX_CHARACTERS)
FITTING = st.fixed_dictionaries(
    {
        "topic": st.sampled_from(WORDS),
        "score": st.sampled_from(NUMBERS),
        "quantity": st.sampled_from(NUMBERS),
        "due_at": st.sampled_from((0, 1_700_000_000_000)),
        "in_stock": st.booleans(),
    }
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(WORDS + NUMBERS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=3,
)
TOUCHES = st.builds(
    Touch,
    st.integers(0, 10),
    st.just("web"),
    st.just("e-1"),
    st.sampled_from(TYPES),
    st.just(0),
    channel=st.none() | st.sampled_from(WORDS),
    order_id=st.none() | st.sampled_from(WORDS),
    details=st.none() | FITTING | st.dictionaries(st.sampled_from(sorted(KINDS)), ANYTHING),
)


@settings(deadline=None)
@given(CONDITIONS, TOUCHES)
def test_every_touch_is_decided_as_plain_python_would(pair: tuple[str, Plain], found: Touch) -> None:
    assert compile_condition(pair[0], TYPES).holds(found) is pair[1](found)


@settings(deadline=None)
@given(CONDITIONS, FITTING, st.sampled_from(WORDS), st.sampled_from(WORDS))
def test_where_nothing_is_absent_the_library_itself_agrees(
    pair: tuple[str, Plain], details: dict[str, Any], channel: str, order_id: str
) -> None:
    exact = {name: Decimal(str(value)) if type(value) in (int, float) else value for name, value in details.items()}
    found = touch(details=details, channel=channel, order_id=order_id)
    theirs = rule_engine.Rule(pair[0]).matches({**exact, "channel": channel, "order_id": order_id})
    assert compile_condition(pair[0], TYPES).holds(found) is theirs


@settings(deadline=None)
@given(st.text(alphabet="abt ()[]'\"\\<>=!,.-09$~{}andortype\n", max_size=40))
def test_any_text_is_compiled_or_refused_with_one_line(text: str) -> None:
    try:
        condition = compile_condition(text, TYPES)
    except ValueError as refused:
        assert "\n" not in str(refused)
    else:
        assert condition.holds(touch()) in (True, False)
