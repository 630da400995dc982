"""The files of a spool's directory: names, lock, position, and what is set aside."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path
from typing import NamedTuple

from crc32c import crc32c

from schemas.errors import Misconfigured

LOCK = "lock"
POSITION = "position"
_SEGMENT = re.compile(r"(\d{10})\.v1\.segment")
"""The name carries the version of the format; files of another version are left alone."""


class Place(NamedTuple):
    """Just behind a record: the number of its segment, and a byte offset there."""

    segment: int
    end: int


def segment_path(directory: Path, number: int) -> Path:
    """Where the segment of that number stands."""
    return directory / f"{number:010}.v1.segment"


def list_segments(directory: Path) -> list[int]:
    """The numbers of the segments, in order. Raises OSError."""
    found = (_SEGMENT.fullmatch(name) for name in os.listdir(directory))
    return sorted(int(match[1]) for match in found if match)


def read_position(directory: Path) -> Place | None:
    """Up to where everything was acknowledged, by an earlier process; None when that is not known."""
    try:
        content = (directory / POSITION).read_bytes()
        numbers = content.rpartition(b" ")[0]
        if content != _with_sum(numbers):
            return None
        segment, end = numbers.split()
        return Place(int(segment), int(end))
    except (FileNotFoundError, ValueError):
        return None


def write_position(directory: Path, place: Place) -> None:
    """Replace it as a whole. It need not survive a power loss: without it more is sent again. Raises OSError."""
    numbers = f"{place.segment} {place.end}".encode()
    beside = directory / (POSITION + ".new")
    beside.write_bytes(_with_sum(numbers))
    beside.replace(directory / POSITION)


def _with_sum(numbers: bytes) -> bytes:
    return numbers + b" %08x\n" % crc32c(numbers)


def set_aside(path: Path, at: int) -> Path:
    """Move what stands behind byte `at` of a segment to a file of its own, durably, and return that. Raises OSError."""
    aside = path.with_name(f"{path.name}.{at}.damaged")
    aside.unlink(missing_ok=True)
    append_private(aside, path.read_bytes()[at:])
    sync_directory(path.parent)
    os.truncate(path, at)
    return aside


def append_private(path: Path, content: bytes) -> None:
    """Add to a file that only its owner may read, durably. Raises OSError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Make the names in it durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SpoolLock:
    """Keeps a second process away from the directory; the kernel gives it back however its holder ends."""

    def __init__(self, directory: Path) -> None:
        """Take it at once. Raises `Misconfigured` when another holds it, OSError."""
        self._descriptor: int | None = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            self.release()
            raise Misconfigured(
                f"spool {directory} is in use by process {holder}: give each process a directory of its own"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give it back; the file stays, because removing it would let two others lock two different files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
