"""What is gathered for one flush as blocks of columns, table by table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sinks import tables
from sinks.tables import Table
from streams.rows import Rows


def blocks(rows: Rows) -> list[tuple[Table, Sequence[Sequence[Any]]]]:
    """Tables in writing order: to whom identifiers belong, as touchpoints are with them by that, then what people read
    first; customer states last.
    """
    return [
        (tables.IDENTITY_OWNERS, _transposed(rows.identity_owners)),
        (tables.TOUCHPOINTS, rows.touchpoints.columns),
        (tables.JOURNEYS, _transposed(rows.journeys)),
        (tables.PROMISES, _transposed(rows.promises)),
        (tables.ALERTS, _transposed(rows.alerts)),
        (tables.DEAD_LETTERS, _transposed(rows.dead_letters)),
        (tables.FACTS, _transposed(rows.facts)),
        (tables.IDENTITY_LINKS, _transposed(rows.identity_links)),
        (tables.JOURNEY_REDIRECTS, _transposed(rows.redirects)),
        (tables.CUSTOMER_STATE, _transposed(rows.states)),
    ]


def _transposed(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True))
