"""The note that a running worker leaves in a directory, by which others find it and its metrics."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from schemas.moments import format_epoch_ms


def note_path(directory: Path, pid: int) -> Path:
    """Where the worker of a process id leaves its note."""
    return directory / f"{pid}.json"


@contextlib.contextmanager
def leave_note(directory: Path, metrics_url: str) -> Iterator[None]:
    """Say where this process serves its metrics, and take it back at the end. A reader finds the whole note or none."""
    directory.mkdir(parents=True, exist_ok=True)
    pid = os.getpid()
    note = note_path(directory, pid)
    # The readers look for *.json only.
    beside = note.with_suffix(".new")
    content = {"pid": pid, "metrics_url": metrics_url, "started_at": format_epoch_ms(time.time_ns() // 1_000_000)}
    beside.write_text(json.dumps(content), encoding="utf-8")
    beside.replace(note)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)
