from dataclasses import dataclass
from typing import Any

import pytest

from schemas.catalogue import FACT_TYPES
from schemas.examples import example_fact
from schemas.fact import encode_fact
from schemas.moments import format_epoch_ms
from schemas.topics import REPLAY_HEADER
from sinks.tables import FACTS
from streams.decoding import Door
from streams.fact_decoding import FactArrival, decode_facts
from streams.fact_rows import fact_row, fact_rows

SENT_MS = 1_790_000_000_000
DOOR = Door(oldest_ms=1_000_000, ahead_ms=10_000, skew_bound_ms=60_000, max_bytes=1_000)


@dataclass
class Record:
    value: bytes | None
    offset: int = 0
    key: bytes | None = b"key"
    timestamp: int = SENT_MS
    headers: tuple[tuple[str, bytes], ...] = ()


def fact(at_ms: int = SENT_MS, **changed: Any) -> bytes:
    return encode_fact({**example_fact(FACT_TYPES[1]), "occurred_at": format_epoch_ms(at_ms), **changed})


def decode(*records: Record, now_ms: int = SENT_MS + 5) -> tuple[list[FactArrival], list[str]]:
    arrivals, refusals = decode_facts(records, DOOR, now_ms)
    return arrivals, [f"{refusal.offset} {refusal.reason}" for refusal in refusals]


def test_a_bad_record_does_not_stop_the_next_and_a_tombstone_is_nothing() -> None:
    arrivals, refusals = decode_facts(
        [Record(fact(), 1), Record(b"{", 2, b"k"), Record(None, 3), Record(b"", 4, None), Record(fact(x="x" * 999), 5)],
        DOOR,
        SENT_MS,
    )
    assert [(arrival.offset, arrival.timestamp_ms) for arrival in arrivals] == [(1, SENT_MS)]
    assert [(r.offset, r.reason, r.raw, r.key) for r in refusals[:2]] == [
        (2, "invalid_json", b"{", b"k"), (4, "empty_record", b"", b""),
    ]  # fmt: skip
    assert refusals[2].reason == "too_large"


@pytest.mark.parametrize(
    ("at_ms", "refused"),
    [
        (SENT_MS - 1_000_000, []),
        (SENT_MS - 1_000_001, ["0 too_old"]),
        (SENT_MS + 10_000, []),
        (SENT_MS + 10_001, ["0 too_far_ahead"]),
    ],
)
def test_a_time_is_judged_as_of_the_record_s_arrival_whenever_it_is_read(at_ms: int, refused: list[str]) -> None:
    for years in (0, 3):
        assert decode(Record(fact(at_ms)), now_ms=SENT_MS + years * 31_536_000_000)[1] == refused


def test_replayed_facts_may_be_old_and_a_fast_clock_s_timestamp_is_not_believed() -> None:
    assert decode(Record(fact(1), headers=((REPLAY_HEADER, b"1"),)))[1] == []
    ahead = Record(fact(SENT_MS + 99_000), timestamp=SENT_MS + 99_000)
    assert decode(ahead)[1] == ["0 too_far_ahead"] and decode(ahead, now_ms=SENT_MS + 99_000)[1] == []


@pytest.mark.parametrize(("skew_ms", "moved_ms"), [(60_000, 0), (60_001, 60_001), (-99_000, -99_000)])
def test_a_sender_s_wrong_clock_is_corrected(skew_ms: int, moved_ms: int) -> None:
    sent_at = format_epoch_ms(SENT_MS - skew_ms)
    for received in ({}, {"received_at": format_epoch_ms(SENT_MS)}):
        (arrival,), _ = decode(Record(fact(SENT_MS - 100_000, sent_at=sent_at, **received)))
        assert arrival.fact.occurred_ms == SENT_MS - 100_000 + moved_ms


def test_a_row_has_the_columns_of_the_table() -> None:
    (arrival,), _ = decode(
        Record(fact(SENT_MS - 7, properties={"sku": "K", "store_id": "S", "quantity": 0, "x": [1]}), 9)
    )
    assert dict(zip(FACTS.columns, fact_row(*arrival), strict=True)) == {
        "source": "store",
        "event_id": "stock_level-1",
        "type": "stock_level",
        "occurred_at_ms": SENT_MS - 7,
        "sku": "K",
        "store_id": "S",
        "quantity_text": "0",
        "properties": '{"sku":"K","store_id":"S","quantity":0,"x":[1]}',
        "received_at_ms": SENT_MS,
        "_topic": "facts",
        "_partition": 0,
        "_offset": 9,
    }


def test_rows_are_of_what_sources_state() -> None:
    told: dict[str, Any] = {"type": "source_heartbeat", "received_at": format_epoch_ms(4)}
    records = [
        Record(fact(**told, properties={})),
        Record(fact(**told, properties={"last_said": format_epoch_ms(5)})),
        Record(fact(**told, properties={"partition": 1, "counted_from": format_epoch_ms(0), "counts": [1]})),
        Record(fact(type="restocked", properties={"sku": "K"}, store_id="S-3")),
    ]
    arrivals, refused = decode(*records)
    assert not refused and len(arrivals) == 4
    assert [(row[2], row[4:8], row[8]) for row in fact_rows(arrivals)] == [
        ("source_heartbeat", ("", "", "", "{}"), 4),
        ("restocked", ("K", "S-3", "", '{"sku":"K"}'), SENT_MS),
    ]
