"""Sends what is spooled: in order, over one connection at a time, and again until it is acknowledged."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from producers.emitters import Emitter, Refused, explain
from producers.spool_files import Place
from producers.spool_records import SpooledRecord, decode_body
from producers.spool_segments import SegmentStore
from schemas.errors import JourneysError

POLL_SECONDS = 0.2
LINGER_SECONDS = 0.003
CLOSE_SECONDS = 1.0


class Connection(Protocol):
    """What leads to the topics of one broker; `KafkaEmitter` is one."""

    def to(self, topic: str) -> Emitter: ...

    def close(self, timeout_seconds: float) -> None: ...


Reach = Callable[[], Connection]
"""Connects anew. Raises `Transient` while there is no broker; other errors are tried again as well."""


class Owner(Protocol):
    """Whom a drainer tells what happens, from its own thread."""

    def reached(self) -> None:
        """There is a new connection."""

    def lost(self, reason: str) -> None:
        """The broker takes or answers nothing; what is unanswered will be sent again."""

    def settled(self, answers: list[tuple[Place, str | None]]) -> None:
        """Records left the spool: acknowledged (None), or refused for good."""

    def damaged(self, place: Place) -> None:
        """What stood behind this place in its segment left the spool, and was not sent."""

    def keeps(self, place: Place, record: SpooledRecord, reason: str) -> bool:
        """Tell a refused record's sender, or keep it elsewhere; returns whether it may leave the spool."""


@dataclass(frozen=True)
class Timing:
    """How patient a spool is. A broker that answers nothing for `answer_seconds` is away; it is then tried again after
    `backoff_seconds`, twice that, and so on up to `longest_backoff_seconds`. At most `window_bytes` are on their way.
    New records wait for their own answer while less than `near_bytes` of earlier ones are still to be sent.
    """

    answer_seconds: float = 10.0
    backoff_seconds: float = 0.2
    longest_backoff_seconds: float = 10.0
    sync_seconds: float = 0.5
    window_bytes: int = 8 * 1024 * 1024
    near_bytes: int = 8 * 1024 * 1024


@dataclass(eq=False)
class _Entry:
    place: Place
    body: bytes
    is_done: bool = False


class Drainer:
    """One thread that reads a store, sends, and lets the store go of what was acknowledged.

    After any failure it closes the connection, waits, connects anew and sends again from the first record that is not
    acknowledged. So records of one key keep their order as long as the connection itself keeps it.
    """

    def __init__(
        self, store: SegmentStore, reach: Reach, owner: Owner, changed: threading.Condition, timing: Timing
    ) -> None:
        self._store, self._reach, self._owner = store, reach, owner
        self._changed, self._timing = changed, timing
        self._connection: Connection | None = None
        self._emitters: dict[str, Emitter] = {}
        self._order: deque[_Entry] = deque()
        self._unsent: deque[_Entry] = deque()
        self._window_bytes = self._flying = self._session = 0
        self._backoff_seconds = timing.backoff_seconds
        self._quiet_since = time.monotonic()
        self._trouble: str | None = None
        self._answers: deque[tuple[_Entry, SpooledRecord, int, str | None]] = deque()
        self._is_told = False
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="journeys-spool", daemon=True)

    def connect(self) -> None:
        """Connect once, in the caller's thread, before `start`. Raises what `Reach` raises."""
        self._connection = self._reach()
        self._owner.reached()

    def start(self, trouble: str | None) -> None:
        """Begin to send, or to try again after that trouble."""
        self._trouble = trouble
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Send no more. A connection that is being made is not waited for longer than this, and then given up."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self._turn()
            except JourneysError as error:
                self._trouble = str(error)
            except Exception as error:  # Whatever a library raises, the records stay and are tried again.
                self._trouble = explain(error)
        self._disconnect(0.0 if self._flying else CLOSE_SECONDS)
        self._hear()

    def _turn(self) -> None:
        self._hear()
        if self._trouble is not None:
            self._start_again(self._trouble)
        elif self._connection is None:
            self._connect()
        elif (entry := self._next()) is not None:
            self._send(entry)
        else:
            self._rest()

    def _start_again(self, trouble: str) -> None:
        self._session += 1
        self._flying = 0
        self._trouble = None
        self._unsent = deque(entry for entry in self._order if not entry.is_done)
        self._owner.lost(trouble)
        self._disconnect(0.0)
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, self._backoff_seconds)
        self._backoff_seconds = min(self._backoff_seconds * 2, self._timing.longest_backoff_seconds)

    def _connect(self) -> None:
        connection = self._reach()
        if self._is_stopping:
            connection.close(0.0)
            return
        self._connection = connection
        self._owner.reached()

    def _disconnect(self, timeout_seconds: float) -> None:
        connection, self._connection, self._emitters = self._connection, None, {}
        if connection is not None:
            connection.close(timeout_seconds)

    def _next(self) -> _Entry | None:
        if not self._unsent and self._has_room():
            found = self._store.read()
            for place in self._store.take_damage():
                self._owner.damaged(place)
            entries = [_Entry(place, body) for place, body in found]
            self._window_bytes += sum(len(entry.body) for entry in entries)
            self._order.extend(entries)
            self._unsent.extend(entries)
        return self._unsent[0] if self._unsent else None

    def _send(self, entry: _Entry) -> None:
        if entry.is_done:
            # The answer of an earlier connection came late.
            self._unsent.popleft()
            return
        if not self._flying:
            self._quiet_since = time.monotonic()
        self._flying += 1
        record = decode_body(entry.body)
        emitter = self._emitters.get(record.topic)
        if emitter is None and self._connection is not None:
            emitter = self._emitters[record.topic] = self._connection.to(record.topic)
        assert emitter is not None
        emitter.send(record.key, record.value, record.headers, partial(self._answered, entry, record, self._session))
        self._unsent.popleft()

    def _rest(self) -> None:
        with self._changed:
            self._changed.wait_for(self._has_work, POLL_SECONDS if self._flying else None)
        quiet_seconds = time.monotonic() - self._quiet_since
        if self._flying and not self._answers and quiet_seconds > self._timing.answer_seconds:
            self._trouble = f"no answer within {self._timing.answer_seconds:g} s"
        # Waking for each record by itself would cost its sender more than writing it.
        time.sleep(LINGER_SECONDS)

    def _has_work(self) -> bool:
        return self._is_stopping or bool(self._answers) or (self._has_room() and self._store.has_unread)

    def _has_room(self) -> bool:
        return self._window_bytes < self._timing.window_bytes

    def _answered(self, entry: _Entry, record: SpooledRecord, session: int, reason: str | None) -> None:
        """Hear from the connection, in its thread, once for each record; only the first of many wakes the drainer."""
        self._answers.append((entry, record, session, reason))
        if not self._is_told:
            self._is_told = True
            with self._changed:
                self._changed.notify_all()

    def _hear(self) -> None:
        """Take in what was answered since the last time."""
        self._is_told = False
        settled: list[tuple[Place, str | None]] = []
        while self._answers:
            entry, record, session, reason = self._answers.popleft()
            is_current = session == self._session
            self._flying -= is_current
            if entry.is_done:
                continue
            if self._is_final(entry, record, reason):
                entry.is_done = True
                self._window_bytes -= len(entry.body)
                entry.body = b""
                settled.append((entry.place, reason))
            elif is_current:
                self._trouble = self._trouble or reason
        if settled:
            self._quiet_since = time.monotonic()
            self._backoff_seconds = self._timing.backoff_seconds
            self._let_go()
            self._owner.settled(settled)

    def _is_final(self, entry: _Entry, record: SpooledRecord, reason: str | None) -> bool:
        return reason is None or (isinstance(reason, Refused) and self._owner.keeps(entry.place, record, reason))

    def _let_go(self) -> None:
        count = 0
        while self._order and self._order[0].is_done:
            place = self._order.popleft().place
            count += 1
        if count:
            self._store.acknowledge(place, count)
