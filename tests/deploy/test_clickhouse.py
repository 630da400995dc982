"""The local ClickHouse: who may do what, over both protocols."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import numpy
import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException
from kafka import KafkaAdminClient

from deploy.local.stack import LocalStack

pytestmark = pytest.mark.integration

NOT_ALLOWED, AUTHENTICATION_FAILED, TOO_MANY_SESSIONS, OUT_OF_BOUNDS, TOO_MANY_ROWS = 497, 516, 700, 452, 396
SECRET_TABLE = "CREATE TABLE people.base (id UInt64, phone String) ENGINE = MergeTree ORDER BY id"
VIEW = "CREATE VIEW analytics.{name} DEFINER = journeys SQL SECURITY DEFINER AS SELECT id FROM people.base"


@pytest.fixture
def writer(stack: LocalStack) -> Iterator[Client]:
    with Client.from_url(stack.clickhouse_url) as client:
        yield client


@pytest.fixture
def analyst(stack: LocalStack) -> Iterator[Client]:
    with Client.from_url(stack.analyst_url) as client:
        yield client


@pytest.fixture
def view(writer: Client) -> Iterator[str]:
    """A view for the analyst over a table that is not for him."""
    name = "for_the_analyst"
    for statement in (
        "CREATE DATABASE IF NOT EXISTS analytics",
        "CREATE DATABASE people",
        SECRET_TABLE,
        VIEW.format(name=name),
    ):
        writer.execute(statement)
    writer.execute("INSERT INTO people.base VALUES", [(1, "a"), (2, "b")])
    yield f"analytics.{name}"
    writer.execute(f"DROP VIEW analytics.{name}")
    writer.execute("DROP DATABASE people")


def refusal(client: Client, statement: str, **options: Any) -> int:
    with pytest.raises(ServerException) as caught:
        client.execute(statement, **options)
    return int(caught.value.code)


def http(stack: LocalStack, statement: str, *, post: bool, user: str | None = "analyst") -> str:
    credentials = urlsplit(stack.analyst_url)
    headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": credentials.password or ""} if user else {}
    url = stack.clickhouse_http_url if post else f"{stack.clickhouse_http_url}?query={quote(statement)}"
    request = urllib.request.Request(url, data=statement.encode() if post else None, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return str(response.read().decode()).strip()


def test_both_servers_answer_in_their_own_protocol(stack: LocalStack, writer: Client) -> None:
    assert writer.execute("SELECT currentUser()") == [("journeys",)]
    assert http(stack, "SELECT currentUser()", post=False) == "analyst"
    admin = KafkaAdminClient(bootstrap_servers=stack.kafka)
    assert [f"{broker['host']}:{broker['port']}" for broker in admin.describe_cluster()["brokers"]] == [stack.kafka]
    admin.close()


@pytest.mark.parametrize("post", [False, True])
def test_analyst_reads_views_but_not_the_tables_beneath(
    stack: LocalStack, analyst: Client, view: str, post: bool
) -> None:
    assert analyst.execute(f"SELECT count() FROM {view}") == [(2,)]
    assert http(stack, f"SELECT count() FROM {view}", post=post) == "2"
    assert refusal(analyst, "SELECT * FROM people.base") == NOT_ALLOWED
    with pytest.raises(urllib.error.HTTPError):
        http(stack, "SELECT * FROM people.base", post=post)
    assert analyst.execute("SHOW DATABASES") == [("analytics",)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO people.base SELECT 3, 'c'",
        "ALTER TABLE people.base DELETE WHERE 1",
        "TRUNCATE TABLE people.base",
        "DROP TABLE people.base",
        "DROP VIEW analytics.for_the_analyst",
        "CREATE TABLE analytics.own (n UInt8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE own (n UInt8)",
        "CREATE DATABASE own",
        "SELECT * FROM file('users.xml', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV')",
        "SELECT * FROM remote('127.0.0.1', people.base)",
        "SELECT * FROM system.processes",
        "KILL QUERY WHERE 1",
        "SYSTEM SHUTDOWN",
        "SYSTEM STOP LISTEN TCP",
    ],
)
def test_analyst_changes_nothing_and_reads_nothing_else(
    writer: Client, analyst: Client, view: str, statement: str
) -> None:
    refused = refusal(analyst, statement)
    assert refused in (NOT_ALLOWED, 164), refused
    assert writer.execute(f"SELECT count() FROM {view}") == [(2,)]


def test_analyst_sets_limits_only_within_bounds(analyst: Client) -> None:
    assert analyst.execute("SELECT 1", settings={"max_execution_time": 5}) == [(1,)]
    for setting, value in (("max_execution_time", 0), ("max_execution_time", 3600), ("max_result_rows", 10**9)):
        assert refusal(analyst, "SELECT 1", settings={setting: value}) == OUT_OF_BOUNDS
    assert refusal(analyst, "SELECT 1", settings={"result_overflow_mode": "break"}) == OUT_OF_BOUNDS
    assert refusal(analyst, "SELECT 1", settings={"readonly": 0}) == 164


def test_a_result_too_long_for_the_analyst_is_refused_rather_than_cut(analyst: Client) -> None:
    assert refusal(analyst, "SELECT number FROM numbers(1000001)") == TOO_MANY_ROWS


@pytest.mark.parametrize("user", ["journeys", "analyst", "nobody"])
def test_wrong_passwords_are_refused(stack: LocalStack, user: str) -> None:
    port = urlsplit(stack.clickhouse_url).port
    for password in ("", "wrong", user):
        with Client("127.0.0.1", port=port, user=user, password=password) as client:
            assert refusal(client, "SELECT 1") == AUTHENTICATION_FAILED


@pytest.mark.parametrize("statement", ["SELECT 1", "SYSTEM STOP LISTEN TCP", "SET max_sessions_for_user = 9"])
def test_nobody_gets_in_as_default(stack: LocalStack, statement: str) -> None:
    with Client("127.0.0.1", port=urlsplit(stack.clickhouse_url).port, user="default") as client:
        assert refusal(client, statement) == TOO_MANY_SESSIONS
    for post in (False, True):
        with pytest.raises(urllib.error.HTTPError) as caught:
            http(stack, statement, post=post, user=None)
        assert b"USER_SESSION_LIMIT_EXCEEDED" in caught.value.read()


def test_default_cannot_raise_its_own_limit(stack: LocalStack) -> None:
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{stack.clickhouse_http_url}?query=SELECT+1&max_sessions_for_user=9", timeout=10)


def test_inserts_of_the_writer_wait_for_the_table(writer: Client) -> None:
    assert writer.execute("SELECT getSetting('async_insert')") == [(False,)]


def test_many_connections_insert_a_lot_at_once(stack: LocalStack, writer: Client) -> None:
    writer.execute("CREATE DATABASE crowd")
    writer.execute("CREATE TABLE crowd.rows (n UInt64, text String) ENGINE = MergeTree ORDER BY n")

    def insert(first: int) -> None:
        columns = [numpy.arange(first, first + 50_000, dtype=numpy.uint64), numpy.full(50_000, "text", dtype=object)]
        with Client.from_url(stack.clickhouse_url + "?use_numpy=1") as client:
            client.execute("INSERT INTO crowd.rows VALUES", columns, columnar=True)

    threads = [threading.Thread(target=insert, args=(first,)) for first in range(0, 400_000, 50_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.execute("SELECT count(), uniqExact(n) FROM crowd.rows") == [(400_000, 400_000)]
    writer.execute("DROP DATABASE crowd")
