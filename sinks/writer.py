"""What the worker needs of ClickHouse: insert columns, ask, read a stream; and how to try again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Protocol, TypeVar

from clickhouse_driver import Client

from schemas.errors import Transient
from sinks.connection import classify, connect
from sinks.memory import MemoryWriter
from sinks.tables import Table

__all__ = ["INSERT_SETTINGS", "ClickHouseWriter", "MemoryWriter", "Result", "Writer", "backoff_seconds", "retry"]

Result = TypeVar("Result")
Columns = Sequence[Sequence[Any]]

INSERT_SETTINGS: Mapping[str, Any] = {
    # An answer to an asynchronous insert may come before anything is written.
    "async_insert": 0,
    # Rows are idempotent by their keys; a token can lose rows when the server is killed at the wrong moment.
    "insert_deduplicate": 0,
    # Collapsing versions on insert costs twice the insert itself; merges and FINAL do it anyway.
    "optimize_on_insert": 0,
    # One flush is one block is one part per month, and lands whole or not at all.
    "insert_block_size": 1 << 20,
    "max_threads": 1,
    "max_insert_threads": 1,
    # A replay of ten years has over a hundred months.
    "max_partitions_per_insert_block": 0,
    # On a cluster: an insert has arrived when it is answered, and one server converts it for all.
    "distributed_foreground_insert": 1,
    "parallel_distributed_insert_select": 0,
}


class Writer(Protocol):
    """Where rows go. Safe to use from several threads at once.

    Every method raises `Transient` (nothing is known of the work; try again) or `Terminal` (trying again cannot help).
    None retries: the caller decides.
    """

    def insert(self, table: Table, columns: Columns) -> int:
        """Write `columns` (parallel, in the order of `table.columns`) and return the number of rows.

        On return the rows are there. After `Transient` all, some months or none of them may be: insert them again,
        the tables keep one row per key. Without columns or rows nothing is sent.
        """

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, columnar: bool = False
    ) -> list[tuple[Any, ...]]:
        """All rows of the answer, or with `columnar` all columns.

        `%(name)s` in `sql` stands for a parameter; where `parameters` are given, write `%%` for a percent sign.
        """

    def stream(
        self, sql: str, parameters: Mapping[str, Any] | None = None, block_rows: int = 65_536
    ) -> Iterator[list[tuple[Any, ...]]]:
        """The answer in lists of at most `block_rows` rows, strings as bytes. Reads on as the caller does."""

    def stream_about(
        self, sql: str, names: Sequence[str], parameters: Mapping[str, Any] | None = None
    ) -> Iterator[list[tuple[Any, ...]]]:
        """The answer to a question about many names, which it finds in column `name` of table `asked`; as `stream`."""

    def close(self) -> None:
        """Close every connection, whichever thread opened it."""


class Beside(NamedTuple):
    """A table that goes along with one query: its name, and names and ClickHouse types of its columns."""

    name: str
    columns: tuple[tuple[str, str], ...]


class ClickHouseWriter:
    """`Writer` over the native protocol: a connection per thread, and a new one after any error."""

    def __init__(self, options: Mapping[str, Any], open_client: Callable[[Mapping[str, Any]], Client] = connect):
        self._options = options
        self._open_client = open_client
        self._clients: dict[threading.Thread, Client] = {}
        self._lock = threading.Lock()

    def insert(self, table: Table, columns: Columns) -> int:
        """See `Writer.insert`."""
        if not columns or not any(len(column) for column in columns):
            return 0
        with self._client() as client:
            client.execute(table.insert_sql, columns, columnar=True, settings=dict(INSERT_SETTINGS))
        return len(columns[0])

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, columnar: bool = False
    ) -> list[tuple[Any, ...]]:
        """See `Writer.query`."""
        with self._client() as client:
            return list(client.execute(sql, _given(parameters), columnar=columnar))

    def query_beside(
        self, sql: str, parameters: Mapping[str, Any], beside: Beside, rows: Sequence[Mapping[str, Any]]
    ) -> list[tuple[Any, ...]]:
        """As `query`; `rows` go along with it and are a table to it, under the name that `beside` gives them."""
        given = {"name": beside.name, "structure": list(beside.columns), "data": list(rows)}
        with self._client() as client:
            return list(client.execute(sql, _given(parameters), external_tables=[given]))

    def stream(
        self, sql: str, parameters: Mapping[str, Any] | None = None, block_rows: int = 65_536
    ) -> Iterator[list[tuple[Any, ...]]]:
        """See `Writer.stream`. It has a connection to itself, as one that is read halfway can do nothing else."""
        client = self._open_client(self._options)
        settings = {"strings_as_bytes": True, "max_block_size": block_rows}
        try:
            yield from client.execute_iter(sql, _given(parameters), settings=settings, chunk_size=block_rows)
        except Exception as error:
            raise classify(error) from error
        finally:
            client.disconnect()

    def stream_about(
        self, sql: str, names: Sequence[str], parameters: Mapping[str, Any] | None = None
    ) -> Iterator[list[tuple[Any, ...]]]:
        """See `Writer.stream_about`. Whoever does not read it to its end closes this thread's connection."""
        rows = [{"name": name.encode()} for name in names]
        asked = {"name": "asked", "structure": [("name", "String")], "data": rows}
        settings = {"strings_as_bytes": True}
        with self._client() as client:
            yield from client.execute_iter(
                sql, _given(parameters), settings=settings, chunk_size=65_536, external_tables=[asked]
            )

    def close(self) -> None:
        """See `Writer.close`. A later call of another method connects again."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for client in clients:
            _let_go(client)

    @contextmanager
    def _client(self) -> Iterator[Client]:
        thread = threading.current_thread()
        client = self._clients.get(thread) or self._open(thread)
        try:
            yield client
        except BaseException as error:
            # Half of an answer may still be on its way: whoever reads it next must not be us.
            with self._lock:
                self._clients.pop(thread, None)
            _let_go(client)
            if isinstance(error, Exception):
                raise classify(error) from error
            raise

    def _open(self, thread: threading.Thread) -> Client:
        client = self._open_client(self._options)
        with self._lock:
            ended = [each for each in self._clients if not each.is_alive()]
            left_over = [self._clients.pop(each) for each in ended]
            self._clients[thread] = client
        for each in left_over:
            each.disconnect()
        return client


def _let_go(client: Client) -> None:
    """Disconnect, while the thread that uses the connection, or the one that closes all, may be doing the same."""
    with suppress(AttributeError, OSError):
        client.disconnect()


def _given(parameters: Mapping[str, Any] | None) -> dict[str, Any] | None:
    # With no parameters the driver leaves percent signs alone.
    return None if parameters is None else dict(parameters)


FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 10.0


def backoff_seconds(attempt: int, jitter: float) -> float:
    """How long to wait after failure number `attempt` (from 1); `jitter` in [0, 1) takes off up to half."""
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(attempt - 1, 32))
    return longest * (1 - jitter / 2)


def retry(
    operation: Callable[[], Result],
    *,
    now: Callable[[], float],
    sleep: Callable[[float], object],
    give_up_after_seconds: float | None,
    on_wait: Callable[[Transient, int, float], object],
    jitter: Callable[[], float] = random.random,
) -> Result:
    """Call `operation` until it returns, waiting longer after each `Transient`; any other error passes through.

    `on_wait(error, attempt, seconds)` is told before each wait. The last `Transient` is raised once the next try would
    begin `give_up_after_seconds` or more after the first one (`None`: never). What `sleep` raises ends it too.
    """
    began = now()
    attempt = 0
    while True:
        try:
            return operation()
        except Transient as error:
            attempt += 1
            seconds = backoff_seconds(attempt, jitter())
            if give_up_after_seconds is not None and now() + seconds - began >= give_up_after_seconds:
                raise
            on_wait(error, attempt, seconds)
        sleep(seconds)
