"""Decoding of facts: records of topic `facts` into facts and refusals.

A record's time is judged as of its arrival, not of the reading: the topic is read anew by every worker that starts, and
what was taken once must be taken always.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from schemas.errors import Undecodable
from schemas.fact import Fact, parse_fact
from schemas.moments import to_epoch_ms
from schemas.topics import REPLAY_HEADER
from schemas.wire import check_time
from streams.decoding import Door
from streams.records import Record, Refusal, refuse


class FactArrival(NamedTuple):
    """One valid fact, its record's offset, and when the record was sent, epoch milliseconds.

    The fact's time is corrected where its sender's clock was off.
    """

    fact: Fact
    offset: int
    timestamp_ms: int


def decode_facts(records: Sequence[Record], door: Door, now_ms: int) -> tuple[list[FactArrival], list[Refusal]]:
    """The facts and the refusals among records, in order. Tombstones, which a compacted topic may hold, are neither."""
    arrivals: list[FactArrival] = []
    refusals: list[Refusal] = []
    for record in records:
        value = record.value
        if value is None:
            continue
        try:
            fact = _judge(record, value, door, now_ms)
        except Undecodable as error:
            refusals.append(refuse(record, error))
        else:
            arrivals.append(FactArrival(fact, record.offset, record.timestamp))
    return arrivals, refusals


def _judge(record: Record, value: bytes, door: Door, now_ms: int) -> Fact:
    fact = _correct(parse_fact(value, door.max_bytes), record.timestamp, door.skew_bound_ms)
    is_replayed = any(name == REPLAY_HEADER for name, _ in record.headers)
    oldest_ms = None if is_replayed else door.oldest_ms
    # The sender's clock sets the timestamp too, and may be fast.
    reason = check_time(fact.occurred_ms, min(record.timestamp, now_ms), oldest_ms, door.ahead_ms)
    if reason is not None:
        raise Undecodable(reason, f"occurred_at is {fact.occurred_at.isoformat()}")
    return fact


def _correct(fact: Fact, timestamp_ms: int, bound_ms: int) -> Fact:
    if fact.sent_at is None:
        return fact
    received_ms = to_epoch_ms(fact.received_at) if fact.received_at is not None else timestamp_ms
    skew_ms = received_ms - to_epoch_ms(fact.sent_at)
    if abs(skew_ms) <= bound_ms:
        return fact
    try:
        return fact.model_copy(update={"occurred_at": fact.occurred_at + timedelta(milliseconds=skew_ms)})
    except OverflowError as error:
        raise Undecodable("invalid_field", "occurred_at: corrected by the sender's clock, it is no time") from error
