"""What the worker keeps in ClickHouse of itself: claims and positions of partitions, state of open customers.

A version is `epoch << 32 | flush`. Epochs grow with every claim of any partition of a consumer group, so the rows of a
worker that lost its partition lose against those of the one that has it. A flush is complete once it is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import uuid4

from schemas.errors import Transient
from sinks import identity_queries, state_queries
from sinks.tables import PARTITION_PROGRESS
from sinks.writer import Writer

CLAIM_ATTEMPTS = 100
FLUSH_BITS = 32
LONGEST_REPEAT_RECORDS = 600_000
"""Further back from the position of the last complete flush nothing is read again, and further on nothing was written:
Kafka is told after each flush, of all but what waits for the next two, and a worker's buffer bounds how much one is."""
LONGEST_HISTORY_EPOCHS = 500
"""Of how many past claims of a partition orphans are looked for; more would make too long a query."""

Flush = tuple[int, int, int, int, Mapping[str, int]]
"""(partition, epoch, flush, partition_time_ms, next offset by topic)."""


@dataclass(frozen=True)
class Claim:
    """A partition as its new owner finds it: where the last complete flush left it, or zeros if there was none."""

    partition: int
    epoch: int
    partition_time_ms: int
    positions: Mapping[str, int]
    last_complete_version: int

    def version(self, flush: int) -> int:
        """The version of the rows of this claim's flush number `flush` (from 1)."""
        return version_of(self.epoch, flush)


@dataclass(frozen=True)
class StateBlock:
    """Parallel columns of some rows of customer_state, ordered by customer and segment; a customer may span blocks."""

    customer_keys: list[str]
    segments: Sequence[int]
    key_hashes: Sequence[int]
    next_due_ms: Sequence[int]
    blobs: Sequence[bytes]


class Orphan(NamedTuple):
    """A row of a flush that was never completed. `table` is the full table name, `id` a UUID as text."""

    table: str
    customer_id: str
    id: str


def version_of(epoch: int, flush: int) -> int:
    """One number that grows with epoch, then flush."""
    return epoch << FLUSH_BITS | flush


def claim_epoch(writer: Writer, group: str, partition: int, worker: str) -> Claim:
    """Take `partition` over at an epoch that nobody has had, carrying its time and positions along.

    Whoever held it finds out by `current_epoch`. When two claim at once, both go on to higher epochs until one
    sees itself alone; `Transient` if that does not happen within `CLAIM_ATTEMPTS`. Assumes that a finished insert is
    seen by the next query (one server, or replicas with sequential consistency).
    """
    claimant = f"{worker} {uuid4().hex}"
    asked = {"group": group, "partition": partition}
    for _ in range(CLAIM_ATTEMPTS):
        epoch = writer.query(state_queries.HIGHEST_EPOCH, {"group": group})[0][0] + 1
        last = writer.query(state_queries.LAST_PROGRESS, asked)
        time_ms, positions = last[0] if last else (0, {})
        record_flush(writer, group, [(partition, epoch, 0, time_ms, positions)], claimant)
        rivals = writer.query(state_queries.RIVALS, {**asked, "epoch": epoch, "worker": claimant})[0][0]
        if not rivals:
            complete = last_complete_version(_flushes(writer, group, partition), epoch)
            return Claim(partition, epoch, time_ms, dict(positions), complete)
    raise Transient(f"partition {partition} of {group}: other workers keep claiming it too")


def current_epoch(writer: Writer, group: str, partitions: Sequence[int]) -> dict[int, int]:
    """The epoch of whoever claimed each of `partitions` last; 0 for a partition that nobody has."""
    if not partitions:
        return {}
    rows = writer.query(state_queries.CURRENT_EPOCHS, {"group": group, "partitions": tuple(partitions)})
    return {**dict.fromkeys(partitions, 0), **dict(rows)}


def record_flush(writer: Writer, group: str, rows: Sequence[Flush], worker: str) -> None:
    """Declare flushes complete, in one insert: call it last, after the rows of all other tables are in."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    if columns:
        columns[4] = [dict(positions) for positions in columns[4]]
        writer.insert(PARTITION_PROGRESS, [[group] * len(rows), *columns, [worker] * len(rows)])


def load_states(writer: Writer, partition: int, partitions: int) -> Iterator[StateBlock]:
    """The state of all open customers of `partition` of `partitions`, in blocks of some ten thousand rows."""
    _check(partition, partitions)
    parameters = {"partition": partition, "partitions": partitions}
    for rows in writer.stream(state_queries.STATES, parameters):
        keys, segments, hashes, due, blobs = zip(*rows, strict=True)
        yield StateBlock([key.decode() for key in keys], segments, hashes, due, blobs)


def load_late(writer: Writer, topic: str, partition: int, position: int) -> list[tuple[str, str, int, int]]:
    """(source, event id, epoch milliseconds, offset) of what was only ever late and may be read again by a new owner.

    `position` is where the last complete flush ended; Kafka may have been told of an earlier one.
    """
    first, last = max(0, position - LONGEST_REPEAT_RECORDS), position + LONGEST_REPEAT_RECORDS
    asked = {"topic": topic, "partition": partition, "from": first, "to": last}
    return [(source, event_id, at, offset) for source, event_id, at, offset in writer.query(state_queries.LATE, asked)]


def orphans(writer: Writer, group: str, partition: int, partitions: int) -> list[Orphan]:
    """Rows whose newest version was written for `partition` by a flush of an earlier epoch that was not completed.

    Of a worker killed between two inserts, or of one that wrote on after it had lost the partition. Some are
    right all the same: those that the restored state also knows, or that redoing the uncommitted input writes again;
    the others are nobody's and have to be retracted. Rows already retracted are left out. Call it after `claim_epoch`.
    """
    _check(partition, partitions)
    ranges = unfinished_ranges(_flushes(writer, group, partition)[-LONGEST_HISTORY_EPOCHS:])
    if not ranges:
        return []
    return [
        Orphan(table.name, customer_id, identity)
        for table, column in state_queries.IDENTITIES
        for customer_id, identity in writer.query(
            state_queries.unfinished(table, column, ranges), {"partition": partition, "ranges": ranges}
        )
    ]


def had_owner(writer: Writer, group: str, partition: int) -> bool:
    """Whether the partition was claimed before the present claim. Call it after `claim_epoch`."""
    return len(_flushes(writer, group, partition)) > 1


def unfinished_decisions(writer: Writer, group: str, partition: int) -> list[str]:
    """Identifiers of any partition of which it was decided by a flush of an earlier epoch that was not completed."""
    flushes = _flushes(writer, group, partition)[-LONGEST_HISTORY_EPOCHS:]
    # Of each epoch its own flushes only: in between, others have completed theirs.
    ranges = [(version_of(epoch, flush) + 1, version_of(epoch + 1, 0) - 1) for epoch, flush in flushes[:-1]]
    if not ranges:
        return []
    sql = identity_queries.decided_between(ranges)
    return [identifier for (identifier,) in writer.query(sql, {"ranges": ranges})]


def last_complete_version(flushes: Sequence[tuple[int, int]], epoch: int) -> int:
    """The version of the last complete flush before `epoch`, 0 if there is none. `flushes` are (epoch, last flush)."""
    return max((version_of(*each) for each in flushes if each[0] < epoch and each[1] > 0), default=0)


def unfinished_ranges(flushes: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Versions (lowest, highest) between each epoch's last complete flush and the next epoch; the last is our own.

    `flushes` are (epoch, last complete flush), epochs rising.
    """
    following = [epoch for epoch, _ in flushes[1:]]
    return tuple(
        (version_of(epoch, flush) + 1, version_of(later, 0))
        for (epoch, flush), later in zip(flushes, following, strict=False)
    )


def _flushes(writer: Writer, group: str, partition: int) -> list[tuple[int, int]]:
    rows = writer.query(state_queries.FLUSHES, {"group": group, "partition": partition})
    return [(epoch, flush) for epoch, flush in rows]


def _check(partition: int, partitions: int) -> None:
    if not 0 <= partition < partitions:
        raise ValueError(f"partition {partition} is not one of {partitions} (0 to {partitions - 1})")
