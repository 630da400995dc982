"""Records that the worker publishes: episodes on `friction-alerts`, dead letters on `dead-letters`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.dead_letter import DeadLetter, LetterId
from schemas.moments import format_epoch_ms
from schemas.topics import REPLAY_ATTEMPT_HEADER, REPLAY_OF_HEADER
from streams.friction.texts import Wording
from streams.records import Refusal
from streams.rules.model import Rule
from streams.states import EpisodeState

_encode_json = msgspec.json.Encoder().encode
MAX_PUBLISHED_BYTES = 512 * 1024
"""Of a refused record at most this much goes to the topic; the table keeps all of it."""
MAX_PUBLISHED_KEY_BYTES = 8 * 1024
"""And of its key. What is no text takes several times its length in JSON, and Kafka refuses what is over a megabyte."""
MAX_ATTEMPT = 65_535


def encode_episode(
    customer: str,
    rule: Rule,
    state: EpisodeState,
    wording: Wording,
    version: int,
    detected_ms: int,
    *,
    affected: int | None = None,
) -> bytes:
    """One state of an episode as `schemas.episode.Episode` says it. `affected` None: not counted."""
    # Checking and writing it through the model would cost several times as much; a test holds them together.
    return _encode_json(
        {
            "episode_id": state.episode_id,
            "version": version,
            "rule": state.rule,
            "rule_version": state.rule_version,
            "severity": state.severity or rule.severity,
            "status": state.status,
            "customer_id": customer,
            "journey_id": state.journey_id,
            "subject": state.subject,
            "store_id": state.store_id,
            "opened_at": format_epoch_ms(state.opened_ms),
            "last_seen_at": format_epoch_ms(state.last_seen_ms),
            "resolved_at": None if state.resolved_ms is None else format_epoch_ms(state.resolved_ms),
            "threshold": state.threshold,
            "actual": state.actual,
            "unit": state.unit,
            "title": {"en": rule.title.en, "he": rule.title.he},
            "reason": wording.reason,
            "advice": {"en": rule.advice.en, "he": rule.advice.he},
            "evidence": state.evidence,
            "detected_at": format_epoch_ms(detected_ms),
            "kind": state.kind,
            "change": state.change,
            "limit_at": None if state.limit_ms is None else format_epoch_ms(state.limit_ms),
            "silent_if": wording.silent_if,
            "withdrawn_because": state.withdrawn_because,
            "affected_customers": affected,
        }
    )


def encode_dead_letter(topic: str, partition: int, refusal: Refusal, step: str, refused_ms: int) -> bytes:
    """The JSON of one dead letter."""
    raw, truncated = DeadLetter.encode_raw(refusal.raw, MAX_PUBLISHED_BYTES)
    replay_of, attempt = read_replay(refusal.headers)
    return (
        DeadLetter(
            topic=topic,
            partition=partition,
            offset=refusal.offset,
            reason=refusal.reason,  # type: ignore[arg-type]
            step=step,
            detail=refusal.detail,
            raw=raw,
            raw_bytes=len(refusal.raw),
            raw_truncated=truncated,
            key=refusal.key[:MAX_PUBLISHED_KEY_BYTES].decode("utf-8", "replace"),
            refused_at=format_epoch_ms(refused_ms),
            replay_of=replay_of or None,
            attempt=attempt,
        )
        .model_dump_json()
        .encode()
    )


def dead_letter_row(topic: str, partition: int, refusal: Refusal, step: str, refused_ms: int) -> tuple[object, ...]:
    """A row of `tables.DEAD_LETTERS`. A record cannot have arrived after its refusal, whatever its timestamp says."""
    arrived_ms = min(refusal.arrived_ms, refused_ms) if refusal.arrived_ms > 0 else refused_ms
    return (
        topic,
        partition,
        refusal.offset,
        refusal.reason,
        step,
        refusal.detail,
        refusal.key,
        refusal.raw,
        len(refusal.raw),
        refused_ms,
        arrived_ms,
        {name: value or b"" for name, value in refusal.headers},
        *read_replay(refusal.headers),
    )


def read_replay(headers: Sequence[tuple[str, bytes]]) -> tuple[str, int]:
    """Which dead letter a record says that it is a replay of, and how often it was replayed; `("", 0)`: it is none."""
    found = dict(headers)
    try:
        origin = LetterId.parse(found[REPLAY_OF_HEADER].decode("ascii"))
        attempt = int(found[REPLAY_ATTEMPT_HEADER].decode("ascii"))
    except (KeyError, ValueError, AttributeError):
        # Whoever writes to the topic may write any headers.
        return "", 0
    return str(origin), min(max(attempt, 1), MAX_ATTEMPT)
