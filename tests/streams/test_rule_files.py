"""A rule file is taken whole or refused with one line that says where and why; the user's own files come on top."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.errors import Misconfigured
from streams.rules.loading import SHIPPED, directories, load_rule_set, load_rules, parse_rule, read_rule_files

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
        ("", "a rule file has `id:`"),
        ("- a", "a rule file has `id:`"),
        (write(id="Slow Queue"), "id: "),
        (write(version=0), "version: "),
        (write(version=65_536), "version: "),
        (write(severity="loud"), "severity: "),
        (write(kind="annoyance"), "kind: "),
        (write(colour="blue"), "colour: unknown key"),
        (write(calender="store_hours"), "calender: unknown key; did you mean calendar?"),
        (write(title=...), "title: "),
        (write(title={"en": "Text"}), "title.he: "),
        (write(meaning=...), "meaning: "),
        (write(why=""), "why: "),
        (write(reason={"en": "", "he": "x"}), "reason.en: "),
        (write(reason={"en": "{actuall}", "he": "x"}), "reason.en: "),
        (write(reason={"en": "x", "he": "{actual"}), "reason.he: "),
        (write(reason={"en": "{actual.real}", "he": "x"}), "reason.en: "),
        (write(wait=...), "give exactly one of wait, repeat, deadline, sequence, threshold, mismatch; found none"),
        (write(deadline={"promise": "delivery"}), "found wait and deadline"),
        (write(escalate=[{"to": "critical"}]), "escalate.0: give exactly one of after and count"),
        (write(escalate=[{"to": "info", "after": "1h"}]), "`escalate` to info changes nothing"),
        (write(escalate=[{"to": "critical", "count": 3}]), "`escalate` by `count` goes with repeat"),
        (write(cooldown="0s"), "cooldown: "),
        (write(scope={"sources": ["shop"]}), "scope.sources.0: "),
        (write(scope={"storess": ["S-1"]}), "scope.storess: unknown key; did you mean stores?"),
        (write(resolve={"on": "service_started"}), "`resolve.on` goes with repeat and sequence, not with wait"),
        (write(wait={"cases": []}), "wait.cases: "),
        (with_case(longer_than="ten minutes"), "wait.cases.0.longer_than: "),
        (with_case(longer_than="0s"), "wait.cases.0.longer_than: "),
        (with_case(longer_than="-PT5M"), "wait.cases.0.longer_than: "),
        (with_case(longer_than="13h"), "wait.cases.0: longer_than must be shorter than give_up_after"),
        (with_case(shorter_than="1m"), "wait.cases.0: give exactly one of longer_than and shorter_than"),
        (with_case(begins="queue_joinde"), "no touchpoint type 'queue_joinde'; did you mean queue_joined?"),
        (with_case(ends=["nothing"]), "the catalogue has no touchpoint type 'nothing'"),
        (with_case(match=["colour"]), "wait.cases.0: 'colour' is neither a field nor a property"),
        (with_case(ended_where="qeue == 'tills'"), "did you mean queue?"),
        (with_repeat(measures=[{"count": 1}]), "repeat.measures.0.count: "),
        (with_repeat(measures=[{"count": 2, "distinct": "colour"}]), "repeat: 'colour' is neither a field nor"),
        (with_repeat(measures=[{"count": 2, "types": ["delivered"]}]), "'delivered' is not among the rule's types"),
        (with_repeat(within="soon"), "repeat.within: "),
        (with_repeat(same=[]), "repeat.same: "),
        (with_repeat(same=["topik"]), "repeat: 'topik' is neither a field nor a property of contact_started"),
        (with_repeat(where="topic = 'delivery'"), "repeat: "),
        (
            with_sequence(first={"types": ["payment_failed"], "count": 2}),
            "sequence.first: `within` goes with a `count`",
        ),
        (with_sequence(first={"episodes": "delight"}), "sequence.first.episodes: "),
        (with_sequence(without=None), "sequence: give `then`, `without` or both"),
        (with_sequence(match=["reason"]), "sequence: 'reason' is neither a field nor a property of purchased"),
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


@pytest.mark.parametrize("text", ["id: wismo\nenabled: false\n", "# Not for us.\nenabled: false\nid: wismo\n"])
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
        ("id: wismo\nenabled: true\n", "enabled: "),
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
