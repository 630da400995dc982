"""Whether Kafka servers answer: small listeners on this machine, and a real broker."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from deploy.local.stack import LocalStack
from producers.servers import find_fault

Answer = Callable[[socket.socket], None]
QUICK = 0.0


def hang_up(connection: socket.socket) -> None:
    connection.recv(100)


def speak_http(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def speak_kafka(connection: socket.socket) -> None:
    """The size, and the number of the request; slowly, in two pieces."""
    asked = connection.recv(100)
    connection.sendall(b"\0\0\0\x10" + asked[8:10])
    time.sleep(0.05)
    connection.sendall(asked[10:12])


def say_nothing(connection: socket.socket) -> None:
    connection.recv(100)
    connection.recv(100)


@contextmanager
def listening(answer: Answer) -> Iterator[str]:
    """A server on this machine that answers each connection so; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(listening(answer))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (hang_up, "what listens there hangs up: it is no Kafka server, it wants TLS"),
        (speak_http, "what answers there is no Kafka server"),
        (speak_kafka, None),
    ],
)
def test_what_listens_must_answer_as_kafka_does(
    answer: Answer, told: str | None, serve: Callable[[Answer], str]
) -> None:
    address = serve(answer)
    fault = find_fault({"bootstrap_servers": address}, QUICK)
    assert fault == told if told is None else fault is not None and fault.startswith(f"{address}: {told}")


def test_a_server_that_is_slow_to_answer_is_left_to_the_client(serve: Callable[[Answer], str]) -> None:
    began = time.monotonic()
    assert find_fault({"bootstrap_servers": serve(say_nothing)}) is None
    assert time.monotonic() - began < 2.5


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:1", "127.0.0.1:1: Connection refused"),
        ("kafka.invalid:9092", "kafka.invalid:9092: "),
        ("127.0.0.1:70000", "127.0.0.1:70000: "),
    ],
)
def test_an_address_where_nothing_can_be_is_told_in_one_line(address: str, told: str) -> None:
    fault = find_fault({"bootstrap_servers": [address]}, QUICK)
    assert fault is not None and fault.startswith(told) and "\n" not in fault


def test_one_server_that_answers_is_enough_and_else_the_first_fault_is_told(serve: Callable[[Answer], str]) -> None:
    first, second = free_address(), serve(hang_up)
    told = find_fault({"bootstrap_servers": [first, second]}, QUICK)
    assert told is not None and told.startswith(f"{first}: ")
    assert find_fault({"bootstrap_servers": [first, second, serve(speak_kafka)]}, QUICK) is None


def test_a_server_that_comes_up_within_the_grace_is_no_fault() -> None:
    address = free_address()
    host, port = address.split(":")
    with ExitStack() as opened:
        come = threading.Timer(0.5, lambda: opened.enter_context(socket.create_server((host, int(port)))))
        come.start()
        assert find_fault({"bootstrap_servers": address}, 10.0) is None
        come.join()


def test_the_patience_is_the_grace_or_the_clients_own_if_that_is_shorter() -> None:
    began = time.monotonic()
    options = {"bootstrap_servers": free_address(), "bootstrap_timeout_ms": 300}
    assert find_fault(options, 60.0) is not None
    assert 0.3 <= time.monotonic() - began < 2.0


@pytest.mark.parametrize(
    "options",
    [
        {"bootstrap_servers": "127.0.0.1:1", "proxy_url": "socks5://127.0.0.1:1"},
        {"bootstrap_servers": "127.0.0.1:none"},
        {"bootstrap_servers": []},
    ],
    ids=["behind a proxy", "no port", "none"],
)
def test_what_cannot_be_judged_from_here_is_left_to_the_client(options: dict[str, Any]) -> None:
    assert find_fault(options, QUICK) is None


def test_under_tls_only_the_port_is_looked_at(serve: Callable[[Answer], str]) -> None:
    secured = {"bootstrap_servers": serve(hang_up), "security_protocol": "SASL_SSL"}
    assert find_fault(secured, QUICK) is None
    assert find_fault({**secured, "bootstrap_servers": free_address()}, QUICK) is not None


@pytest.mark.integration
def test_the_local_broker_answers(stack: LocalStack) -> None:
    assert find_fault({"bootstrap_servers": [stack.kafka]}, QUICK) is None
