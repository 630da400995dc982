"""Reading history for a back-test from ClickHouse: touches, customer by customer, and facts."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from schemas.fact import check_fact
from schemas.moments import format_epoch_ms
from sinks.writer import Writer
from streams import backtest_queries as queries
from streams.backtest_needs import Needs, Share
from streams.facts import HORIZON_MS, FactBook
from streams.touch import Touch
from streams.touch_rows import TouchReader

RESTOCK = "restock"


def read_customers(writer: Writer, needs: Needs, share: Share) -> Iterator[tuple[str, list[Touch]]]:
    """Each customer's name and touches, in order. One customer is held in memory at a time."""
    sql, parameters = queries.touchpoints(needs, share)
    read = TouchReader(needs.keeps).read
    customer, touches = b"", list[Touch]()
    for rows in writer.stream(sql, parameters):
        for row in rows:
            if row[0] != customer:
                if touches:
                    yield customer.decode(), touches
                customer, touches = row[0], []
            touches.append(read(row))
    if touches:
        yield customer.decode(), touches


def read_facts(writer: Writer, needs: Needs) -> FactBook | None:
    """What is known of stock, for those products that anybody wished for; None where no rule looks at it."""
    if RESTOCK not in needs.promises:
        return None
    book = FactBook(HORIZON_MS + needs.window.until_ms - needs.promises_from_ms)
    sql, parameters = queries.facts(needs)
    for source, event_id, kind, occurred_ms, store_id, properties in writer.query(sql, parameters):
        stated = {
            "source": source,
            "event_id": event_id,
            "type": kind,
            "occurred_at": format_epoch_ms(occurred_ms),
            "store_id": store_id or None,
            "properties": msgspec.json.decode(properties),
        }
        book.feed(check_fact(stated))
    return book
