from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from producers.mapped_rows import Rejected, RowMapper, Skipped
from producers.mapping import Mapping, parse_mapping
from schemas.errors import Undecodable
from schemas.wire import check_touchpoint

CELLS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.integers(), max_size=2)
)


def mapping(**rules: Any) -> Mapping:
    fields: dict[str, Any] = {
        "event_id": {"template": "e-{_line}"},
        "source": {"constant": "web"},
        "type": {"constant": "kiosk"},
        "occurred_at": {"constant": "2026-11-21T10:00:00Z"},
        "identifiers.customer_id": {"constant": "C-1"},
    }
    zone = rules.pop("zone", None)
    return Mapping.model_validate(
        {"zone": zone, "fields": {**fields, **{k.replace("__", "."): v for k, v in rules.items()}}}
    )


def mapped(row: dict[str, Any], line: int = 7, **rules: Any) -> dict[str, Any]:
    return RowMapper(mapping(**rules)).map_row(row, line)


def test_constants_columns_and_templates_fill_any_field() -> None:
    found = mapped(
        {"u": "7", "o": {"id": "O-7"}},
        event_id={"template": "{u}/{o.id}/{_line}"},
        order_id="o.id",
        properties__line="_line",
    )
    assert (found["event_id"], found["order_id"], found["properties"]) == ("7/O-7/7", "O-7", {"line": 7})


@pytest.mark.parametrize("row", [{}, {"u": ""}, {"u": None}])
def test_a_template_with_nothing_to_fill_in_leaves_its_field_out(row: dict[str, Any]) -> None:
    assert "event_id" not in mapped(row, event_id={"template": "x-{u}"})


def test_an_empty_cell_is_nothing_unless_there_is_a_default() -> None:
    assert "channel" not in mapped({"c": ""}, channel="c")
    assert mapped({"c": ""}, channel={"column": "c", "default": "app"})["channel"] == "app"


def test_values_are_replaced_kept_rejected_or_their_rows_skipped() -> None:
    rule = {"column": "e", "values": {"buy": "purchased", "bot": None}}
    assert mapped({"e": "buy"}, type=rule)["type"] == "purchased"
    assert mapped({"e": "look"}, type={**rule, "unlisted": "keep"})["type"] == "look"
    assert mapped({"e": "look"}, type={**rule, "otherwise": "other"})["type"] == "other"
    for row, mode in (({"e": "bot"}, "reject"), ({"e": "look"}, "skip")):
        with pytest.raises(Skipped):
            mapped(row, type={**rule, "unlisted": mode})
    with pytest.raises(Rejected, match=r"^unlisted_value: type: 'look' is not among"):
        mapped({"e": "look"}, type=rule)


@pytest.mark.parametrize(
    ("wanted", "cell", "value"),
    [("int", "12", 12), ("int", 12.0, 12), ("float", "1.5", 1.5), ("bool", "Yes", True), ("bool", "0", False),
     ("bool", True, True), ("text", 12, "12"), ("time", "2026-11-21T10:00:00+02:00", "2026-11-21T08:00:00.000Z")],
)  # fmt: skip
def test_properties_have_the_type_that_is_asked_for(wanted: str, cell: Any, value: Any) -> None:
    found = mapped({"x": cell}, properties__x={"column": "x", "as": wanted})["properties"]["x"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("wanted", "cell"),
    [("int", "1.5"), ("int", 1.5), ("int", "1" * 5000), ("float", "much"), ("bool", "maybe"), ("time", "soon"),
     ("int", [1])],
)  # fmt: skip
def test_a_cell_of_another_type_is_rejected_by_name_and_briefly(wanted: str, cell: Any) -> None:
    with pytest.raises(Rejected, match=rf"^unreadable_value: properties\.x: .* is no {wanted}$") as refused:
        mapped({"x": cell}, properties__x={"column": "x", "as": wanted})
    assert len(str(refused.value)) < 160


@pytest.mark.parametrize(
    ("rule", "cell", "moment"),
    [
        ({}, "2026-07-01 10:00:00", "2026-07-01T07:00:00.000Z"),
        ({}, "2026-01-01T10:00:00.25", "2026-01-01T08:00:00.250Z"),
        ({}, "2026-07-01T10:00:00Z", "2026-07-01T10:00:00.000Z"),
        ({"zone": "UTC"}, "2026-07-01 10:00:00", "2026-07-01T10:00:00.000Z"),
        ({"format": "%d/%m/%Y %H:%M"}, "01/07/2026 10:00", "2026-07-01T07:00:00.000Z"),
        ({"format": "%d/%m/%Y %H:%M %z"}, "01/07/2026 10:00 +0000", "2026-07-01T10:00:00.000Z"),
        ({"format": "epoch_s"}, "1782892800.5", "2026-07-01T08:00:00.500Z"),
        ({"format": "epoch_ms"}, 1782892800123, "2026-07-01T08:00:00.123Z"),
        # The hour that comes twice when summer time ends: its first.
        ({}, "2026-10-25 01:30:00", "2026-10-24T22:30:00.000Z"),
    ],
)
def test_times_are_read_by_format_and_zone(rule: dict[str, Any], cell: Any, moment: str) -> None:
    assert mapped({"t": cell}, zone="Asia/Jerusalem", occurred_at={"column": "t", **rule})["occurred_at"] == moment


def test_a_time_without_any_zone_is_rejected_and_told() -> None:
    with pytest.raises(Rejected, match=r"^naive_time: occurred_at: .* state `zone:` in the mapping"):
        mapped({"t": "2026-07-01 10:00"}, occurred_at="t")


@pytest.mark.parametrize("rule", [{"zone": "Mars/Olympus"}, {"zone": "../etc/passwd"}, {"format": "DD/MM/YYYY"}])
def test_a_zone_or_format_that_cannot_work_is_told_before_the_first_row(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"fields\.occurred_at"):
        mapping(occurred_at={"column": "t", **rule})


def test_numbers_become_text_where_the_envelope_has_text() -> None:
    found = mapped({"u": 17}, identifiers__customer_id="u", order_id="u")
    assert found["identifiers"]["customer_id"] == "17" == found["order_id"]


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), CELLS), st.integers(1, 10**9))
def test_every_row_is_mapped_skipped_or_rejected(row: dict[str, Any], line: int) -> None:
    rules: dict[str, Any] = {
        "event_id": {"template": "{a}-{_line}"},
        "occurred_at": {"column": "a", "format": "epoch_s"},
        "sent_at": {"column": "b", "zone": "Europe/Berlin"},
        "type": {"column": "b", "values": {"x": None, "y": "kiosk"}, "unlisted": "keep"},
        "identifiers.phone": "c",
        "properties.f": {"column": "a", "as": "float"},
        "properties.i": {"column": "b", "as": "int"},
        "properties.b": {"column": "c", "as": "bool"},
        "properties.t": {"column": "c", "as": "text"},
        "properties.any": "a",
    }
    try:
        check_touchpoint(RowMapper(mapping(**rules)).map_row(row, line))
    except (Rejected, Skipped, Undecodable):
        return


def test_a_mapping_text_and_its_mapper_agree() -> None:
    text = "fields: {event_id: id, source: s, type: t, occurred_at: at, identifiers.email: mail}"
    row = {"id": "1", "s": "web", "t": "kiosk", "at": "2026-11-21T10:00:00Z", "mail": "d@shop.example"}
    assert RowMapper(parse_mapping(text, "m")).map_row(row, 2)["identifiers"] == {"email": "d@shop.example"}
