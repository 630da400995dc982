"""What goes into and comes out of decoding a chunk. Plain data, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import msgspec

from schemas.catalogue import Source
from schemas.errors import Undecodable
from schemas.identifiers import Pseudonymiser
from schemas.links import Link
from streams.touch import Touch


class Record(Protocol):
    """A Kafka record as the consumer hands it over. `timestamp` is epoch milliseconds."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Wire(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A touchpoint as the fast decoder reads it: types checked, `properties` still bytes, nothing unknown."""

    event_id: str
    source: Source
    type: str
    occurred_at: str
    identifiers: dict[str, str]
    order_id: str | None = None
    case_id: str | None = None
    store_id: str | None = None
    agent_id: str | None = None
    channel: str | None = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    sent_at: str | None = None
    received_at: str | None = None
    schema_version: int = 1


class Hop(msgspec.Struct, frozen=True, gc=False):
    """How a touchpoint came to a customer whom it does not name.

    `via`: the identifiers on its way, its own first, each with the version of the link that it went by. `moves`: how
    often it was sent on. `received_ms`: when it reached the door. `circle`: the links of a circle that its way has led
    through; while all of them hold it stays where it was sent. `barred_by`: the customer to whom they would lead, who
    must not have it.
    """

    via: tuple[tuple[str, int], ...] = ()
    moves: int = 0
    received_ms: int = 0
    circle: tuple[tuple[str, int], ...] = ()
    barred_by: str = ""


NO_HOP = Hop()


class Release(msgspec.Struct, frozen=True):
    """That what came through links of `identifier` older than `version` must go back to it.

    Or, where `act_ms` says when a person said so: that nothing may come through it by whatever way, or may again.
    """

    identifier: str
    version: int
    act_ms: int = 0
    is_barred: bool = False


class Arrival(msgspec.Struct, gc=False):
    """One valid touchpoint of a chunk: its customer's key, what is kept of it and what is only written.

    Times are epoch milliseconds; `sent_ms` is 0 when it was not said, `original_ms` None where no skew was corrected.
    `is_plain`: it names its customer and nobody else, so it says nothing of identity.
    """

    offset: int
    key: str
    touch: Touch
    wire: Wire
    sent_ms: int = 0
    original_ms: int | None = None
    hop: Hop = NO_HOP
    is_plain: bool = True


class Refusal(NamedTuple):
    """The verdict on one record that is no valid touchpoint. `arrived_ms` is the record's timestamp."""

    offset: int
    reason: str
    detail: str
    raw: bytes
    key: bytes
    headers: Sequence[tuple[str, bytes]] = ()
    arrived_ms: int = 0


def refuse(record: Record, error: Undecodable) -> Refusal:
    """The refusal of a record for what is wrong with it."""
    value, key = record.value or b"", record.key or b""
    return Refusal(record.offset, error.reason, error.detail, value, key, record.headers, record.timestamp)


@dataclass(slots=True)
class DecodedChunk:
    """The verdicts on one chunk of one partition, in offset order. `next_offset` is the one after its last record.

    `links`, `releases` (each with the key of whom it concerns) and `forgotten` identifiers are what it says of
    identity; `rebuilds` are keys of customers who have to be stitched anew. `pseudonymiser`: what hides personal
    identifiers at the door.
    """

    topic: str
    partition: int
    next_offset: int
    arrivals: list[Arrival] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    releases: list[tuple[str, Release]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    rebuilds: list[str] = field(default_factory=list)
    pseudonymiser: Pseudonymiser | None = None

    @property
    def first_offset(self) -> int:
        """The offset of its first record."""
        return min([verdicts[0].offset for verdicts in (self.arrivals, self.refusals) if verdicts], default=0)
