from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import BY_NAME, CATALOGUE
from schemas.dead_letter import REASONS, WHAT_TO_DO
from schemas.errors import Undecodable
from schemas.examples import example_touchpoint
from schemas.wire import MAX_NESTING, check_time, check_touchpoint, encode_touchpoint, parse_touchpoint

GOOD = example_touchpoint(BY_NAME["order_placed"])
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


def encoded(**changed: Any) -> bytes:
    return encode_touchpoint({**GOOD, **changed})


def reason_of(raw: bytes | None) -> str:
    with pytest.raises(Undecodable) as refused:
        parse_touchpoint(raw, 262_144)
    assert "\n" not in refused.value.detail and refused.value.reason in REASONS
    return refused.value.reason


def nested(levels: int) -> bytes:
    """A touchpoint of that many levels: itself, its properties, and lists."""
    return encoded(type="kiosk").replace(
        b'"properties":{', b'"properties":{"x":' + b"[" * (levels - 2) + b"]" * (levels - 2) + b","
    )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "empty_record"),
        (b"", "empty_record"),
        (b"x" * 10_000_000, "too_large"),
        (encoded()[:-1], "invalid_json"),
        (b"\xef\xbb\xbf", "invalid_json"),
        (b"caf\xe9", "invalid_utf8"),
        (encoded().decode().encode("utf-16"), "invalid_utf8"),
        (encoded(event_id="X").replace(b"X", b"\xed\xa0\x80"), "invalid_utf8"),
        (encoded(event_id="X").replace(b"X", b"\\ud800"), "invalid_json"),
        (encoded().replace(b"129.9", b"NaN"), "invalid_json"),
        (encoded().replace(b"129.9", b"-Infinity"), "invalid_json"),
        (encoded().replace(b"129.9", b"1e999"), "invalid_json"),
        (encoded().replace(b"129.9", b"1" * 5000), "invalid_json"),
        (encoded() + b"{}", "invalid_json"),
        (b"{" * 10_000, "invalid_json"),
        (b"[" * 10_000 + b"]" * 10_000, "invalid_json"),
        (nested(MAX_NESTING + 1), "invalid_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"7", "not_an_object"),
        (b"{}", "missing_field"),
        (encoded(event_id=None), "missing_field"),
        (encoded().replace(b'"order_placed-1"', b"null"), "missing_field"),
        (encoded(occurred_at=None), "missing_field"),
        (encoded(event_id=7), "invalid_field"),
        (encoded(event_id=""), "invalid_field"),
        (encoded(event_id="a\u0000b"), "invalid_field"),
        (encoded(order_id="\u202eO-7"), "invalid_field"),
        (encoded(properties=[]), "invalid_field"),
        (encoded(occurred_at=1_790_000_000), "invalid_field"),
        (encoded(occurred_at="yesterday"), "invalid_field"),
        (encoded(sent_at="2026-13-01T00:00:00Z"), "invalid_field"),
        (encoded(identifiers=["C-1"]), "invalid_field"),
        (encoded(source="shop"), "unknown_source"),
        (encoded(source=7), "invalid_field"),
        (encoded(schema_version=2), "unknown_version"),
        (encoded(schema_version="1"), "invalid_field"),
        (encoded(schema_version=True), "invalid_field"),
        (encoded(identifiers=None), "no_identifier"),
        (encoded(identifiers={}), "no_identifier"),
        (encoded(identifiers={"zip": "1234"}), "no_identifier"),
        (encoded(identifiers={"customer_id": None}), "no_identifier"),
        (encoded(identifiers={"customer_id": "unknown", "phone": "-1"}), "placeholder_identifier"),
        (encoded(identifiers={"customer_id": ""}), "placeholder_identifier"),
        (encoded(identifiers={"customer_id": "(not set)", "device_id": "00:00:00:00:00:00"}), "placeholder_identifier"),
        (encoded(identifiers={"phone": "(000) 000-0000", "email": "none@none.com"}), "placeholder_identifier"),
        (encoded(identifiers={"customer_id": 17}), "invalid_identifier"),
        (encoded(identifiers={"customer_id": "C\u200f1"}), "invalid_identifier"),
        (encoded(identifiers={"customer_id": "C-1", "anonymous_id": "x" * 257}), "invalid_identifier"),
        (encoded(occurred_at="2026-11-21T10:00:00"), "naive_time"),
        (encoded(received_at="2026-11-21 10:00"), "naive_time"),
        (encoded(properties={"amount": 1}), "invalid_property"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_bad_input_is_refused_for_its_reason(raw: bytes | None, reason: str) -> None:
    assert reason_of(raw) == reason


def test_every_field_at_fault_is_named() -> None:
    with pytest.raises(Undecodable, match=r"^invalid_identifier: identifiers\.email: input should be a valid string$"):
        check_touchpoint({**GOOD, "identifiers": {"customer_id": "C-1", "email": 5}})


@pytest.mark.parametrize(
    "raw",
    [b"\xef\xbb\xbf" + encoded(), b" \n" + encoded() + b"\n", encoded(colour="blue"), nested(MAX_NESTING),
     encoded(case_id=None)],
    ids=["byte-order mark", "white space", "unknown field", "deepest", "null"],
)  # fmt: skip
def test_odd_but_valid_input_is_accepted(raw: bytes) -> None:
    assert parse_touchpoint(raw).event_id == "order_placed-1"


def test_years_1_and_9999_are_readable_and_outside_the_bounds_of_time() -> None:
    for year, reason in (("0001", "too_old"), ("9999", "too_far_ahead")):
        moment = parse_touchpoint(encoded(occurred_at=f"{year}-01-01T00:00:00+02:00")).occurred_at
        assert check_time(int(moment.timestamp() * 1000), 1_790_000_000_000, None, 300_000) == reason


def test_only_identifiers_that_name_somebody_remain() -> None:
    given_identifiers = {"anonymous_id": "a-9", "customer_id": "unknown", "zip": 7, "email": None}
    assert parse_touchpoint(encoded(identifiers=given_identifiers)).identifiers == {"anonymous_id": "a-9"}


MERGE = example_touchpoint(BY_NAME["customers_merged"])
MERGED = MERGE["properties"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"identifiers": {"loyalty_id": "L-1"}}, "missing_field: identifiers.customer_id: needed, as it says which "),
        ({"identifiers": {"customer_id": "nil", "anonymous_id": "a-9"}}, "missing_field: identifiers.customer_id: "),
        ({"identifiers": {"customer_id": MERGED["merged_id"]}}, "invalid_property: properties.merged_id: is the same "),
        *(
            ({"properties": {**MERGED, "merged_id": wrong}}, f"invalid_property: properties.merged_id: {told}")
            for wrong, told in [
                ("(not set)", "'(not set)' names nobody in particular: give "),
                ("0000", "'0000' names nobody in particular: give "),
                *((unclean, "must be 1 to 256 printable") for unclean in ("", " C-2", "C-2\n", "C\x002", "x" * 257)),
                (7, "input should be a valid string"),
            ]
        ),
    ],
)  # fmt: skip
def test_a_merge_record_that_joins_no_two_customers_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(Undecodable) as refused:
        parse_touchpoint(encode_touchpoint({**MERGE, **changed}))
    assert str(refused.value).startswith(told) and "\n" not in str(refused.value)


@pytest.mark.parametrize("merged_id", ["x" * 256, "לקוח 7", "c-1", "phone:1"])
def test_a_merge_record_takes_any_other_customer(merged_id: str) -> None:
    found = check_touchpoint({**MERGE, "properties": {**MERGED, "merged_id": merged_id}})
    assert found.properties.model_dump()["merged_id"] == merged_id


@given(st.binary(max_size=200) | ANY_JSON.map(msgspec.json.encode))
def test_no_bytes_do_more_than_be_refused(raw: bytes) -> None:
    try:
        parse_touchpoint(raw)
    except Undecodable as refused:
        assert refused.reason in REASONS


@given(st.sampled_from(sorted([*GOOD, "order_id", "sent_at", "schema_version"])), ANY_JSON)
def test_no_field_does_more_than_be_refused(name: str, value: Any) -> None:
    try:
        parse_touchpoint(encoded(**{name: value}))
    except Undecodable as refused:
        assert refused.reason in REASONS


@given(st.sampled_from(CATALOGUE), st.dictionaries(st.text(max_size=9).map("x_".__add__), ANY_JSON, max_size=3))
def test_what_is_written_is_read_back_the_same(entry: Any, extra: dict[str, Any]) -> None:
    example = example_touchpoint(entry)
    touchpoint = check_touchpoint({**example, "properties": {**example["properties"], **extra}})
    once = parse_touchpoint(encode_touchpoint(touchpoint))
    assert once == touchpoint and parse_touchpoint(encode_touchpoint(once)) == once


def test_aware_datetimes_are_written_as_the_wire_has_them() -> None:
    assert parse_touchpoint(encoded(occurred_at=datetime(2026, 11, 21, tzinfo=UTC))).occurred_at.isoformat() == (
        "2026-11-21T00:00:00+00:00"
    )


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        [{"deep": float("-inf")}],
        "\ud800",
        10**30,
        pytest.param(object(), id="an object of no JSON type"),
    ],
    ids=repr,
)
def test_what_json_cannot_say_is_never_written_as_something_else(value: object) -> None:
    with pytest.raises(Undecodable, match="invalid_json"):
        encoded(properties={"x": value})


def test_what_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(Undecodable, match="nested deeper"):
        encoded(properties={"x": loop})


@pytest.mark.parametrize(
    ("occurred_at_ms", "oldest_ms", "reason"),
    [(999, 1, None), (998, 1, "too_old"), (1005, 1, None), (1006, 1, "too_far_ahead"),
     (0, None, None), (-1, None, "too_old"), (0, 5000, None), (-1, 5000, "too_old")],
)  # fmt: skip
def test_times_are_bounded_both_ways_and_replay_by_1970(
    occurred_at_ms: int, oldest_ms: int | None, reason: str
) -> None:
    assert check_time(occurred_at_ms, 1000, oldest_ms, 5) == reason


def test_every_reason_says_what_to_do() -> None:
    assert list(WHAT_TO_DO) == list(REASONS)
