"""Connections to ClickHouse, and what each of their failures means for the caller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from clickhouse_driver import Client
from clickhouse_driver import errors as driver

from schemas.errors import JourneysError, Terminal, Transient

PASSES_BY_ITSELF = frozenset(
    {
        # The stream between us and the server broke off or lost its place; a new connection starts afresh.
        3,  # UNEXPECTED_END_OF_FILE
        24,  # CANNOT_WRITE_TO_OSTREAM
        32,  # ATTEMPT_TO_READ_AFTER_EOF
        33,  # CANNOT_READ_ALL_DATA
        40,  # CHECKSUM_DOESNT_MATCH
        100,  # UNKNOWN_PACKET_FROM_CLIENT
        101,  # UNEXPECTED_PACKET_FROM_CLIENT
        102,  # UNEXPECTED_PACKET_FROM_SERVER
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        425,  # SYSTEM_ERROR
        # The server is short of something, starting or stopping.
        107,  # FILE_DOESNT_EXIST
        159,  # TIMEOUT_EXCEEDED
        164,  # READONLY
        173,  # CANNOT_ALLOCATE_MEMORY
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        394,  # QUERY_WAS_CANCELLED
        439,  # CANNOT_SCHEDULE_TASK
        745,  # SERVER_OVERLOADED
        # Replicas and their coordination.
        225,  # NO_ZOOKEEPER
        242,  # TABLE_IS_READ_ONLY
        244,  # UNEXPECTED_ZOOKEEPER_ERROR
        254,  # NO_ACTIVE_REPLICAS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        289,  # REPLICA_IS_NOT_IN_QUORUM
        319,  # UNKNOWN_STATUS_OF_INSERT
        999,  # KEEPER_EXCEPTION
    }
)

OUT_OF_SOMETHING = (
    # What the system under the server says; the code is only that of what the server was doing, such as opening a file.
    "No space left on device",
    "Disk quota exceeded",
    "Too many open files",
    "Cannot allocate memory",
)

WRONG_SCHEMA = "the schema is not what this version needs: run `journeys migrate`"
_WRONG_LOGIN = "check user and password in JOURNEYS_CLICKHOUSE"
WHAT_TO_DO: Mapping[int, str] = {
    8: WRONG_SCHEMA,  # THERE_IS_NO_COLUMN
    10: WRONG_SCHEMA,  # NOT_FOUND_COLUMN_IN_BLOCK
    16: WRONG_SCHEMA,  # NO_SUCH_COLUMN_IN_TABLE
    47: WRONG_SCHEMA,  # UNKNOWN_IDENTIFIER
    60: WRONG_SCHEMA,  # UNKNOWN_TABLE
    81: WRONG_SCHEMA,  # UNKNOWN_DATABASE
    164: "this user may only read: name one that may write in JOURNEYS_CLICKHOUSE",
    192: _WRONG_LOGIN,  # UNKNOWN_USER
    193: _WRONG_LOGIN,  # WRONG_PASSWORD
    194: _WRONG_LOGIN,  # REQUIRED_PASSWORD
    195: "this address may not log in: allow it in the user's networks on the server",
    497: "grant this user what it lacks (ACCESS_DENIED)",
    516: _WRONG_LOGIN,  # AUTHENTICATION_FAILED
}

DEFAULTS: Mapping[str, Any] = {
    # Both ends share a machine or a fast network; compressing costs more than it saves.
    "compression": False,
    "connect_timeout": 5,
    "send_receive_timeout": 30,
    "client_name": "journeys",
}


def connect(options: Mapping[str, Any]) -> Client:
    """A client with the driver's own keyword `options` over `DEFAULTS`; it connects on its first query."""
    return Client(**{**DEFAULTS, **options})


@contextmanager
def opened(options: Mapping[str, Any]) -> Iterator[Client]:
    """A client for some questions, closed on the way out. What the driver raises comes as Transient or Terminal."""
    client = connect(options)
    try:
        yield client
    except JourneysError:
        raise
    except Exception as error:
        raise classify(error) from error
    finally:
        client.disconnect()


def classify(error: BaseException) -> Transient | Terminal:
    """What an error raised by the driver means; the result's `str()` is one line that says what to do.

    `Transient` says nothing of whether the work was done: an insert may have arrived before its answer was lost.
    """
    if isinstance(error, Transient | Terminal):
        return error
    reason = explain(error)
    if "certificate" in reason.lower():
        return Terminal(f"ClickHouse: {reason}: check secure, verify and clickhouse_ca_file")
    if isinstance(error, driver.ServerException):
        return _classify_code(int(error.code), reason)
    if isinstance(error, driver.TypeMismatchError | ValueError | TypeError):
        return Terminal(f"ClickHouse: a value does not fit its column: {reason}")
    if isinstance(error, OSError | EOFError):
        return Transient(f"ClickHouse cannot be reached: {reason}")
    if isinstance(error, driver.Error) and error.code in PASSES_BY_ITSELF | {-1}:
        return Transient(f"ClickHouse cannot be reached: {reason}")
    return Terminal(f"ClickHouse: {type(error).__name__}: {reason}")


def _classify_code(code: int, reason: str) -> Transient | Terminal:
    # The same code also says that a disk or a table is read-only for the moment.
    user_may_only_read = code == 164 and "readonly mode" in reason
    passes = code in PASSES_BY_ITSELF or any(each in reason for each in OUT_OF_SOMETHING)
    if passes and not user_may_only_read:
        return Transient(f"ClickHouse ({code}): {reason}")
    advice = WHAT_TO_DO.get(code)
    return Terminal(f"ClickHouse ({code}): {reason}" + (f": {advice}" if advice else ""))


def explain(error: BaseException) -> str:
    """What the server said, on one line and without its stack."""
    text = str(getattr(error, "message", None) or error) or type(error).__name__
    line = " ".join(text.split("Stack trace", maxsplit=1)[0].removeprefix("DB::Exception:").split())
    return line.rstrip(". ")[:500]
