"""How far a backfill got, so that one that was cut off goes on: kept in a file, replaced as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, Field, ValidationError

from deploy.local.lock import DirectoryLock
from producers.mapping import Mapping, digest_of
from producers.replay_progress import Identity, save_progress
from schemas.errors import Misconfigured

Range = tuple[str, str]
"""Customers from one name up to another, which is not included; `""` is no end."""
AT_WORK = (
    "another backfill (process {holder}) is at work on the same files, and nothing was done here: let it finish, or "
    "stop it first"
)


class PieceDone(BaseModel):
    """What one piece of a file came to. `reasons`: how many rows were rejected for each; `first`: the first of each."""

    rows: int = 0
    accepted: int = 0
    facts: int = 0
    forgotten: int = 0
    reasons: dict[str, int] = Field(default_factory=dict)
    first: dict[str, str] = Field(default_factory=dict)
    newest_ms: dict[int, int] = Field(default_factory=dict)

    def add(self, other: PieceDone) -> None:
        """Count another piece in."""
        for name in ("rows", "accepted", "facts", "forgotten"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count
        self.first = {**other.first, **self.first}
        for number, moment_ms in other.newest_ms.items():
            self.newest_ms[number] = max(self.newest_ms.get(number, 0), moment_ms)

    @property
    def rejected(self) -> int:
        """Rows that are no touchpoint."""
        return sum(self.reasons.values())


class StitchedRange(BaseModel):
    """What the customers of one range came to."""

    customers: int = 0
    touchpoints: int = 0
    journeys: int = 0
    alerts: int = 0

    def add(self, other: StitchedRange) -> None:
        """Count another range in."""
        for name in StitchedRange.model_fields:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Journal(BaseModel):
    """One run over the same files and mapping; `paths` and `mapping` are where they are.

    `key` tells the identifier key, see `console.backfill_key`; None: nobody noted it.
    `started_ms` is this machine's clock when it began, `since_ms` the server's. `is_first`: nobody was known before,
    when `epoch_before` was the highest epoch of the group.
    `pieces` by name; `ranges` is None until history is loaded and links are decided, `stitched` by place in it.
    `releases`: former owner, identifier and version of what workers have to give back.
    """

    paths: list[str]
    files: list[Identity]
    mapping: str | None = None
    key: str | None = None
    started_ms: int
    since_ms: int
    is_first: bool
    epoch_before: int = 0
    epochs: list[int] = Field(default_factory=list)
    pieces: dict[str, PieceDone] = Field(default_factory=dict)
    newest_moved_ms: dict[int, int] = Field(default_factory=dict)
    releases: list[tuple[str, str, int]] = Field(default_factory=list)
    ranges: list[Range] | None = None
    stitched: dict[int, StitchedRange] = Field(default_factory=dict)
    is_done: bool = False

    @property
    def loaded(self) -> PieceDone:
        """All pieces together."""
        whole = PieceDone()
        for piece in self.pieces.values():
            whole.add(piece)
        return whole

    @property
    def result(self) -> StitchedRange:
        """All ranges together."""
        whole = StitchedRange()
        for each in self.stitched.values():
            whole.add(each)
        return whole


def run_name(paths: Sequence[Path], mapping: Mapping | None) -> str:
    """What names a run: the same files and mapping give the same name."""
    stated = [*(str(path.resolve()) for path in paths), digest_of(mapping)]
    return hashlib.sha256("\0".join(stated).encode()).hexdigest()[:10]


class Unfinished(NamedTuple):
    """A run that was cut off, and the directory that is its own."""

    directory: Path
    journal: Journal


def find_unfinished(directory: Path) -> list[Unfinished]:
    """Runs below a directory that were cut off. What cannot be read is left out."""
    found = []
    for path in sorted(directory.glob("backfill-*/journal.json")):
        with suppress(OSError, ValidationError):
            journal = Journal.model_validate_json(path.read_bytes())
            if not journal.is_done:
                found.append(Unfinished(path.parent, journal))
    return found


class JournalFile:
    """Where a run's journal is. Rejected rows lie beside it. Whoever changes anything there holds the lock."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory / f"backfill-{name}"
        self._path = self.directory / "journal.json"

    @property
    def rejected(self) -> Path:
        """The file of all rejected rows."""
        return self.directory / "rejected.ndjson"

    def rejected_of(self, piece: str) -> Path:
        """The file of one piece's rejected rows."""
        return self.directory / f"rejected-{piece.replace('/', '-')}.ndjson"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep everybody else away. Raises `Misconfigured` when somebody is there, or it cannot be made."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            lock = DirectoryLock(self.directory / "lock", AT_WORK)
            lock.acquire()
        except OSError as error:
            raise Misconfigured(f"{self.directory}: cannot be written to: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()

    def load(self, files: Sequence[Identity], from_start: bool) -> Journal | None:
        """The journal of an earlier run that was cut off. Raises `Misconfigured` where a file has changed since."""
        if from_start or (found := self._read()) is None:
            return None
        if found.files != list(files):
            raise Misconfigured(
                "a file has changed since its backfill began: run with --from-start "
                "(what is loaded already does not count twice)"
            )
        return found

    def left_releases(self) -> list[tuple[str, str, int]]:
        """What a run that was cut off has not told workers yet; nobody will find it again. Raises `Misconfigured`."""
        found = self._read()
        return [] if found is None or found.is_done else found.releases

    def _read(self) -> Journal | None:
        if not self._path.exists():
            return None
        try:
            return Journal.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            raise Misconfigured(f"{self._path}: cannot be read: remove it, and run again") from error

    def save(self, journal: Journal) -> None:
        """Replace the journal, durably. Raises `Misconfigured`."""
        save_progress(self._path, journal)

    def join_rejected(self, pieces: Sequence[str]) -> Path | None:
        """Put the rejected rows of all pieces into one file, if there are any."""
        self.rejected.unlink(missing_ok=True)
        parts = [path for piece in pieces if (path := self.rejected_of(piece)).exists()]
        if not parts:
            return None
        with self.rejected.open("wb") as whole:
            for part in parts:
                whole.write(part.read_bytes())
        return self.rejected
