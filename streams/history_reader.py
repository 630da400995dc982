"""History: what ClickHouse holds of customers and identifiers, asked for between two flushes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from schemas.identifiers import customer_name
from sinks import identity_queries as queries
from sinks.writer import Writer
from streams.identity.asking import Answers, Asks, History, Known
from streams.identity.choice import Evidence
from streams.records import Arrival, Hop, Wire
from streams.touch_rows import TouchReader

MOST_STITCHED = 100_000
"""Touchpoints that are read in order to be stitched anew, of all customers, in one flush."""
MOST_MOVED = 100_000
"""Touchpoints that are read in order to be moved, of all customers together, in one flush."""

_decode_identifiers = msgspec.json.Decoder(dict[str, str]).decode


class HistoryReader:
    """Answers what partitions ask. Raises Transient or Terminal. Used by one thread at a time."""

    def __init__(self, writer: Writer, keeps: Mapping[str, tuple[str, ...]]) -> None:
        self._writer = writer
        self._touches = TouchReader(keeps)

    def answer(self, asks: Asks) -> Answers:
        """All that is asked."""
        return Answers(
            self._read_known(asks.evidence, asks.linked),
            self._read_histories(asks.moving, MOST_MOVED),
            self._read_histories(self._choose(asks.partial), None),
            asks.staying,
        )

    def read_known(self, keys: Sequence[str]) -> dict[str, Known]:
        """What is known of the identity of identifiers, each by its record key."""
        found = {key: Known([]) for key in keys}
        for key, owner, status, version in self._ask(queries.DECIDED, keys):
            found[key.decode()] = Known([], owner.decode(), status.decode(), version)
        for key, owner, rule, occurred_ms, source, event_id in self._ask(queries.EVIDENCE, keys):
            said = Evidence(owner.decode(), rule.decode(), occurred_ms, source.decode(), event_id.decode())
            found[key.decode()].evidence.append(said)
        return found

    def _read_known(self, keys: Sequence[str], linked: Sequence[str]) -> dict[str, Known]:
        known, sizes = self.read_known(keys), self._read_sizes(linked)
        return {**known, **{key: known[key]._replace(is_stored=customer_name(key) in sizes) for key in linked}}

    def _read_sizes(self, keys: Sequence[str]) -> dict[str, int]:
        """How many touchpoints, or more, are stored under each that has any, by the customer's name."""
        return {name.decode(): int(count) for name, count in self._ask(queries.SIZES, list(map(customer_name, keys)))}

    def _choose(self, keys: Sequence[str]) -> list[str]:
        """As many of the customers as may be read whole at once, at least one; the others have to wait."""
        counts = self._read_sizes(keys)
        chosen, left = list[str](), MOST_STITCHED
        for key in keys:
            left -= counts.get(customer_name(key), 0)
            if chosen and left < 0:
                break
            chosen.append(key)
        return chosen

    def _read_histories(self, keys: Sequence[str], most: int | None) -> dict[str, History]:
        names = {customer_name(key): key for key in keys}
        found = {key: History() for key in keys}
        sql = queries.HISTORY if most is None else queries.HISTORY_PART
        count = 0
        for row in self._ask(sql, list(names), {"most": most}):
            history = found[names[row[0].decode()]]
            history.arrivals.append(self._read_arrival(row))
            history.late.append(bool(row[15]))
            history.origins.append((row[20].decode(), row[21]))
            count += 1
        if count == most:
            # The limit has cut off the last customers in order: after the last that was read, and perhaps that one.
            reached = max(name for name, key in names.items() if found[key].arrivals)
            for name, key in names.items():
                found[key].is_whole = name < reached
        for table, name, identity in self._ask(queries.WRITTEN_IDS, list(names)):
            history = found[names[name.decode()]]
            ids = {b"journeys": history.journey_ids, b"promises": history.promise_ids, b"alerts": history.episode_ids}
            ids[table].append(identity.decode())
        return found

    def _ask(
        self, sql: str, names: Sequence[str], parameters: Mapping[str, Any] | None = None
    ) -> Iterator[tuple[Any, ...]]:
        if names:
            for rows in self._writer.stream_about(sql, names, parameters):
                yield from rows

    def _read_arrival(self, row: tuple[Any, ...]) -> Arrival:
        touch = self._touches.read(row[:12])
        identifiers, sent_ms, original_ms, _, version, via, versions, moves, _, _, offset = row[12:]
        touch.moves = moves
        hop = Hop(tuple(zip((name.decode() for name in via), versions, strict=True)), moves, touch.received_ms)
        wire = Wire(
            touch.event_id, touch.source, touch.type, "", _decode_identifiers(identifiers),  # type: ignore[arg-type]
            touch.order_id, touch.case_id, touch.store_id, touch.agent_id, touch.channel, msgspec.Raw(row[11]),
            schema_version=version,
        )  # fmt: skip
        return Arrival(offset, "", touch, wire, sent_ms, original_ms, hop, False)
