"""A customer planted everywhere under five identifiers, beside one who must not be touched; and the search for them."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from clickhouse_driver import Client

from schemas.dead_letter import DeadLetter
from schemas.identifiers import Pseudonymiser
from schemas.links import Link, encode_link
from schemas.partitioning import partition_of
from schemas.topics import ALERT_ACTIONS, DEAD_LETTERS, FRICTION_ALERTS, IDENTITY_LINKS, TOUCHPOINTS
from sinks.state_store import record_flush
from tests.integration.harness import GROUP, Feed, Platform

KEY, OLD_KEY = "the key in use", "the key of last year"
SECRETS = {
    "JOURNEYS_IDENTIFIER_KEY": KEY,
    "JOURNEYS_IDENTIFIER_KEY_ID": "k2",
    "JOURNEYS_IDENTIFIER_PREVIOUS_KEYS": json.dumps({"k1": OLD_KEY}),
}
EMAIL, PHONE = "canary.bird@example.com", "+972501239876"
_hider = Pseudonymiser(KEY.encode(), "k2", "IL", (("k1", OLD_KEY.encode()),))
EMAIL_NEW, EMAIL_OLD = _hider.hide_all_keys("email", EMAIL)
PHONE_HIDDEN = _hider.hide("phone", PHONE)
CUSTOMER, DEVICE, ANONYMOUS = "CANARY-7f3a", "dev-canary-51", "anon-canary-51"
TABLET, OTHER, ALERT = "tablet-of-store-9", "C-OTHER", str(UUID(int=0xCA))
KEYS = (
    f"customer_id:{CUSTOMER}",
    f"phone:{PHONE_HIDDEN}",
    f"email:{EMAIL_NEW}",
    f"email:{EMAIL_OLD}",
    f"device_id:{DEVICE}",
    f"anonymous_id:{ANONYMOUS}",
)
TRACES = (CUSTOMER, PHONE_HIDDEN, EMAIL_NEW, EMAIL_OLD, DEVICE, ANONYMOUS, EMAIL)
"""What no byte may be left of. The raw phone is planted nowhere: nobody typed it."""


class Planter:
    """Plants rows and records. A context manager."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.client = Client(**platform.clickhouse_options)

    def __enter__(self) -> Planter:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()

    def row(self, table: str, **values: Any) -> None:
        """One row, the rest of which is as columns are by default."""
        self.client.execute(f"INSERT INTO journeys.{table} ({', '.join(values)}) VALUES", [values])

    def touchpoint(self, customer: str, event_id: str, **more: Any) -> None:
        self.row("touchpoints", customer_id=customer, event_id=event_id, source="web", occurred_at=datetime.now(UTC),
                 type="cart_updated", _version=1, **more)  # fmt: skip

    def plant_tables(self) -> None:
        """The customer in each table that knows customers, and beside them another one."""
        mail = {"customer_id": CUSTOMER, "email": EMAIL_NEW, "phone": PHONE_HIDDEN, "device_id": TABLET}
        self.touchpoint(CUSTOMER, "e1", identifiers=mail, properties='{"sku": "S", "note": "' + CUSTOMER + '"}')
        via = {"via": [f"anonymous_id:{ANONYMOUS}"], "_via_versions": [7]}
        self.touchpoint(CUSTOMER, "e2", identifiers={"anonymous_id": ANONYMOUS}, properties='{"sku": "S"}', **via)
        self.touchpoint(f"anonymous_id:{ANONYMOUS}", "e2", identifiers={"anonymous_id": ANONYMOUS})
        strange = {"customer_id": OTHER, "device_id": DEVICE}
        self.touchpoint(OTHER, "e3", identifiers=strange, via=[f"device_id:{DEVICE}", "email:x"], _via_versions=[1, 2])
        # History is kept for a time only, counted from when a row was written.
        now = {"_ingested_at": datetime.now(UTC)}
        for customer in (CUSTOMER, OTHER):
            episode = UUID(ALERT) if customer == CUSTOMER else UUID(int=1)
            self.row("journeys", customer_id=customer, journey_id=UUID(int=5), _version=1, **now)
            self.row("promises", customer_id=customer, promise_id=UUID(int=6), kind="restock", subject="S", _version=1)
            self.row(
                "alerts", customer_id=customer, episode_id=episode, reason_en=f"{customer} waits", _version=1, **now
            )
            self.row("alert_actions", action_id=UUID(int=episode.int + 1), episode_id=episode, note=f"call {customer}")
            self.row("alert_actions", action_id=UUID(int=episode.int + 2), action="silence", customer_id=customer)
            self.row("journey_redirects", journey_id=UUID(int=episode.int + 3), customer_id=customer, event_id="e1")
            self.row("customer_state", customer_key=f"customer_id:{customer}", blob=f"\u00a9{customer}", _version=1)
        self.row("alert_actions", action_id=UUID(int=0xAB), episode_id=UUID(int=1), note=f"ask {CUSTOMER} as well")
        self._plant_identity()
        self._plant_letters()

    def _plant_identity(self) -> None:
        owner, mail = KEYS[0], KEYS[2]
        for key, owned_by in ((mail, owner), (KEYS[3], owner), (KEYS[4], owner), (KEYS[5], mail), (KEYS[1], owner)):
            self.row("identity_links", identifier=key, owner=owned_by, rule="seen_together", event_id="e1")
            self.row("identity_owners", identifier=key, owner=owned_by, status="linked", _version=1)
        for each in (owner, f"customer_id:{OTHER}"):
            self.row("identity_links", identifier=f"device_id:{TABLET}", owner=each, rule="seen_together", event_id="t")
        self.row("identity_owners", identifier=f"device_id:{TABLET}", status="flagged", customers=40, _version=1)

    def _plant_letters(self) -> None:
        raws = [
            b'{"identifiers": {"email": "' + EMAIL.encode() + b'"}, "x": NaN}',
            b'{"customer_id":"' + OTHER.encode() + b'"',
        ]
        for offset, raw in enumerate(raws):
            self.row("dead_letters", topic="touchpoints", partition=0, offset=offset, raw=raw, key="", refused_at=1)
        self.row("dead_letters", topic="touchpoints", partition=0, offset=9, raw=b"?", key=KEYS[0], refused_at=1)
        [(raw_hash,)] = self.platform.query("SELECT raw_hash FROM journeys.dead_letters WHERE offset = 0")
        self.row("dead_letter_replays", topic="touchpoints", partition=0, offset=0, raw_hash=raw_hash, to_key=KEYS[2])
        self.row(
            "dead_letter_replays", topic="touchpoints", partition=0, offset=1, raw_hash=3, to_key="customer_id:C-2"
        )

    def plant_topics(self) -> None:
        """The customer, and another one, on each topic that names customers."""
        for number, key in enumerate((KEYS[0], f"customer_id:{OTHER}")):
            link = Link(f"device_id:{TABLET}", key, "seen_together", 1, "web", "t")
            self.send(IDENTITY_LINKS, link.record_key, encode_link(link), link.identifier)
            customer, episode = key.partition(":")[2], ALERT if number == 0 else str(UUID(int=1))
            told = {"episode_id": episode, "customer_id": customer, "reason": {"en": f"{customer} waits"}}
            self.send(FRICTION_ALERTS, episode.encode(), json.dumps(told).encode())
            acted = {"action_id": f"a{number}", "episode_id": episode, "note": "calling"}
            self.send(ALERT_ACTIONS, f"a{number}".encode(), json.dumps(acted).encode(), partition=0)
        raw = {"identifiers": {"customer_id": CUSTOMER}}
        self.send(TOUCHPOINTS, KEYS[0].encode(), json.dumps(raw).encode())
        letter = DeadLetter(topic="t", partition=0, offset=0, reason="invalid_json", step="decode", detail="", key="",
                            raw=base64.b64encode(EMAIL.encode()).decode(), raw_bytes=1, raw_truncated=False,
                            refused_at="2026-11-21T10:00:00Z")  # fmt: skip
        self.send(DEAD_LETTERS, b"t-0-0", letter.model_dump_json().encode())

    def send(self, topic: str, key: bytes, value: bytes, about: str = "", partition: int | None = None) -> None:
        if partition is None:
            partition = partition_of(about.encode() or key, self.platform.partitions)
        self.platform.send([Feed(key, value, partition=partition)], topic)


def store_plainly(query: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """Have text lie on one server's disk as it is, so that a search of the files for it means something."""
    rows = query(
        "SELECT c.table, groupArray(c.name) FROM system.columns AS c JOIN system.tables AS t "
        "ON c.database = t.database AND c.table = t.name WHERE c.database = 'journeys' "
        "AND endsWith(t.engine, 'MergeTree') AND c.type LIKE '%String%' GROUP BY 1"
    )
    for table, columns in rows:
        changes = ", ".join(f"MODIFY COLUMN {column} CODEC(NONE)" for column in columns)
        query(f"ALTER TABLE journeys.{table} {changes}")


def confirm(platform: Platform, epoch: int = 1) -> None:
    """Say what workers say once they have flushed past everything."""
    rows = [(number, epoch, 1, 0, {IDENTITY_LINKS: 1 << 40}) for number in range(platform.partitions)]
    record_flush(platform.writer, GROUP, rows, "w")


def trace_files(directory: Path) -> Counter[str]:
    """How many files under a directory hold each trace, byte for byte."""
    found: Counter[str] = Counter()
    for path in directory.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found.update(trace for trace in TRACES if trace.encode() in data)
    return found


def tables_with_traces(platform: Platform) -> set[str]:
    """The tables whose files hold a trace."""
    rows = platform.query("SELECT name, toString(uuid) FROM system.tables WHERE database = 'journeys'")
    store = platform.directory / "clickhouse/data/store"
    return {name for name, uuid in rows if trace_files(store / uuid[:3] / uuid)}


def standing_records(platform: Platform, topic: str) -> dict[bytes, bytes]:
    """What compaction would leave of a topic."""
    found: dict[bytes, bytes] = {}
    for record in platform.read_topic(topic, quiet_seconds=0.5):
        found.pop(record.key, None)
        if record.value is not None:
            found[record.key] = record.value
    return found
