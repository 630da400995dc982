"""A rule file is taken whole or refused with one line that says where and why; the user's own files come on top."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.errors import Misconfigured
from streams.rules.loading import (
    LARGEST_BYTES,
    SHIPPED,
    check_rule_file,
    directories,
    load_rule_set,
    load_rules,
    parse_rule,
    read_rule_file,
    read_rule_files,
)

TEXTS = {"en": "Text", "he": "טקסט"}
GOOD: dict[str, Any] = {
    "id": "slow_queue",
    "version": 1,
    "severity": "info",
    "title": TEXTS,
    "meaning": TEXTS,
    "why": "because",
    "reason": TEXTS,
    "advice": TEXTS,
    "wait": {
        "cases": [{"begins": "queue_joined", "ends": ["service_started"], "match": ["queue"], "longer_than": "10m"}]
    },
}
CASE = GOOD["wait"]["cases"][0]
REPEAT = {"types": ["contact_started"], "same": ["topic"], "within": "7d", "measures": [{"count": 2}]}
ABSENCE = {"first": {"types": ["payment_failed"]}, "without": "purchased", "within": "30m"}
SEQUEL = {"first": {"episodes": "friction"}, "without": "purchased", "within": "30m"}
MISMATCH = {"said": "stock_shown", "contradicted": "item_unavailable", "match": ["sku"], "within": "2d"}

SHIPPED_IDS = [
    "broken_promise", "channel_hopping", "checkout_trouble", "delight_opportunity", "early_delivery",
    "failed_deliveries", "fast_service", "first_contact_resolution", "friction_then_abandonment", "hold_lost",
    "kept_after_trouble", "late_refund", "long_wait", "missed_callback", "no_human", "ping_pong", "promoter",
    "public_praise", "repeat_contact", "restock_silence", "silent_delay", "stock_mismatch", "told_before_asked",
    "unexpected_gift", "unheard_feedback", "unresolved_complaint", "wismo",
]  # fmt: skip


def write(**changed: Any) -> str:
    rule = {name: value for name, value in {**GOOD, **changed}.items() if value is not ...}
    return yaml.safe_dump(rule, allow_unicode=True, sort_keys=False)


def with_case(**changed: Any) -> str:
    return write(wait={"cases": [{**CASE, **changed}]})


def with_primitive(name: str, parameters: dict[str, Any], **changed: Any) -> str:
    return write(wait=..., **{name: parameters}, **changed)


def with_repeat(**changed: Any) -> str:
    return with_primitive("repeat", {**REPEAT, **changed})


def with_sequence(**changed: Any) -> str:
    return with_primitive("sequence", {**ABSENCE, **changed})


def put(directory: Path, name: str, text: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text, encoding="utf-8")
    return directory


def test_the_shipped_rules_load_in_order_of_their_ids() -> None:
    rules = load_rules()
    assert [rule.id for rule in rules] == SHIPPED_IDS
    kinds = [rule.kind for rule in rules]
    assert (kinds.count("friction"), kinds.count("delight"), kinds.count("opportunity")) == (18, 8, 1)


def test_each_shipped_file_is_named_after_its_rule() -> None:
    assert [file.path.stem for file in read_rule_files([SHIPPED])] == SHIPPED_IDS


def test_a_good_file_is_a_rule() -> None:
    assert parse_rule(write(), "x.yaml").id == "slow_queue"
    assert parse_rule(with_repeat(), "x.yaml").lookback.days == 7


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("id: [", "not YAML: "),
        ("a\u0000b", "not YAML: "),
        ("", "mine.yaml:1: is empty: a rule file has `id:`"),
        ("- a", "a rule file has `id:`"),
        (write(id="Slow Queue"), "id: 'Slow Queue' is no id: write 3 to 41 small letters, digits and _,"),
        (write(version=0), "version: write a number of at least 1"),
        (write(version=65_536), "version: "),
        (write(severity="loud"), "severity: write info or warning or critical"),
        (write(kind="annoyance"), "kind: "),
        (write(colour="blue"), "colour: unknown key"),
        (write(calender="store_hours"), "calender: unknown key; did you mean calendar?"),
        (write(title=...), "title: it is missing: What it is called, in `en` and `he`."),
        (write(title={"en": "Text"}), "title.he: "),
        (write(meaning=...), "meaning: "),
        (write(why=""), "why: "),
        (write(reason={"en": "", "he": "x"}), "reason.en: "),
        (
            write(reason={"en": "{actuall}", "he": "x"}),
            "reason.en: {actuall} cannot be filled in; did you mean actual?",
        ),
        (write(reason={"en": "x", "he": "{actual"}), "reason.he: a brace has no partner; a brace itself is written {{"),
        (write(reason={"en": "{actual.real}", "he": "x"}), "reason.en: "),
        (write(wait=...), "give exactly one of wait, repeat, deadline, sequence, threshold, mismatch; found none"),
        (write(deadline={"promise": "delivery"}), "found wait and deadline"),
        (write(escalate=[{"to": "critical"}]), "escalate.0: give exactly one of after and count"),
        (write(escalate=[{"to": "info", "after": "1h"}]), "`escalate` to info changes nothing"),
        (write(escalate=[{"to": "critical", "count": 3}]), "`escalate` by `count` goes with repeat"),
        (write(cooldown="0s"), "cooldown: write a time longer than 0s, such as"),
        (write(scope={"sources": ["shop"]}), "scope.sources.0: "),
        (write(scope={"storess": ["S-1"]}), "scope.storess: unknown key; did you mean stores?"),
        (write(resolve={"on": "service_started"}), "`resolve.on` goes with repeat and sequence, not with wait"),
        (write(wait={"cases": []}), "wait.cases: "),
        (with_case(longer_than="ten minutes"), "wait.cases.0.longer_than: "),
        (with_case(longer_than="0s"), "wait.cases.0.longer_than: write a time longer than 0s"),
        (with_case(longer_than="-PT5M"), "wait.cases.0.longer_than: "),
        (with_case(longer_than="13h"), "wait.cases.0.longer_than: it must be shorter than give_up_after"),
        (with_case(shorter_than="1m"), "wait.cases.0: give exactly one of longer_than and shorter_than"),
        (with_case(begins="queue_joinde"), "no touchpoint type 'queue_joinde'; did you mean queue_joined?"),
        (with_case(ends=["nothing"]), "the catalogue has no touchpoint type 'nothing'"),
        (with_case(match=["colour"]), "wait.cases.0.match.0: 'colour' is neither a field nor a property"),
        (with_case(ended_where="qeue == 'tills'"), "did you mean queue?"),
        (with_repeat(measures=[{"count": 1}]), "repeat.measures.0.count: "),
        (
            with_repeat(measures=[{"count": 2, "distinct": "colour"}]),
            "repeat.measures.0.distinct: 'colour' is neither a field nor",
        ),
        (with_repeat(measures=[{"count": 2, "types": ["delivered"]}]), "'delivered' is not among the rule's types"),
        (with_repeat(within="soon"), "repeat.within: "),
        (with_repeat(same=[]), "repeat.same: "),
        (with_repeat(same=["topik"]), "repeat.same.0: 'topik' is neither a field nor a property of contact_started"),
        (with_repeat(where="topic = 'delivery'"), "repeat.where: at character 7"),
        (
            with_sequence(first={"types": ["payment_failed"], "count": 2}),
            "sequence.first.count: `within` goes with a `count`",
        ),
        (
            with_primitive("deadline", {"promise": "hold", "when": "late"}),
            "when: write broken or early or kept or lapsed",
        ),
        (yaml.safe_dump({"rule": "wismo", "scenarios": []}), "this is a file of scenarios, and no rule"),
        (with_sequence(first={"episodes": "delight"}), "sequence.first.episodes: "),
        (with_sequence(without=None), "sequence: give `then`, `without` or both"),
        (with_sequence(match=["reason"]), "sequence.match.0: 'reason' is neither a field nor a property of purchased"),
        (with_primitive("sequence", {**SEQUEL, "match": ["order_id"]}), "do not go with `episodes`"),
        (with_primitive("mismatch", {**MISMATCH, "match": []}), "mismatch.match: "),
        (with_primitive("mismatch", MISMATCH, calendar="store_hours"), "`calendar` goes with wait, sequence and"),
        (
            with_primitive("deadline", {"promise": "gift"}),
            "deadline.promise: there is no promise kind 'gift'; known: delivery, callback, refund, hold",
        ),
        (with_primitive("deadline", {"promise": "hold", "by": "1d"}), "`by` goes with `when: early`"),
    ],
    ids=lambda value: value if value.isprintable() else "",
)
def test_a_bad_file_is_refused_with_one_line(text: str, line: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        parse_rule(text, "mine.yaml")
    message = str(refused.value)
    assert "\n" not in message and message.startswith("mine.yaml:") and line in message


def test_the_line_of_the_fault_is_named() -> None:
    text = write()
    number = next(n for n, line in enumerate(text.splitlines(), 1) if "longer_than" in line)
    with pytest.raises(
        Misconfigured, match=rf"^mine\.yaml:{number}: wait\.cases\.0\.longer_than: 'long' is no duration"
    ):
        parse_rule(text.replace("10m", "long"), "mine.yaml")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (with_case(match=["store_id", "colour"]), "- colour"),
        (with_case(ended_where="qeue == 'tills'"), "ended_where"),
        (with_case(longer_than="13h"), "longer_than"),
        (with_case(begins={"types": ["queue_joined"], "where": "qeue == 'tills'"}), "where"),
        (with_repeat(where="topik == 'delivery'"), "where"),
        (with_repeat(measures=[{"count": 2}, {"count": 3, "distinct": "colour"}]), "distinct"),
        (with_repeat(calendar="store_hours"), "calendar"),
        (with_sequence(first={"types": ["payment_failed"], "where": "reson == 'x'"}), "where"),
        (with_sequence(first={"types": ["purchased"], "count": 2}), "count"),
        (with_sequence(alone={"same": ["colour"], "within": "1h"}), "- colour"),
        (with_primitive("sequence", {**SEQUEL, "match": ["order_id"]}), "match"),
        (with_primitive("threshold", {"types": ["gift_given"], "where": "knd == 'x'"}), "where"),
        (with_primitive("threshold", {"types": ["gift_given"], "measure": "colour"}), "measure"),
        (with_primitive("mismatch", {**MISMATCH, "match_given": ["colour"]}), "- colour"),
        (with_primitive("deadline", {"promise": "hold", "by": "1d"}), "by"),
        (with_primitive("deadline", {"promise": "hold", "when": "early"}), "when"),
        (write(deadline={"promise": "delivery"}), "deadline"),
        (write(escalate=[{"to": "info", "after": "1h"}]), "- to: info"),
        (write(escalate=[{"to": "critical", "count": 3}]), "count"),
        (write(resolve={"on": "service_started"}), "'on'"),
    ],
    ids=lambda value: value if value.isprintable() else "",
)
def test_the_key_with_the_fault_is_where_its_line_says(text: str, key: str) -> None:
    number = next(n for n, line in enumerate(text.splitlines(), 1) if line.strip().startswith(key))
    with pytest.raises(Misconfigured, match=rf"^mine\.yaml:{number}: "):
        parse_rule(text, "mine.yaml")


@pytest.mark.parametrize("first", ["payment_failed", ["payment_failed"]])
def test_a_name_or_a_list_is_short_for_what_a_sequence_begins_with(first: Any) -> None:
    rule = parse_rule(with_sequence(first=first), "mine.yaml")
    assert rule == parse_rule(with_sequence(), "mine.yaml")


def test_a_single_type_is_short_for_a_list() -> None:
    assert parse_rule(with_case(ends="service_started"), "mine.yaml") == parse_rule(write(), "mine.yaml")


def test_a_copy_with_another_window_goes_by_it() -> None:
    rule = parse_rule(with_repeat(), "x.yaml")
    assert rule.primitive.lookback.days == 7 and rule.repeat is not None and rule.repeat.within_ms == 604_800_000
    shorter = rule.model_copy(update={"repeat": rule.repeat.model_copy(update={"within": timedelta(hours=1)})})
    assert shorter.repeat is not None and shorter.repeat.within_ms == 3_600_000
    assert shorter.primitive.lookback == timedelta(hours=1)


def test_two_files_with_one_id_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        put(tmp_path, name, write())
    with pytest.raises(Misconfigured, match=r"b\.yaml: rule 'slow_queue' stands in a\.yaml too; give one another id"):
        load_rules([tmp_path])


def test_rules_of_ones_own_come_beside_the_shipped_ones(tmp_path: Path) -> None:
    put(tmp_path, "own.yaml", write())
    put(tmp_path, "other.yml", write(id="other_queue"))
    assert [rule.id for rule in load_rules([SHIPPED, tmp_path])] == sorted([*SHIPPED_IDS, "slow_queue", "other_queue"])


def test_a_rule_of_ones_own_takes_the_place_of_a_shipped_one_of_its_id(tmp_path: Path) -> None:
    put(tmp_path, "own.yaml", write(id="long_wait", version=7))
    found = {file.rule.id: file for file in read_rule_files([SHIPPED, tmp_path])}["long_wait"]
    assert found.rule.version == 7
    assert (found.path, found.replaces) == (tmp_path / "own.yaml", SHIPPED / "long_wait.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "id: wismo\nenabled: false\n",
        "# Not for us.\nenabled: false\nid: wismo\n",
        "id: wismo\nversion: 9\nenabled: false\n",
    ],
)
def test_two_lines_switch_a_shipped_rule_off(text: str, tmp_path: Path) -> None:
    put(tmp_path, "off.yaml", text)
    assert "wismo" not in [rule.id for rule in load_rules([SHIPPED, tmp_path])]
    found = {file.rule.id: file for file in read_rule_files([SHIPPED, tmp_path])}["wismo"]
    assert not found.rule.enabled and found.path.name == "off.yaml" and found.rule.repeat is not None


def test_a_rule_with_all_its_texts_can_be_off_too(tmp_path: Path) -> None:
    put(tmp_path, "own.yaml", write(enabled=False))
    assert load_rules([tmp_path]) == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("id: wissmo\nenabled: false\n", "there is no rule 'wissmo' to switch off; did you mean wismo?"),
        ("id: wismo\nenabled: true\n", "2: enabled: write false"),
        ("id: wismo\nversion: 2\nenabled: true\n", "3: enabled: write false"),
        (
            "id: wismo\nenabled: false\nseverity: info\n",
            "3: severity: to switch a rule off write only `id` and `enabled: false`",
        ),
    ],
)
def test_what_switches_nothing_off_is_refused(text: str, line: str, tmp_path: Path) -> None:
    put(tmp_path, "off.yaml", text)
    with pytest.raises(Misconfigured) as refused:
        load_rules([SHIPPED, tmp_path])
    assert str(refused.value).startswith(f"{tmp_path / 'off.yaml'}:") and line in str(refused.value)


def test_an_unknown_calendar_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "own.yaml", write(calendar="store_huors"))
    number = next(n for n, text in enumerate(write(calendar="x").splitlines(), 1) if text.startswith("calendar"))
    with pytest.raises(Misconfigured) as refused:
        load_rules([SHIPPED, tmp_path])
    assert str(refused.value).startswith(
        f"{tmp_path / 'own.yaml'}:{number}: calendar: there is no calendar 'store_huors'"
    )
    assert "did you mean store_hours?" in str(refused.value)


def test_calendars_of_ones_own_add_to_the_shipped_ones_and_replace_them(tmp_path: Path) -> None:
    night = 'night_shift:\n  zone: UTC\n  hours:\n    mon: ["00:00-06:00"]\n'
    put(tmp_path, "calendars.yaml", night + night.replace("night_shift", "store_hours"))
    put(tmp_path, "own.yaml", write(calendar="night_shift"))
    found, shipped = load_rule_set([SHIPPED, tmp_path]).calendars, load_rule_set().calendars
    assert found.keys() == {"store_hours", "call_centre", "night_shift"}
    assert [found[name].open_days(2026) for name in ("night_shift", "store_hours")] == [52, 52]
    assert shipped["store_hours"].open_days(2026) > 250


def test_the_digest_changes_with_what_the_rules_say_and_with_nothing_else(tmp_path: Path) -> None:
    def digest(text: str, name: str = "own.yaml") -> str:
        return load_rule_set([put(tmp_path / str(len(list(tmp_path.iterdir()))), name, text)]).digest

    assert digest(write()) == digest("# A comment.\n" + write(), "other.yaml")
    texts = [write(), write(version=2), with_case(longer_than="11m"), write(enabled=False)]
    calendars = 'x:\n  zone: UTC\n  hours:\n    mon: ["00:00-06:00"]\n'
    assert len({*map(digest, texts), digest(calendars, "calendars.yaml")}) == 5


@pytest.mark.no_cover
def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    put(tmp_path, "own.yaml", "#" * LARGEST_BYTES)
    with pytest.raises(Misconfigured, match=r"own\.yaml:1: is empty"):
        load_rules([tmp_path])
    put(tmp_path, "own.yaml", "[" * (LARGEST_BYTES + 1))
    with pytest.raises(Misconfigured, match=r"own\.yaml: it has 1,048,577 bytes, and at most 1,048,576 are read"):
        load_rules([tmp_path])


def test_a_file_that_is_given_twice_is_told_so(tmp_path: Path) -> None:
    path = put(tmp_path, "own.yaml", write()) / "own.yaml"
    file = read_rule_file(path, {})
    with pytest.raises(Misconfigured, match=r"own\.yaml is given twice: leave it out once"):
        check_rule_file(file, {"slow_queue": file}, {})


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_bytes(b"\xe9\xff")
    with pytest.raises(Misconfigured, match=r"own\.yaml: not YAML: byte 0 is not UTF-8"):
        load_rules([tmp_path])


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").symlink_to(tmp_path / "gone.yaml")
    with pytest.raises(Misconfigured, match=r"own\.yaml: cannot be read: No such file"):
        load_rules([tmp_path])


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="is no directory"):
        load_rules(directories(tmp_path / "missing"))
