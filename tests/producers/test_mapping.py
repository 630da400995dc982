from pathlib import Path

import pytest

from producers.mapping import load_mapping, lookup, parse_mapping
from schemas.errors import Misconfigured

GOOD = """
zone: Asia/Jerusalem
fields:
  event_id: {template: "{user}-{_line}"}
  source: {constant: web}
  type: event
  occurred_at: {column: at, format: "%d/%m/%Y %H:%M"}
  identifiers.customer_id: user
  properties.amount: {column: sum, as: float}
"""


def test_a_mapping_says_which_columns_it_needs() -> None:
    assert parse_mapping(GOOD, "m.yaml").columns() == {"user", "event", "at", "sum"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("constant: web", "const: web", "m.yaml:5: fields.source.const: unknown key; did you mean constant? known"),
        ("zone: Asia/Jerusalem", "timezone: UTC", "m.yaml:2: timezone: unknown key; did you mean zone? known are"),
        ("properties.amount", "amount", "'amount' is no field of a touchpoint: use one of event_id, source, type"),
        ("identifiers.customer_id", "identifiers.user_id", "'identifiers.user_id' is no field of a touchpoint"),
        ("  type: event\\n", "", "a touchpoint needs type: say where from"),
        ("identifiers.customer_id: user", "order_id: user", "a touchpoint needs an identifier: map one of"),
        ("%H:%M", "%H:%M %Z", "m.yaml:7: fields.occurred_at.format: '%d/%m/%Y %H:%M %Z': the name of a zone is read"),
        ("as: float", "as: number", "m.yaml:9: fields.properties.amount.as: write text or int"),
        ("constant: web", "constant: web, column: x", "m.yaml:5: fields.source: give exactly one of column, constant"),
        ("{user}-{_line}", "{user!r}", "m.yaml:4: fields.event_id.template: name a column inside each pair of braces"),
        ("{user}-{_line}", "{user", "m.yaml:4: fields.event_id.template: expected '}' before end of string"),
        ("constant: web", "column: e, otherwise: web", "m.yaml:5: fields.source: otherwise stands for what `values`"),
        ("fields:", "fields: [", "not YAML:"),
        ("  type: event", "  type: event\\n  type: other", "m.yaml:7: not YAML: 'type' stands twice"),
        ("type: event", "type: 7", "m.yaml:6: fields.type: write keys with their values; its keys are"),
    ],
)  # fmt: skip
def test_a_faulty_mapping_is_told_in_one_line_with_file_line_and_mend(old: str, new: str, told: str) -> None:
    old = old.replace("\\n", "\n")
    assert old in GOOD
    with pytest.raises(Misconfigured) as refused:
        parse_mapping(GOOD.replace(old, new.replace("\\n", "\n")), "m.yaml")
    assert told in str(refused.value) and "\n" not in str(refused.value) and str(refused.value).startswith("m.yaml:")


@pytest.mark.parametrize("text", ["", "[]", "hello", "fields: []", "\x00", "a: &a [*a]"])
def test_what_is_no_mapping_at_all_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"^m\.yaml:\d+: "):
        parse_mapping(text, "m.yaml")


def test_a_mapping_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no such file: .*none.yaml"):
        load_mapping(tmp_path / "none.yaml")


def test_keys_that_yaml_takes_for_numbers_and_truths_still_name_cells() -> None:
    text = GOOD.replace("{constant: web}", "{column: s, values: {1: web, yes: store}}")
    assert parse_mapping(text, "m").fields["source"].values == {"1": "web", "yes": "store"}


def test_a_path_reaches_into_nested_objects_and_a_whole_name_comes_first() -> None:
    row = {"user": {"id": 7, "tags": ["x"]}, "user.name": "Dana"}
    assert lookup(row, "user.id") == 7 and lookup(row, "user.name") == "Dana"
    assert lookup(row, "user.age") is None and lookup(row, "user.tags.0") is None
