"""A worker dies between two inserts of a flush: whoever takes the partition over corrects what was left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from schemas.errors import Fenced, Terminal
from schemas.settings import Settings
from schemas.topics import TOUCHPOINTS
from sinks import tables
from sinks.migrate import migrate
from sinks.state_store import claim_epoch
from sinks.tables import Table
from sinks.writer import ClickHouseWriter, MemoryWriter, Writer
from streams.assignment import adopt_orphans, find_orphans, take_over
from streams.configuration import Configuration
from streams.decoding import Decoder
from streams.flushing import Flush, Patience, write_flush
from streams.friction.plan import Plan
from streams.partition import Partition
from streams.rows import Rows
from streams.rules.loading import load_rules
from tests.integration.expectations import touchpoint
from tests.integration.harness import Feed

GROUP = "journeys"
NOW_MS = 1_790_000_000_000
MINUTE_MS = 60_000
WRITTEN = (tables.TOUCHPOINTS, tables.JOURNEYS, tables.PROMISES, tables.ALERTS, tables.CUSTOMER_STATE)
CONFIGURATION = Configuration.of(Settings(journey_gap=timedelta(minutes=30)), Plan(load_rules()))


@dataclass(frozen=True)
class Read:
    """A record as the consumer hands it over."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = NOW_MS
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class Interrupted:
    """A writer to which something happens at one insert: before it reaches the server, or once it is there."""

    writer: Writer
    table: Table
    happens: Callable[[], None]
    after_writing: bool = False

    def insert(self, table: Table, columns: Sequence[Sequence[Any]]) -> int:
        if table is not self.table:
            return self.writer.insert(table, columns)
        if not self.after_writing:
            self.happens()
        rows = self.writer.insert(table, columns)
        if self.after_writing:
            self.happens()
        return rows

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, columnar: bool = False
    ) -> list[tuple[Any, ...]]:
        return self.writer.query(sql, parameters, columnar)

    def stream(
        self, sql: str, parameters: Mapping[str, Any] | None = None, block_rows: int = 65_536
    ) -> Iterator[list[tuple[Any, ...]]]:
        return self.writer.stream(sql, parameters, block_rows)

    def stream_about(
        self, sql: str, names: Sequence[str], parameters: Mapping[str, Any] | None = None
    ) -> Iterator[list[tuple[Any, ...]]]:
        return self.writer.stream_about(sql, names, parameters)

    def close(self) -> None:
        self.writer.close()


class Worker:
    """One owner of the only partition, step by step."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.partition: Partition = take_over(writer, GROUP, 0, 1, CONFIGURATION.policy, "worker", 100)
        self._decoder = Decoder(CONFIGURATION.door)

    def take(self, records: Sequence[Read]) -> None:
        if records:
            self.partition.process(self._decoder.decode(TOUCHPOINTS, 0, records, NOW_MS + 10 * 86_400_000))

    def sweep(self) -> None:
        adopt_orphans(self.partition, find_orphans(self.writer, GROUP, 0, 1))

    def flush(self, writer: Writer | None = None) -> None:
        partition, rows = self.partition, Rows()
        partition.advance(0)
        partition.gather(rows, CONFIGURATION.rules, NOW_MS)
        progress = (0, partition.epoch, partition.flushes, partition.time_ms, dict(partition.positions))
        flush = Flush(rows, (progress,), {})
        write_flush(writer or self.writer, flush, GROUP, "worker", Patience(), lambda *_: None)


def die() -> None:
    raise Terminal("killed here")


def support(customer: str, event_id: str, minute: float, type: str, **properties: Any) -> Feed:
    at = NOW_MS + int(minute * MINUTE_MS)
    return touchpoint(customer, event_id, at, type, source="support", channel="phone", properties=properties)


def browsing(customer: str, event_id: str, minute: float) -> Feed:
    return touchpoint(customer, event_id, NOW_MS + int(minute * MINUTE_MS))


def records() -> list[Read]:
    """Written, then half written, then read only by the next owner, which makes half of what was written wrong.

    The last part begins customer A's second journey earlier, answers B's call in time after all, takes the ground from
    under C's promise, and joins D's two journeys.
    """
    offsets = count()
    life = [
        browsing("A", "a-1", 0),
        browsing("D", "d-1", 0),
        support("B", "b-0", 0, "contact_started", contact_id="K-0", topic="invoice"),
        #
        browsing("A", "a-3", 120),
        support("B", "b-1", 100, "contact_started", contact_id="K-1", topic="invoice"),
        support("B", "b-3", 110, "contact_ended", contact_id="K-1", resolved=True),
        support("C", "c-2", 100, "callback_promised", contact_id="K-2", due_at="2026-09-30T00:00:00Z"),
        browsing("D", "d-3", 50),
        #
        browsing("A", "a-2", 100),
        support("B", "b-2", 101, "contact_answered", contact_id="K-1", by="human"),
        support("C", "c-1", 90, "callback_promised", contact_id="K-2", due_at="2026-09-29T00:00:00Z"),
        browsing("D", "d-2", 25),
    ]
    return [Read(next(offsets), record.key, record.value) for record in life]


def show(writer: ClickHouseWriter) -> dict[str, list[str]]:
    """What analysts see, but for when and by which flush it was written."""
    questions = {
        "touchpoints": "SELECT customer_id, source, event_id, late, journey_id FROM analytics.touchpoints",
        "journeys": "SELECT * FROM analytics.journeys",
        "promises": "SELECT * FROM analytics.promises",
        "alerts": "SELECT * EXCEPT detected_at FROM analytics.alerts WHERE status != 'withdrawn'",
    }
    return {name: sorted(str(row) for row in writer.query(question)) for name, question in questions.items()}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseWriter]:
    with LocalStack(tmp_path_factory.mktemp("crash"), run_kafka=False) as stack:
        options = clickhouse_client_options(stack.clickhouse_url, Settings())
        migrate(options)
        writer = ClickHouseWriter(options)
        yield writer
        writer.close()


@pytest.fixture
def clickhouse(server: ClickHouseWriter) -> ClickHouseWriter:
    """Empty tables."""
    for table in tables.TABLES:
        server.query(f"TRUNCATE TABLE {table.name}")
    return server


@pytest.fixture(scope="module")
def clean_run(server: ClickHouseWriter) -> dict[str, list[str]]:
    """What one run without faults shows."""
    for table in tables.TABLES:
        server.query(f"TRUNCATE TABLE {table.name}")
    worker = Worker(server)
    worker.take(records())
    worker.flush()
    return show(server)


@pytest.mark.integration
@pytest.mark.parametrize("after_writing", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("table", [*WRITTEN, tables.PARTITION_PROGRESS], ids=lambda table: table.name)
def test_a_death_at_any_insert_is_corrected_by_the_next_owner(
    clickhouse: ClickHouseWriter, clean_run: dict[str, list[str]], table: Table, after_writing: bool
) -> None:
    first, second, third = records()[:3], records()[3:8], records()[8:]
    dying = Worker(clickhouse)
    dying.take(first)
    dying.flush()
    dying.take(second)
    with pytest.raises(Terminal, match="killed here"):
        dying.flush(Interrupted(clickhouse, table, die, after_writing))

    is_complete = table is tables.PARTITION_PROGRESS and after_writing
    following = Worker(clickhouse)
    following.take(third if is_complete else second + third)
    following.flush()
    assert show(clickhouse) == clean_run


@pytest.mark.integration
@pytest.mark.parametrize("table", WRITTEN[1:4], ids=lambda table: table.name)
def test_what_a_sleeper_writes_when_it_wakes_is_swept_up(
    clickhouse: ClickHouseWriter, clean_run: dict[str, list[str]], table: Table
) -> None:
    sleeper = Worker(clickhouse)
    sleeper.take(records()[:3])
    sleeper.flush()
    sleeper.take(records()[3:8])
    owners: list[Worker] = []

    def lose_partition() -> None:
        owners.append(Worker(clickhouse))
        owners[0].take(records()[3:])
        owners[0].flush()
        assert show(clickhouse) == clean_run

    with pytest.raises(Fenced):
        sleeper.flush(Interrupted(clickhouse, table, lose_partition))
    assert show(clickhouse) != clean_run

    owners[0].sweep()
    owners[0].flush()
    assert show(clickhouse) == clean_run
    assert find_orphans(clickhouse, GROUP, 0, 1) == {}


@pytest.mark.integration
def test_the_half_written_flush_would_have_been_seen(
    clickhouse: ClickHouseWriter, clean_run: dict[str, list[str]]
) -> None:
    dying = Worker(clickhouse)
    dying.take(records()[3:8])
    with pytest.raises(Terminal, match="killed here"):
        dying.flush(Interrupted(clickhouse, tables.CUSTOMER_STATE, die))
    left = show(clickhouse)
    for name in ("journeys", "promises", "alerts"):
        assert set(left[name]) - set(clean_run[name]), f"nothing wrong was left in {name}"


@pytest.mark.parametrize("table", WRITTEN, ids=lambda table: table.name)
def test_a_worker_that_stood_still_between_two_inserts_writes_no_more(table: Table) -> None:
    memory = MemoryWriter()
    sleeper = Worker(memory)
    sleeper.take(records()[:8])

    def lose_partition() -> None:
        claim_epoch(memory, GROUP, 0, "another")

    with pytest.raises(Fenced):
        sleeper.flush(Interrupted(memory, table, lose_partition, after_writing=True))
    place = WRITTEN.index(table)
    assert memory.rows(table)
    assert not any(memory.rows(later) for later in WRITTEN[place + 1 :])
    assert {row["flush"] for row in memory.rows(tables.PARTITION_PROGRESS)} == {0}
