import socket
import ssl
from typing import Any

import pytest
from clickhouse_driver import errors as driver

from schemas.errors import Terminal, Transient
from sinks.connection import PASSES_BY_ITSELF, classify
from sinks.writer import ClickHouseWriter


@pytest.mark.parametrize(
    "code", [3, 107, 159, 164, 202, 203, 209, 210, 241, 242, 243, 252, 285, 319, 425, 999, 236, 394]
)
def test_server_trouble_that_passes_is_transient(code: int) -> None:
    found = classify(driver.ServerException("DB::Exception: busy. Stack trace:\n\n0. somewhere", code))
    assert type(found) is Transient
    assert str(found) == f"ClickHouse ({code}): busy"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (75, "DB::ErrnoException: Cannot write to file /data/store/x: , errno: 28, strerror: No space left on device"),
        (76, "DB::ErrnoException: Cannot open file /data/store/x: , errno: 28, strerror: No space left on device"),
        (76, "DB::ErrnoException: Cannot open file /data/store/x: , errno: 24, strerror: Too many open files"),
        (1001, 'filesystem error: in create_directories: No space left on device ["/data/store/x"]'),
        (1001, 'filesystem error: in create_directories: Disk quota exceeded ["/data/store/x"]'),
    ],
)
def test_what_the_system_under_the_server_is_short_of_is_transient(code: int, said: str) -> None:
    found = classify(driver.ServerException(f"DB::Exception: {said}. Stack trace:\n\n0. somewhere", code))
    assert type(found) is Transient
    assert str(found) == f"ClickHouse ({code}): {said}"


def test_a_disk_that_fails_is_terminal() -> None:
    said = "DB::ErrnoException: Cannot open file /data/store/x: , errno: 5, strerror: Input/output error"
    assert type(classify(driver.ServerException(said, 76))) is Terminal


@pytest.mark.parametrize(
    "error",
    [
        driver.NetworkError("nobody there"),
        driver.SocketTimeoutError("too slow"),
        driver.UnexpectedPacketFromServerError("what is this"),
        driver.PartiallyConsumedQueryError(),
        EOFError("Unexpected EOF while reading bytes"),
        ConnectionResetError(104, "Connection reset by peer"),
        BrokenPipeError(),
        TimeoutError("timed out"),
        socket.gaierror(-3, "Temporary failure in name resolution"),
    ],
)
def test_a_lost_connection_is_transient(error: Exception) -> None:
    assert type(classify(error)) is Transient


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (driver.ServerException("DB::Exception: Table journeys.x does not exist", 60), "run `journeys migrate`"),
        (driver.ServerException("DB::Exception: Database journeys does not exist", 81), "run `journeys migrate`"),
        (driver.ServerException("journeys: Authentication failed", 516), "password in JOURNEYS_CLICKHOUSE"),
        (driver.ServerException("Cannot execute query in readonly mode", 164), "name one that may write"),
        (driver.ServerException("Not enough privileges", 497), "grant"),
        (driver.ServerException("Syntax error", 62), "Syntax error"),
        (driver.NetworkError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), "clickhouse_ca_file"),
        (ssl.SSLCertVerificationError("certificate has expired"), "clickhouse_ca_file"),
        (driver.TypeMismatchError("int expected"), "does not fit its column"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), "does not fit its column"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError"),
    ],
)
def test_what_will_not_pass_is_terminal_and_says_what_to_do(error: Exception, advice: str) -> None:
    found = classify(error)
    assert type(found) is Terminal
    assert advice in str(found)
    assert "\n" not in str(found)


def test_our_own_errors_pass_through() -> None:
    error = Transient("as it was")
    assert classify(error) is error


def test_transient_codes_of_the_server_and_those_with_advice_differ() -> None:
    assert {60, 81, 497, 516}.isdisjoint(PASSES_BY_ITSELF)


def test_a_closed_port_is_transient() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(Transient, match="cannot be reached"):
        ClickHouseWriter({"host": "127.0.0.1", "port": port}).query("SELECT 1")


@pytest.mark.integration
def test_a_wrong_password_is_terminal(options: dict[str, Any]) -> None:
    with pytest.raises(Terminal, match="check user and password in JOURNEYS_CLICKHOUSE"):
        ClickHouseWriter({**options, "password": "wrong"}).query("SELECT 1")


@pytest.mark.integration
def test_a_missing_table_is_terminal_and_names_the_command(options: dict[str, Any]) -> None:
    with pytest.raises(Terminal, match="journeys migrate"):
        ClickHouseWriter(options).query("SELECT * FROM journeys.not_there")


@pytest.mark.integration
def test_an_interrupted_query_is_transient(options: dict[str, Any]) -> None:
    with pytest.raises(Transient):
        ClickHouseWriter({**options, "settings": {"max_execution_time": 1}}).query(
            "SELECT sum(sleepEachRow(0.5)) FROM numbers(10) SETTINGS max_block_size = 1"
        )
