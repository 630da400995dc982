"""Rows of files as touchpoints: the verdict on each, and what the accepted ones come to in the tables. Pure.

A batch comes as columns where its file has them, and is then judged column by column; whatever that is not sure of goes
through the door of the stream, one record at a time. So the verdicts are those of the stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.catalogue import CUSTOMERS_MERGED
from schemas.identifiers import customer_name, own_identifiers_json
from schemas.links import Link, LinkRule
from schemas.partitioning import partition_of
from schemas.topics import REPLAY_HEADER, TOUCHPOINTS
from streams.decoding import Decoder
from streams.forgotten import BlockList
from streams.identity.choice import Limits
from streams.identity.erasing import admit, without_erased
from streams.identity.sending import links_of, origin
from streams.records import Arrival, DecodedChunk, Refusal
from streams.rows import TouchpointColumns

HEADERS = ((REPLAY_HEADER, b"1"),)


class FileRecord(NamedTuple):
    """One row of a file as the door takes it. `timestamp` is when the backfill began, epoch milliseconds."""

    offset: int
    value: bytes
    timestamp: int
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = HEADERS


class FileCustomer(NamedTuple):
    """Under whom a touchpoint is stored at first: as `streams.customer.Customer` says it."""

    name: str
    identifiers_json: str


MOST_NAMES = 200_000


class Names(dict[str, FileCustomer]):
    """Names by record key, each made once as long as there is room."""

    def __missing__(self, key: str) -> FileCustomer:
        if len(self) >= MOST_NAMES:
            self.clear()
        found = self[key] = FileCustomer(customer_name(key), own_identifiers_json(key))
        return found


class Teaching(NamedTuple):
    """That a touchpoint of the owner came with weaker identifiers, all by their record keys."""

    owner: str
    weaker: Sequence[str]
    occurred_ms: int
    source: str
    event_id: str


class Said(NamedTuple):
    """Which evidence says the same: of each window only the first counts."""

    identifier: str
    owner: str
    rule: LinkRule
    window: int


Told = tuple[int, str, str, str]
"""When, in which source and event it was said, and why."""


@dataclass(slots=True)
class Batch:
    """What some rows of one file came to. `newest_ms`: the newest touchpoint of each partition that has any.

    `forgotten`: how many were of erased customers, and are nowhere.
    """

    touchpoints: TouchpointColumns = field(default_factory=TouchpointColumns)
    links: dict[Said, Told] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    newest_ms: dict[int, int] = field(default_factory=dict)
    forgotten: int = 0


@dataclass(frozen=True)
class Doorman:
    """What judges rows, and where what is accepted goes. `topic` and `number` stand for run and file in the tables."""

    decoder: Decoder
    block_list: BlockList
    limits: Limits
    partitions: int
    topic: str
    names: Names = field(default_factory=Names)

    def take(self, batch: Batch, number: int, records: Sequence[FileRecord], now_ms: int) -> None:
        """Judge records, and add what is accepted and what is refused to a batch."""
        if not records:
            return
        chunk = self.decoder.decode(TOUCHPOINTS, number, records, now_ms)
        arrivals = self._without_forgotten(batch, chunk)
        for arrival in arrivals:
            if len(arrival.wire.identifiers) > 1 or arrival.touch.type == CUSTOMERS_MERGED:
                for link in links_of(arrival, arrival.key):
                    self._note(batch, link.identifier, link.owner, link.rule, origin(arrival.touch), link.reason)
        place = DecodedChunk(self.topic, number, chunk.next_offset)
        owners = [self.names[arrival.key] for arrival in arrivals]
        batch.touchpoints.extend(place, owners, arrivals, [0] * len(arrivals))
        note_newest(
            batch.newest_ms, self.partitions, [a.key for a in arrivals], [a.touch.occurred_ms for a in arrivals]
        )

    def _without_forgotten(self, batch: Batch, chunk: DecodedChunk) -> list[Arrival]:
        """What is accepted; what is refused goes to the batch."""
        arrivals, refusals = chunk.arrivals, chunk.refusals
        if len(self.block_list):
            arrivals = [a for a in arrivals if not self.block_list.holds(a.key) and admit(a, self.block_list)]
            refusals = without_erased(chunk, self.block_list)
        batch.forgotten += len(chunk.arrivals) - len(arrivals) + len(chunk.refusals) - len(refusals)
        batch.refusals += refusals
        return arrivals

    def note_teachings(self, batch: Batch, teachings: Sequence[Teaching]) -> None:
        """Add what touchpoints say of identity to a batch."""
        for owner, weaker, occurred_ms, source, event_id in teachings:
            for identifier in weaker:
                self._note(batch, identifier, owner, "seen_together", (occurred_ms, source, event_id))

    def _note(
        self, batch: Batch, identifier: str, owner: str, rule: LinkRule, said_by: tuple[int, str, str], why: str = ""
    ) -> None:
        said = Said(identifier, owner, rule, said_by[0] // self.limits.window_ms)
        known = batch.links.get(said)
        if known is None or said_by < known[:3]:
            batch.links[said] = *said_by, why


def links_in(batch: Batch) -> Iterator[Link]:
    """The links of a batch."""
    for said, (occurred_ms, source, event_id, why) in batch.links.items():
        yield Link(said.identifier, said.owner, said.rule, occurred_ms, source, event_id, reason=why)


def note_newest(newest_ms: dict[int, int], partitions: int, keys: Sequence[str], occurred_ms: Sequence[int]) -> None:
    """Note the newest time of each partition.

    From the newest on until each partition has one: a hash costs more than all else about a row.
    """
    open_partitions = set(range(partitions))
    seen = set[str]()
    for place in sorted(range(len(keys)), key=occurred_ms.__getitem__, reverse=True):
        if not open_partitions:
            return
        key = keys[place]
        if key in seen:
            continue
        seen.add(key)
        number = partition_of(key.encode(), partitions)
        newest_ms[number] = max(newest_ms.get(number, 0), occurred_ms[place])
        open_partitions.discard(number)
