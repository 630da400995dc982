"""Judging columns: which rows of a batch the door of the stream would certainly take, with the same values. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from schemas.catalogue import CUSTOMERS_MERGED, SOURCES
from schemas.columns import NOT_SAID_MS, ColumnBatch
from schemas.identifiers import (
    KINDS,
    MAX_LENGTH,
    certain_key,
    is_clean_text,
)
from schemas.touchpoint import SCHEMA_VERSION
from schemas.wire import EARLIEST_MS
from streams.backfill.rows import Names, Teaching
from streams.decoding import Door
from streams.property_decoders import PropertyDecoders

MOST_REMEMBERED = 50_000
"""So many properties of each type are remembered as right, those that are short: most are like others."""
SHORT = 120


class Accepted(NamedTuple):
    """Places of the rows that are certain, their record keys, and columns of `sinks.tables.TOUCHPOINTS` for them.

    `teachings`: what those say of identity.
    """

    places: Sequence[int]
    keys: list[str]
    columns: list[Sequence[Any]]
    teachings: list[Teaching]


class _Identity(NamedTuple):
    """What one set of identifiers comes to. `key` is empty where the door must judge."""

    key: str
    json: str
    weaker: tuple[str, ...] = ()


_UNKNOWN = _Identity("", "")


class ColumnJudge:
    """Judges batches at one door. Remembers what it has judged: one for each process."""

    def __init__(self, door: Door, names: Names) -> None:
        self._door = door
        self._names = names
        self._types = PropertyDecoders({})
        self._checks: dict[str, _Check | None] = {}

    def judge(self, columns: ColumnBatch, received_ms: int, now_ms: int) -> Accepted:
        """The rows that are certain. `received_ms` of those that do not state it."""
        doubtful = set(columns.doubtful)
        doubtful.update(self._doubt_texts(columns))
        doubtful.update(self._doubt_times(columns.occurred_ms, now_ms))
        doubtful.update(self._doubt_properties(columns))
        keys, jsons, several = self._judge_identifiers(columns, doubtful)
        links = [
            Teaching(keys[place], weaker, columns.occurred_ms[place], columns.sources[place], columns.event_ids[place])
            for place, weaker in several
            if place not in doubtful
        ]
        count = len(columns)
        names = self._names
        wire: list[Sequence[Any]] = [
            [names[key].name for key in keys],
            columns.occurred_ms, columns.sources, columns.event_ids, columns.types, columns.channels, columns.order_ids,
            columns.case_ids, columns.store_ids, columns.agent_ids, jsons, columns.properties,
            _received(columns, received_ms), [0] * count, columns.occurred_ms, [0] * count, [SCHEMA_VERSION] * count,
            [""] * count, [0] * count,
        ]  # fmt: skip
        if not doubtful:
            return Accepted(range(count), keys, wire, links)
        places = [place for place in range(count) if place not in doubtful]
        kept: list[Sequence[Any]] = [[values[place] for place in places] for values in wire]
        return Accepted(places, [keys[place] for place in places], kept, links)

    def _doubt_texts(self, columns: ColumnBatch) -> Iterator[int]:
        yield from _unclean(columns.event_ids, is_needed=True)
        yield from _unclean(columns.order_ids)
        yield from _unclean(columns.case_ids)
        for values in (columns.store_ids, columns.agent_ids, columns.channels):
            yield from _among(values, {name for name in set(values) if name and not is_clean_text(name)})
        yield from _among(columns.sources, set(columns.sources) - _SOURCES)

    def _doubt_times(self, occurred_ms: Sequence[int], now_ms: int) -> Iterator[int]:
        latest_ms = now_ms + self._door.ahead_ms
        if occurred_ms and not EARLIEST_MS <= min(occurred_ms) <= max(occurred_ms) <= latest_ms:
            yield from (place for place, each in enumerate(occurred_ms) if not EARLIEST_MS <= each <= latest_ms)

    def _doubt_properties(self, columns: ColumnBatch) -> Iterator[int]:
        checks = {name: self._check_of(name) for name in set(columns.types)}
        # What else a record holds is bounded: identifiers and names of at most 256 characters each.
        longest = self._door.max_bytes // 4 - 32 * MAX_LENGTH
        for place, (name, text) in enumerate(zip(columns.types, columns.properties, strict=True)):
            check = checks[name]
            if check is None or (text not in check.known and not (len(text) <= longest and check.accepts(text))):
                yield place

    def _check_of(self, name: str) -> _Check | None:
        if name not in self._checks:
            entry = self._types.get(name)
            self._checks[name] = None if entry is None or name == CUSTOMERS_MERGED else _Check(entry.decode)
        return self._checks[name]

    def _judge_identifiers(
        self, columns: ColumnBatch, doubtful: set[int]
    ) -> tuple[list[str], list[str], list[tuple[int, tuple[str, ...]]]]:
        """Record keys and identifiers as JSON of all rows, and places and weaker keys of those with several."""
        kinds = [kind for kind in KINDS if any(columns.identifiers.get(kind, ()))]
        judged: dict[tuple[str, ...], _Identity] = {}
        keys, jsons, several = [], [], []
        # The same customer comes with the same identifiers again and again.
        for place, values in enumerate(zip(*[columns.identifiers[kind] for kind in kinds], strict=True)):
            found = judged.get(values)
            if found is None:
                found = judged[values] = self._identify(kinds, values)
            keys.append(found.key)
            jsons.append(found.json)
            if found.weaker:
                several.append((place, found.weaker))
            elif not found.key:
                doubtful.add(place)
        if not kinds:
            doubtful.update(range(len(columns)))
            return [""] * len(columns), [""] * len(columns), []
        return keys, jsons, several

    def _identify(self, kinds: Sequence[str], values: Sequence[str]) -> _Identity:
        pairs = [(kind, value) for kind, value in zip(kinds, values, strict=True) if value]
        found = [key for pair in pairs if (key := certain_key(*pair)) is not None]
        if not found or len(found) < len(pairs):
            return _UNKNOWN
        if len(found) == 1:
            return _Identity(found[0], self._names[found[0]].identifiers_json)
        return _Identity(found[0], _encode_json(dict(pairs)).decode(), tuple(found[1:]))


_SOURCES = frozenset(SOURCES)
_encode_json = msgspec.json.Encoder().encode


class _Check:
    """Which properties of one type are right. `known`: some that were found so."""

    def __init__(self, decode: Callable[[msgspec.Raw], object]) -> None:
        self._decode = decode
        self.known: set[str] = set()

    def accepts(self, text: str) -> bool:
        try:
            self._decode(msgspec.Raw(text.encode()))
        except (msgspec.DecodeError, ValueError, RecursionError):
            return False
        if len(text) <= SHORT and len(self.known) < MOST_REMEMBERED:
            self.known.add(text)
        return True


def _received(columns: ColumnBatch, otherwise_ms: int) -> Sequence[int]:
    if columns.received_ms is None:
        return [otherwise_ms] * len(columns)
    return [otherwise_ms if each == NOT_SAID_MS else each for each in columns.received_ms]


def _among(values: Sequence[str], wrong: set[str]) -> Iterator[int]:
    if wrong:
        yield from (place for place, value in enumerate(values) if value in wrong)


def _unclean(values: Sequence[str], *, is_needed: bool = False) -> Iterator[int]:
    """Places of ids that are not certainly clean; `""` is fine unless they are needed."""
    joined = "".join(values)
    lengths = list(map(len, values))
    shortest = min(lengths, default=1) if is_needed else 1
    if joined.isprintable() and " " not in joined and shortest > 0 and max(lengths, default=0) <= MAX_LENGTH:
        return
    yield from (place for place, value in enumerate(values) if (value or is_needed) and not is_clean_text(value))
