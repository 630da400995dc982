"""How columns reach each base table: plain types over the wire, converted by the server.

Times travel as epoch milliseconds, lists as text joined by `SEPARATOR`: the server's C++ turns them into
DateTime64, LowCardinality, Map and Array for a fraction of what the Python driver would need.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from schemas.catalogue import BY_NAME, SOURCES, STAGES, UNKNOWN_STAGE

SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Table:
    """A base table's insert. `wire`: (name, type) of what is sent; `derived`: (target column, server's expression).

    Wire columns in `hidden` have no column of their own in the table.
    """

    name: str
    wire: tuple[tuple[str, str], ...]
    derived: tuple[tuple[str, str], ...] = ()
    hidden: frozenset[str] = frozenset()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Wire column names, in the order in which data must be given."""
        return tuple(name for name, _ in self.wire)

    @cached_property
    def insert_sql(self) -> str:
        """The INSERT statement for columnar data in `columns` order; in it the server converts wire to table types."""
        targets = [(name, name) for name in self.columns if name not in self.hidden] + list(self.derived)
        structure = ", ".join(f"{name} {kind}" for name, kind in self.wire)
        names = ", ".join(target for target, _ in targets)
        expressions = ", ".join(expression for _, expression in targets)
        return f"INSERT INTO {self.name} ({names}) SELECT {expressions} FROM input('{structure}') FORMAT Native"


def _moment(name: str) -> tuple[str, str]:
    return name, f"fromUnixTimestamp64Milli({name}_ms, 'UTC')"


def _list(name: str) -> tuple[str, str]:
    return name, _split(f"{name}_joined")


def _split(joined: str) -> str:
    return f"if({joined} = '', [], splitByChar(char(31), {joined}))"


def _parts(name: str) -> tuple[str, str]:
    names, values = (_split(f"{name}_{half}") for half in ("names", "values"))
    return name, f"mapFromArrays({names}, arrayMap(x -> toFloat32(x), {values}))"


def _stage_of(column: str) -> str:
    types = ", ".join(f"'{entry.name}'" for entry in BY_NAME.values())
    stages = ", ".join(f"'{entry.stage}'" for entry in BY_NAME.values())
    return f"transform({column}, [{types}], [{stages}], '{UNKNOWN_STAGE}')"


_INGESTED = ("_ingested_at", "now64(3, 'UTC')")
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
        ("_topic", "String"),
        ("_partition", "UInt16"),
        ("_offset", "UInt64"),
        ("_is_deleted", "UInt8"),
    ),
    derived=(
        _moment("occurred_at"),
        _moment("received_at"),
        _moment("sent_at"),
        _moment("occurred_at_original"),
        ("stage", _stage_of("type")),
        (
            "identifiers",
            # Empty: just the customer_id, under the customer's own name.
            "if(identifiers_json = '', map('customer_id', customer_id),"
            " JSONExtract(identifiers_json, 'Map(String, String)'))",
        ),
        (
            "_version",
            # A retraction beats just the version that it retracts, not one that was received still earlier.
            "if(late, 0, bitShiftLeft(toUInt64(1), 63)) + 2 * toUInt64(2305843009213693951 - received_at_ms)"
            " + _is_deleted",
        ),
        _INGESTED,
    ),
    hidden=frozenset({"occurred_at_ms", "received_at_ms", "sent_at_ms", "occurred_at_original_ms", "identifiers_json"}),
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
        _moment("started_at"),
        _moment("ended_at"),
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
        _list("channels"),
        _list("path"),
        ("queue_wait_seconds", "if(queue_wait_ms < 0, NULL, queue_wait_ms / 1000)"),
        ("contact_wait_seconds", "if(contact_wait_ms < 0, NULL, contact_wait_ms / 1000)"),
        (
            "delivery_deviation_seconds",
            "if(delivery_deviation_ms = -9223372036854775808, NULL, delivery_deviation_ms / 1000)",
        ),
        _parts("experience_parts"),
        _parts("effort_parts"),
        _INGESTED,
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
        _moment("requested_at"),
        _moment("first_promised_at"),
        _moment("latest_promised_at"),
        _moment("settled_at"),
        _INGESTED,
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
        _moment("opened_at"),
        _moment("last_seen_at"),
        _moment("resolved_at"),
        _moment("detected_at"),
        _moment("limit_at"),
        _list("evidence"),
        ("affected_customers", "if(affected < 0, NULL, affected)"),
        _INGESTED,
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
        _moment("occurred_at"),
        _moment("received_at"),
        ("quantity", "toInt64OrNull(quantity_text)"),
        ("_version", "toUInt64(9223372036854775807 - received_at_ms)"),
        _INGESTED,
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
        _moment("until"),
        _moment("acted_at"),
        _INGESTED,
    ),
    hidden=frozenset({"episode", "until_ms", "acted_at_ms"}),
)
"""`episode` is empty for a silence by matcher, `until_ms` 0 for anything but a silence."""

DEAD_LETTERS = Table(
    "journeys.dead_letters",
    wire=(
        ("topic", "String"),
        ("partition", "UInt16"),
        ("offset", "UInt64"),
        ("reason", "String"),
        ("step", "String"),
        ("detail", "String"),
        ("key", "String"),
        ("raw", "String"),
        ("raw_bytes", "UInt64"),
        ("refused_at_ms", "Int64"),
    ),
    derived=(_moment("refused_at"), _INGESTED),
    hidden=frozenset({"refused_at_ms"}),
)

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
    derived=(_INGESTED,),
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
    derived=(_INGESTED,),
)

TABLES = (
    TOUCHPOINTS,
    JOURNEYS,
    PROMISES,
    ALERTS,
    FACTS,
    ALERT_ACTIONS,
    DEAD_LETTERS,
    CUSTOMER_STATE,
    PARTITION_PROGRESS,
)
