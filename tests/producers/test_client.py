from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaConsumer

from deploy.local.stack import LocalStack
from producers.client import MAX_BYTES, Client, new_event_id
from producers.emitters import MemoryEmitter
from producers.time_bounds import TimeBounds
from producers.topics import create_topics
from schemas.errors import Misconfigured, Transient, Undecodable
from schemas.fact import parse_fact
from schemas.identifiers import Pseudonymiser, is_pseudonym
from schemas.wire import parse_touchpoint

HIDER = Pseudonymiser(b"a key of thirty-two bytes or more", "k1", "IL")
WHO = {"customer_id": "C-1", "anonymous_id": "a-9"}


def sent(emitter: MemoryEmitter) -> list[dict[str, Any]]:
    return [msgspec.json.decode(record.value) for record in emitter.records]


def test_what_is_tracked_is_a_valid_touchpoint_under_its_strongest_identifier() -> None:
    emitter = MemoryEmitter()
    with Client(emitter) as client:
        event_id = client.track("page_viewed", source="web", identifiers=WHO, properties={"url": "/"}, channel="app")
    touchpoint = parse_touchpoint(emitter.records[0].value)
    assert emitter.records[0].key == b"customer_id:C-1" and touchpoint.event_id == event_id
    assert (
        touchpoint.channel == "app" and touchpoint.received_at == touchpoint.occurred_at and touchpoint.sent_at is None
    )


def test_personal_identifiers_never_leave_in_the_clear() -> None:
    emitter = MemoryEmitter()
    with Client(emitter, HIDER) as client:
        for phone in ("050-1234567", "+972 50 123 4567"):
            client.track("identified", source="web", identifiers={"phone": phone, "email": "Dana@shop.example"})
    first, second = emitter.records
    assert first.key == second.key and first.key.startswith(b"phone:hmac-sha256:k1:")
    assert all(is_pseudonym(value) for value in sent(emitter)[0]["identifiers"].values())
    assert b"1234567" not in first.value and b"dana" not in first.value.lower()


def test_a_phone_number_of_nobody_leaves_its_customer_alone() -> None:
    emitter = MemoryEmitter()
    with Client(emitter, HIDER) as client:
        client.track("identified", source="web", identifiers={"phone": "1111111111", "anonymous_id": "a-9"})
    assert emitter.records[0].key == b"anonymous_id:a-9" and sent(emitter)[0]["identifiers"] == {"anonymous_id": "a-9"}


def test_without_a_key_a_personal_identifier_is_refused_and_not_sent() -> None:
    emitter = MemoryEmitter()
    with Client(emitter) as client, pytest.raises(Misconfigured, match="JOURNEYS_IDENTIFIER_KEY"):
        client.track("identified", source="web", identifiers={"email": "dana@shop.example"})
    assert emitter.records == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"type": "order_placed", "properties": {"amount": 1}}, "invalid_property: properties.currency: "),
        ({"source": "shop"}, "unknown_source: source: "),
        ({"identifiers": {"customer_id": "-1"}}, "placeholder_identifier: identifiers.customer_id: '-1'"),
        ({"identifiers": {"customer_id": "(not set)"}}, "placeholder_identifier: identifiers.customer_id: '(not set)'"),
        ({"identifiers": {"phone": "1111111111"}}, "placeholder_identifier: identifiers.phone: a placeholder"),
        ({"type": "customers_merged", "identifiers": {"anonymous_id": "a-9"},
          "properties": {"merged_id": "C-2", "reason": "twice"}}, "missing_field: identifiers.customer_id: "),
        ({"type": "customers_merged", "properties": {"merged_id": "C-1", "reason": "twice"}},
         "invalid_property: properties.merged_id: is the same as customer_id"),
        ({"type": "customers_merged", "properties": {"merged_id": "unknown", "reason": "twice"}},
         "invalid_property: properties.merged_id: 'unknown' names nobody"),
        ({"identifiers": {"phone": "call me"}}, "invalid_identifier: identifiers.phone: not a phone number"),
        ({"occurred_at": datetime(2026, 1, 1)}, "naive_time: occurred_at: time has no zone"),
        ({"event_id": ""}, "invalid_field: event_id: "),
        ({"properties": {"x": float("nan")}}, "invalid_json: nan is no JSON number"),
        ({"properties": {"x": "x" * MAX_BYTES}}, "too_large: "),
    ],
)  # fmt: skip
def test_a_wrong_touchpoint_is_told_in_one_line_and_not_sent(changed: dict[str, Any], told: str) -> None:
    emitter, good = MemoryEmitter(), {"type": "kiosk", "source": "web", "identifiers": WHO}
    with Client(emitter, HIDER) as client, pytest.raises(Undecodable) as refused:
        client.track(**{**good, **changed})
    assert str(refused.value).startswith(told) and "\n" not in str(refused.value)
    assert emitter.records == []


def test_a_whole_touchpoint_keeps_its_own_received_at_and_a_replayed_one_gets_none() -> None:
    emitter = MemoryEmitter()
    touchpoint = {
        "event_id": "1",
        "source": "web",
        "type": "kiosk",
        "occurred_at": "2026-01-01T00:00:00Z",
        "identifiers": WHO,
    }
    with Client(emitter) as client:
        client.emit(touchpoint)
        client.emit({**touchpoint, "received_at": "2026-01-02T00:00:00Z"})
        client.replay(touchpoint, (("h", b"1"),))
    doors = [found.get("received_at") for found in sent(emitter)]
    assert doors[0] is not None and doors[0] > "2026-01-02" and doors[1:] == ["2026-01-02T00:00:00Z", None]
    assert emitter.records[2].headers == (("h", b"1"),)


def test_what_the_broker_refuses_is_reported_by_event_and_never_as_delivered() -> None:
    client = Client(MemoryEmitter(lambda record: "no space" if b'"bad"' in record.value else None))
    for event_id in ("good", "bad"):
        client.track("kiosk", source="web", identifiers=WHO, event_id=event_id)
    report = client.flush()
    assert report.delivered == 1 and [(u.event_id, u.reason) for u in report.undelivered] == [("bad", "no space")]
    assert client.close().delivered == 0


def test_leaving_without_looking_raises_what_was_not_delivered() -> None:
    with pytest.raises(Transient, match="1 of 1 touchpoints were not delivered; first bad: full"), \
            Client(MemoryEmitter(lambda _: "full")) as client:  # fmt: skip
        client.track("kiosk", source="web", identifiers=WHO, event_id="bad")


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2))
def test_event_ids_are_uuid_7_and_sort_by_time(moments_ms: list[int]) -> None:
    ids = [new_event_id(moment) for moment in moments_ms]
    assert len(set(ids)) == len(ids) and all(UUID(i).version == 7 for i in ids)
    by_id = [moment for _, moment in sorted(zip(ids, moments_ms, strict=True))]
    assert by_id == sorted(moments_ms)


RESTOCK = {"sku": "K-1", "store_id": "S-1"}


def test_a_fact_is_stated_under_what_it_is_about_where_facts_go() -> None:
    emitter, facts = MemoryEmitter(), MemoryEmitter()
    with Client(emitter, facts=facts) as client:
        event_id = client.state("restocked", source="store", properties=RESTOCK)
        client.state("source_heartbeat", source="web", store_id="S-1", channel="app", event_id="h")
    assert emitter.records == [] and [record.key for record in facts.records] == [
        b"restocked:K-1@S-1", b"source_heartbeat:web",
    ]  # fmt: skip
    restocked, heartbeat = (parse_fact(record.value) for record in facts.records)
    assert restocked.event_id == event_id and restocked.received_at == restocked.occurred_at
    assert (heartbeat.event_id, heartbeat.store_id, heartbeat.channel) == ("h", "S-1", "app")


def test_touchpoints_and_facts_are_told_apart_by_type_and_by_whom_they_concern() -> None:
    emitter, facts = MemoryEmitter(), MemoryEmitter()
    fact = {
        "event_id": "1",
        "source": "store",
        "type": "restocked",
        "occurred_at": "2026-01-01T00:00:00Z",
        "properties": RESTOCK,
    }
    with Client(emitter, facts=facts) as client:
        client.emit(fact)
        client.replay({**fact, "identifiers": {}}, (("h", b"1"),))
        client.emit({**fact, "identifiers": WHO})
        with pytest.raises(Undecodable, match="no_identifier"):
            client.emit({**fact, "type": "kiosk"})
    assert [record.key for record in emitter.records] == [b"customer_id:C-1"]
    emitted, replayed = facts.records
    assert b"received_at" in emitted.value and b"received_at" not in replayed.value
    assert emitted.headers == () and replayed.headers == (("h", b"1"),)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"type": "restock"}, "invalid_field: type: restock is no type of fact"),
        ({"properties": {}}, "invalid_property: properties.sku: field required"),
        ({"properties": {**RESTOCK, "x": "x" * MAX_BYTES}}, "too_large: "),
        ({"occurred_at": datetime(2020, 1, 1, tzinfo=UTC)}, "too_old: occurred_at is 2020-01-01"),
        ({"occurred_at": datetime(2099, 1, 1, tzinfo=UTC)}, "too_far_ahead: occurred_at is 2099-01-01"),
    ],
)  # fmt: skip
def test_a_wrong_fact_is_told_in_one_line_and_not_sent(changed: dict[str, Any], told: str) -> None:
    facts, good = MemoryEmitter(), {"type": "restocked", "source": "store", "properties": RESTOCK}
    bounds = TimeBounds(timedelta(days=365), timedelta(minutes=5), timedelta(seconds=60))
    with Client(MemoryEmitter(), facts=facts, time_bounds=bounds) as client, pytest.raises(Undecodable) as refused:
        client.state(**{**good, **changed})
    assert str(refused.value).startswith(told) and "\n" not in str(refused.value)
    assert facts.records == []


def test_a_client_that_was_given_no_place_for_facts_says_so() -> None:
    with Client(MemoryEmitter()) as client, pytest.raises(Misconfigured, match="restocked is a fact"):
        client.state("restocked", source="store", properties=RESTOCK)


def test_facts_that_the_broker_refuses_are_reported_with_the_touchpoints() -> None:
    client = Client(MemoryEmitter(), facts=MemoryEmitter(lambda _: "no space"))
    client.track("kiosk", source="web", identifiers=WHO, event_id="good")
    client.state("source_heartbeat", source="web", event_id="bad")
    report = client.close()
    assert report.delivered == 1 and [(u.event_id, u.reason) for u in report.undelivered] == [("bad", "no space")]


@pytest.mark.integration
def test_both_topics_are_reached_over_one_connection(stack: LocalStack) -> None:
    options = {"bootstrap_servers": stack.kafka}
    create_topics(options, 4)
    sku = new_event_id(0)
    with Client.connect(options) as client:
        client.state("restocked", source="store", properties={"sku": sku})
        client.track("kiosk", source="web", identifiers=WHO)
        assert client.flush(20).delivered == 2
        client.state("restocked", source="store", properties={"sku": sku})
    consumer = KafkaConsumer(
        "facts", **options, auto_offset_reset="earliest", consumer_timeout_ms=3_000, metrics_enabled=False
    )
    keys = [record.key for record in consumer if sku.encode() in record.key]
    consumer.close()
    assert keys == [f"restocked:{sku}".encode()] * 2


@pytest.mark.integration
def test_a_stopped_broker_means_undelivered_and_the_memory_stays_bounded(tmp_path: Any) -> None:
    with LocalStack(tmp_path, run_clickhouse=False) as stack:
        options = {"bootstrap_servers": stack.kafka, "delivery_timeout_ms": 1500, "request_timeout_ms": 1000}
        create_topics({"bootstrap_servers": stack.kafka}, 2)
        client = Client.connect(options, limit_bytes=2000, block_seconds=0.2)
        client.track("kiosk", source="web", identifiers=WHO, event_id="before", occurred_at=datetime.now(UTC))
        assert client.flush(20).delivered == 1
        stack.process("kafka").suspend()
        with pytest.raises(Transient, match="bytes wait for a broker"):
            for number in range(100):
                client.track("kiosk", source="web", identifiers=WHO, event_id=f"during-{number}")
        report = client.flush(0.5)
        stack.process("kafka").resume()
        client.close(0.1)
    assert report.delivered == 0 and report.undelivered[0].event_id == "during-0"
    assert 1 <= len(report.undelivered) < 20
