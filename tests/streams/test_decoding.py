"""The fast decoder gives every record the contract's verdict and values, and never more."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalogue import BY_NAME, CATALOGUE, CUSTOMERS_MERGED, TouchpointType
from schemas.errors import Undecodable
from schemas.examples import example_touchpoint
from schemas.identifiers import Pseudonymiser, record_key, strongest
from schemas.moments import to_epoch_ms
from schemas.topics import REPLAY_HEADER
from schemas.touchpoint import Touchpoint
from schemas.wire import check_time, encode_touchpoint, parse_touchpoint
from streams.decoding import Decoder, Door
from streams.records import Arrival, DecodedChunk
from streams.touch import DETAILS

pytestmark = pytest.mark.no_cover

NOW_MS = to_epoch_ms(datetime(2026, 11, 21, 12, tzinfo=UTC))
DAY_MS = 86_400_000
DOOR = Door(oldest_ms=365 * DAY_MS, ahead_ms=300_000, skew_bound_ms=60_000, max_bytes=262_144)
GOOD = example_touchpoint(BY_NAME["order_placed"])


class Record(NamedTuple):
    """A Kafka record."""

    value: bytes | None
    offset: int = 7
    headers: Sequence[tuple[str, bytes]] = ()
    key: bytes | None = b"customer_id:C-1"
    timestamp: int = NOW_MS


def encoded(**changed: Any) -> bytes:
    return encode_touchpoint({**GOOD, **changed})


def decode(*records: Record, door: Door = DOOR) -> DecodedChunk:
    return Decoder(door).decode("touchpoints", 0, records, NOW_MS)


def judge(raw: bytes | None) -> Touchpoint | str:
    """The contract's verdict at the same door: the touchpoint or the reason against it."""
    try:
        touchpoint = parse_touchpoint(raw, DOOR.max_bytes)
    except Undecodable as refused:
        return refused.reason
    return check_time(to_epoch_ms(touchpoint.occurred_at), NOW_MS, DOOR.oldest_ms, DOOR.ahead_ms) or touchpoint


def check_same(raw: bytes | None) -> DecodedChunk:
    """Assert that the decoder says of these bytes what the contract says."""
    chunk = decode(Record(raw))
    expected = judge(raw)
    if isinstance(expected, str):
        assert [refusal.reason for refusal in chunk.refusals] == [expected] and not chunk.arrivals
        assert chunk.refusals[0].raw == (raw or b"") and "\n" not in chunk.refusals[0].detail
    else:
        assert not chunk.refusals
        check_equal(chunk.arrivals[0], expected)
    return chunk


def check_equal(arrival: Arrival, expected: Touchpoint) -> None:
    wire, touch = arrival.wire, arrival.touch
    for name in ("event_id", "source", "type", "order_id", "case_id", "store_id", "agent_id", "channel"):
        assert getattr(touch, name) == getattr(wire, name) == getattr(expected, name), name
    assert dict(wire.identifiers) == dict(expected.identifiers)
    assert arrival.key == record_key(*strongest(expected.identifiers))
    assert touch.occurred_ms == to_epoch_ms(expected.occurred_at)
    model = type(expected.properties)
    assert model.model_validate_json(bytes(wire.properties)) == expected.properties
    assert touch.details == details_of(expected)


def details_of(touchpoint: Touchpoint) -> dict[str, Any] | None:
    if touchpoint.type not in DETAILS:
        return None
    found = {name: getattr(touchpoint.properties, name, None) for name in DETAILS[touchpoint.type]}
    times = {name: to_epoch_ms(value) for name, value in found.items() if isinstance(value, datetime)}
    return {name: value for name, value in {**found, **times}.items() if value is not None}


def is_fast(chunk: DecodedChunk) -> bool:
    """Whether the arrival came by the fast path, which keeps the text of the time."""
    return chunk.arrivals[0].wire.occurred_at != ""


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=6,
)
ODD_TEXTS = st.sampled_from(
    ["", " ", "x" * 257, "x" * 2049, "a\u0000b", "\u202eab", "\u200f", "\ufeffx", "שלום", "ILS", "ILS\n", "ils", "null",
     "0", "-1", "2026-11-21T10:00:00Z", "2026-11-21T10:00:00", "2026-02-30T10:00:00.000Z", "2026-11-21T23:59:60.000Z",
     "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z", "0000-01-01T00:00:00.000Z",
     "2026-11-21T10:00:00.123+02:00", "2026-11-21T10:00:00.1234567Z", "٢٠٢٦-11-21T10:00:00.000Z",
     "human", "nps", "customer_id"]
)  # fmt: skip
ODD_VALUES = ODD_TEXTS | JSON_VALUES | st.sampled_from([1.0, 2**53, 2**53 + 1, -(2**53), 1e308, 10, 10.0, 11])


def as_json(found: dict[str, Any], escape: bool) -> bytes:
    """As Python writes it, NaN, infinities and lone surrogates too."""
    return json.dumps(found, ensure_ascii=escape).encode("utf-8", "surrogatepass")


@given(st.sampled_from(CATALOGUE), st.data(), st.booleans())
@settings(max_examples=400, deadline=None)
def test_whatever_is_wrong_with_a_touchpoint_both_say_the_same(entry: TouchpointType, data: Any, escape: bool) -> None:
    found = example_touchpoint(entry)
    names = [*found, "order_id", "channel", "schema_version", "colour"]
    for name in data.draw(st.lists(st.sampled_from(names), max_size=2), label="fields"):
        found[name] = data.draw(ODD_VALUES, label=name)
    if isinstance(found["properties"], dict):
        for name in data.draw(st.lists(st.sampled_from([*found["properties"], "x"]), max_size=2), label="properties"):
            found["properties"][name] = data.draw(ODD_VALUES, label=name)
    check_same(as_json(found, escape))


@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=300, deadline=None)
def test_whatever_happens_to_the_bytes_both_say_the_same(inserted: bytes, start: int, cut: int) -> None:
    raw = encoded()
    check_same(raw[:start] + inserted + raw[start + cut :])


KINDS = st.sampled_from(["customer_id", "loyalty_id", "device_id", "anonymous_id", "zip", ""])


NOBODY = ["(not set)", "<null>", "0x0", "00:00:00:00:00:00", "none@none.com", "na@example.org", "0-1"]


@given(st.dictionaries(KINDS, ODD_VALUES | st.sampled_from(["C-1", "a-9", *NOBODY]), max_size=3))
@settings(deadline=None)
def test_whatever_identifiers_come_both_say_the_same(identifiers: dict[str, Any]) -> None:
    check_same(as_json({**GOOD, "identifiers": identifiers}, False))


def test_what_producers_send_takes_the_fast_path() -> None:
    for entry in CATALOGUE:
        chunk = check_same(encode_touchpoint(example_touchpoint(entry)))
        assert is_fast(chunk) == (entry.name != CUSTOMERS_MERGED), entry.name


@given(
    st.dictionaries(KINDS, st.sampled_from(["C-1", "C-2", "(not set)"]), max_size=2),
    ODD_VALUES | st.sampled_from(["C-1", "C-2", *NOBODY]),
)
@settings(deadline=None)
def test_whichever_two_customers_a_merge_record_names_both_say_the_same(
    identifiers: dict[str, str], merged_id: object
) -> None:
    merge = example_touchpoint(BY_NAME[CUSTOMERS_MERGED])
    properties = {**merge["properties"], "merged_id": merged_id}
    check_same(as_json({**merge, "identifiers": identifiers, "properties": properties}, False))


def nested(levels: int) -> bytes:
    return encoded(type="kiosk", properties={"x": 1}).replace(b'"x":1', b'"x":' + b"[" * levels + b"]" * levels)


def merge_of(merged_id: str, identifiers: dict[str, str] | None = None) -> bytes:
    merge = example_touchpoint(BY_NAME[CUSTOMERS_MERGED])
    properties = {**merge["properties"], "merged_id": merged_id}
    return encode_touchpoint({**merge, "identifiers": identifiers or {"customer_id": "C-1"}, "properties": properties})


CORPUS: dict[str, tuple[bytes | None, str | None]] = {
    "truncated": (encoded()[:-1], "invalid_json"),
    "tombstone": (None, "empty_record"),
    "empty": (b"", "empty_record"),
    "invalid utf-8": (encoded(event_id="X").replace(b"X", b"\xe9"), "invalid_utf8"),
    "invalid utf-8 in properties": (encoded(properties={"x": "X"}, type="k").replace(b"X", b"\xe9"), "invalid_utf8"),
    "byte-order mark": (b"\xef\xbb\xbf" + encoded(), None),
    "lone surrogate": (encoded(properties={"x": "X"}, type="k").replace(b"X", b"\\ud800"), "invalid_json"),
    "NaN": (encoded().replace(b"129.9", b"NaN"), "invalid_json"),
    "1e999 beside": (encoded(properties={"x": 1}, type="k").replace(b'"x":1', b'"x":1e999'), "invalid_json"),
    "5,000 digits beside": (
        encoded(properties={"x": 1}, type="k").replace(b'"x":1', b'"x":' + b"9" * 5000),
        "invalid_json",
    ),
    "10 MB": (encoded(properties={"x": "y" * 10_000_000}, type="k"), "too_large"),
    "10,000 deep": (nested(10_000), "invalid_json"),
    "64 deep": (nested(62), None),
    "65 deep": (nested(63), "invalid_json"),
    "naive time": (encoded(occurred_at="2026-11-21T10:00:00.000"), "naive_time"),
    "year 1": (encoded(occurred_at="0001-01-01T00:00:00.000Z"), "too_old"),
    "year 9999": (encoded(occurred_at="9999-12-31T23:59:59.999Z"), "too_far_ahead"),
    "epoch number": (encoded(occurred_at=1_790_000_000), "invalid_field"),
    "epoch text": (encoded(occurred_at="1790000000"), "invalid_field"),
    "hour 24": (encoded(occurred_at="2026-11-20T24:00:00.000Z"), "invalid_field"),
    "number as id": (encoded(event_id=7), "invalid_field"),
    "empty identifier": (encoded(identifiers={"customer_id": ""}), "placeholder_identifier"),
    "placeholder": (encoded(identifiers={"customer_id": "Unknown"}), "placeholder_identifier"),
    "placeholder in brackets": (encoded(identifiers={"customer_id": "(not set)"}), "placeholder_identifier"),
    "address of nobody": (encoded(identifiers={"email": "none@none.com"}), "placeholder_identifier"),
    "device of zeros": (encoded(identifiers={"device_id": "00:00:00:00:00:00"}), "placeholder_identifier"),
    "placeholder beside a customer": (encoded(identifiers={"customer_id": "C-1", "device_id": "0x0"}), None),
    "merge without a customer": (merge_of("C-2", {"anonymous_id": "a-9"}), "missing_field"),
    "merge with itself": (merge_of("C-1"), "invalid_property"),
    "merge with nobody": (merge_of("null"), "invalid_property"),
    "merge with a blank": (merge_of(" C-2"), "invalid_property"),
    "merge with too long a name": (merge_of("x" * 257), "invalid_property"),
    "merge": (merge_of("C-2", {"customer_id": "C-1", "anonymous_id": "a-9"}), None),
    "right-to-left mark": (encoded(order_id="O\u200f-7"), "invalid_field"),
    "NUL": (encoded(event_id="a\u0000"), "invalid_field"),
    "NUL in identifier": (encoded(identifiers={"customer_id": "a\u0000"}), "invalid_identifier"),
    "unknown field": (encoded(colour="blue"), None),
    "repeated field": (b'{"event_id":7,"event_id":"x",' + encoded()[1:], None),
    "repeated identifiers": (b'{"identifiers":{"customer_id":"D"},' + encoded()[1:], None),
    "null properties": (encoded()[:-1] + b',"properties":null}', "invalid_field"),
    "currency with a line feed": (encoded(properties={"amount": 1, "currency": "ILS\n"}), "invalid_property"),
    "whole float as version": (encoded()[:-1] + b',"schema_version":1.0}', "invalid_field"),
    "many brackets": (encoded(properties={"x": [[]] * 500}, type="kiosk"), None),
    "many brackets in a signal": (encoded(properties={**GOOD["properties"], "lines": [{"a": [1]}] * 500}), None),
    "brackets in text": (encoded(properties={**GOOD["properties"], "note": "[{" * 500}), None),
    "Hebrew": (encoded(order_id="הזמנה-7", properties={**GOOD["properties"], "note": "שלום"}), None),
    "Hebrew, escaped": (as_json({**GOOD, "order_id": "הזמנה-7"}, True), None),
    "hold without sku, by the contract": (
        encode_touchpoint({**example_touchpoint(BY_NAME["hold_collected"]), "colour": 1, "properties": {}}),
        None,
    ),
}


@pytest.mark.parametrize(("raw", "reason"), CORPUS.values(), ids=CORPUS.keys())
def test_odd_input_is_refused_for_its_reason_or_accepted(raw: bytes | None, reason: str | None) -> None:
    chunk = check_same(raw)
    assert [refusal.reason for refusal in chunk.refusals] == ([reason] if reason else [])


@pytest.mark.parametrize("raw", [raw for raw, _ in CORPUS.values()], ids=CORPUS.keys())
def test_a_bad_record_costs_its_neighbours_nothing(raw: bytes | None) -> None:
    records = [Record(encoded(event_id=f"e-{n}"), n) for n in range(500)]
    records[250] = Record(raw, 250)
    chunk = decode(*records)
    assert [a.offset for a in chunk.arrivals if a.offset != 250] == [n for n in range(500) if n != 250]
    assert len(chunk.arrivals) + len(chunk.refusals) == 500 and chunk.next_offset == 500
    assert all(a.wire.event_id == f"e-{a.offset}" and a.touch.occurred_ms for a in chunk.arrivals if a.offset != 250)


@pytest.mark.parametrize("type_name", ["page_viewed", "visit_started"])
def test_details_that_no_model_names_are_kept_when_they_are_text(type_name: str) -> None:
    viewed = example_touchpoint(BY_NAME[type_name])
    decoder = Decoder(DOOR, {type_name: ("segment",)})
    for segment, details in (("vip", {"segment": "vip"}), (["vip"], {}), (None, {})):
        for beside in ({}, {"colour": "blue"}):
            raw = encode_touchpoint({**viewed, **beside, "properties": {**viewed["properties"], "segment": segment}})
            [arrival] = decoder.decode("touchpoints", 0, [Record(raw)], NOW_MS).arrivals
            assert arrival.touch.details == details


def test_replay_lifts_the_lower_bound_and_nothing_else() -> None:
    replay = [(REPLAY_HEADER, b"1")]
    old, older, ahead = (encoded(occurred_at=f"{year}-01-01T00:00:00.000Z") for year in (1999, 1969, 2027))
    assert [r.reason for r in decode(Record(old)).refusals] == ["too_old"]
    assert decode(Record(old, headers=replay)).arrivals[0].touch.occurred_ms == to_epoch_ms(
        datetime(1999, 1, 1, tzinfo=UTC)
    )
    assert [r.reason for r in decode(Record(older, headers=replay)).refusals] == ["too_old"]
    assert [r.reason for r in decode(Record(ahead, headers=replay)).refusals] == ["too_far_ahead"]


def test_nothing_is_older_than_1970_however_old_it_may_be() -> None:
    door = Door(oldest_ms=100 * 365 * DAY_MS, ahead_ms=0, skew_bound_ms=0, max_bytes=1_000)
    chunk = decode(Record(encoded(occurred_at="1969-12-31T23:59:59.999Z")), door=door)
    assert [refusal.reason for refusal in chunk.refusals] == ["too_old"]


@pytest.mark.parametrize(("skew_seconds", "moved_ms"), [(60, 0), (61, 61_000), (-61, -61_000)])
def test_a_clock_that_is_off_is_corrected_and_the_original_kept(skew_seconds: int, moved_ms: int) -> None:
    received = datetime(2026, 11, 21, 11, 0, skew_seconds % 60, tzinfo=UTC)
    received = received.replace(minute=(skew_seconds // 60) % 60, hour=11 if skew_seconds > 0 else 10)
    raw = encoded(sent_at="2026-11-21T11:00:00Z", received_at=received)
    [arrival] = decode(Record(raw)).arrivals
    original = to_epoch_ms(datetime.fromisoformat(GOOD["occurred_at"]))
    assert (arrival.original_ms, arrival.touch.occurred_ms) == (original, original + moved_ms)
    assert arrival.touch.received_ms == to_epoch_ms(received)


def test_personal_identifiers_are_hidden_or_refused() -> None:
    raw = encoded(identifiers={"email": "Dana@Shop.example", "anonymous_id": "a-9"})
    assert [refusal.reason for refusal in decode(Record(raw)).refusals] == ["invalid_identifier"]
    hiding = Pseudonymiser(b"k" * 32, "k1", "IL")
    door = Door(DOOR.oldest_ms, DOOR.ahead_ms, DOOR.skew_bound_ms, DOOR.max_bytes, hiding)
    [arrival] = decode(Record(raw), door=door).arrivals
    assert arrival.wire.identifiers == {"email": hiding.hide("email", "dana@shop.example"), "anonymous_id": "a-9"}
    assert arrival.key.startswith("email:hmac-sha256:k1:")
    assert b"ana@" not in msgspec.msgpack.encode(arrival.wire.identifiers)
    wrong = decode(Record(encoded(identifiers={"phone": "call me"})), door=door)
    assert [refusal.reason for refusal in wrong.refusals] == ["invalid_identifier"]
    repeated = decode(Record(encoded(identifiers={"phone": "1111111111"})), door=door)
    assert [refusal.reason for refusal in repeated.refusals] == ["placeholder_identifier"]
    [arrival] = decode(Record(encoded(identifiers={"phone": "1111111111", "anonymous_id": "a-9"})), door=door).arrivals
    assert arrival.wire.identifiers == {"anonymous_id": "a-9"} and arrival.key == "anonymous_id:a-9"
