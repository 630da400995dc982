"""Columns are judged as the door of the stream judges rows: the same verdicts, the same values, the same links."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.history_columns import read_columns
from producers.history_files import gather_fields, rows_of
from producers.mapped_rows import Rejected
from schemas.identifiers import KINDS, Pseudonymiser
from sinks import tables
from streams.backfill.columns import ColumnJudge
from streams.backfill.rows import Batch, Doorman, FileRecord, Names
from streams.decoding import Decoder, Door
from streams.forgotten import BlockList
from streams.identity.choice import Limits

pytestmark = pytest.mark.no_cover

NOW_MS = 1_790_000_000_000
STARTED_MS = NOW_MS - 5
DOOR = Door(10**15, 300_000, 60_000, 65_536, Pseudonymiser(b"key", "k1", "IL"))
PSEUDONYM = f"hmac-sha256:k1:{'0' * 64}"
TEXT = st.sampled_from(["x", "O-7", "", " outer ", "a b", "שלום", "tab\t", "x" * 256, "x" * 257, "é"])
PROPERTIES = st.sampled_from(
    [
        "{}",
        '{"sku":"S"}',
        '{"sku":7}',
        '{"query":"q","results":3}',
        '{"query":"q"}',
        "[]",
        "",
        "not json",
        '{"amount":1.5,"currency":"ILS"}',
        '{"n":NaN}',
        '{"deep":' + "[" * 70 + "]" * 70 + "}",
        '{"promised_by":"2026-11-24T18:00:00Z","amount":1,"currency":"ILS"}',
        '{"sku":"S","sku":"T"}',
        '{"contact_id":"K","topic":"refund"}',
        '{"text":"' + "x" * 65_500 + '"}',
        '{"merged_id":"C-2","reason":"twice"}',
    ]  # fmt: skip
)
TYPES = st.sampled_from(
    ["product_viewed", "searched", "order_placed", "contact_started", "unheard_of", "Bad Type", "", "customers_merged"]
)
MOMENTS = st.sampled_from([0, 1_000_000, 1_600_000_000_123_456, NOW_MS * 1000, (NOW_MS + 400_000) * 1000, -1])
IDENTIFIERS: dict[str, st.SearchStrategy[str | None]] = {
    "customer_id": st.sampled_from([None, "C-1", "C-2", "", "null", "phone:1", " C"]),
    "email": st.sampled_from([None, None, PSEUDONYM, "dana@example.org", "no address"]),
    "anonymous_id": st.sampled_from([None, "a-1", "a-2", "unknown", "0"]),
}


def row() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "event_id": st.one_of(st.none(), TEXT, st.just("e")),
            "source": st.sampled_from(["web", "store", "support", "moon", None]),
            "type": st.one_of(TYPES, st.none()),
            "occurred_at": st.one_of(st.none(), MOMENTS),
            "received_at": st.one_of(st.none(), MOMENTS),
            "sent_at": st.one_of(st.none(), st.just(STARTED_MS * 1000)),
            "schema_version": st.sampled_from([None, 1, 1, 2]),
            "order_id": st.one_of(st.none(), TEXT),
            "case_id": st.none(),
            "store_id": st.one_of(st.none(), TEXT),
            "channel": st.one_of(st.none(), TEXT),
            "properties": st.one_of(st.none(), PROPERTIES),
            **IDENTIFIERS,
        }
    )


def make_table(rows: list[dict[str, Any]], *, as_map: bool) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for name in rows[0]:
        values = [each[name] for each in rows]
        if name in ("occurred_at", "received_at", "sent_at"):
            columns[name] = pa.array(values, pa.timestamp("us", "UTC"))
        elif name == "schema_version":
            columns[name] = pa.array(values, pa.int32())
        elif not (as_map and name in IDENTIFIERS):
            columns[name] = pa.array(values, pa.string())
    if as_map:
        maps = [[(kind, each[kind]) for kind in KINDS if each.get(kind) is not None] for each in rows]
        columns["identifiers"] = pa.array(maps, pa.map_(pa.string(), pa.string()))
    return pa.table(columns)


def doorman(names: Names) -> Doorman:
    return Doorman(Decoder(DOOR), BlockList(), Limits(), 4, "backfill-x", names)


def take_rows(batch: Batch, door: Doorman, table: pa.Table, places: list[int]) -> list[tuple[int, str]]:
    records, refused = [], []
    for place, found in zip(places, rows_of(table.take(pa.array(places, pa.int64())), 0), strict=True):
        try:
            records.append(FileRecord(place, json.dumps(gather_fields(found.values)).encode(), STARTED_MS))
        except Rejected as error:
            refused.append((place, error.reason))
    door.take(batch, 0, records, NOW_MS)
    return refused + [(each.offset, each.reason) for each in batch.refusals]


def by_rows(table: pa.Table) -> tuple[Batch, list[tuple[int, str]]]:
    batch = Batch()
    return batch, take_rows(batch, doorman(Names()), table, list(range(len(table))))


def by_columns(table: pa.Table) -> tuple[Batch, list[tuple[int, str]], int]:
    batch, names = Batch(), Names()
    columns = read_columns(table)
    assert columns is not None, "the form is the one that is read fast"
    accepted = ColumnJudge(DOOR, names).judge(columns, STARTED_MS, NOW_MS)
    count = len(accepted.keys)
    block = [*accepted.columns, ["backfill-x"] * count, [0] * count, list(accepted.places), [0] * count]
    for column, values in zip(batch.touchpoints.columns, block, strict=True):
        column.extend(values)
    door = doorman(names)
    door.note_teachings(batch, accepted.teachings)
    left = [place for place in range(len(table)) if place not in set(accepted.places)]
    return batch, take_rows(batch, door, table, left), count


def stored(batch: Batch) -> list[Mapping[str, Any]]:
    """The rows by offset; JSON as what it says."""
    rows = [
        dict(zip(tables.TOUCHPOINTS.columns, each, strict=True))
        for each in zip(*batch.touchpoints.columns, strict=True)
    ]
    for each in rows:
        each["properties"] = json.loads(each["properties"])
        each["identifiers_json"] = json.loads(each["identifiers_json"] or "{}")
    return sorted(rows, key=lambda each: int(each["_offset"]))


@given(st.lists(row(), min_size=1, max_size=12), st.booleans())
@settings(max_examples=300, deadline=None)
def test_columns_and_rows_come_to_the_same(rows: list[dict[str, Any]], as_map: bool) -> None:
    table = make_table(rows, as_map=as_map)
    slow, refused_slow = by_rows(table)
    fast, refused_fast, _ = by_columns(table)
    assert stored(fast) == stored(slow)
    assert sorted(refused_fast) == sorted(refused_slow)
    assert fast.links == slow.links


def test_plain_rows_are_all_certain() -> None:
    plain = {
        "event_id": "e", "source": "web", "type": "product_viewed", "occurred_at": 1_600_000_000_123_456,
        "received_at": None, "sent_at": None, "schema_version": 1, "order_id": "O-7", "case_id": None, "store_id": None,
        "channel": "app", "properties": '{"sku":"S"}', "customer_id": "C-1", "email": PSEUDONYM, "anonymous_id": None,
    }  # fmt: skip
    table = make_table([{**plain, "event_id": f"e{number}"} for number in range(50)], as_map=False)
    assert by_columns(table)[2] == 50


def test_a_table_of_another_form_is_read_row_by_row() -> None:
    naive = pa.table({"occurred_at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)], pa.timestamp("ms"))})
    assert read_columns(naive) is None
