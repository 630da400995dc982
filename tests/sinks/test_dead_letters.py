"""What became of dead letters, as the view tells it."""

from collections.abc import Mapping
from typing import Any

import pytest

from sinks.tables import DEAD_LETTER_REPLAYS, DEAD_LETTERS, Table
from sinks.writer import ClickHouseWriter
from tests.sinks.rows import NOW_MS, columns

pytestmark = pytest.mark.integration

RAW = b"\xff{"


def put(writer: ClickHouseWriter, table: Table, *rows: Mapping[str, Any]) -> None:
    writer.insert(table, columns(table, [{"topic": "touchpoints", "partition": 1, **row} for row in rows]))


def hash_of(writer: ClickHouseWriter, offset: int) -> int:
    ((found,),) = writer.query(f"SELECT raw_hash FROM journeys.dead_letters FINAL WHERE offset = {offset}")
    return int(found)


def test_a_letter_is_open_then_replayed_and_its_refused_replay_is_a_letter_of_its_own(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    columns_asked = "letter_id, status, replays, replayed_by, refused_again_as, attempt"
    asked = f"SELECT {columns_asked} FROM analytics.dead_letters ORDER BY letter_id"
    put(clickhouse, DEAD_LETTERS, {"offset": 1, "raw": RAW}, {"offset": 1, "raw": RAW})
    assert analyst.query(asked) == [("touchpoints-1-1", "open", 0, "", "", 0)]
    replay = {"offset": 1, "raw_hash": hash_of(clickhouse, 1), "attempt": 1, "by": "dana", "replayed_at_ms": NOW_MS}
    put(clickhouse, DEAD_LETTER_REPLAYS, replay, replay)
    assert analyst.query(asked) == [("touchpoints-1-1", "replayed", 1, "dana", "", 0)]
    put(clickhouse, DEAD_LETTERS, {"offset": 5, "raw": RAW, "replay_of": "touchpoints-1-1", "attempt": 1})
    assert analyst.query(asked) == [
        ("touchpoints-1-1", "replayed", 1, "dana", "touchpoints-1-5", 0),
        ("touchpoints-1-5", "refused_again", 0, "", "", 1),
    ]
    again = {"offset": 5, "raw_hash": hash_of(clickhouse, 5), "attempt": 2, "by": "noa", "replayed_at_ms": NOW_MS + 1}
    put(clickhouse, DEAD_LETTER_REPLAYS, again, {**again, "attempt": 3, "by": "tal", "replayed_at_ms": NOW_MS + 2})
    assert analyst.query(asked)[1] == ("touchpoints-1-5", "replayed", 2, "tal", "", 1)


def test_on_a_broker_that_began_anew_other_bytes_at_an_offset_are_another_letter(
    clickhouse: ClickHouseWriter, analyst: ClickHouseWriter
) -> None:
    put(clickhouse, DEAD_LETTERS, {"offset": 1, "raw": RAW})
    put(clickhouse, DEAD_LETTER_REPLAYS, {"offset": 1, "raw_hash": hash_of(clickhouse, 1), "attempt": 1})
    status = "SELECT status, replayed_at FROM analytics.dead_letters"
    assert analyst.query(status)[0][0] == "replayed"
    put(clickhouse, DEAD_LETTERS, {"offset": 1, "raw": b"other"})
    assert analyst.query(status) == [("open", None)]


def test_an_analyst_sees_no_bytes_and_no_key(analyst: ClickHouseWriter) -> None:
    names = {row[0] for row in analyst.query("DESCRIBE TABLE analytics.dead_letters")}
    assert not names & {"raw", "key", "headers", "raw_hash"}
