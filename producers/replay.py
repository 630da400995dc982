"""File replay: rows of NDJSON or CSV as touchpoints and facts, at any speed, going on where an earlier run stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from producers import replay_progress as kept
from producers.client import Client, not_delivered
from producers.emitters import Headers
from producers.interrupts import Shield
from producers.mapped_rows import Rejected, RowMapper, Skipped
from producers.mapping import Mapping, digest_of
from producers.rows import DAMAGE, STDIN, Row, format_of, open_input, read_csv, read_ndjson
from schemas.errors import Misconfigured, Undecodable
from schemas.moments import check_moment, to_epoch_ms
from schemas.topics import REPLAY_HEADER

HEADERS: Headers = ((REPLAY_HEADER, b"1"),)


@dataclass(frozen=True)
class ReplayOptions:
    """`speed`: 1 as it was lived, 60 a minute per second, None as fast as possible. `state_dir`: where progress and
    rejected rows are kept (None: beside the input). A checkpoint, which waits for the broker's answers, is made after
    `checkpoint_rows` or `checkpoint_seconds`, whichever comes first."""

    speed: float | None = None
    from_start: bool = False
    state_dir: Path | None = None
    checkpoint_rows: int = 20_000
    checkpoint_seconds: float = 2.0


@dataclass(frozen=True)
class RejectedRows:
    """How many rows of one run were rejected for the same reason, and the first of them."""

    reason: str
    count: int
    first_line: int
    first_detail: str


@dataclass(frozen=True)
class ReplaySummary:
    """What one run did; the counts are of this run. `line` is the last line that is done with, in any run.

    `reasons` adds up to `rejected`, the commonest first. `spooled` were not delivered when a checkpoint asked, and lay
    in the client's spool. `rejected_before`: rows of the same file that earlier runs have rejected.
    """

    delivered: int
    rejected: int
    skipped: int
    resumed_after_line: int
    line: int
    rejected_file: Path | None
    seconds: float
    reasons: tuple[RejectedRows, ...] = ()
    spooled: int = 0
    rejected_before: int = 0


@dataclass(frozen=True)
class Position:
    """Where a running replay is: bytes of the file read and in all (None for stdin), rows of this run."""

    read_bytes: int | None
    total_bytes: int | None
    rows: int
    rejected: int


Observe = Callable[[Position], None]


class Pace:
    """Keeps the intervals between touchpoints, divided by `speed`; earlier ones than the first go at once."""

    def __init__(self, speed: float | None) -> None:
        if speed is not None and not 0 < speed < float("inf"):
            raise Misconfigured(f"speed is {speed:g}: give a number above 0, or leave it out for as fast as possible")
        self._speed = speed
        self._first: tuple[int, float] | None = None

    def wait_seconds(self, touchpoint: dict[str, Any], now_seconds: float) -> float:
        """How long to wait, at a monotonic `now_seconds`, before this touchpoint is due; 0 or less: it is."""
        if self._speed is None:
            return 0.0
        try:
            occurred_ms = to_epoch_ms(check_moment(touchpoint.get("occurred_at")))
        except ValueError:
            # The contract will refuse it; that needs no waiting.
            return 0.0
        if self._first is None:
            self._first = (occurred_ms, now_seconds)
        first_ms, began_seconds = self._first
        return began_seconds + (occurred_ms - first_ms) / 1000 / self._speed - now_seconds


def replay_file(
    path: Path,
    client: Client,
    mapping: Mapping | None = None,
    options: ReplayOptions = ReplayOptions(),
    observe: Observe = lambda _: None,
) -> ReplaySummary:
    """Send every row of a file (`-`: NDJSON from stdin) and return once the broker has confirmed all of them.

    Without a mapping each NDJSON line is a touchpoint or fact already; CSV needs one. A row that cannot be sent is
    written with its line and reason to `<file>.rejected.ndjson`, and the rest goes on. Stopped at any moment, the next
    run goes on from the last checkpoint; what it sends again does not count twice. Raises `Misconfigured` for input
    that cannot be read, `Transient` when the broker did not confirm. What lies in the client's spool counts as
    confirmed: a checkpoint first makes it durable, as far as the spool's `fsync` lets it.
    """
    run = _Run(path, client, mapping, options, observe)
    return run.run()


@dataclass
class _Counts:
    delivered: int = 0
    spooled: int = 0
    rejected: int = 0
    skipped: int = 0
    read: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)


class _Run:
    def __init__(
        self, path: Path, client: Client, mapping: Mapping | None, options: ReplayOptions, observe: Observe
    ) -> None:
        self._path, self._client, self._mapping = path, client, mapping
        self._options, self._observe = options, observe
        self._format = format_of(path, mapping.format if mapping else None)
        if mapping is None and self._format == "csv":
            raise Misconfigured(f"{path}: CSV needs a mapping that says which column is what: --mapping FILE")
        self._mapper = RowMapper(mapping) if mapping else None
        self._pace = Pace(options.speed)
        self._progress_file, self._rejected_file = _state_files(path, options.state_dir)
        self._progress = self._load()
        self._resumed_after_line = self._line = self._progress.line
        self._since = _Counts()
        self._total = _Counts()
        self._reasons: dict[str, RejectedRows] = {}
        self._checkpointed = time.monotonic()
        self._shield = Shield()

    def run(self) -> ReplaySummary:
        began = time.monotonic()
        kept.append_rejected(self._rejected_file, self._progress.rejected_bytes, ())
        with open_input(self._path) as (content, file), self._shield.raised():
            try:
                self._send_all(self._rows(content), file)
            except DAMAGE as error:
                self._checkpoint()
                reason = " ".join(str(error).split())
                safe = "delivered or spooled" if self._total.spooled else "delivered"
                raise Misconfigured(
                    f"{self._path}: broken after line {self._line}: {reason}; the lines before are {safe}"
                ) from error
            except KeyboardInterrupt:
                self._checkpoint()
                raise
            self._checkpoint()
            self._observe(self._position(file))
        return self._summary(time.monotonic() - began)

    def _send_all(self, rows: Iterator[Row], file: BinaryIO) -> None:
        for row in rows:
            if row.line <= self._resumed_after_line:
                continue
            with self._shield:
                self._send(row)
                self._line = row.line
                self._since.read += 1
            if self._since.read % 500 == 0 or self._options.speed is not None:
                self._observe(self._position(file))
                self._checkpoint_if_due()

    def _send(self, row: Row) -> None:
        try:
            if row.fault is not None:
                raise row.fault
            touchpoint = self._mapper.map_row(row.values, row.line) if self._mapper else row.values
            self._wait(touchpoint)
            self._client.replay(touchpoint, HEADERS)
        except Skipped:
            self._since.skipped += 1
        except (Rejected, Undecodable) as error:
            self._reject(row, error.reason, error.detail)
        except Misconfigured as error:
            # A personal identifier and no key: the other rows may have none.
            self._reject(row, "invalid_identifier", str(error))

    def _reject(self, row: Row, reason: str, detail: str) -> None:
        self._since.rejected += 1
        self._since.rows.append({"line": row.line, "reason": reason, "detail": detail, "row": row.raw})

    def _wait(self, touchpoint: dict[str, Any]) -> None:
        while (seconds := self._pace.wait_seconds(touchpoint, time.monotonic())) > 0:
            self._shield.check()
            self._checkpoint_if_due()
            time.sleep(min(seconds, 0.5))

    def _checkpoint_if_due(self) -> None:
        late = time.monotonic() - self._checkpointed >= self._options.checkpoint_seconds
        if self._since.read and (late or self._since.read >= self._options.checkpoint_rows):
            self._checkpoint()

    def _checkpoint(self) -> None:
        report = self._client.flush()
        if report.undelivered:
            error = not_delivered(report)
            raise type(error)(
                f"{self._path}: {error}; lines up to {self._progress.line} are safe: run it again to go on"
            )
        since, old = self._since, self._progress
        rejected_bytes = kept.append_rejected(self._rejected_file, old.rejected_bytes, since.rows)
        self._progress = old.model_copy(
            update={
                "line": self._line,
                "delivered": old.delivered + report.delivered,
                "spooled": old.spooled + report.spooled,
                "skipped": old.skipped + since.skipped,
                "rejected": old.rejected + since.rejected,
                "rejected_bytes": rejected_bytes,
            }
        )
        if self._path != STDIN:
            kept.save_progress(self._progress_file, self._progress)
        self._total.delivered += report.delivered
        self._total.spooled += report.spooled
        self._total.rejected += since.rejected
        for row in since.rows:
            seen = self._reasons.get(row["reason"]) or RejectedRows(row["reason"], 0, row["line"], row["detail"])
            self._reasons[seen.reason] = replace(seen, count=seen.count + 1)
        self._total.skipped += since.skipped
        self._total.read += since.read
        self._since = _Counts()
        self._checkpointed = time.monotonic()

    def _rows(self, content: BinaryIO) -> Iterator[Row]:
        if self._format == "ndjson" or self._mapping is None:
            return read_ndjson(content)
        return read_csv(content, self._mapping.delimiter, self._mapping.columns(), str(self._path))

    def _load(self) -> kept.Progress:
        if self._path == STDIN:
            nothing = kept.Identity(size_bytes=0, modified_ns=0, head_sha256="")
            return kept.Progress(file=nothing, mapping_sha256="", rejected_bytes=_size(self._rejected_file))
        fresh = kept.Progress(file=kept.Identity.of(self._path), mapping_sha256=digest_of(self._mapping))
        return kept.load_progress(self._progress_file, fresh, self._path, self._options.from_start)

    def _position(self, file: BinaryIO) -> Position:
        rows, rejected = self._total.read + self._since.read, self._total.rejected + self._since.rejected
        if self._path == STDIN:
            return Position(None, None, rows, rejected)
        return Position(file.tell(), self._progress.file.size_bytes, rows, rejected)

    def _summary(self, seconds: float) -> ReplaySummary:
        total = self._total
        rejected_file = self._rejected_file if self._progress.rejected else None
        reasons = tuple(sorted(self._reasons.values(), key=lambda each: -each.count))
        return ReplaySummary(
            total.delivered, total.rejected, total.skipped, self._resumed_after_line, self._line, rejected_file,
            seconds, reasons, total.spooled, self._progress.rejected - total.rejected,
        )  # fmt: skip


def _state_files(path: Path, state_dir: Path | None) -> tuple[Path, Path]:
    """The progress file and the file of rejected rows."""
    if path == STDIN:
        base = (state_dir or Path()) / "stdin"
    elif state_dir is None:
        base = path
    else:
        # Two inputs of one name from different folders must not share their progress.
        base = state_dir / f"{path.name}.{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    if state_dir is not None:
        state_dir.mkdir(parents=True, exist_ok=True)
    return base.with_name(base.name + ".progress.json"), base.with_name(base.name + ".rejected.ndjson")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
