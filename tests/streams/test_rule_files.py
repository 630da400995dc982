"""A rule file is taken whole or refused with one line that says where and why."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.errors import Misconfigured
from streams.rules.loading import SHIPPED, load_rules, parse_rule

TEXTS = {"en": "Text", "he": "טקסט"}
GOOD: dict[str, Any] = {
    "id": "slow_queue",
    "version": 1,
    "severity": "info",
    "primitive": "wait",
    "title": TEXTS,
    "reason": TEXTS,
    "advice": TEXTS,
    "wait": {
        "cases": [{"begins": "queue_joined", "ends": ["service_started"], "match": ["queue"], "longer_than": "10m"}]
    },
}
CASE = GOOD["wait"]["cases"][0]
REPEAT = {"type": "contact_started", "count": 2, "within": "7d", "same": ["topic"]}


def write(**changed: Any) -> str:
    rule = {name: value for name, value in {**GOOD, **changed}.items() if value is not ...}
    return yaml.safe_dump(rule, allow_unicode=True)


def with_case(**changed: Any) -> str:
    return write(wait={"cases": [{**CASE, **changed}]})


def with_repeat(**changed: Any) -> str:
    return write(primitive="repeat", wait=..., repeat={**REPEAT, **changed})


def test_the_shipped_rules_load_in_order_of_their_ids() -> None:
    assert [rule.id for rule in load_rules()] == ["broken_promise", "long_wait", "repeat_contact"]


def test_a_good_file_is_a_rule() -> None:
    assert parse_rule(write(), "x.yaml").id == "slow_queue"
    assert parse_rule(with_repeat(), "x.yaml").lookback.days == 7


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("id: [", "no valid YAML: "),
        ("a\u0000b", "no valid YAML: "),
        ("", "the file: "),
        ("- a", "the file: "),
        (write(id="Slow Queue"), "id: "),
        (write(version=0), "version: "),
        (write(severity="loud"), "severity: "),
        (write(primitive="sequence"), "primitive: "),
        (write(colour="blue"), "colour: "),
        (write(title=...), "title: "),
        (write(title={"en": "Text"}), "title.he: "),
        (write(reason={"en": "", "he": "x"}), "reason.en: "),
        (write(reason={"en": "{actuall}", "he": "x"}), "reason.en: "),
        (write(reason={"en": "x", "he": "{actual"}), "reason.he: "),
        (write(reason={"en": "{actual.real}", "he": "x"}), "reason.en: "),
        (write(wait=...), "primitive is 'wait': give the key 'wait' and no other primitive"),
        (write(deadline={"promise": "delivery"}), "primitive is 'wait'"),
        (write(wait={"cases": []}), "wait.cases: "),
        (with_case(longer_than="ten minutes"), "wait.cases.0.longer_than: "),
        (with_case(longer_than="0s"), "wait.cases.0.longer_than: "),
        (with_case(longer_than="-PT5M"), "wait.cases.0.longer_than: "),
        (with_case(longer_than="13h"), "wait.cases.0: "),
        (with_case(begins="queue_left"), "wait.cases.0.begins: the catalogue has no touchpoint type 'queue_left'"),
        (with_case(begins="page_viewed"), "wait.cases.0.begins: type 'page_viewed' is not kept for rules"),
        (with_case(ends=["nothing"]), "wait.cases.0.ends: the catalogue has no touchpoint type 'nothing'"),
        (with_case(match=["colour"]), "wait.cases.0.match: 'colour' is neither a field nor a property"),
        (with_repeat(count=1), "repeat.count: "),
        (with_repeat(within="soon"), "repeat.within: "),
        (with_repeat(same=[]), "repeat.same: "),
        (with_repeat(same=["colour"]), "repeat.same: 'colour' is neither a field nor a property"),
        (
            write(primitive="deadline", wait=..., deadline={"promise": "gift"}),
            "deadline.promise: there is no promise kind 'gift'; known: delivery, callback, refund, hold",
        ),
    ],
    ids=lambda value: value if value.isprintable() else "",
)
def test_a_bad_file_is_refused_with_one_line(text: str, line: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        parse_rule(text, "mine.yaml")
    message = str(refused.value)
    assert "\n" not in message and message.startswith("mine.yaml: ") and line in message


def test_two_files_with_one_id_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(write(), encoding="utf-8")
    with pytest.raises(Misconfigured, match=r"^b\.yaml: rule 'slow_queue' is defined twice"):
        load_rules([tmp_path])


def test_rules_of_ones_own_come_beside_the_shipped_ones(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(write(), encoding="utf-8")
    assert [rule.id for rule in load_rules([SHIPPED, tmp_path])][-1] == "slow_queue"


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_bytes(b"\xe9\xff")
    with pytest.raises(Misconfigured, match=r"^own\.yaml: no valid YAML: "):
        load_rules([tmp_path])


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="is no directory"):
        load_rules([tmp_path / "missing"])
