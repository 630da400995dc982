from pathlib import Path
from typing import Any

import pytest

from producers.letter_edits import Editor, load_edits, parse_edits
from producers.mapped_rows import Rejected, Skipped
from schemas.errors import Misconfigured, Undecodable

LETTER = "touchpoints-1-2"
GOOD = """
encoding: windows-1255
zone: Asia/Jerusalem
rename: {eventId: event_id, customer.id: identifiers.customer_id}
values:
  source: {shop: store, junk: null}
set:
  order_id: {template: "L-{_letter}"}
  properties.currency: {column: properties.currency, default: ILS}
remove: [properties.debug]
"""


def edit(text: str, **found: Any) -> dict[str, Any]:
    return Editor(parse_edits(text, "m.yaml")).edit(found, LETTER)


@pytest.mark.parametrize(
    ("text", "found", "expected"),
    [
        ("rename: {eventId: event_id}", {"eventId": 7}, {"event_id": 7}),
        ("rename: {eventId: event_id}", {"event_id": 7}, {"event_id": 7}),
        ("rename: {a.b: properties.c}", {"a": {"b": 1, "d": 2}}, {"a": {"d": 2}, "properties": {"c": 1}}),
        ("rename: {a.b: event_id}", {"a.b": 1, "a": {"b": 2}}, {"a": {"b": 2}, "event_id": 1}),
        ("rename: {a: event_id}", {"a": None, "event_id": "e"}, {"event_id": "e"}),
        ("values: {source: {shop: store}}", {"source": "shop"}, {"source": "store"}),
        ("values: {source: {shop: store}}", {"source": "web"}, {"source": "web"}),
        ("values: {properties.paid: {true: 1}}", {"properties": {"paid": True}}, {"properties": {"paid": 1}}),
        ("set: {source: web}", {}, {"source": "web"}),
        ("set: {schema_version: 1}", {"schema_version": 9}, {"schema_version": 1}),
        ("set: {event_id: {template: 'x-{_letter}'}}", {}, {"event_id": "x-touchpoints-1-2"}),
        ("set: {order_id: {column: event_id}}", {"event_id": 7}, {"event_id": 7, "order_id": "7"}),
        ("set: {order_id: {column: none}}", {"order_id": "O"}, {"order_id": "O"}),
        ("set: {properties.n: {column: properties.n, as: int}}", {"properties": {"n": "3"}}, {"properties": {"n": 3}}),
        (
            "{zone: UTC, set: {occurred_at: {column: at, format: '%d/%m/%Y %H:%M'}}}",
            {"at": "21/11/2026 10:00"},
            {"at": "21/11/2026 10:00", "occurred_at": "2026-11-21T10:00:00.000Z"},
        ),
        ("remove: [a.b, c, d.e]", {"a": {"b": 1}, "c": 2, "d": 3}, {"a": {}, "d": 3}),
        ("zone: Asia/Jerusalem", {"sent_at": "2026-11-21T10:00:00"}, {"sent_at": "2026-11-21T08:00:00.000Z"}),
        ("zone: Asia/Jerusalem", {"sent_at": "2026-11-21T10:00:00Z"}, {"sent_at": "2026-11-21T10:00:00Z"}),
        ("zone: Asia/Jerusalem", {"sent_at": "soon", "occurred_at": 7}, {"sent_at": "soon", "occurred_at": 7}),
        ("{rename: {s: source}, values: {source: {a: b}}, set: {source: {column: source, values: {b: web}}}}",
         {"s": "a"}, {"source": "web"}),
    ],
)  # fmt: skip
def test_an_edit(text: str, found: dict[str, Any], expected: dict[str, Any]) -> None:
    given = {**found, "kept": 1}
    assert edit(text, **given) == {**expected, "kept": 1}
    assert given == {**found, "kept": 1}


def test_the_record_is_left_as_it_is() -> None:
    found = {"properties": {"debug": 1}, "source": "shop"}
    edit(GOOD, **found)
    assert found == {"properties": {"debug": 1}, "source": "shop"}


def test_a_letter_may_be_left_out_or_not_editable() -> None:
    with pytest.raises(Skipped):
        edit(GOOD, source="junk")
    with pytest.raises(Rejected, match=r"invalid_field: properties: it is no object"):
        edit("set: {properties.a: 1}", properties=[1])
    with pytest.raises(Rejected, match=r"unreadable_value: properties\.n: 'x' is no int"):
        edit("set: {properties.n: {column: n, as: int}}", n="x")


def test_an_encoding_is_for_what_is_no_utf8() -> None:
    editor = Editor(parse_edits(GOOD, "m.yaml"))
    assert editor.decode('"שלום"'.encode("cp1255")) == editor.decode('"שלום"'.encode()) == '"שלום"'.encode()
    with pytest.raises(Undecodable, match="invalid_utf8: it is neither UTF-8 nor utf-16"):
        Editor(parse_edits("encoding: utf-16", "m.yaml")).decode(b"\xff\xfe\x00")
    assert Editor(parse_edits("remove: [a]", "m.yaml")).decode(b"\xff") == b"\xff"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("encoding: windows-1255", "encoding: base64", "m.yaml:2: encoding: 'base64' is no encoding of text"),
        ("encoding: windows-1255", "encoding: windows-1", "m.yaml:2: encoding: 'windows-1' is no encoding of text"),
        ("zone: Asia/Jerusalem", "zone: Mars", "m.yaml:3: zone: 'Mars' is no time zone"),
        ("rename:", "renam:", "m.yaml:4: renam: unknown key; did you mean rename? known are encoding, rename, values"),
        ("eventId: event_id", "eventId: eventid", "m.yaml:4: rename.eventId: 'eventid' is no field of a touchpoint"),
        ("  source: {", "  sorce: {", "'sorce' is no field of a touchpoint: did you mean source?"),
        ("template:", "templat:", "m.yaml:8: set.order_id.templat: unknown key; did you mean template?"),
        ("{_letter}", "{_letter", "m.yaml:8: set.order_id.template: expected '}' before end of string"),
        ("[properties.debug]", "properties.debug", "m.yaml:10: remove: write a list, such as [a, b]"),
    ],
)
def test_faulty_edits_are_told_in_one_line_with_file_line_and_mend(old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(Misconfigured) as refused:
        parse_edits(GOOD.replace(old, new), "m.yaml")
    assert told in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "hello", "{}", "set: {}", "\x00"])
def test_what_edits_nothing_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"^m\.yaml:\d+: "):
        parse_edits(text, "m.yaml")


def test_edits_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mend.yaml"
    with pytest.raises(Misconfigured, match="no such file: .*mend.yaml"):
        load_edits(file)
    file.write_text(GOOD, "utf-8-sig")
    assert load_edits(file) == parse_edits(GOOD, "m.yaml")


def test_the_example_in_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs/dead-letters.md").read_text("utf-8")
    ((example, _),) = [part.split("```", 1) for part in page.split("```yaml\n")[1:]]
    edited = Editor(parse_edits(example, "m.yaml")).edit({"eventId": "e", "source": "shop", "at": 0}, LETTER)
    assert edited.pop("event_id") == "mended-touchpoints-1-2"
    assert edited == {
        "source": "store",
        "at": 0,
        "properties": {"currency": "ILS"},
        "order_id": "unknown",
        "occurred_at": "1970-01-01T00:00:00.000Z",
    }
