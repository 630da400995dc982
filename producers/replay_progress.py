"""How far a replay got, kept beside its input, and the rows that it had to reject."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import Misconfigured

HEAD_BYTES = 65_536


class Identity(BaseModel):
    """What tells one state of a file from another: size, modification time, and the hash of its first 64 KiB."""

    model_config = ConfigDict(frozen=True)

    size_bytes: int
    modified_ns: int
    head_sha256: str

    @classmethod
    def of(cls, path: Path) -> Identity:
        """The file's identity now. Raises `Misconfigured` when it cannot be read."""
        try:
            with path.open("rb") as file:
                head, stat = file.read(HEAD_BYTES), os.fstat(file.fileno())
        except OSError as error:
            raise Misconfigured(f"{path}: cannot be read: {error.strerror}") from error
        return cls(size_bytes=stat.st_size, modified_ns=stat.st_mtime_ns, head_sha256=hashlib.sha256(head).hexdigest())


class Progress(BaseModel):
    """Everything up to `line` was confirmed by broker or spool, skipped by the mapping, or kept among the rejected."""

    file: Identity
    mapping_sha256: str
    line: int = 0
    delivered: int = 0
    spooled: int = 0
    skipped: int = 0
    rejected: int = 0
    rejected_bytes: int = 0


def load_progress(path: Path, fresh: Progress, name: Path, from_start: bool) -> Progress:
    """The progress of an earlier run over the same file and mapping, or `fresh` if there was none.

    Raises `Misconfigured` when file or mapping have changed since: line numbers would then mean something else.
    """
    if from_start or not path.exists():
        return fresh
    try:
        found = Progress.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise Misconfigured(f"{path}: cannot be read as progress: run with --from-start") from error
    changed = (
        "file" if found.file != fresh.file else "mapping" if found.mapping_sha256 != fresh.mapping_sha256 else None
    )
    if changed:
        raise Misconfigured(
            f"{name}: the {changed} has changed since its replay got to line {found.line}: "
            "run with --from-start to send all of it (what arrived already will not count twice)"
        )
    return found


def save_progress(path: Path, progress: BaseModel) -> None:
    """Replace the progress file as a whole, durably. Raises `Misconfigured` when it cannot be written."""
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(progress.model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise Misconfigured(f"{path}: progress cannot be written: {error.strerror}") from error


def append_rejected(path: Path, keep_bytes: int, rows: Iterable[dict[str, Any]]) -> int:
    """Write rejected rows behind the first `keep_bytes` of their file, durably, and return its new size in bytes.

    What stood behind was written by a run that was cut short before it could say so, and comes again now.
    """
    # ASCII, so that what was no UTF-8 in the input can be written at all.
    text = "".join(json.dumps(row, default=str) + "\n" for row in rows).encode("ascii")
    if not text and not path.exists():
        return 0
    try:
        with path.open("r+b" if path.exists() else "wb") as file:
            # It may be shorter: somebody has cleared it in between.
            file.truncate(min(keep_bytes, file.seek(0, os.SEEK_END)))
            file.seek(0, os.SEEK_END)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            return file.tell()
    except OSError as error:
        raise Misconfigured(f"{path}: rejected rows cannot be written: {error.strerror}") from error
