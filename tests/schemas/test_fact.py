from typing import Any

import msgspec
import pytest

from schemas.catalogue import FACT_TYPES
from schemas.errors import Undecodable
from schemas.examples import example_fact
from schemas.fact import Fact, check_fact, encode_fact, fact_key, is_fact, parse_fact
from schemas.json_schema import fact_schema
from schemas.touchpoint import Touchpoint

GOOD = example_fact(FACT_TYPES[0])


def raw(**changed: Any) -> bytes:
    return msgspec.json.encode({**GOOD, **changed})


@pytest.mark.parametrize("entry", FACT_TYPES, ids=lambda entry: entry.name)
def test_every_type_is_read_with_its_properties_and_written_again(entry: Any) -> None:
    fact = parse_fact(encode_fact(example_fact(entry)))
    assert type(fact.properties) is entry.properties and fact.type == entry.name
    assert parse_fact(encode_fact(fact)) == fact
    assert is_fact(example_fact(entry))


def test_a_fact_has_a_touchpoint_s_envelope_without_identifiers() -> None:
    assert [*Fact.model_fields] == [name for name in Touchpoint.model_fields if name != "identifiers"]


@pytest.mark.parametrize(
    ("record", "reason", "detail"),
    [
        (b"", "empty_record", "the record has no value"),
        (None, "empty_record", "the record has no value"),
        (b"\xff", "invalid_utf8", "byte 0 "),
        (b"{", "invalid_json", ""),
        (b"[]", "not_an_object", "one JSON object is expected, not an array"),
        (raw(event_id=None), "missing_field", "event_id: "),
        (raw(type=None), "missing_field", "type: "),
        (raw(type="price_changed"), "invalid_field", "type: price_changed is no type of fact: restocked, "),
        (raw(type="Restocked"), "invalid_field", "type: "),
        (raw(source="shop"), "unknown_source", "source: "),
        (raw(schema_version=2), "unknown_version", "schema_version: "),
        (raw(schema_version=True), "invalid_field", "schema_version: "),
        (raw(occurred_at="2026-11-21T10:00:00"), "naive_time", "occurred_at: "),
        (raw(properties={}), "invalid_property", "properties.sku: field required"),
        (raw(type="stock_level"), "invalid_property", "properties.quantity: field required"),
        (raw(type="source_heartbeat", properties={"counts": [-1]}), "invalid_property", "properties.counts.0: "),
        (raw(identifiers={"customer_id": "C-1"}), "invalid_field", "identifiers: a fact concerns no single customer"),
    ],
)
def test_what_is_no_fact_is_refused_with_its_reason(record: bytes | None, reason: str, detail: str) -> None:
    with pytest.raises(Undecodable) as refused:
        parse_fact(record)
    assert refused.value.reason == reason and refused.value.detail.startswith(detail)


def test_a_fact_that_is_too_large_is_refused() -> None:
    assert parse_fact(raw(), len(raw())).event_id == "restocked-1"
    with pytest.raises(Undecodable, match="too_large"):
        parse_fact(raw(), len(raw()) - 1)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"properties": {"sku": "K-1", "store_id": "S-1"}}, "restocked:K-1@S-1"),
        ({"properties": {"sku": "K-1"}}, "restocked:K-1"),
        ({"properties": {"sku": "K-1"}, "store_id": "S-2"}, "restocked:K-1@S-2"),
        ({"properties": {"sku": "K-1@S-1"}}, "restocked:K-1%40S-1"),
        ({"properties": {"sku": "K-1%40S-1"}}, "restocked:K-1%2540S-1"),
        ({"type": "stock_level", "properties": {"sku": "כ", "store_id": "S", "quantity": 0}}, "stock_level:כ@S"),
        ({"type": "source_heartbeat", "source": "web", "properties": {}}, "source_heartbeat:web"),
        (
            {"type": "source_heartbeat", "properties": {"counted_from": "2026-11-21T02:00:00+02:00", "partition": 3}},
            "source_heartbeat:store#3@2026-11-21T00:00:00.000Z",
        ),
    ],
)
def test_the_key_says_what_a_fact_is_about(changed: dict[str, Any], key: str) -> None:
    assert fact_key(check_fact({**GOOD, **changed})) == key.encode()


def test_the_property_names_the_store_before_the_envelope() -> None:
    assert check_fact({**GOOD, "store_id": "S-9"}).store == "S-1"


def test_only_what_is_about_nobody_means_to_be_a_fact() -> None:
    assert is_fact({**GOOD, "identifiers": {}}) and not is_fact({**GOOD, "identifiers": {"customer_id": "C-1"}})
    assert not is_fact({**GOOD, "type": "purchased"}) and not is_fact({**GOOD, "type": ["restocked"]})


def test_the_schema_states_every_type_and_what_it_needs() -> None:
    schema = fact_schema()
    stated = {rule["if"]["properties"]["type"]["const"]: rule["then"] for rule in schema["allOf"]}
    assert list(stated) == schema["properties"]["type"]["enum"] == [entry.name for entry in FACT_TYPES]
    assert [name for name, then in stated.items() if "properties" in then.get("required", ())] == [
        "restocked",
        "stock_level",
    ]
    assert schema["$defs"]["StockLevel"]["required"] == ["sku", "store_id", "quantity"]
