"""A network that misbehaves when told to: a TCP proxy whose mode is switched while connections are open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TypeVar, get_args

CHUNK_BYTES = 65_536
Kind = Literal["pass", "delay", "blackhole", "reset", "half_open", "throttle"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Mode:
    """What happens to bytes.

    `pass`: nothing. `delay`: each chunk comes `seconds` later. `blackhole`: connections are accepted, and nothing comes
    through in either direction. `half_open`: requests come through, answers do not. `throttle`: `bytes_per_second` in
    each direction of each connection. `reset`: open connections and new ones are reset. What is held back comes through
    once the mode allows it, as retransmission would have it, unless the connection is cut before.
    """

    kind: Kind = "pass"
    seconds: float = 0.2
    bytes_per_second: int = 50_000


PASS = Mode()


class ChaosProxy:
    """Takes connections on a free port of 127.0.0.1 for a server on another. A context manager.

    As a `tunnel` it is asked by HTTP CONNECT first, and whatever it is asked for, it leads to that server: a client
    that is given it as its proxy has a link of its own. `accepted`: how many connections there were. Its methods may
    be called from any thread, and return when done.
    """

    def __init__(self, target_port: int, *, tunnel: bool = False) -> None:
        self.port = 0
        self._is_tunnel = tunnel
        self.accepted = 0
        self._target_port = target_port
        self._mode = PASS
        self._switched = asyncio.Condition()
        self._links: dict[_Link, asyncio.Task[None]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-proxy", daemon=True)

    def __enter__(self) -> ChaosProxy:
        self._thread.start()
        self.port = self._run(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def mode(self) -> Mode:
        return self._mode

    def switch(self, mode: Mode) -> None:
        """Have another mode from now on, for open connections too."""
        self._run(self._switch(mode))

    def cut(self) -> None:
        """Reset all open connections; what was held back on them is gone."""
        self._run(self._cut())

    @contextlib.contextmanager
    def misbehaving(self, mode: Mode) -> Iterator[None]:
        """Have a mode for a while, and none after that."""
        self.switch(mode)
        try:
            yield
        finally:
            self.switch(PASS)

    def _run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        self._server.close()
        await self._cut()

    async def _switch(self, mode: Mode) -> None:
        self._mode = mode
        async with self._switched:
            self._switched.notify_all()
        if mode.kind == "reset":
            await self._cut()

    async def _cut(self) -> None:
        ending = dict(self._links)
        for link, task in ending.items():
            link.reset()
            task.cancel()
        await asyncio.gather(*ending.values(), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link, task = _Link(writer), asyncio.current_task()
        assert task is not None
        self._links[link] = task
        try:
            if self._mode.kind == "reset":
                link.reset()
                return
            await self._passes("blackhole")
            if self._is_tunnel:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            link.onward = onward_writer
            await asyncio.gather(
                self._pump(reader, onward_writer, ("blackhole",)),
                self._pump(onward_reader, writer, ("blackhole", "half_open")),
            )
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # The server is not there, or the connection was cut: to the client that is a reset.
            link.reset()
        finally:
            del self._links[link]
            link.close()

    async def _passes(self, *holding: Kind) -> None:
        """Wait until the mode is none of these."""
        async with self._switched:
            await self._switched.wait_for(lambda: self._mode.kind not in holding)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, holding: tuple[Kind, ...]
    ) -> None:
        while True:
            await self._passes(*holding)
            data = await reader.read(self._chunk_bytes())
            if not data:
                break
            if self._mode.kind == "delay":
                await asyncio.sleep(self._mode.seconds)
            elif self._mode.kind == "throttle":
                await asyncio.sleep(len(data) / self._mode.bytes_per_second)
            await self._passes(*holding)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    def _chunk_bytes(self) -> int:
        """So many that a throttled chunk takes a tenth of a second."""
        return max(1, self._mode.bytes_per_second // 10) if self._mode.kind == "throttle" else CHUNK_BYTES


class _Link:
    """The two ends of one connection."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self._client = client
        self.onward: asyncio.StreamWriter | None = None

    def reset(self) -> None:
        """Have both ends receive RST rather than the end of the stream."""
        for writer in self._ends():
            plain = writer.get_extra_info("socket")
            if plain is not None:
                with contextlib.suppress(OSError):
                    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def close(self) -> None:
        for writer in self._ends():
            writer.close()

    def _ends(self) -> list[asyncio.StreamWriter]:
        return [self._client] if self.onward is None else [self._client, self.onward]
