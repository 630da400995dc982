"""What the worker remembers having written, so that it can tell what changed, and its packed form.

A customer is stored in segments: the head (segment 0) holds what was written and the latest touches; each later segment
holds 256 touches in order of arrival and never changes, so a journey of any length costs the same to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from schemas.episode import Change, EpisodeStatus, Severity
from streams.identity.state import IdentityState
from streams.promises import Promise, PromiseStatus
from streams.touch import Touch

SEGMENT_TOUCHES = 256
FORMAT = 2
PLAIN_FORMAT = 1


class EpisodeState(msgspec.Struct, array_like=True, frozen=True):
    """One state of an episode, without its texts. Times are epoch milliseconds.

    `severity` is empty where it is the rule's own; `limit_ms` is the clock value by which all would have been well.
    """

    episode_id: str
    rule: str
    rule_version: int
    status: EpisodeStatus
    journey_id: str
    subject: str
    store_id: str
    anchor_ms: int
    opened_ms: int
    last_seen_ms: int
    resolved_ms: int | None
    threshold: float
    actual: float
    unit: str
    evidence: tuple[str, ...]
    promised_ms: int | None
    # What has a default came later; states that were stored before are still read.
    severity: Severity | Literal[""] = ""
    limit_ms: int | None = None
    withdrawn_because: str = ""
    kind: str = "friction"
    change: Change = "opened"


class PromiseState(msgspec.Struct, array_like=True, frozen=True):
    """One state of a promise as its row shows it. Times are epoch milliseconds.

    `responsible` is who broke it; `parcels` is 0 where nobody has said how many there are.
    """

    promise_id: str
    kind: str
    subject: str
    journey_id: str
    requested_ms: int
    first_promised_ms: int
    latest_promised_ms: int
    settled_ms: int | None
    status: PromiseStatus
    responsible: str = ""
    parcels: int = 0
    parcels_delivered: int = 0

    @classmethod
    def of(cls, promise: Promise, customer_key: str, journey_id: str, now_ms: int) -> PromiseState:
        """The state of a promise at a time."""
        return cls(
            promise.promise_id(customer_key),
            promise.kind.name,
            promise.subject,
            journey_id,
            promise.requested_ms,
            promise.first_promised_ms if promise.moves else 0,
            promise.latest_promised_ms if promise.moves else 0,
            promise.settled_ms,
            promise.status(now_ms),
            promise.responsible(now_ms),
            promise.parcels,
            len(promise.arrived),
        )


class Head(msgspec.Struct, array_like=True):
    """Segment 0 of a customer. `floor_ms`: touchpoints not after this are late. `tail`: touches not sealed yet.

    The tail comes last: see `pack_head`.
    """

    format: int
    floor_ms: int
    sealed_segments: int
    last_is_closed: bool
    journey_ids: list[str]
    promises: list[PromiseState]
    episodes: list[EpisodeState]
    identity: IdentityState | None
    tail: list[Touch]


class _PlainHead(msgspec.Struct, array_like=True):
    """The head of a customer of whose identity there is nothing to say: most are, and it was the only one once."""

    format: int
    floor_ms: int
    sealed_segments: int
    last_is_closed: bool
    journey_ids: list[str]
    promises: list[PromiseState]
    episodes: list[EpisodeState]
    tail: list[Touch]


_encode = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(Head).decode
_decode_plain_head = msgspec.msgpack.Decoder(_PlainHead).decode
_decode_touches = msgspec.msgpack.Decoder(list[Touch]).decode


def _encode_head(head: Head) -> bytes:
    if head.identity is not None:
        return _encode(head)
    return _encode(
        _PlainHead(
            PLAIN_FORMAT, head.floor_ms, head.sealed_segments, head.last_is_closed, head.journey_ids, head.promises,
            head.episodes, head.tail,
        )
    )  # fmt: skip


class Packed(NamedTuple):
    """How much of a stored head is touches: so many, in so many bytes at its end."""

    touches: int
    size_bytes: int


NOTHING_PACKED = Packed(0, 0)


def pack_head(head: Head, tail: Sequence[Touch], former: bytes, packed: Packed) -> tuple[bytes, Packed]:
    """The bytes of segment 0: `head`, whose own tail is empty, with `tail`.

    The first `packed.touches` of `tail` are taken as they stand at the end of the `former` bytes: packing costs what is
    new, not what is there.
    """
    added = _encode(tail[packed.touches :])
    kept = former[len(former) - packed.size_bytes :]
    touches = kept + added[_array_start(len(tail) - packed.touches) :]
    return _encode_head(head)[:-1] + _encode_array_start(len(tail)) + touches, Packed(len(tail), len(touches))


def _array_start(length: int) -> int:
    return 1 if length < 16 else 3


def _encode_array_start(length: int) -> bytes:
    # https://github.com/msgpack/msgpack/blob/master/spec.md#array-format-family; a tail is shorter than 65,536.
    return bytes((0x90 | length,)) if length < 16 else b"\xdc" + length.to_bytes(2, "big")


def pack_touches(touches: list[Touch]) -> bytes:
    """The bytes of a sealed segment."""
    return _encode(touches)


def unpack_head(blob: bytes) -> Head:
    """Segment 0 from its bytes. Raises msgspec.DecodeError when they are of another format."""
    # An array of less than 16 fields, of which the format is the first.
    given = blob[1] if len(blob) > 1 else 0
    if given == PLAIN_FORMAT:
        plain = _decode_plain_head(blob)
        return Head(
            FORMAT, plain.floor_ms, plain.sealed_segments, plain.last_is_closed, plain.journey_ids,
            plain.promises, plain.episodes, None, plain.tail,
        )  # fmt: skip
    if given != FORMAT:
        raise msgspec.DecodeError(f"customer state has format {given}, this release reads up to {FORMAT}")
    return _decode_head(blob)


def unpack_touches(blob: bytes) -> list[Touch]:
    """A sealed segment from its bytes."""
    return _decode_touches(blob)
