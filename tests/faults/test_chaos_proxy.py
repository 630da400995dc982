"""Each mode of the proxy, seen with plain sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.faults.chaos_proxy import PASS, ChaosProxy, Mode

SILENCE_SECONDS = 0.3


class Echo:
    """A server that answers each byte with itself, and keeps what came. A context manager."""

    def __init__(self) -> None:
        self.received = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # A thread that waits in accept is woken by this, and not by closing alone.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65_536):
                    self.received += data
                    connection.sendall(data)
            except OSError:
                return


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as server:
        yield server


@pytest.fixture
def proxy(echo: Echo) -> Iterator[ChaosProxy]:
    with ChaosProxy(echo.port) as running:
        yield running


@pytest.fixture
def client(proxy: ChaosProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as connection:
        assert ask(connection, b"hello") == b"hello"
        yield connection


def ask(connection: socket.socket, data: bytes) -> bytes:
    """Send, and read as much back."""
    connection.sendall(data)
    return read(connection, len(data))


def read(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (data := connection.recv(size - len(found))):
        found += data
    return found


def stays_silent(connection: socket.socket) -> bool:
    connection.settimeout(SILENCE_SECONDS)
    try:
        return connection.recv(1) is None
    except TimeoutError:
        return True
    finally:
        connection.settimeout(10)


def test_much_passes_unchanged_and_the_end_of_a_stream_too(proxy: ChaosProxy, client: socket.socket) -> None:
    much = bytes(range(256)) * 4_000
    sender = threading.Thread(target=client.sendall, args=(much,))
    sender.start()
    assert read(client, len(much)) == much
    sender.join()
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    assert proxy.accepted == 1


def test_a_delay_is_on_the_way_there_and_back(proxy: ChaosProxy, client: socket.socket) -> None:
    proxy.switch(Mode("delay", seconds=0.1))
    began = time.monotonic()
    assert ask(client, b"late") == b"late"
    assert time.monotonic() - began >= 0.2


def test_a_black_hole_holds_back_what_comes_through_later(proxy: ChaosProxy, client: socket.socket, echo: Echo) -> None:
    with proxy.misbehaving(Mode("blackhole")):
        client.sendall(b"held")
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as new:
            new.sendall(b"new")
            assert stays_silent(new) and stays_silent(client)
            assert bytes(echo.received) == b"hello"
            proxy.switch(PASS)
            assert read(new, 3) == b"new" and read(client, 4) == b"held"


def test_what_a_black_hole_held_is_gone_when_it_is_cut(proxy: ChaosProxy, client: socket.socket, echo: Echo) -> None:
    with proxy.misbehaving(Mode("blackhole")):
        client.sendall(b"held")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert bytes(echo.received) == b"hello"


def test_a_reset_reaches_open_connections_and_new_ones(proxy: ChaosProxy, client: socket.socket) -> None:
    with proxy.misbehaving(Mode("reset")):
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        # Sooner or later, as the reset may come before the connection is used.
        with pytest.raises(ConnectionError), socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as new:
            new.sendall(b"anybody there")
            assert new.recv(1)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as after:
        assert ask(after, b"again") == b"again"


def test_half_open_the_request_arrives_and_the_answer_does_not(
    proxy: ChaosProxy, client: socket.socket, echo: Echo
) -> None:
    with proxy.misbehaving(Mode("half_open")):
        client.sendall(b"done?")
        assert stays_silent(client)
        assert bytes(echo.received) == b"hellodone?"
    assert read(client, 5) == b"done?"


def test_a_throttle_lets_so_many_bytes_through_in_a_second(proxy: ChaosProxy, client: socket.socket) -> None:
    proxy.switch(Mode("throttle", bytes_per_second=50_000))
    began = time.monotonic()
    assert ask(client, b"x" * 20_000) == b"x" * 20_000
    assert time.monotonic() - began >= 0.4


def test_a_tunnel_leads_to_its_own_server_whatever_it_is_asked_for(echo: Echo) -> None:
    with (
        ChaosProxy(echo.port, tunnel=True) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client,
    ):
        agreed = b"HTTP/1.1 200 OK\r\n\r\n"
        client.sendall(b"CONNECT broker:9092 HTTP/1.1\r\nHost: broker:9092\r\n\r\n")
        assert read(client, len(agreed)) == agreed
        assert ask(client, b"hello") == b"hello"
        assert bytes(echo.received) == b"hello"


def test_a_server_that_is_not_there_is_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = int(gone.getsockname()[1])
    with (
        ChaosProxy(port) as proxy,
        pytest.raises(ConnectionError),
        socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client,
    ):
        client.sendall(b"x")
        assert client.recv(1)
