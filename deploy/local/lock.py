"""One process per directory, by a lock that the kernel gives back however its holder ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from schemas.errors import Misconfigured

STACK_IN_USE = (
    "{directory} is in use by the local stack of process {holder}: stop that one, or choose another directory with "
    "JOURNEYS_DATA_DIR"
)


class DirectoryLock:
    """An exclusive lock on a file, which holds its holder's process id for the message that others get.

    A file left behind by a killed process is not locked: whoever comes next simply takes it. `in_use` is that message,
    with `{directory}` and `{holder}` where they belong.
    """

    def __init__(self, path: Path, in_use: str = STACK_IN_USE) -> None:
        self._path = path
        self._in_use = in_use
        # A bare descriptor: a file object that is collected would give the lock back while the processes live on.
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock at once. Raises `Misconfigured` when another process holds it, OSError."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise Misconfigured(self._in_use.format(directory=self._path.parent, holder=holder)) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; the file stays, because removing it would let two others lock two different files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
