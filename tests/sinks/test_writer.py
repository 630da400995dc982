import threading
from collections.abc import Mapping
from typing import Any

import pytest
from clickhouse_driver import Client
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Terminal, Transient
from sinks.connection import connect
from sinks.state_queries import HIGHEST_EPOCH, STATES
from sinks.tables import CUSTOMER_STATE, PARTITION_PROGRESS, TOUCHPOINTS
from sinks.writer import (
    LONGEST_WAIT_SECONDS,
    ClickHouseWriter,
    MemoryWriter,
    Writer,
    backoff_seconds,
    retry,
)
from tests.sinks.rows import NOW_MS, columns

MONTH_MS = 31 * 86_400_000


def states(count: int) -> list[list[Any]]:
    return columns(
        CUSTOMER_STATE,
        [{"customer_key": f"customer_id:{n:07}", "key_hash": n, "blob": b"\xff\0"} for n in range(count)],
    )


# The contract of every writer.


def test_insert_returns_the_number_of_rows_and_they_can_be_read(writer: Writer) -> None:
    assert writer.insert(CUSTOMER_STATE, states(3)) == 3
    rows = [row for block in writer.stream(STATES, {"partition": 0, "partitions": 1}) for row in block]
    assert rows == [(f"customer_id:{n:07}".encode(), 0, n, 0, b"\xff\0") for n in range(3)]


def test_a_stream_comes_in_blocks(writer: Writer) -> None:
    writer.insert(CUSTOMER_STATE, states(25))
    blocks = list(writer.stream(STATES, {"partition": 0, "partitions": 1}, block_rows=10))
    assert sum(map(len, blocks)) == 25
    assert max(map(len, blocks)) <= 10


def test_a_stream_may_be_left_halfway(writer: Writer) -> None:
    writer.insert(CUSTOMER_STATE, states(25))
    stream = writer.stream(STATES, {"partition": 0, "partitions": 1}, block_rows=10)
    next(stream)
    assert writer.query(HIGHEST_EPOCH, {"group": "g"}) == [(0,)]


def test_an_answer_by_columns(writer: Writer) -> None:
    assert writer.query(HIGHEST_EPOCH, {"group": "g"}, columnar=True) == [(0,)]


@pytest.mark.parametrize("nothing", [[], [[] for _ in CUSTOMER_STATE.columns]])
def test_nothing_to_insert_is_no_round_trip(nothing: list[Any]) -> None:
    unreachable = ClickHouseWriter({"host": "127.0.0.1", "port": 1})
    assert unreachable.insert(CUSTOMER_STATE, nothing) == 0
    assert MemoryWriter().insert(CUSTOMER_STATE, nothing) == 0


def test_columns_that_do_not_fit_the_table_are_terminal(writer: Writer) -> None:
    with pytest.raises(Terminal):
        writer.insert(CUSTOMER_STATE, states(2)[:-1])
    with pytest.raises(Terminal):
        writer.insert(CUSTOMER_STATE, [["one"], *states(2)[1:]])
    assert writer.insert(CUSTOMER_STATE, states(1)) == 1


def test_a_writer_works_after_close(writer: Writer) -> None:
    writer.close()
    assert writer.query(HIGHEST_EPOCH, {"group": "g"}) == [(0,)]


def test_threads_share_a_writer(writer: Writer) -> None:
    def insert(number: int) -> None:
        for flush in range(5):
            row = {"consumer_group": "g", "epoch": number * 10 + flush, "worker": "w"}
            writer.insert(PARTITION_PROGRESS, columns(PARTITION_PROGRESS, [row]))

    threads = [threading.Thread(target=insert, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.query(HIGHEST_EPOCH, {"group": "g"}) == [(34,)]


# The in-memory writer's own.


def test_scripted_failures_come_in_order_and_pass() -> None:
    writer = MemoryWriter()
    writer.fail_next(Transient("one"), table=CUSTOMER_STATE, times=2)
    assert writer.insert(PARTITION_PROGRESS, columns(PARTITION_PROGRESS, [{}])) == 1
    for _ in range(2):
        with pytest.raises(Transient, match="one"):
            writer.insert(CUSTOMER_STATE, states(1))
    assert writer.rows(CUSTOMER_STATE) == []
    assert writer.insert(CUSTOMER_STATE, states(1)) == 1


def test_an_insert_may_be_done_and_its_answer_lost() -> None:
    writer = MemoryWriter()
    writer.fail_next(Transient("lost"), after_writing=True)
    with pytest.raises(Transient):
        writer.insert(CUSTOMER_STATE, states(1))
    assert len(writer.rows(CUSTOMER_STATE)) == 1


def test_memory_refuses_what_it_cannot_answer() -> None:
    with pytest.raises(Terminal, match="SELECT 1"):
        MemoryWriter().query("SELECT 1")


# The real writer's own.


class CountingClients:
    def __init__(self) -> None:
        self.made: list[Client] = []

    def __call__(self, options: Mapping[str, Any]) -> Client:
        self.made.append(connect(options))
        return self.made[-1]


@pytest.mark.integration
def test_one_connection_per_thread_and_a_new_one_after_an_error(options: dict[str, Any]) -> None:
    clients = CountingClients()
    writer = ClickHouseWriter(options, clients)
    for _ in range(3):
        writer.query("SELECT 1")
    assert len(clients.made) == 1
    with pytest.raises(Terminal):
        writer.query("SELECT nonsense")
    assert not clients.made[0].connection.connected
    assert writer.query("SELECT 1") == [(1,)]
    assert len(clients.made) == 2
    thread = threading.Thread(target=writer.query, args=("SELECT 1",))
    thread.start()
    thread.join()
    assert len(clients.made) == 3
    writer.close()
    assert not any(client.connection.connected for client in clients.made)


class TornClient:
    """A connection that another thread has just torn down: the driver finds no socket any more."""

    def __init__(self) -> None:
        self.asked = 0

    def execute(self, *_: Any, **__: Any) -> list[Any]:
        self.asked += 1
        if self.asked > 1:
            raise EOFError("torn down")
        return [(1,)]

    def disconnect(self) -> None:
        raise AttributeError("'NoneType' object has no attribute 'close'")


def test_a_connection_that_is_being_torn_down_by_another_thread_is_let_go_of() -> None:
    writer = ClickHouseWriter({}, lambda _: TornClient())
    assert writer.query("SELECT 1") == [(1,)]
    writer.close()
    assert writer.query("SELECT 1") == [(1,)]
    with pytest.raises(Transient):
        writer.query("SELECT 1")


@pytest.mark.integration
def test_a_percent_sign_is_only_special_beside_parameters(clickhouse: ClickHouseWriter) -> None:
    assert clickhouse.query("SELECT 7 % 4, formatDateTime(toDateTime(0), '%Y')") == [(3, "1970")]
    assert clickhouse.query("SELECT 7 %% %(n)s, %(text)s", {"n": 4, "text": "it's 100%"}) == [(3, "it's 100%")]


@pytest.mark.integration
def test_a_flush_is_one_part_per_month(clickhouse: ClickHouseWriter) -> None:
    clickhouse.query("SYSTEM STOP MERGES")
    rows = 150_000
    clickhouse.insert(CUSTOMER_STATE, states(rows))
    months = [{"event_id": str(n), "occurred_at_ms": NOW_MS + n % 3 * MONTH_MS} for n in range(rows)]
    clickhouse.insert(TOUCHPOINTS, columns(TOUCHPOINTS, months))
    parts = "SELECT count() FROM system.parts WHERE active AND database = 'journeys' AND table = %(table)s"
    assert clickhouse.query(parts, {"table": "customer_state"}) == [(1,)]
    assert clickhouse.query(parts, {"table": "touchpoints"}) == [(3,)]
    clickhouse.query("SYSTEM START MERGES")


@pytest.mark.integration
def test_twenty_years_of_touchpoints_go_in_at_once(clickhouse: ClickHouseWriter) -> None:
    rows = [{"event_id": str(n), "occurred_at_ms": NOW_MS - n * MONTH_MS} for n in range(240)]
    assert clickhouse.insert(TOUCHPOINTS, columns(TOUCHPOINTS, rows)) == 240
    assert clickhouse.query("SELECT count() FROM journeys.touchpoints") == [(240,)]


@pytest.mark.integration
def test_a_lone_surrogate_is_terminal_and_nothing_is_written(clickhouse: ClickHouseWriter) -> None:
    with pytest.raises(Terminal, match="does not fit"):
        clickhouse.insert(TOUCHPOINTS, columns(TOUCHPOINTS, [{"event_id": "\ud800"}]))
    assert clickhouse.query("SELECT count() FROM journeys.touchpoints") == [(0,)]


# Trying again.


class Clock:
    """Time that passes only while someone sleeps."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds


class Failing:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_waits_grow_up_to_a_bound_and_never_vanish(attempt: int, jitter: float) -> None:
    seconds = backoff_seconds(attempt, jitter)
    assert 0.05 <= seconds <= LONGEST_WAIT_SECONDS
    assert backoff_seconds(attempt + 1, jitter) >= seconds
    assert backoff_seconds(attempt, 0) / 2 <= seconds


@given(st.integers(0, 30), st.floats(0, 1, exclude_max=True))
def test_retry_goes_on_until_it_works_and_tells_of_each_wait(failures: int, jitter: float) -> None:
    clock, told = Clock(), []
    operation = Failing(*[Transient(str(n)) for n in range(failures)])
    result = retry(
        operation,
        now=clock.now,
        sleep=clock.sleep,
        give_up_after_seconds=None,
        on_wait=lambda error, attempt, seconds: told.append((str(error), attempt, seconds)),
        jitter=lambda: jitter,
    )
    assert result == "done"
    assert told == [(str(n), n + 1, seconds) for n, seconds in enumerate(clock.waits)]
    assert operation.calls == failures + 1


@given(st.floats(0, 100))
def test_retry_gives_up_in_time_with_the_last_error(limit_seconds: float) -> None:
    clock = Clock()
    operation = Failing(*[Transient(str(n)) for n in range(1000)])
    with pytest.raises(Transient) as caught:
        retry(
            operation,
            now=clock.now,
            sleep=clock.sleep,
            give_up_after_seconds=limit_seconds,
            on_wait=lambda *_: None,
            jitter=lambda: 0.0,
        )
    assert str(caught.value) == str(operation.calls - 1)
    assert clock.time - 1000 <= limit_seconds


@pytest.mark.parametrize("error", [Terminal("no"), ValueError("a bug")])
def test_retry_does_not_repeat_what_cannot_help(error: Exception) -> None:
    clock, operation = Clock(), Failing(error)
    with pytest.raises(type(error)):
        retry(operation, now=clock.now, sleep=clock.sleep, give_up_after_seconds=None, on_wait=lambda *_: None)
    assert operation.calls == 1
    assert clock.waits == []
