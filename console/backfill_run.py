"""One run of a backfill: its files, its directory that nobody else works in meanwhile, and how far it got."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from console.backfill_journal import Journal, JournalFile, PieceDone, StitchedRange, run_name
from console.backfill_key import check_key, key_mark
from producers.history_files import PIECE_ROWS, Piece, cut, find_empty
from producers.mapping import Mapping
from producers.replay_progress import Identity
from schemas.settings import Settings

RANGE_TOUCHPOINTS = 250_000


@dataclass(frozen=True)
class Wanted:
    """What is asked for. `directory`: where the journal and rejected rows go. A range has about `range_touchpoints`,
    a piece of Parquet about `piece_rows`.

    `mapping_path` is told to whoever may go on.
    """

    paths: Sequence[Path]
    mapping: Mapping | None
    directory: Path
    processes: int
    from_start: bool = False
    range_touchpoints: int = RANGE_TOUCHPOINTS
    piece_rows: int = PIECE_ROWS
    mapping_path: Path | None = None


@dataclass(frozen=True)
class Given:
    """The files of a run, each of which can be opened: the pieces of those with rows, and those without."""

    pieces: Sequence[Piece]
    empty: Sequence[Path]


@dataclass(frozen=True)
class Result:
    """What a run came to, with what earlier runs of it had done. `releases`: how many identifiers workers have yet to
    take from their former owners."""

    loaded: PieceDone = field(default_factory=PieceDone)
    stitched: StitchedRange = field(default_factory=StitchedRange)
    seconds: float = 0.0
    resumed: bool = False
    rejected_file: Path | None = None
    releases: int = 0


@dataclass(frozen=True)
class Run:
    """A run that this process alone works at. `journal` is as an earlier process left it, or new and not saved yet."""

    wanted: Wanted
    pieces: Sequence[Piece]
    name: str
    file: JournalFile
    journal: Journal
    resumed: bool

    @property
    def is_done(self) -> bool:
        """Whether an earlier process has done all of it already."""
        return self.journal.is_done

    @property
    def earlier(self) -> Result:
        """What earlier processes have done of it."""
        journal, rejected = self.journal, self.file.rejected
        return Result(
            journal.loaded, journal.result, 0.0, self.resumed, rejected if rejected.exists() else None,
            len(journal.releases),
        )  # fmt: skip


def look_into(wanted: Wanted) -> Given:
    """Read the beginning of each file. Raises `Misconfigured` for what cannot be read, or lacks a mapping's columns."""
    pieces = cut(wanted.paths, wanted.mapping, wanted.piece_rows)
    empty = find_empty(pieces, wanted.paths, wanted.mapping)
    full = [piece for piece in pieces if piece.number not in empty and (piece.size or piece.groups is None)]
    return Given(full, [wanted.paths[number] for number in empty])


@contextmanager
def opened_run(wanted: Wanted, given: Given, settings: Settings) -> Iterator[Run]:
    """The run over these files. Nothing is saved yet.

    Raises `Misconfigured` when another process is at work on it, or a file or the identifier key is another since.
    """
    name, key = run_name(wanted.paths, wanted.mapping), key_mark(settings)
    file = JournalFile(wanted.directory, name)
    with file.locked():
        identities = [Identity.of(path) for path in wanted.paths]
        found = file.load(identities, wanted.from_start)
        if found is not None and not found.is_done:
            check_key(found.key, key)
        journal = found or Journal(
            paths=[str(path.absolute()) for path in wanted.paths], files=identities, key=key,
            mapping=str(wanted.mapping_path.absolute()) if wanted.mapping_path else None,
            started_ms=time.time_ns() // 1_000_000, since_ms=0, is_first=False, releases=file.left_releases(),
        )  # fmt: skip
        yield Run(wanted, given.pieces, name, file, journal, resumed=found is not None)
