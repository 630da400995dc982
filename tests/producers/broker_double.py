"""A broker in memory that can be away, fall silent, or refuse; it keeps the contract of `producers.emitters`."""

from __future__ import annotations

import threading
from collections.abc import Callable

from producers.emitters import Answered, Emitted, Headers
from schemas.errors import Transient


class BrokerDouble:
    """`mode` is "up", "down" (no connection, and open ones fail) or "silent" (takes records and answers none)."""

    def __init__(self, mode: str = "up", judge: Callable[[Emitted], str | None] = lambda _: None) -> None:
        self.mode = mode
        self.judge = judge
        self.records: list[tuple[str, Emitted]] = []
        self.connections = 0

    def reach(self) -> ConnectionDouble:
        if self.mode == "down":
            raise Transient("nobody answers")
        self.connections += 1
        return ConnectionDouble(self)

    def values(self) -> list[bytes]:
        return [record.value for _, record in self.records]


class ConnectionDouble:
    def __init__(self, broker: BrokerDouble) -> None:
        self.broker = broker
        self.unanswered: list[Answered] = []
        self.lock = threading.Lock()

    def to(self, topic: str) -> EmitterDouble:
        return EmitterDouble(self, topic)

    def close(self, timeout_seconds: float) -> None:
        with self.lock:
            unanswered, self.unanswered = self.unanswered, []
        for answered in unanswered:
            answered("closed before it was answered")


class EmitterDouble:
    def __init__(self, connection: ConnectionDouble, topic: str) -> None:
        self._connection, self._topic = connection, topic

    def send(self, key: bytes, value: bytes, headers: Headers, answered: Answered) -> None:
        broker = self._connection.broker
        if broker.mode == "down":
            raise Transient("nobody answers")
        if broker.mode == "silent":
            with self._connection.lock:
                self._connection.unanswered.append(answered)
            return
        record = Emitted(key, value, headers)
        reason = broker.judge(record)
        if reason is None:
            broker.records.append((self._topic, record))
        answered(reason)

    def flush(self, timeout_seconds: float) -> None:
        """Nothing is ever on its way, unless it is silent."""

    def close(self, timeout_seconds: float) -> None:
        self._connection.close(timeout_seconds)
