"""Touches from rows of the touchpoints table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from schemas.moments import format_epoch_ms
from schemas.topics import TOUCHPOINTS
from schemas.wire import encode_touchpoint
from streams.decoding import Decoder, Door
from streams.property_decoders import PropertyDecoders
from streams.touch import Touch

_ANY_DOOR = Door(oldest_ms=10**15, ahead_ms=10**15, skew_bound_ms=10**15, max_bytes=2**40)


class _Texts(dict[bytes, str]):
    """Texts of which there are few, each decoded once."""

    def __missing__(self, raw: bytes) -> str:
        text = self[raw] = raw.decode()
        return text


class _Names(dict[bytes, str | None]):
    """The same where an empty one means none."""

    def __missing__(self, raw: bytes) -> str | None:
        text = self[raw] = raw.decode() or None
        return text


class TouchReader:
    """Makes touches of rows of `queries.touchpoints`. Remembers names: one reader per run."""

    def __init__(self, keeps: Mapping[str, tuple[str, ...]]) -> None:
        self._texts = _Texts()
        self._names = _Names()
        self._entries = PropertyDecoders(keeps)
        self._decoder = Decoder(_ANY_DOOR, keeps)

    def read(self, row: tuple[Any, ...]) -> Touch:
        """One touch; its details are those that the worker would keep."""
        (_, occurred_ms, source, event_id, kind, received_ms, channel, order_id, case_id, store_id, agent_id, raw) = row
        texts, names = self._texts, self._names
        name = texts[kind]
        return Touch(
            occurred_ms,
            texts[source],
            event_id.decode(),
            name,
            received_ms,
            names[channel],
            order_id.decode() if order_id else None,
            case_id.decode() if case_id else None,
            names[store_id],
            names[agent_id],
            self._details(name, raw, row) if raw else None,
        )

    def read_columns(self, columns: Sequence[Sequence[Any]]) -> list[Touch]:
        """All touches of the same twelve columns, with texts as text; a thirteenth says how often each was sent on."""
        types, properties, moves = columns[4], columns[11], columns[12]
        optional = [[text or None for text in column] for column in columns[6:11]]
        touches = list(map(Touch, *columns[1:6], *optional))
        for place, text in enumerate(properties):
            if text:
                touches[place].details = self._read_details(types[place], text, columns, place)
        if any(moves):
            for touch, count in zip(touches, moves, strict=True):
                touch.moves = count
        return touches

    def _read_details(
        self, name: str, text: str, columns: Sequence[Sequence[Any]], place: int
    ) -> dict[str, Any] | None:
        entry, raw = self._entries.get(name), text.encode()
        try:
            return None if entry is None else entry.decode(msgspec.Raw(raw))
        except (msgspec.DecodeError, ValueError, RecursionError):
            row = [column[place].encode() if isinstance(column[place], str) else column[place] for column in columns]
            return self._judge(name, raw, tuple(row))

    def _details(self, name: str, raw: bytes, row: tuple[Any, ...]) -> dict[str, Any] | None:
        entry = self._entries.get(name)
        try:
            return None if entry is None else entry.decode(msgspec.Raw(raw))
        except (msgspec.DecodeError, ValueError, RecursionError):
            return self._judge(name, raw, row)

    def _judge(self, name: str, raw: bytes, row: tuple[Any, ...]) -> dict[str, Any]:
        """The details by the contract itself, which takes more than what is decoded fast."""
        body = {
            "event_id": row[3].decode(),
            "source": row[2].decode(),
            "type": name,
            "occurred_at": format_epoch_ms(row[1]),
            "identifiers": {"customer_id": "C"},
            "properties": msgspec.json.decode(raw),
        }
        record = _Stored(encode_touchpoint(body), row[5])
        chunk = self._decoder.decode(TOUCHPOINTS, 0, [record], row[1])
        found = chunk.arrivals[0].touch.details if chunk.arrivals else None
        return found or {}


class _Stored(NamedTuple):
    value: bytes
    timestamp: int
    offset: int = 0
    key: bytes = b""
    headers: tuple[tuple[str, bytes], ...] = ()
