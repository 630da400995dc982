"""How columns reach each base table: plain types over the wire, converted by the server.

Times travel as epoch milliseconds, lists as text joined by `SEPARATOR`: the server's C++ turns them into
DateTime64, LowCardinality, Map and Array for a fraction of what the Python driver would need.
"""

from __future__ import annotations

from schemas.catalogue import BY_NAME, SOURCES, STAGES, UNKNOWN_STAGE
from sinks.identity_tables import IDENTITY_LINKS as IDENTITY_LINKS
from sinks.identity_tables import IDENTITY_OWNERS as IDENTITY_OWNERS
from sinks.identity_tables import JOURNEY_REDIRECTS as JOURNEY_REDIRECTS
from sinks.letter_tables import DEAD_LETTER_REPLAYS as DEAD_LETTER_REPLAYS
from sinks.letter_tables import DEAD_LETTERS as DEAD_LETTERS
from sinks.table import INGESTED, list_of, moment_of, parts_of
from sinks.table import SEPARATOR as SEPARATOR
from sinks.table import Table as Table


def _stage_of(column: str) -> str:
    types = ", ".join(f"'{entry.name}'" for entry in BY_NAME.values())
    stages = ", ".join(f"'{entry.stage}'" for entry in BY_NAME.values())
    return f"transform({column}, [{types}], [{stages}], '{UNKNOWN_STAGE}')"


def _hops(member: str, kind: str) -> str:
    pairs = "JSONExtract(hops_json, 'Array(Tuple(String, UInt64))')"
    return f"if(hops_json = '', CAST([], 'Array({kind})'), arrayMap(hop -> hop.{member}, {pairs}))"


_FLUSH_WIRE = (
    ("_topic", "String"),
    ("_partition", "UInt16"),
    ("_offset", "UInt64"),
    ("_version", "UInt64"),
    ("_is_deleted", "UInt8"),
)

TOUCHPOINTS = Table(
    "journeys.touchpoints",
    wire=(
        ("customer_id", "String"),
        ("occurred_at_ms", "Int64"),
        ("source", "String"),
        ("event_id", "String"),
        ("type", "String"),
        ("channel", "String"),
        ("order_id", "String"),
        ("case_id", "String"),
        ("store_id", "String"),
        ("agent_id", "String"),
        ("identifiers_json", "String"),
        ("properties", "String"),
        ("received_at_ms", "Int64"),
        ("sent_at_ms", "Int64"),
        ("occurred_at_original_ms", "Int64"),
        ("late", "UInt8"),
        ("schema_version", "UInt16"),
        ("hops_json", "String"),
        ("_moves", "UInt32"),
        ("_topic", "String"),
        ("_partition", "UInt16"),
        ("_offset", "UInt64"),
        ("_is_deleted", "UInt8"),
    ),
    derived=(
        moment_of("occurred_at"),
        moment_of("received_at"),
        moment_of("sent_at"),
        moment_of("occurred_at_original"),
        ("stage", _stage_of("type")),
        (
            "identifiers",
            # Empty: just the customer_id, under the customer's own name.
            "if(identifiers_json = '', map('customer_id', customer_id),"
            " JSONExtract(identifiers_json, 'Map(String, String)'))",
        ),
        (
            "_version",
            # A retraction beats just the version that it retracts, not one that was received still earlier; what has
            # come back beats its retraction, as it was moved in between.
            "if(late, 0, bitShiftLeft(toUInt64(1), 63)) + 2 * toUInt64(2305843009213693951 - received_at_ms)"
            " + bitShiftLeft(toUInt64(_moves), 44) + _is_deleted",
        ),
        ("via", _hops("1", "String")),
        ("_via_versions", _hops("2", "UInt64")),
        INGESTED,
    ),
    hidden=frozenset(
        {"occurred_at_ms", "received_at_ms", "sent_at_ms", "occurred_at_original_ms", "identifiers_json", "hops_json"}
    ),
)

JOURNEYS = Table(
    "journeys.journeys",
    wire=(
        ("customer_id", "String"),
        ("journey_id", "String"),
        ("started_at_ms", "Int64"),
        ("ended_at_ms", "Int64"),
        ("status", "String"),
        ("outcome", "String"),
        ("touchpoints", "UInt32"),
        *((f"{source}_count", "UInt32") for source in SOURCES),
        *((f"{stage}_ms", "Int64") for stage in STAGES),
        ("channels_joined", "String"),
        ("path_joined", "String"),
        ("contacts", "UInt32"),
        ("orders", "UInt32"),
        ("promises", "UInt32"),
        ("promises_open", "UInt32"),
        ("promises_kept", "UInt32"),
        ("promises_late", "UInt32"),
        ("promises_broken", "UInt32"),
        ("queue_wait_ms", "Int64"),
        ("contact_wait_ms", "Int64"),
        ("delivery_deviation_ms", "Int64"),
        ("friction", "UInt32"),
        ("delight", "UInt32"),
        ("experience", "Float32"),
        ("effort", "Float32"),
        ("experience_parts_names", "String"),
        ("experience_parts_values", "String"),
        ("effort_parts_names", "String"),
        ("effort_parts_values", "String"),
        *_FLUSH_WIRE,
    ),
    derived=(
        moment_of("started_at"),
        moment_of("ended_at"),
        (
            "sources",
            "mapFilter((k, v) -> v > 0, map(" + ", ".join(f"'{source}', {source}_count" for source in SOURCES) + "))",
        ),
        (
            "stages",
            "mapFilter((k, v) -> v > fromUnixTimestamp64Milli(toInt64(0), 'UTC'), map("
            + ", ".join(f"'{stage}', fromUnixTimestamp64Milli({stage}_ms, 'UTC')" for stage in STAGES)
            + "))",
        ),
        list_of("channels"),
        list_of("path"),
        ("queue_wait_seconds", "if(queue_wait_ms < 0, NULL, queue_wait_ms / 1000)"),
        ("contact_wait_seconds", "if(contact_wait_ms < 0, NULL, contact_wait_ms / 1000)"),
        (
            "delivery_deviation_seconds",
            "if(delivery_deviation_ms = -9223372036854775808, NULL, delivery_deviation_ms / 1000)",
        ),
        parts_of("experience_parts"),
        parts_of("effort_parts"),
        INGESTED,
    ),
    hidden=frozenset(
        {"started_at_ms", "ended_at_ms", "channels_joined", "path_joined"}
        | {"queue_wait_ms", "contact_wait_ms", "delivery_deviation_ms"}
        | {f"{score}_parts_{half}" for score in ("experience", "effort") for half in ("names", "values")}
        | {f"{source}_count" for source in SOURCES}
        | {f"{stage}_ms" for stage in STAGES}
    ),
)

NO_WAIT_MS = -1
"""`queue_wait_ms` and `contact_wait_ms` of a journey without such a wait."""
NO_DEVIATION_MS = -(2**63)
"""`delivery_deviation_ms` of a journey without a delivery against a promise."""

PROMISES = Table(
    "journeys.promises",
    wire=(
        ("customer_id", "String"),
        ("promise_id", "String"),
        ("journey_id", "String"),
        ("kind", "String"),
        ("subject", "String"),
        ("requested_at_ms", "Int64"),
        ("first_promised_at_ms", "Int64"),
        ("latest_promised_at_ms", "Int64"),
        ("settled_at_ms", "Int64"),
        ("status", "String"),
        ("responsible", "String"),
        ("parcels", "UInt16"),
        ("parcels_delivered", "UInt16"),
        *_FLUSH_WIRE,
    ),
    derived=(
        moment_of("requested_at"),
        moment_of("first_promised_at"),
        moment_of("latest_promised_at"),
        moment_of("settled_at"),
        INGESTED,
    ),
    hidden=frozenset({"requested_at_ms", "first_promised_at_ms", "latest_promised_at_ms", "settled_at_ms"}),
)

ALERTS = Table(
    "journeys.alerts",
    wire=(
        ("customer_id", "String"),
        ("episode_id", "String"),
        ("journey_id", "String"),
        ("rule", "String"),
        ("rule_version", "UInt16"),
        ("severity", "String"),
        ("status", "String"),
        ("subject", "String"),
        ("opened_at_ms", "Int64"),
        ("last_seen_at_ms", "Int64"),
        ("resolved_at_ms", "Int64"),
        ("threshold", "Float64"),
        ("actual", "Float64"),
        ("unit", "String"),
        ("title_en", "String"),
        ("title_he", "String"),
        ("reason_en", "String"),
        ("reason_he", "String"),
        ("advice_en", "String"),
        ("advice_he", "String"),
        ("store_id", "String"),
        ("evidence_joined", "String"),
        ("detected_at_ms", "Int64"),
        ("kind", "String"),
        ("change", "String"),
        ("limit_at_ms", "Int64"),
        ("silent_if_en", "String"),
        ("silent_if_he", "String"),
        ("withdrawn_because", "String"),
        ("affected", "Int64"),
        *_FLUSH_WIRE,
    ),
    derived=(
        moment_of("opened_at"),
        moment_of("last_seen_at"),
        moment_of("resolved_at"),
        moment_of("detected_at"),
        moment_of("limit_at"),
        list_of("evidence"),
        ("affected_customers", "if(affected < 0, NULL, affected)"),
        INGESTED,
    ),
    hidden=frozenset(
        {"opened_at_ms", "last_seen_at_ms", "resolved_at_ms", "detected_at_ms", "limit_at_ms"}
        | {"evidence_joined", "affected"}
    ),
)

NOT_COUNTED = -1
"""`affected` of an alert whose customers were not counted."""

FACTS = Table(
    "journeys.facts",
    wire=(
        ("source", "String"),
        ("event_id", "String"),
        ("type", "String"),
        ("occurred_at_ms", "Int64"),
        ("sku", "String"),
        ("store_id", "String"),
        ("quantity_text", "String"),
        ("properties", "String"),
        ("received_at_ms", "Int64"),
        ("_topic", "String"),
        ("_partition", "UInt16"),
        ("_offset", "UInt64"),
    ),
    derived=(
        moment_of("occurred_at"),
        moment_of("received_at"),
        ("quantity", "toInt64OrNull(quantity_text)"),
        ("_version", "toUInt64(9223372036854775807 - received_at_ms)"),
        INGESTED,
    ),
    hidden=frozenset({"occurred_at_ms", "received_at_ms", "quantity_text"}),
)
"""`quantity_text` is empty where a fact states no quantity."""

ALERT_ACTIONS = Table(
    "journeys.alert_actions",
    wire=(
        ("action_id", "String"),
        ("episode", "String"),
        ("action", "String"),
        ("by", "String"),
        ("note", "String"),
        ("assignee", "String"),
        ("rule", "String"),
        ("customer_id", "String"),
        ("store_id", "String"),
        ("subject", "String"),
        ("until_ms", "Int64"),
        ("acted_at_ms", "Int64"),
    ),
    derived=(
        ("episode_id", "toUUIDOrNull(episode)"),
        moment_of("until"),
        moment_of("acted_at"),
        INGESTED,
    ),
    hidden=frozenset({"episode", "until_ms", "acted_at_ms"}),
)
"""`episode` is empty for a silence by matcher, `until_ms` 0 for anything but a silence."""

CUSTOMER_STATE = Table(
    "journeys.customer_state",
    wire=(
        ("customer_key", "String"),
        ("segment", "UInt32"),
        ("key_hash", "UInt32"),
        ("next_due_ms", "Int64"),
        ("blob", "String"),
        ("_version", "UInt64"),
        ("_is_deleted", "UInt8"),
    ),
    derived=(INGESTED,),
)

PARTITION_PROGRESS = Table(
    "journeys.partition_progress",
    wire=(
        ("consumer_group", "String"),
        ("partition", "UInt16"),
        ("epoch", "UInt32"),
        ("flush", "UInt32"),
        ("partition_time_ms", "Int64"),
        ("positions", "Map(String, Int64)"),
        ("worker", "String"),
    ),
    derived=(INGESTED,),
)

TABLES = (
    TOUCHPOINTS,
    JOURNEYS,
    PROMISES,
    ALERTS,
    FACTS,
    ALERT_ACTIONS,
    DEAD_LETTERS,
    DEAD_LETTER_REPLAYS,
    IDENTITY_LINKS,
    IDENTITY_OWNERS,
    JOURNEY_REDIRECTS,
    CUSTOMER_STATE,
    PARTITION_PROGRESS,
)

FILLED = ("journeys.interest", "journeys.alert_history", "journeys.journey_history")
"""Tables that nobody writes: views on others fill them."""
