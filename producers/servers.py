"""Whether Kafka servers answer at all, told within seconds: a client of Kafka would go on trying for half a minute.

Only what is certain counts as a fault: an address that does not exist, a port where nothing listens, and one where
something else than Kafka answers. A server that is slow to answer is left to the client and its own patience.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Mapping
from typing import Any

from kafka.cluster import collect_hosts

GRACE_SECONDS = 3.0
"""How long a server that has just been started may take until it listens."""
RETRY_SECONDS = 0.2
ANSWER_SECONDS = 1.0
_PLAIN = ("PLAINTEXT", "SASL_PLAINTEXT")
_CORRELATION_ID = 0x6A6F7572
_HELLO = struct.pack(">hhih", 18, 0, _CORRELATION_ID, 8) + b"journeys"
"""A request for the versions that a server speaks, which every Kafka server answers, also before a login."""
_WHY_HANG_UP = "it is no Kafka server, it wants TLS (JOURNEYS_KAFKA_SECURITY_PROTOCOL), or it is not ready"


def find_fault(options: Mapping[str, Any], grace_seconds: float = GRACE_SECONDS) -> str | None:
    """Why no server of kafka-python's `options` can be reached, one line; None when one may, however slowly.

    Faults are looked at again until `grace_seconds` have passed, or the shorter `bootstrap_timeout_ms` of the options.
    """
    if options.get("proxy_url") is not None:
        return None
    patience = min(grace_seconds, options.get("bootstrap_timeout_ms", grace_seconds * 1000) / 1000)
    is_plain = options.get("security_protocol", "PLAINTEXT") in _PLAIN
    deadline = time.monotonic() + patience
    places = _places(options)
    while (fault := _common_fault(places, is_plain)) is not None:
        if time.monotonic() >= deadline:
            break
        time.sleep(RETRY_SECONDS)
    return fault


def _places(options: Mapping[str, Any]) -> list[tuple[str, int]]:
    try:
        found = collect_hosts(options.get("bootstrap_servers", "localhost:9092"), randomize=False)
    except ValueError:
        # The client of Kafka says what is wrong with them.
        return []
    return [(host, port) for host, port, _ in found]


def _common_fault(places: Iterable[tuple[str, int]], is_plain: bool) -> str | None:
    """The first server's fault if every server has one."""
    first: str | None = None
    for host, port in places:
        fault = _fault(host, port, is_plain)
        if fault is None:
            return None
        first = first or fault
    return first


def _fault(host: str, port: int, is_plain: bool) -> str | None:
    try:
        with socket.create_connection((host, port), ANSWER_SECONDS) as connection:
            return _greet(connection) if is_plain else None
    except TimeoutError:
        return None
    except (OSError, OverflowError, ValueError) as error:
        return f"{host}:{port}: {getattr(error, 'strerror', None) or error}"


def _greet(connection: socket.socket) -> str | None:
    host, port = connection.getpeername()[:2]
    connection.sendall(struct.pack(">i", len(_HELLO)) + _HELLO)
    answer = b""
    while len(answer) < 8:
        received = connection.recv(8 - len(answer))
        if not received:
            return f"{host}:{port}: what listens there hangs up: {_WHY_HANG_UP}"
        answer += received
    if struct.unpack(">i", answer[4:])[0] != _CORRELATION_ID:
        return f"{host}:{port}: what answers there is no Kafka server"
    return None
