"""History: what ClickHouse holds of customers and identifiers, asked for between two flushes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from schemas.identifiers import customer_name
from sinks import identity_queries as queries
from sinks.writer import Writer
from streams.identity.asking import Answers, Asks, History, Known
from streams.identity.choice import Evidence
from streams.records import Arrival, Hop, Wire
from streams.touch_rows import TouchReader

MOST_NAMES = 1_000
"""In one query, as all of them stand in its text."""
MOST_STITCHED = 100_000
"""Touchpoints that are read in order to be stitched anew, of all customers of a partition, in one flush."""
MOST_MOVED = 50_000
"""Touchpoints that are read in order to be moved, of all customers of a partition together, in one flush."""

_decode_identifiers = msgspec.json.Decoder(dict[str, str]).decode


class HistoryReader:
    """Answers what partitions ask. Raises Transient or Terminal. Used by one thread at a time."""

    def __init__(self, writer: Writer, keeps: Mapping[str, tuple[str, ...]]) -> None:
        self._writer = writer
        self._touches = TouchReader(keeps)

    def answer(self, asks: Asks) -> Answers:
        """All that is asked."""
        return Answers(
            self._read_known(asks.evidence),
            self._read_histories(asks.moving, MOST_MOVED),
            self._read_histories(self._choose(asks.partial), None),
            asks.staying,
        )

    def _read_known(self, keys: Sequence[str]) -> dict[str, Known]:
        found = {key: Known([]) for key in keys}
        for names in _parts(keys):
            for key, *rest in self._writer.query(queries.DECIDED, {"identifiers": names}):
                found[key] = Known([], *rest)
            for key, *rest in self._writer.query(queries.EVIDENCE, {"identifiers": names}):
                found[key].evidence.append(Evidence(*rest))
        return found

    def _choose(self, keys: Sequence[str]) -> list[str]:
        """As many of the customers as may be read whole at once, at least one; the others have to wait."""
        counts: dict[str, int] = {}
        for names in _parts([customer_name(key) for key in keys]):
            counts.update(self._writer.query(queries.SIZES, {"customers": names}))
        chosen, left = list[str](), MOST_STITCHED
        for key in keys:
            left -= counts.get(customer_name(key), 0)
            if chosen and left < 0:
                break
            chosen.append(key)
        return chosen

    def _read_histories(self, keys: Sequence[str], most: int | None) -> dict[str, History]:
        by_name = {customer_name(key): key for key in keys}
        found = {key: History() for key in keys}
        left = most
        for names in _parts(list(by_name)):
            if left == 0:
                for name in names:
                    found[by_name[name]].is_whole = False
                continue
            count = 0
            for row in self._stream(names, left):
                history = found[by_name[row[0].decode()]]
                history.arrivals.append(self._read_arrival(row))
                history.late.append(bool(row[15]))
                count += 1
            if left is not None:
                left = self._note_rest(found, by_name, names, left, count)
            self._read_ids(found, by_name, names)
        return found

    def _stream(self, names: Sequence[str], most: int | None) -> Iterator[tuple[Any, ...]]:
        sql = queries.HISTORY if most is None else queries.HISTORY_PART
        for rows in self._writer.stream(sql, {"customers": names, "most": most}):
            yield from rows

    @staticmethod
    def _note_rest(
        found: Mapping[str, History], by_name: Mapping[str, str], names: Sequence[str], left: int, count: int
    ) -> int:
        if count < left:
            return left - count
        # The limit has cut off the last customers in order: those after the last that was read, and perhaps that one.
        reached = max(name for name in names if found[by_name[name]].arrivals)
        for name in names:
            found[by_name[name]].is_whole = name < reached
        return 0

    def _read_ids(self, found: Mapping[str, History], by_name: Mapping[str, str], names: Sequence[str]) -> None:
        for table, name, identity in self._writer.query(queries.WRITTEN_IDS, {"customers": names}):
            history = found[by_name[name]]
            ids = {"journeys": history.journey_ids, "promises": history.promise_ids, "alerts": history.episode_ids}
            ids[table].append(identity)

    def _read_arrival(self, row: tuple[Any, ...]) -> Arrival:
        touch = self._touches.read(row[:12])
        identifiers, sent_ms, original_ms, _, version, via, versions, moves = row[12:]
        touch.moves = moves
        hop = Hop(tuple(zip((name.decode() for name in via), versions, strict=True)), moves, touch.received_ms)
        wire = Wire(
            touch.event_id, touch.source, touch.type, "", _decode_identifiers(identifiers),  # type: ignore[arg-type]
            touch.order_id, touch.case_id, touch.store_id, touch.agent_id, touch.channel, msgspec.Raw(row[11]),
            schema_version=version,
        )  # fmt: skip
        return Arrival(0, "", touch, wire, sent_ms, original_ms, hop, False)


def _parts(names: Sequence[str]) -> Iterable[Sequence[str]]:
    ordered = sorted(names)
    return (ordered[start : start + MOST_NAMES] for start in range(0, len(ordered), MOST_NAMES))
