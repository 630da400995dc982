"""Dead letters: refused input, kept whole with its reason and origin."""

from __future__ import annotations

import base64
import re
from typing import Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict

Reason = Literal[
    "empty_record",  # no value at all: a tombstone
    "too_large",  # more bytes than max_touchpoint_bytes
    "invalid_utf8",  # bytes that are no UTF-8 text
    "invalid_json",  # text that is no JSON: truncated, NaN, too deep, a lone surrogate
    "not_an_object",  # JSON, but not one object
    "missing_field",  # a required field is absent or null
    "invalid_field",  # a field of the wrong type or form
    "unknown_source",  # a source that is not one of the six
    "unknown_version",  # a schema_version that this release does not read
    "no_identifier",  # no identifier of a known kind
    "placeholder_identifier",  # empty, "null", -1, zeros, unknown: nobody in particular
    "invalid_identifier",  # not text, too long, outer blanks, control or direction marks, no e-mail or phone
    "naive_time",  # a time without a zone
    "too_old",  # older than oldest_touchpoint, or before 1970
    "too_far_ahead",  # further in the future than furthest_ahead
    "invalid_property",  # a property of a catalogued type that is missing or wrong
]
REASONS: tuple[Reason, ...] = get_args(Reason)

WHAT_TO_DO: dict[Reason, str] = {
    "empty_record": "Find out which producer sends tombstones: `touchpoints` is no compacted topic. Nothing to replay.",
    "too_large": "Send large payloads (pictures, transcripts) elsewhere and a reference here, or raise "
    "`JOURNEYS_MAX_TOUCHPOINT_BYTES`; then replay.",
    "invalid_utf8": "Make the source write UTF-8 (often it is Windows-1255 or Latin-1), then send the originals again.",
    "invalid_json": "Make the source write whole, strict JSON: `null` for NaN, no lone surrogates, at most 64 levels; "
    "then send the originals again.",
    "not_an_object": "Send one JSON object per record; a list has to be split.",
    "missing_field": "Fill the field that the detail names at the source, or map it in the replay mapping.",
    "invalid_field": "Correct the type or form of the field that the detail names at the source.",
    "unknown_source": "Use one of the six sources; what tells systems of one source apart is `channel`.",
    "unknown_version": "Upgrade this platform, or send the version that it reads; then replay.",
    "no_identifier": "Send at least one identifier of a known kind. What concerns no customer belongs on `facts`.",
    "placeholder_identifier": "Leave the identifier out where the customer is unknown, and send another, such as "
    "`anonymous_id`.",
    "invalid_identifier": "Clean the value that the detail names at the source: text of 1 to 256 printable characters; "
    "a real e-mail address or phone number.",
    "naive_time": "Write times with a zone: `2026-11-21T10:00:00Z` or with `+02:00`. For files, state the zone in the "
    "mapping.",
    "too_old": "Use `journeys replay` for history, or raise `JOURNEYS_OLDEST_TOUCHPOINT`; before 1970 mend the source.",
    "too_far_ahead": "Set the sender's clock, and look for seconds that are read as milliseconds; then send again.",
    "invalid_property": "Compare the property that the detail names with the table of its type on this page.",
}


_ID = re.compile(r"([A-Za-z0-9._-]{1,249})-([0-9]{1,5})-([0-9]{1,19})", re.ASCII)


class LetterId(NamedTuple):
    """Where a refused record came from, which names its dead letter: `topic-partition-offset`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> LetterId:
        """Read what `str` writes. Raises ValueError."""
        found = _ID.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no id of a dead letter: it is topic-partition-offset")
        return cls(found[1], int(found[2]), int(found[3]))


class DeadLetter(BaseModel):
    """One refused record, as published on topic `dead-letters`. `raw` is base64 of its (first) bytes.

    `replay_of` names the dead letter that the record is a replay of, and `attempt` says how often it has been replayed.
    """

    model_config = ConfigDict(frozen=True)

    topic: str
    partition: int
    offset: int
    reason: Reason
    step: str
    detail: str
    raw: str
    raw_bytes: int
    raw_truncated: bool
    key: str
    refused_at: str
    replay_of: str | None = None
    attempt: int = 0

    @staticmethod
    def encode_raw(raw: bytes, limit_bytes: int) -> tuple[str, bool]:
        """Base64 of the first `limit_bytes`, and whether more was cut off."""
        return base64.b64encode(raw[:limit_bytes]).decode("ascii"), len(raw) > limit_bytes
