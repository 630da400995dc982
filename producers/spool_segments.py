"""A spool's records on disk: one queue in segment files, which survives kill -9 and says what it could not keep.

<directory>/lock                          locked while a process uses the directory
<directory>/<number>.v1.segment           records in the order in which they came; deleted when all are acknowledged
<directory>/<number>…<byte>.damaged       what stood behind a damaged record, kept for a person to look at
<directory>/position                      up to where everything is acknowledged; without it more is sent again
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from producers import spool_files as files
from producers.spool_files import Place
from producers.spool_records import Fault, find_body, frame, framed_bytes
from schemas.errors import Misconfigured, Transient

MOST_SEGMENT_BYTES = 16 * 1024 * 1024
LEAST_SEGMENT_BYTES = 4096
READ_BYTES = 256 * 1024
Say = Callable[[str], None]


@dataclass
class _Segment:
    """Bytes and records of it that are good; what may stand behind them in the file is none of ours."""

    number: int
    path: Path
    size: int = 0
    records: int = 0


class SegmentStore:
    """Keeps bodies in order until they are acknowledged. Thread-safe; one process at a time.

    What `append` returned for survives the end of the process at any moment; what `sync` returned for survives the end
    of the machine, unless `durable` is false, which leaves that to the operating system. At most `limit_bytes` lie in
    segments. A record that was cut off at the end is removed on opening; behind a damaged one the rest of its segment
    is set aside; both are told by `say`. Raises `Misconfigured` when the directory cannot be used, or another process
    uses it.
    """

    def __init__(
        self,
        directory: Path,
        limit_bytes: int,
        *,
        say: Say,
        durable: bool = True,
        segment_bytes: int | None = None,
        sync_file: Callable[[int], None] = os.fsync,
    ) -> None:
        self.directory = directory
        self.write_errors = 0
        self._limit_bytes, self._say, self._durable = limit_bytes, say, durable
        self._segment_bytes = segment_bytes or max(LEAST_SEGMENT_BYTES, min(MOST_SEGMENT_BYTES, limit_bytes // 8))
        self._sync_file = sync_file
        self._lock, self._syncing = threading.RLock(), threading.Lock()
        self._segments: deque[_Segment] = deque()
        self._active: _Segment | None = None
        self._descriptors: dict[int, int] = {}
        self._dirty: set[int] = set()
        self._unsafe: set[int] = set()
        self._total_bytes = self._records = self._read_records = 0
        self._reader: tuple[int, int] | None = None
        self._damage: list[Place] = []
        self._is_closed = False
        self._acked = self._saved = self._cursor = Place(0, 0)
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory_lock = files.SpoolLock(directory)
            try:
                self._load()
            except BaseException:
                self._directory_lock.release()
                raise
        except OSError as error:
            raise Misconfigured(f"spool {directory} cannot be used: {error.strerror}") from error

    @property
    def records(self) -> int:
        """How many are not acknowledged."""
        return self._records

    @property
    def waiting_bytes(self) -> int:
        """How much of the segments is not acknowledged."""
        with self._lock:
            first = self._segments[0].number if self._segments else None
            return self._total_bytes - (self._acked.end if self._acked.segment == first else 0)

    @property
    def has_unread(self) -> bool:
        """Whether `read` has something to return."""
        with self._lock:
            return self._unread() is not None

    def append(self, body: bytes) -> Place:
        """Take a record. Raises `Transient` when the limit is reached or the disk takes nothing; then it has none."""
        framed = frame(body)
        with self._lock:
            if self._is_closed:
                raise Transient(f"spool {self.directory} takes no records: closed")
            self._make_room(len(framed))
            try:
                segment = self._writable()
                self._write(segment, framed)
            except OSError as error:
                self.write_errors += 1
                raise Transient(f"spool {self.directory} takes no records: {error.strerror}") from error
            segment.size += len(framed)
            segment.records += 1
            self._total_bytes += len(framed)
            self._records += 1
            self._dirty.add(segment.number)
            return Place(segment.number, segment.size)

    def sync(self, place: Place | None = None) -> None:
        """Make durable what was appended, up to this place or all of it. Raises `Transient` when that failed."""
        if not self._durable:
            return
        with self._syncing:
            dirty = self._take_dirty()
            for number, descriptor in dirty.items():
                self._sync_one(number, descriptor)
            with self._lock:
                for number in dirty:
                    self._close_sealed(number)
                # After a failed fsync nobody can tell what is on the disk, and another fsync would not tell either.
                if self._unsafe and (place is None or place.segment in self._unsafe):
                    raise Transient(f"spool {self.directory} cannot be made durable: the disk failed to write")

    def read(self, limit_bytes: int = READ_BYTES) -> list[tuple[Place, bytes]]:
        """The next records in order, each once in the life of this store, about so many bytes; none: all are read.

        Raises `Transient` when the disk cannot be read; nothing is skipped then.
        """
        with self._lock:
            try:
                while (segment := self._unread()) is not None:
                    if found := self._read_some(segment, limit_bytes):
                        return found
            except OSError as error:
                raise Transient(f"spool {self.directory} cannot be read: {error.strerror}") from error
            return []

    def take_damage(self) -> list[Place]:
        """Places behind which, in their segments, records were set aside since the last call."""
        with self._lock:
            damage, self._damage = self._damage, []
            return damage

    def acknowledge(self, place: Place, count: int) -> None:
        """Let go of everything up to this place, which is so many more records."""
        with self._lock:
            if not self._is_closed:
                self._acked = place
                self._records -= count
                self._drop_acknowledged()

    def peek(self) -> bytes | None:
        """The first record that is not acknowledged. Raises `Transient` when the disk cannot be read."""
        with self._lock:
            for segment in self._segments:
                at = self._acked.end if segment.number == self._acked.segment else 0
                if at < segment.size and not self._is_closed:
                    return self._peek(segment.path, at)
            return None

    def save_position(self) -> None:
        """Note what is acknowledged, so that a later process does not send it again. Failing is told, and harmless."""
        with self._lock:
            if self._acked == self._saved or self._is_closed:
                return
            try:
                files.write_position(self.directory, self._acked)
                self._saved = self._acked
            except OSError as error:
                self.write_errors += 1
                self._say(f"spool {self.directory}: its position cannot be noted: {error.strerror}")

    def close(self) -> None:
        """Note the position, delete what is acknowledged, and let another process have the directory."""
        with self._lock:
            if self._is_closed:
                return
            self._seal()
            self._drop_acknowledged()
            self.save_position()
            self._is_closed = True
            for descriptor in [*self._descriptors.values(), *([self._reader[1]] if self._reader else [])]:
                os.close(descriptor)
            self._descriptors, self._reader = {}, None
            self._dirty.clear()
            self._directory_lock.release()

    def _load(self) -> None:
        position = files.read_position(self.directory)
        numbers = files.list_segments(self.directory)
        self._next_number = max([*numbers, position.segment if position else 0]) + 1
        acked, acked_records = Place(numbers[0] if numbers else 0, 0), 0
        for number in numbers:
            path = files.segment_path(self.directory, number)
            if position is not None and number < position.segment:
                path.unlink()
                continue
            segment, records_at = self._scan(_Segment(number, path))
            if position is not None and position.segment == number:
                # Damage before the position leaves only what is acknowledged.
                end = min(position.end, segment.size)
                acked, acked_records = Place(number, end if end in records_at else 0), records_at.get(end, 0)
            self._segments.append(segment)
            self._total_bytes += segment.size
            self._records += segment.records
        self._records -= acked_records
        self._acked = self._saved = self._cursor = acked
        self._read_records = acked_records
        self._drop_acknowledged()

    def _scan(self, segment: _Segment) -> tuple[_Segment, dict[int, int]]:
        """Judge a segment that another process has left; also says how many records end at each byte offset."""
        content = memoryview(segment.path.read_bytes())
        ends: dict[int, int] = {}
        fault: Fault | None = None
        while segment.size < len(content):
            found = find_body(content, segment.size)
            if isinstance(found, Fault):
                fault = found
                break
            segment.size = found[1]
            segment.records += 1
            ends[segment.size] = segment.records
        rest = len(content) - segment.size
        if fault is Fault.TORN:
            os.truncate(segment.path, segment.size)
            self._say(f"{segment.path}: its last record was cut off after {rest} bytes, and is removed")
        elif fault is Fault.DAMAGED:
            aside = files.set_aside(segment.path, segment.size)
            self._say(
                f"{segment.path} is damaged after byte {segment.size}: {rest} bytes are set aside in {aside.name}"
            )
        return segment, ends

    def _make_room(self, size: int) -> None:
        if self._total_bytes + size > self._limit_bytes and self._records == 0:
            # Nothing waits, and the segment that is being written is all that there is.
            self._seal()
            self._drop_acknowledged()
        if self._total_bytes + size > self._limit_bytes:
            raise Transient(
                f"spool {self.directory} is full and takes no records: {self._records} wait for the broker in "
                f"{self._total_bytes} bytes, and at most {self._limit_bytes} are allowed (JOURNEYS_SPOOL_BYTES)"
            )

    def _writable(self) -> _Segment:
        if self._active is not None and self._active.size >= self._segment_bytes:
            self._seal()
        if self._active is None:
            number = self._next_number
            path = files.segment_path(self.directory, number)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            self._next_number += 1
            self._descriptors[number] = descriptor
            self._active = _Segment(number, path)
            self._segments.append(self._active)
            if self._durable:
                files.sync_directory(self.directory)
        return self._active

    def _write(self, segment: _Segment, framed: bytes) -> None:
        descriptor, at = self._descriptors[segment.number], segment.size
        try:
            written = os.pwrite(descriptor, framed, at)
            while written < len(framed):
                written += os.pwrite(descriptor, framed[written:], at + written)
        except OSError:
            try:
                os.ftruncate(descriptor, at)
            except OSError:
                # Half a record stays, and so nothing more may be written behind it.
                self._seal()
            raise

    def _seal(self) -> None:
        sealed, self._active = self._active, None
        if sealed is not None:
            self._close_sealed(sealed.number)

    def _close_sealed(self, number: int) -> None:
        """Close a file that is written no more, once it need not be synced either."""
        is_active = self._active is not None and self._active.number == number
        if not is_active and (number not in self._dirty or not self._durable) and number in self._descriptors:
            os.close(self._descriptors.pop(number))

    def _take_dirty(self) -> dict[int, int]:
        """Descriptors of one's own, since a segment may be deleted meanwhile."""
        with self._lock:
            try:
                dirty = {number: os.dup(self._descriptors[number]) for number in self._dirty}
            except OSError as error:
                raise Transient(f"spool {self.directory} cannot be made durable: {error.strerror}") from error
            self._dirty.clear()
            return dirty

    def _sync_one(self, number: int, descriptor: int) -> None:
        try:
            self._sync_file(descriptor)
        except OSError:
            with self._lock:
                self.write_errors += 1
                if any(segment.number == number for segment in self._segments):
                    self._unsafe.add(number)
                if self._active is not None and self._active.number == number:
                    self._seal()
        finally:
            os.close(descriptor)

    def _unread(self) -> _Segment | None:
        """Move the cursor to the next segment that has something to read."""
        for segment in self._segments:
            if segment.number > self._cursor.segment and segment.size:
                self._cursor, self._read_records = Place(segment.number, 0), 0
            if segment.number == self._cursor.segment and self._cursor.end < segment.size:
                return None if self._is_closed else segment
        return None

    def _read_some(self, segment: _Segment, limit_bytes: int) -> list[tuple[Place, bytes]]:
        begin = self._cursor.end
        left = segment.size - begin
        content = memoryview(os.pread(self._reading(segment), min(limit_bytes, left), begin))
        needed = framed_bytes(content, 0)
        if needed is not None and len(content) < needed <= left:
            content = memoryview(os.pread(self._reading(segment), needed, begin))
        found, at = [], 0
        while at < len(content) and not isinstance(span := find_body(content, at), Fault):
            at = span[1]
            found.append((Place(segment.number, begin + at), bytes(content[span[0] : at])))
        if not found:
            self._set_aside(segment, begin)
        self._cursor = Place(segment.number, begin + at)
        self._read_records += len(found)
        return found

    def _reading(self, segment: _Segment) -> int:
        if self._reader is None or self._reader[0] != segment.number:
            descriptor = os.open(segment.path, os.O_RDONLY)
            if self._reader is not None:
                os.close(self._reader[1])
            self._reader = segment.number, descriptor
        return self._reader[1]

    def _set_aside(self, segment: _Segment, at: int) -> None:
        if segment is self._active:
            self._seal()
        aside = files.set_aside(segment.path, at)
        lost = segment.records - self._read_records
        self._total_bytes -= segment.size - at
        self._records -= lost
        segment.size, segment.records = at, self._read_records
        self._damage.append(Place(segment.number, at))
        self._say(f"{segment.path} is damaged after byte {at}: {lost} records are set aside in {aside.name}")
        self._drop_acknowledged()

    def _drop_acknowledged(self) -> None:
        while self._segments and self._segments[0] is not self._active:
            first = self._segments[0]
            if self._acked < Place(first.number, first.size):
                return
            self._segments.popleft()
            self._forget(first)

    def _forget(self, segment: _Segment) -> None:
        self._total_bytes -= segment.size
        self._dirty.discard(segment.number)
        self._unsafe.discard(segment.number)
        self._close_sealed(segment.number)
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            self.write_errors += 1
            self._say(f"{segment.path} cannot be deleted, and will be sent again: {error.strerror}")

    def _peek(self, path: Path, at: int) -> bytes | None:
        try:
            with path.open("rb") as file:
                file.seek(at)
                content = file.read(READ_BYTES)
                needed = framed_bytes(memoryview(content), 0)
                if needed is not None and needed > len(content):
                    content += file.read(needed - len(content))
        except OSError as error:
            raise Transient(f"spool {self.directory} cannot be read: {error.strerror}") from error
        found = find_body(memoryview(content), 0)
        return None if isinstance(found, Fault) else content[found[0] : found[1]]
