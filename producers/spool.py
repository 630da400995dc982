"""A disk spool in front of the broker: records are on disk before they are sent, and wait there while it is away."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producers import spool_files as files
from producers.emitters import Answered, Headers, KafkaEmitter, Spooled, no_answer
from producers.servers import find_fault
from producers.spool_drain import Drainer, Reach, Timing
from producers.spool_files import Place
from producers.spool_records import HEAD, SpooledRecord, decode_body, encode_body
from producers.spool_segments import Say, SegmentStore
from schemas.errors import Transient
from schemas.settings import SpoolFsync

DEFAULT_BYTES = 1024 * 1024 * 1024
REFUSED_FILE = "refused.ndjson"
JOIN_SECONDS = 5.0
NEVER_MS = 2**31 - 1
PATIENT = Timing()
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpoolStatus:
    """What lies in a spool and has no acknowledgement yet, also from earlier processes.

    `delivered` and `write_errors` count since this process opened it.
    `fault` is why nothing is being sent, None while the broker answers. `set_aside` counts the files with records that
    cannot be sent (`*.damaged`, `refused.ndjson`), which a person has to look at.
    """

    directory: Path
    delivered: int
    records: int
    bytes: int
    oldest_age_seconds: float
    write_errors: int
    set_aside: int
    fault: str | None


class Spool:
    """Writes each record to disk, sends it from there, and tells its sender what became of it.

    What was taken survives the end of the process at any moment, kill -9 included. It survives a loss of power as
    `fsync` says: `always` from the moment it is taken; `interval` after half a second, or after a flush; `never` when
    the operating system has written it. Delivery is at least once, in order per key, by this process or the next one
    that opens the directory; a repeat has the same event id. Only one process can have the directory.

    While the broker answers, a record is answered for when it is acknowledged. While it does not, the answer is
    `Spooled`, at once. Raises `Misconfigured` for a directory that cannot be used, and what `reach` raises except
    `Transient`: without a broker it starts as well.
    """

    def __init__(
        self,
        directory: Path,
        reach: Reach,
        *,
        limit_bytes: int = DEFAULT_BYTES,
        fsync: SpoolFsync = "interval",
        say: Say = _log.warning,
        timing: Timing = PATIENT,
    ) -> None:
        self.directory, self.limit_bytes = directory, limit_bytes
        self._fsync, self._say, self._timing = fsync, say, timing
        self._changed = threading.Condition()
        self._pending: dict[Place, tuple[Answered, int]] = {}
        self._pending_bytes = self._delivered = self._untold = 0
        self._is_reached = self._is_closed = False
        self._fault: str | None = None
        self._progress_at = time.monotonic()
        self._store = SegmentStore(directory, limit_bytes, say=say, durable=fsync != "never")
        self._drainer = Drainer(self._store, reach, self, self._changed, timing)
        try:
            self._drainer.connect()
        except Transient as error:
            self.lost(str(error))
        except BaseException:
            self._store.close()
            raise
        self._ending = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="journeys-spool-keeper", daemon=True)
        self._keeper.start()
        self._drainer.start(self._fault)

    def to(self, topic: str) -> SpoolingEmitter:
        """An emitter to that topic through this spool, which ends when any of them is closed."""
        return SpoolingEmitter(self, topic)

    def take(self, topic: str, key: bytes, value: bytes, headers: Headers, answered: Answered) -> None:
        """Write one record. Raises `Transient` when the spool is full, closed, or the disk fails."""
        body = encode_body(SpooledRecord(time.time_ns() // 1_000_000, topic, key, value, headers))
        size = HEAD.size + len(body)
        with self._changed:
            if self._is_closed:
                raise Transient(f"spool {self.directory} takes no records: closed")
            place = self._store.append(body)
            waits = self._is_reached and self._store.waiting_bytes - self._pending_bytes <= self._timing.near_bytes
            if waits:
                self._pending[place] = answered, size
                self._pending_bytes += size
            self._changed.notify_all()
        if self._fsync == "always":
            self._sync_taken(place, waits)
        if not waits:
            answered(self._spooled())

    def flush(self, timeout_seconds: float) -> None:
        """Wait for the broker's answers, at most so long; what has none then is `Spooled`. What is spooled is durable
        afterwards, as far as `fsync` lets it; raises `Transient` when the disk failed to make it so. All senders have
        heard their answers then.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._pending, timeout_seconds)
            unanswered = self._take_all_pending()
        reason: str = self._spooled()
        try:
            self._store.sync()
        except Transient as error:
            reason = str(error)
            raise
        finally:
            self._tell([(answered, reason) for answered in unanswered])
            with self._changed:
                self._changed.wait_for(lambda: not self._untold)

    def drain(self, patience_seconds: float, observe: Callable[[SpoolStatus], None] = lambda _: None) -> bool:
        """Wait until the spool is empty, or nothing was acknowledged for so long; returns whether it is empty."""
        self._progress_at = max(self._progress_at, time.monotonic())
        while self._store.records and time.monotonic() - self._progress_at < patience_seconds:
            observe(self.status())
            with self._changed:
                self._changed.wait_for(lambda: not self._store.records, 0.2)
        observe(self.status())
        return not self._store.records

    def status(self) -> SpoolStatus:
        """What lies in it now."""
        aside = [*self.directory.glob("*.damaged"), *self.directory.glob(REFUSED_FILE)]
        return SpoolStatus(
            directory=self.directory,
            delivered=self._delivered,
            records=self._store.records,
            bytes=self._store.waiting_bytes,
            oldest_age_seconds=self._oldest_age_seconds(),
            write_errors=self._store.write_errors,
            set_aside=len(aside),
            fault=self._fault,
        )

    def close(self, timeout_seconds: float) -> None:
        """Flush for so long, stop sending, and let another process have the directory."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
        try:
            self.flush(timeout_seconds)
        finally:
            self._ending.set()
            self._drainer.stop(JOIN_SECONDS)
            self._keeper.join(JOIN_SECONDS)
            self._store.close()

    def reached(self) -> None:
        """Hear from the drainer. After a fault only an acknowledgement proves that the broker is back."""
        with self._changed:
            if self._fault is None or not self._store.records:
                self._is_reached, self._fault = True, None

    def lost(self, reason: str) -> None:
        """Hear from the drainer that what was sent is not answered: it lies in the spool."""
        with self._changed:
            self._is_reached, self._fault = False, reason
            unanswered = self._take_all_pending()
        self._tell([(answered, self._spooled()) for answered in unanswered])

    def settled(self, answers: list[tuple[Place, str | None]]) -> None:
        """Hear from the drainer, and pass it on to whoever still waits for it."""
        with self._changed:
            self._is_reached, self._fault = True, None
            self._progress_at = time.monotonic()
            self._delivered += sum(reason is None for _, reason in answers)
            awaited = [(answered, reason) for place, reason in answers if (answered := self._pop(place)) is not None]
            self._untold += len(awaited)
        self._tell(awaited)

    def damaged(self, place: Place) -> None:
        """Hear from the drainer; nobody may take what is set aside for something that will be sent."""
        with self._changed:
            gone = [each for each in self._pending if each.segment == place.segment and each.end > place.end]
            unanswered = [answered for each in gone if (answered := self._pop(each)) is not None]
            self._untold += len(unanswered)
        self._tell([(answered, f"damaged on disk, and set aside in {self.directory}") for answered in unanswered])

    def keeps(self, place: Place, record: SpooledRecord, reason: str) -> bool:
        """Tell the sender of a refused record, or keep it when no sender will hear of it any more."""
        with self._changed:
            answered = self._pop(place)
            self._untold += answered is not None
        if answered is not None:
            self._tell([(answered, reason)])
            return True
        try:
            files.append_private(self.directory / REFUSED_FILE, _describe(record, reason))
        except OSError as error:
            self._say(f"spool {self.directory} cannot keep a refused record, and tries again: {error.strerror}")
            return False
        self._say(f"spool {self.directory}: the broker refuses a record for good, see {REFUSED_FILE}: {reason}")
        return True

    def _spooled(self) -> Spooled:
        return Spooled(f"in the spool {self.directory}, and sent when the broker answers")

    def _sync_taken(self, place: Place, waits: bool) -> None:
        try:
            self._store.sync(place)
        except Transient:
            with self._changed:
                answered = self._pop(place)
            # Whoever was answered already, because the broker has it, must not hear that it was not taken.
            if answered is not None or not waits:
                raise

    def _pop(self, place: Place) -> Answered | None:
        answered, size = self._pending.pop(place, (None, 0))
        self._pending_bytes -= size
        if not self._pending:
            self._changed.notify_all()
        return answered

    def _take_all_pending(self) -> list[Answered]:
        unanswered = [answered for answered, _ in self._pending.values()]
        self._pending.clear()
        self._pending_bytes = 0
        self._untold += len(unanswered)
        self._changed.notify_all()
        return unanswered

    def _tell(self, answers: list[tuple[Answered, str | None]]) -> None:
        """Answer, outside of the lock, what was counted as untold when it left the pending."""
        try:
            for answered, reason in answers:
                answered(reason)
        finally:
            with self._changed:
                self._untold -= len(answers)
                self._changed.notify_all()

    def _keep(self) -> None:
        """Once in a while make durable what was written, and note what was acknowledged."""
        has_failed = False
        while not self._ending.wait(self._timing.sync_seconds):
            self._store.save_position()
            if self._fsync == "interval":
                try:
                    self._store.sync()
                    has_failed = False
                except Transient as error:
                    if not has_failed:
                        self._say(str(error))
                    has_failed = True

    def _oldest_age_seconds(self) -> float:
        try:
            body = self._store.peek()
        except Transient:
            return 0.0
        return 0.0 if body is None else max(0.0, time.time() - decode_body(body).written_ms / 1000)


class KafkaReach:
    """Connects a spool to the Kafka servers that kafka-python's `options()` name when it is called.

    The first call judges the options, and raises as `KafkaEmitter` does. Later ones first look whether a server listens
    at all: each attempt of the library's own leaves sockets behind.
    """

    def __init__(self, options: Callable[[], Mapping[str, Any]]) -> None:
        self._options = options
        self._is_judged = False

    def __call__(self) -> KafkaEmitter:
        # A producer that gave up a record by itself might deliver a later one of the same key first.
        options = {"bootstrap_timeout_ms": 5_000, **self._options(), "delivery_timeout_ms": NEVER_MS}
        fault = find_fault(options, grace_seconds=0.0) if self._is_judged else None
        if fault is not None:
            raise no_answer(options, fault)
        try:
            return KafkaEmitter(options)
        finally:
            self._is_judged = True


class SpoolingEmitter:
    """One topic's `Emitter` through a spool: a record is taken even while no broker is there, and never forgotten.

    `send` raises `Transient` only when the spool takes nothing. Answers are None (the broker has it), `Spooled` (it
    lies on this machine's disk and will be sent), or why it was refused. All emitters of one spool end together.
    """

    def __init__(self, spool: Spool, topic: str) -> None:
        self._spool, self._topic = spool, topic

    def send(self, key: bytes, value: bytes, headers: Headers, answered: Answered) -> None:
        self._spool.take(self._topic, key, value, headers, answered)

    def flush(self, timeout_seconds: float) -> None:
        self._spool.flush(timeout_seconds)

    def close(self, timeout_seconds: float) -> None:
        self._spool.close(timeout_seconds)


def _describe(record: SpooledRecord, reason: str) -> bytes:
    row = {"reason": reason, "topic": record.topic, "key": _text(record.key), "value": _text(record.value)}
    return json.dumps(row).encode() + b"\n"


def _text(content: bytes) -> str | dict[str, str]:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}
