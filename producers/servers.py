"""Whether Kafka servers answer at all, told within seconds: a client of Kafka would go on trying for half a minute.

Only what is certain counts as a fault: an address that does not exist, a port where nothing listens, one where
something else than Kafka answers, a certificate that is not trusted, and a login that is refused. A server that is slow
to answer is left to the client and its own patience.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Iterable, Mapping
from typing import Any

from kafka.cluster import collect_hosts
from kafka.net.sasl import get_sasl_mechanism

GRACE_SECONDS = 3.0
"""How long a server that has just been started may take until it listens."""
RETRY_SECONDS = 0.2
ANSWER_SECONDS = 1.0
_CORRELATION_ID = 0x6A6F7572
_VERSIONS, _HANDSHAKE, _AUTHENTICATE = (18, 0), (17, 1), (36, 0)
"""Requests, by their number and version, that every Kafka server answers; the first one also before a login."""
_LONGEST_ANSWER_BYTES = 1 << 20
_REFUSED = 58
_UNSUPPORTED = 33
_WHY_HANG_UP = "it is no Kafka server, it wants TLS (JOURNEYS_KAFKA_SECURITY_PROTOCOL), or it is not ready"


def find_fault(options: Mapping[str, Any], grace_seconds: float = GRACE_SECONDS) -> str | None:
    """Why no server of kafka-python's `options` can be reached, one line; None when one may, however slowly.

    Faults are looked at again until `grace_seconds` have passed, or the shorter `bootstrap_timeout_ms` of the options.
    """
    if options.get("proxy_url") is not None:
        return None
    patience = min(grace_seconds, options.get("bootstrap_timeout_ms", grace_seconds * 1000) / 1000)
    deadline = time.monotonic() + patience
    places = _places(options)
    while (fault := _common_fault(places, options)) is not None:
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


def _common_fault(places: Iterable[tuple[str, int]], options: Mapping[str, Any]) -> str | None:
    """The first server's fault if every server has one."""
    first: str | None = None
    for host, port in places:
        fault = _fault(host, port, options)
        if fault is None:
            return None
        first = first or fault
    return first


def _fault(host: str, port: int, options: Mapping[str, Any]) -> str | None:
    protocol = options.get("security_protocol", "PLAINTEXT")
    context = options.get("ssl_context")
    try:
        with socket.create_connection((host, port), ANSWER_SECONDS) as connection:
            if not protocol.endswith("SSL"):
                return _greet(connection, host, port, options)
            if context is None:
                return None
            with context.wrap_socket(connection, server_hostname=host) as secured:
                return _greet(secured, host, port, options)
    except TimeoutError:
        return None
    except ssl.SSLCertVerificationError as error:
        return f"{host}:{port}: its certificate is not trusted (JOURNEYS_KAFKA_CA_FILE): {error.verify_message}"
    except ssl.SSLError as error:
        return f"{host}:{port}: what listens there speaks no TLS (JOURNEYS_KAFKA_SECURITY_PROTOCOL): {error.reason}"
    except (OSError, OverflowError, ValueError) as error:
        return f"{host}:{port}: {getattr(error, 'strerror', None) or error}"


def _greet(connection: socket.socket, host: str, port: int, options: Mapping[str, Any]) -> str | None:
    logs_in = str(options.get("security_protocol", "")).startswith("SASL")
    answer = _ask(connection, _VERSIONS, b"", is_whole=logs_in)
    if answer is None:
        return f"{host}:{port}: what listens there hangs up: {_WHY_HANG_UP}"
    if answer[:4] != struct.pack(">i", _CORRELATION_ID):
        return f"{host}:{port}: what answers there is no Kafka server"
    if logs_in:
        why = _log_in(connection, host, options)
        return None if why is None else f"{host}:{port}: {why}"
    return None


def _log_in(connection: socket.socket, host: str, options: Mapping[str, Any]) -> str | None:
    """Why the login is refused; None when it is not, or that cannot be told."""
    name = options["sasl_mechanism"]
    answer = _ask(connection, _HANDSHAKE, _string(name))
    if answer is None or _code(answer) == _UNSUPPORTED:
        return f"the server knows no login by {name} (JOURNEYS_KAFKA_SASL_MECHANISM)"
    mechanism = get_sasl_mechanism(name)(host=host, **options)
    while _code(answer) == 0 and not mechanism.is_done():
        token = mechanism.auth_bytes()
        answer = _ask(connection, _AUTHENTICATE, struct.pack(">i", len(token)) + token)
        if answer is None or _code(answer) == _REFUSED:
            return "the server refuses the login (JOURNEYS_KAFKA_USERNAME, JOURNEYS_KAFKA_PASSWORD)"
        if _code(answer) == 0:
            said_bytes = max(0, struct.unpack(">h", answer[6:8])[0])
            mechanism.receive(answer[8 + said_bytes + 4 :])
    return None


def _code(answer: bytes) -> int:
    return int(struct.unpack(">h", answer[4:6])[0])


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _ask(connection: socket.socket, request: tuple[int, int], body: bytes, *, is_whole: bool = True) -> bytes | None:
    """The answer from its correlation id on, or only that; None when the server hangs up."""
    asked = struct.pack(">hhi", *request, _CORRELATION_ID) + _string("journeys") + body
    connection.sendall(struct.pack(">i", len(asked)) + asked)
    head = _receive(connection, 8)
    if head is None:
        return None
    length = struct.unpack(">i", head[:4])[0]
    if not is_whole or not 4 <= length <= _LONGEST_ANSWER_BYTES:
        return head[4:]
    rest = _receive(connection, length - 4)
    return None if rest is None else head[4:] + rest


def _receive(connection: socket.socket, count: int) -> bytes | None:
    received = b""
    while len(received) < count:
        more = connection.recv(count - len(received))
        if not more:
            return None
        received += more
    return received
