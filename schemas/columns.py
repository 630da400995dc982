"""A batch of touchpoints as columns, as a columnar file holds them; nothing is judged yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NO_PROPERTIES = "{}"
NOT_SAID_MS = -1


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """Parallel columns. Times are epoch milliseconds; `""` is a text that is not there, of properties it is `{}`, and
    `NOT_SAID_MS` in `received_ms` is a time that is not there.

    `doubtful`: places of rows that hold anything which these columns cannot say; what stands there means nothing.
    """

    event_ids: Sequence[str]
    sources: Sequence[str]
    types: Sequence[str]
    occurred_ms: Sequence[int]
    received_ms: Sequence[int] | None
    identifiers: Mapping[str, Sequence[str]]
    order_ids: Sequence[str]
    case_ids: Sequence[str]
    store_ids: Sequence[str]
    agent_ids: Sequence[str]
    channels: Sequence[str]
    properties: Sequence[str]
    doubtful: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.event_ids)
