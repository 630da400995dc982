"""Links: that one identifier belongs to another, stronger one, and what says so. Records of topic `identity-links`.

A link is evidence, never an order: whoever owns the weaker identifier decides, by all that was ever said of it.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Literal

import msgspec

from schemas.errors import Undecodable
from schemas.identifiers import KINDS, is_clean_text

LinkRule = Literal["seen_together", "merged", "unlinked", "relinked"]
"""`seen_together`: one touchpoint carried both. `merged`: the source says that two customers are one. `unlinked`,
`relinked`: a person undid the link, or ordered it whatever else is known."""
HUMAN_RULES: frozenset[LinkRule] = frozenset({"unlinked", "relinked"})

MOST_OWNERS_KEPT = 64
"""Owners whose evidence is kept for one window: no limit may be higher."""
KEY_SEPARATOR = "\x1f"
_REMEMBERED_HASHES = 1 << 16
"""An identifier comes back: with each touchpoint that names it."""
ERASED = "the customer was erased"
"""Reason of an `unlinked` that is part of an erasure: nothing of the link is kept, not even that it was undone."""


class Link(msgspec.Struct, frozen=True, gc=False):
    """One piece of evidence. `identifier` and `owner` are record keys, `kind:value`; personal values are hidden.

    `occurred_ms`, `source` and `event_id` are the touchpoint's; of a person's act when it was done, and its own id.
    """

    identifier: str
    owner: str
    rule: LinkRule
    occurred_ms: int
    source: str
    event_id: str
    by: str = ""
    reason: str = ""

    @property
    def record_key(self) -> bytes:
        """The key of its Kafka record: of each pair compaction keeps what was said last by each rule."""
        return KEY_SEPARATOR.join((self.identifier, self.owner, self.rule)).encode()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Link).decode


def encode_link(link: Link) -> bytes:
    """The value of its Kafka record: JSON."""
    return _encode(link)


def decode_link(value: bytes) -> Link:
    """A link from its record. Raises Undecodable."""
    try:
        link = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable("invalid_json", f"no identity link: {error}") from error
    for name in ("identifier", "owner"):
        key = getattr(link, name)
        kind, _, rest = key.partition(":")
        if kind not in KINDS or not is_clean_text(rest):
            raise Undecodable("invalid_identifier", f"{name}: {key!r} is no kind:value of a known kind")
    if link.identifier == link.owner:
        raise Undecodable("invalid_identifier", "an identifier cannot belong to itself")
    return link


def strength(key: str) -> int:
    """How strong the kind of a record key is: 0 is the strongest."""
    return KINDS.index(key.partition(":")[0])


class _Forgotten(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    forgotten: str


_decode_forgotten = msgspec.json.Decoder(_Forgotten).decode


def forgotten_record_key(identifier: str) -> bytes:
    """The key of the record that has a worker forget an identifier; no link has it."""
    return KEY_SEPARATOR.join((identifier, "forgotten")).encode()


def encode_forgotten(identifier: str) -> bytes:
    """The value of that record: whoever owns the identifier drops all that is open under it, and takes no more."""
    return _encode(_Forgotten(identifier))


def decode_forgotten(value: bytes) -> str | None:
    """The identifier to be forgotten; None when the record is something else."""
    try:
        return _decode_forgotten(value).forgotten
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@lru_cache(_REMEMBERED_HASHES)
def forgotten_hash(identifier: str) -> str:
    """What the block list keeps of an identifier: SHA-256 of its record key, in hex."""
    return hashlib.sha256(identifier.encode()).hexdigest()
