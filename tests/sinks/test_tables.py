"""Every wire format: what is sent comes back through the views, or from the table where there is no view."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sinks.tables import (
    ALERT_ACTIONS,
    ALERTS,
    CUSTOMER_STATE,
    DEAD_LETTERS,
    FACTS,
    JOURNEYS,
    NO_DEVIATION_MS,
    NO_WAIT_MS,
    NOT_COUNTED,
    PARTITION_PROGRESS,
    PROMISES,
    SEPARATOR,
    TABLES,
    TOUCHPOINTS,
    Table,
)
from sinks.writer import ClickHouseWriter
from tests.sinks.rows import columns, uuid

pytestmark = pytest.mark.integration

MOMENT_MS = 1_795_000_000_123
MOMENT = datetime(2026, 11, 18, 11, 6, 40, 123_000, tzinfo=UTC)
PLACE = {"_topic": "touchpoints", "_partition": 3, "_offset": 2**63, "_version": 7 << 32 | 1}
NOBODY_ACTED: dict[str, Any] = {
    "acknowledged_by": "",
    "acknowledged_at": None,
    "assigned_to": "",
    "human_resolved_by": "",
    "human_resolved_at": None,
    "notes": [],
    "silenced": False,
}
AWKWARD = "O'Brien\t\\N \0\u202eאבג 🙂 %(x)s"


def read(writer: ClickHouseWriter, name: str) -> dict[str, Any]:
    columns_of = [row[0] for row in writer.query(f"DESCRIBE TABLE {name}")]
    (row,) = writer.query(f"SELECT * FROM {name}")
    return dict(zip(columns_of, row, strict=True))


def shares(expected: dict[str, Any], found: dict[str, Any]) -> bool:
    return {name: found[name] for name in expected} == expected


def test_touchpoints(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    texts = {
        name: f"{name} {AWKWARD}"
        for name in (
            "customer_id",
            "event_id",
            "type",
            "channel",
            "order_id",
            "case_id",
            "store_id",
            "agent_id",
        )
    }
    sent = {
        **texts,
        "source": "web",
        "occurred_at_ms": MOMENT_MS,
        "identifiers_json": '{"customer_id":"C-1","email":"\\u05d0 \\"x\\""}',
        "properties": '{"amount": 1.5, "nested": [1, {"a": null}]}',
        "received_at_ms": MOMENT_MS + 1,
        "sent_at_ms": 0,
        "occurred_at_original_ms": MOMENT_MS - 3_600_000,
        "late": 1,
        "schema_version": 1,
        "_topic": "touchpoints",
        "_partition": 3,
        "_offset": 2**63,
    }
    clickhouse.insert(TOUCHPOINTS, columns(TOUCHPOINTS, [sent]))
    expected = {
        **texts,
        "stage": "discover",
        "source": "web",
        "occurred_at": MOMENT,
        "identifiers": {"customer_id": "C-1", "email": 'א "x"'},
        "properties": '{"amount": 1.5, "nested": [1, {"a": null}]}',
        "received_at": MOMENT.replace(microsecond=124_000),
        "occurred_at_original": MOMENT.replace(hour=10),
        "late": True,
        "journey_id": uuid(0),
    }
    assert shares(expected, read(analyst, "analytics.touchpoints"))
    stored = read(clickhouse, TOUCHPOINTS.name)
    assert shares({"_topic": "touchpoints", "_partition": 3, "_offset": 2**63, "_is_deleted": 0}, stored)
    assert stored["sent_at"] == datetime(1970, 1, 1, tzinfo=UTC)
    assert stored["_version"] == 2 * (2**61 - 1 - (MOMENT_MS + 1))
    known = {**sent, "type": "dispatched", "identifiers_json": "", "customer_id": "C-2"}
    clickhouse.insert(TOUCHPOINTS, columns(TOUCHPOINTS, [known]))
    found = analyst.query("SELECT stage, identifiers FROM analytics.touchpoints WHERE customer_id = 'C-2'")
    assert found == [("fulfil", {"customer_id": "C-2"})]


def test_journeys(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    sent = {
        "customer_id": AWKWARD,
        "journey_id": str(uuid(2**127 + 5)),
        "started_at_ms": MOMENT_MS,
        "ended_at_ms": MOMENT_MS + 1,
        "status": "open",
        "outcome": "converted",
        "touchpoints": 5,
        "web_count": 3,
        "store_count": 2,
        "discover_ms": MOMENT_MS,
        "channels_joined": SEPARATOR.join(["app", "phone"]),
        "path_joined": "page_viewed",
        "contacts": 1,
        "orders": 2,
        "promises": 10,
        "promises_open": 4,
        "promises_kept": 3,
        "promises_late": 2,
        "promises_broken": 1,
        "queue_wait_ms": 1500,
        "contact_wait_ms": 0,
        "delivery_deviation_ms": -2500,
        "friction": 6,
        "delight": 2,
        "experience": 62.5,
        "effort": 12.25,
        "experience_parts_names": SEPARATOR.join(["waits", "promises"]),
        "experience_parts_values": SEPARATOR.join(["-37.5", "100"]),
        "effort_parts_names": "contacts",
        "effort_parts_values": "12.25",
        **PLACE,
    }
    clickhouse.insert(JOURNEYS, columns(JOURNEYS, [sent]))
    expected = {
        **{name: sent[name] for name in ("customer_id", "status", "outcome", "touchpoints", "contacts", "orders")},
        **{name: sent[name] for name in sent if name.startswith("promises")},
        **{name: sent[name] for name in ("friction", "delight", "experience", "effort")},
        "experience_parts": {"waits": -37.5, "promises": 100.0},
        "effort_parts": {"contacts": 12.25},
        "journey_id": uuid(2**127 + 5),
        "started_at": MOMENT,
        "ended_at": MOMENT.replace(microsecond=124_000),
        "sources": {"web": 3, "store": 2},
        "stages": {"discover": MOMENT},
        "channels": ["app", "phone"],
        "path": ["page_viewed"],
        "queue_wait_seconds": 1.5,
        "contact_wait_seconds": 0.0,
        "delivery_deviation_seconds": -2.5,
    }
    assert read(analyst, "analytics.journeys") == expected
    assert shares({**expected, **PLACE}, read(clickhouse, JOURNEYS.name))


def test_what_a_journey_does_not_have(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    sent = {"queue_wait_ms": NO_WAIT_MS, "contact_wait_ms": NO_WAIT_MS, "delivery_deviation_ms": NO_DEVIATION_MS}
    clickhouse.insert(JOURNEYS, columns(JOURNEYS, [sent]))
    expected: dict[str, Any] = {
        "queue_wait_seconds": None,
        "contact_wait_seconds": None,
        "delivery_deviation_seconds": None,
        "sources": {},
        "stages": {},
        "channels": [],
        "path": [],
        "experience_parts": {},
        "effort_parts": {},
    }
    assert shares(expected, read(analyst, "analytics.journeys"))


def test_promises(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    sent = {
        "customer_id": "C-1",
        "promise_id": str(uuid(1)),
        "journey_id": str(uuid(2)),
        "kind": "delivery",
        "subject": AWKWARD,
        "requested_at_ms": MOMENT_MS,
        "first_promised_at_ms": MOMENT_MS + 1,
        "latest_promised_at_ms": MOMENT_MS + 2,
        "settled_at_ms": 0,
        "status": "open",
        "responsible": "carrier",
        "parcels": 65_535,
        "parcels_delivered": 2,
        **PLACE,
    }
    clickhouse.insert(PROMISES, columns(PROMISES, [sent]))
    expected = {
        **{name: sent[name] for name in ("customer_id", "kind", "subject", "status")},
        **{name: sent[name] for name in ("responsible", "parcels", "parcels_delivered")},
        "promise_id": uuid(1),
        "journey_id": uuid(2),
        "requested_at": MOMENT,
        "first_promised_at": MOMENT.replace(microsecond=124_000),
        "latest_promised_at": MOMENT.replace(microsecond=125_000),
        "settled_at": None,
    }
    assert read(analyst, "analytics.promises") == expected
    settled = {**sent, "settled_at_ms": MOMENT_MS, "status": "kept", "_version": 8 << 32}
    clickhouse.insert(PROMISES, columns(PROMISES, [settled]))
    assert read(analyst, "analytics.promises") == {**expected, "settled_at": MOMENT, "status": "kept"}


def test_alerts(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    texts = {
        name: f"{name} {AWKWARD}"
        for name in ("customer_id", "rule", "severity", "status", "subject", "unit", "title_en", "title_he")
        + ("reason_en", "reason_he", "advice_en", "advice_he", "store_id")
        + ("kind", "change", "silent_if_en", "silent_if_he", "withdrawn_because")
    }
    sent = {
        **texts,
        "episode_id": str(uuid(1)),
        "journey_id": str(uuid(2)),
        "rule_version": 3,
        "opened_at_ms": MOMENT_MS,
        "last_seen_at_ms": MOMENT_MS + 1,
        "resolved_at_ms": 0,
        "threshold": 600.0,
        "actual": 1234.5,
        "evidence_joined": SEPARATOR.join(["web/1", "store/it's"]),
        "detected_at_ms": MOMENT_MS + 2,
        "limit_at_ms": MOMENT_MS - 1,
        "affected": 2**32 - 1,
        **PLACE,
    }
    clickhouse.insert(ALERTS, columns(ALERTS, [sent]))
    expected = {
        **texts,
        "episode_id": uuid(1),
        "journey_id": uuid(2),
        "rule_version": 3,
        "opened_at": MOMENT,
        "last_seen_at": MOMENT.replace(microsecond=124_000),
        "resolved_at": None,
        "threshold": 600.0,
        "actual": 1234.5,
        "evidence": ["web/1", "store/it's"],
        "detected_at": MOMENT.replace(microsecond=125_000),
        "limit_at": MOMENT.replace(microsecond=122_000),
        "affected_customers": 2**32 - 1,
        **NOBODY_ACTED,
        "effective_status": texts["status"],
    }
    assert read(analyst, "analytics.alerts") == expected
    bare = {**sent, "limit_at_ms": 0, "affected": NOT_COUNTED, "_version": 8 << 32}
    clickhouse.insert(ALERTS, columns(ALERTS, [bare]))
    assert read(analyst, "analytics.alerts") == {**expected, "limit_at": None, "affected_customers": None}


def test_facts(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    texts = {name: f"{name} {AWKWARD}" for name in ("source", "event_id", "type", "sku", "store_id", "properties")}
    sent = {
        **texts,
        "occurred_at_ms": MOMENT_MS,
        "quantity_text": "-9223372036854775808",
        "received_at_ms": MOMENT_MS + 1,
        "_topic": "facts",
        "_offset": 7,
    }
    clickhouse.insert(FACTS, columns(FACTS, [sent, {**sent, "type": "restocked", "quantity_text": ""}]))
    clickhouse.insert(FACTS, columns(FACTS, [{**sent, "received_at_ms": MOMENT_MS + 2, "quantity_text": "1"}]))
    received_at = MOMENT.replace(microsecond=124_000)
    expected = {**texts, "occurred_at": MOMENT, "quantity": -(2**63), "received_at": received_at}
    assert read(analyst, "(SELECT * FROM analytics.facts WHERE type != 'restocked')") == expected
    assert read(analyst, "(SELECT quantity FROM analytics.facts WHERE type = 'restocked')") == {"quantity": None}


def test_alert_actions(clickhouse: ClickHouseWriter, analyst: ClickHouseWriter) -> None:
    texts = {
        name: f"{name} {AWKWARD}"
        for name in ("action", "by", "note", "assignee", "rule", "customer_id", "store_id", "subject")
    }
    sent = {**texts, "action_id": str(uuid(1)), "episode": str(uuid(2)), "acted_at_ms": MOMENT_MS, "until_ms": 0}
    clickhouse.insert(ALERT_ACTIONS, columns(ALERT_ACTIONS, [sent, sent]))
    expected = {**texts, "action_id": uuid(1), "episode_id": uuid(2), "until": None, "acted_at": MOMENT}
    assert read(analyst, "analytics.alert_actions") == expected
    clickhouse.insert(ALERT_ACTIONS, columns(ALERT_ACTIONS, [{**sent, "episode": "", "until_ms": MOMENT_MS + 1}]))
    later = {"episode_id": None, "until": MOMENT.replace(microsecond=124_000)}
    assert read(analyst, "analytics.alert_actions") == {**expected, **later}


def test_dead_letters_keep_any_bytes(clickhouse: ClickHouseWriter) -> None:
    raw = bytes(range(256))
    sent = {
        "topic": "touchpoints",
        "partition": 1,
        "offset": 2,
        "reason": "bad_json",
        "step": "decode",
        "detail": AWKWARD,
        "key": b"\xff",
        "raw": raw,
        "raw_bytes": 10_000_000,
        "refused_at_ms": MOMENT_MS,
    }
    clickhouse.insert(DEAD_LETTERS, columns(DEAD_LETTERS, [sent, sent]))
    rows = clickhouse.query(
        "SELECT topic, partition, offset, reason, step, detail, hex(key), hex(raw), raw_bytes, refused_at"
        " FROM journeys.dead_letters FINAL"
    )
    expected = ("touchpoints", 1, 2, "bad_json", "decode", AWKWARD, "FF", raw.hex().upper(), 10_000_000, MOMENT)
    assert rows == [expected]


def test_customer_state(clickhouse: ClickHouseWriter) -> None:
    blob = bytes(range(256))
    sent = {
        "customer_key": AWKWARD,
        "segment": 2,
        "key_hash": 2**32 - 1,
        "next_due_ms": -(2**63),
        "blob": blob,
        "_version": 9,
    }
    clickhouse.insert(CUSTOMER_STATE, columns(CUSTOMER_STATE, [{**sent, "_version": 9}]))
    rows = clickhouse.query(
        "SELECT customer_key, segment, key_hash, next_due_ms, hex(blob), _version, _is_deleted"
        " FROM journeys.customer_state"
    )
    assert rows == [(AWKWARD, 2, 2**32 - 1, -(2**63), blob.hex().upper(), 9, 0)]


def test_partition_progress(clickhouse: ClickHouseWriter) -> None:
    sent = {
        "consumer_group": "g",
        "partition": 65_535,
        "epoch": 2**32 - 1,
        "flush": 2**32 - 1,
        "partition_time_ms": MOMENT_MS,
        "positions": {"touchpoints": 2**62, "facts": 0},
        "worker": "w",
    }
    clickhouse.insert(PARTITION_PROGRESS, columns(PARTITION_PROGRESS, [sent]))
    assert shares(sent, read(clickhouse, PARTITION_PROGRESS.name))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_an_insert_fills_every_column_and_each_is_described(clickhouse: ClickHouseWriter, table: Table) -> None:
    described = clickhouse.query(f"DESCRIBE TABLE {table.name}")
    filled = {name for name in table.columns if name not in table.hidden} | {name for name, _ in table.derived}
    assert filled == {row[0] for row in described}
    assert all(row[4] for row in described)
    clickhouse.insert(table, columns(table, [{}]))
    assert clickhouse.query(f"SELECT _ingested_at > now() - INTERVAL 1 HOUR FROM {table.name}") == [(1,)]
