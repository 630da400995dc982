"""Rows of `tables.FACTS`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from schemas.fact import Fact, check_fact
from schemas.moments import format_epoch_ms, to_epoch_ms
from schemas.properties import Properties, SourceHeartbeat
from schemas.topics import FACTS as FACTS_TOPIC
from streams.fact_decoding import FactArrival

PARTITION = 0
"""The topic has one partition."""


def fact_rows(arrivals: Iterable[FactArrival]) -> list[tuple[Any, ...]]:
    """The rows of what sources have stated; what workers tell each other of the sources is none."""
    return [fact_row(*arrival) for arrival in arrivals if not is_told_by_worker(arrival.fact)]


def fact_row(fact: Fact, offset: int, timestamp_ms: int) -> tuple[Any, ...]:
    """A row of `tables.FACTS`."""
    properties: Properties = fact.properties
    quantity = getattr(properties, "quantity", None)
    return (
        fact.source,
        fact.event_id,
        fact.type,
        fact.occurred_ms,
        getattr(properties, "sku", ""),
        fact.store or "",
        "" if quantity is None else str(quantity),
        properties.model_dump_json(exclude_unset=True),
        timestamp_ms if fact.received_at is None else to_epoch_ms(fact.received_at),
        FACTS_TOPIC,
        PARTITION,
        offset,
    )


def read_fact(row: Sequence[Any]) -> Fact:
    """A fact from a row of `state_queries.STOCK_FACTS`."""
    source, event_id, type_name, occurred_ms, store_id, properties = row
    return check_fact(
        {
            "source": source,
            "event_id": event_id,
            "type": type_name,
            "occurred_at": format_epoch_ms(occurred_ms),
            "store_id": store_id or None,
            "properties": msgspec.json.decode(properties),
        }
    )


def is_told_by_worker(fact: Fact) -> bool:
    """Whether a heartbeat is a worker's word about a source, not the source's own."""
    stated = fact.properties
    return isinstance(stated, SourceHeartbeat) and (stated.last_said is not None or stated.counts is not None)
