"""Decoding: a chunk of records into arrivals and refusals.

The fast path reads the envelope with msgspec and accepts only what it is sure that the contract (`schemas.wire`)
accepts too, with the same values; whatever it is not sure of goes through the contract, one record at a time. One
exception: where `properties` is there twice, the fast path looks only at the last, which is the one that counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from schemas.catalogue import CUSTOMERS_MERGED
from schemas.dead_letter import Reason
from schemas.errors import Undecodable
from schemas.identifiers import (
    KINDS,
    MAX_LENGTH,
    PERSONAL_KINDS,
    Pseudonymiser,
    certain_key,
    is_clean_text,
    is_pseudonym,
    record_key,
    strongest,
)
from schemas.moments import RFC3339, check_moment, to_epoch_ms
from schemas.topics import IDENTITY_LINKS, REPLAY_HEADER, TOUCHPOINTS_REKEYED
from schemas.touchpoint import READ_VERSIONS, Touchpoint
from schemas.wire import EARLIEST_MS, check_time, parse_touchpoint
from streams.identity.hops import read_hop, read_key
from streams.identity.link_decoding import decode_links, take_instructions
from streams.property_decoders import PropertyDecoders
from streams.records import Arrival, DecodedChunk, Hop, Record, Wire, refuse
from streams.touch import DETAILS, Touch

STEP = "decode"
_CACHED_KEYS = 200_000
_CACHED_NAMES = 100_000
_MISSING = Undecodable("empty_record", "the record has no value; a touchpoint topic takes no tombstones")
_decode_wire = msgspec.json.Decoder(Wire).decode


@dataclass(frozen=True)
class Door:
    """What a record must satisfy beyond the contract. Durations are milliseconds."""

    oldest_ms: int
    ahead_ms: int
    skew_bound_ms: int
    max_bytes: int
    pseudonymiser: Pseudonymiser | None = None
    versions: frozenset[int] = READ_VERSIONS


class _Names(dict[str | None, str | None]):
    """Channels, stores and agents that are clean, each kept once. Raises ValueError on one that is not."""

    def __missing__(self, name: str | None) -> str | None:
        if name is not None and not is_clean_text(name):
            raise ValueError("not a clean text")
        if len(self) >= _CACHED_NAMES:
            self.clear()
        self[name] = name
        return name


class Decoder:
    """Decodes chunks at one door. Not thread-safe: it remembers which keys and types it has already judged."""

    def __init__(self, door: Door, keeps: Mapping[str, tuple[str, ...]] = DETAILS) -> None:
        self._door = door
        self._versions = door.versions
        self._keeps = keeps
        self._properties = PropertyDecoders(keeps)
        # Keys by value, for each kind, of those who come with one identifier.
        self._keys: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
        self._customers = self._keys["customer_id"]
        self._names = _Names()

    def decode(self, topic: str, partition: int, records: Sequence[Record], now_ms: int) -> DecodedChunk:
        """The verdict on each record. Never raises for what a record holds."""
        if topic == IDENTITY_LINKS:
            return decode_links(topic, partition, records)
        chunk = DecodedChunk(topic, partition, records[-1].offset + 1, pseudonymiser=self._door.pseudonymiser)
        # What was sent on was judged at its first door.
        is_sent_on = topic == TOUCHPOINTS_REKEYED
        if is_sent_on:
            records = take_instructions(records, chunk)
        wires = _decode_wires(records)
        times = _parse_times(wires)
        earliest = EARLIEST_MS if is_sent_on else max(EARLIEST_MS, now_ms - self._door.oldest_ms)
        latest = now_ms + self._door.ahead_ms
        has_clean_ids = _are_clean([wire.event_id for wire in wires if wire is not None])
        arrivals, accept = chunk.arrivals, self._accept
        for record, wire, occurred_ms in zip(records, wires, times, strict=True):
            arrival = None
            if wire is not None and occurred_ms is not None and occurred_ms <= latest:
                is_in_time = occurred_ms >= earliest or (occurred_ms >= EARLIEST_MS and _is_replayed(record))
                if is_in_time and (has_clean_ids or is_clean_text(wire.event_id)):
                    arrival = accept(record, wire, occurred_ms, is_sent_on)
            if arrival is not None:
                arrivals.append(arrival)
            else:
                self._decode_slowly(record, now_ms, chunk, is_sent_on)
        return chunk

    def _accept(self, record: Record, wire: Wire, occurred_ms: int, is_sent_on: bool) -> Arrival | None:
        """The arrival of a record that is certainly valid; None when the contract must judge.

        Time and event id are judged already.
        """
        value = record.value or b""
        if wire.sent_at is not None or (len(value) > self._door.max_bytes and not is_sent_on):
            return None
        received_ms = record.timestamp if wire.received_at is None else _parse_time(wire.received_at)
        if received_ms is None:
            return None
        identifiers = wire.identifiers
        key = self._customers.get(identifiers.get("customer_id", "")) if len(identifiers) == 1 else None
        key = key or self._key_of(identifiers)
        entry = self._properties.get(wire.type)
        if key is None or entry is None or wire.schema_version not in self._versions:
            return None
        # Which two customers it joins is for the contract to judge.
        if entry.name == CUSTOMERS_MERGED:
            return None
        order_id, case_id = wire.order_id, wire.case_id
        if not (order_id is None or is_clean_text(order_id)) or not (case_id is None or is_clean_text(case_id)):
            return None
        try:
            names = self._names
            channel, store_id, agent_id = names[wire.channel], names[wire.store_id], names[wire.agent_id]
            details = entry.decode(wire.properties)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        kind = entry.name or wire.type
        touch = Touch(
            occurred_ms, wire.source, wire.event_id, kind, received_ms, channel, order_id, case_id, store_id, agent_id,
            details,
        )  # fmt: skip
        if is_sent_on:
            return _follow(record, read_hop(record), Arrival(record.offset, key, touch, wire))
        return Arrival(record.offset, key, touch, wire, is_plain=len(identifiers) == 1)

    def _key_of(self, identifiers: dict[str, str]) -> str | None:
        if len(identifiers) == 1:
            [(kind, value)] = identifiers.items()
            known = self._keys.get(kind)
            return None if known is None else known.get(value) or self._remember(known, kind, value)
        if not identifiers or not identifiers.keys() <= _KINDS:
            return None
        if any(certain_key(kind, value) is None for kind, value in identifiers.items()):
            return None
        return record_key(*strongest(identifiers))

    def _remember(self, known: dict[str, str], kind: str, value: str) -> str | None:
        key = certain_key(kind, value)
        if key is not None:
            if sum(map(len, self._keys.values())) >= _CACHED_KEYS:
                for each in self._keys.values():
                    each.clear()
            known[value] = key
        return key

    def _decode_slowly(self, record: Record, now_ms: int, chunk: DecodedChunk, is_sent_on: bool) -> None:
        try:
            chunk.arrivals.append(self._judge(record, now_ms, is_sent_on))
        except Undecodable as error:
            chunk.refusals.append(refuse(record, error))

    def _judge(self, record: Record, now_ms: int, is_sent_on: bool) -> Arrival:
        value = record.value
        if value is None or not value:
            raise _MISSING
        if len(value) > self._door.max_bytes and not is_sent_on:
            raise Undecodable("too_large", f"{len(value)} bytes; at most {self._door.max_bytes} are taken")
        touchpoint = parse_touchpoint(value, versions=self._versions)
        original_ms = to_epoch_ms(touchpoint.occurred_at)
        hop = read_hop(record) if is_sent_on else None
        received_ms = hop.received_ms if hop else record.timestamp
        if touchpoint.received_at:
            received_ms = to_epoch_ms(touchpoint.received_at)
        sent_ms = to_epoch_ms(touchpoint.sent_at) if touchpoint.sent_at else 0
        occurred_ms = original_ms
        if sent_ms and abs(received_ms - sent_ms) > self._door.skew_bound_ms:
            occurred_ms += received_ms - sent_ms
        oldest_ms = None if is_sent_on or _is_replayed(record) else self._door.oldest_ms
        reason: Reason | None = check_time(occurred_ms, now_ms, oldest_ms, self._door.ahead_ms)
        if reason is not None:
            raise Undecodable(reason, f"occurred_at is {touchpoint.occurred_at.isoformat()}")
        wire = _to_wire(touchpoint, self._hide(touchpoint.identifiers))
        touch = _to_touch(touchpoint, occurred_ms, received_ms, self._keeps)
        arrival = Arrival(
            record.offset, record_key(*strongest(wire.identifiers)), touch, wire, sent_ms, original_ms,
            is_plain=len(wire.identifiers) == 1 and touch.type != CUSTOMERS_MERGED,
        )  # fmt: skip
        return _follow(record, hop, arrival) if is_sent_on else arrival

    def _hide(self, identifiers: dict[str, str]) -> dict[str, str]:
        if all(is_pseudonym(identifiers[kind]) for kind in PERSONAL_KINDS & identifiers.keys()):
            return identifiers
        if self._door.pseudonymiser is None:
            detail = "e-mail or phone came, and JOURNEYS_IDENTIFIER_KEY is not set to hide them"
            raise Undecodable("invalid_identifier", detail)
        try:
            return self._door.pseudonymiser.hide_all(identifiers)
        except ValueError as error:
            raise Undecodable("invalid_identifier", str(error)) from error


_KINDS = frozenset(KINDS)


def _follow(record: Record, hop: Hop | None, arrival: Arrival) -> Arrival:
    """The arrival of a touchpoint that was sent on: its record's key says to whom, a header by which way."""
    key = read_key(record)
    arrival.is_plain = False
    if hop is not None:
        arrival.hop = hop
        arrival.touch.moves = hop.moves
        if arrival.wire.received_at is None:
            arrival.touch.received_ms = hop.received_ms
    if key is not None:
        arrival.key = key
    return arrival


def _are_clean(texts: Sequence[str]) -> bool:
    """Whether all are certainly clean, for the price of one look; False says nothing of each."""
    joined = "".join(texts)
    lengths = list(map(len, texts))
    return " " not in joined and joined.isprintable() and min(lengths, default=0) > 0 and max(lengths) <= MAX_LENGTH


def _decode_wires(records: Sequence[Record]) -> list[Wire | None]:
    try:
        return [_decode_wire(record.value) for record in records]  # type: ignore[arg-type]
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, RecursionError):
        return [_try_wire(record.value) for record in records]


def _try_wire(value: bytes | None) -> Wire | None:
    try:
        return _decode_wire(value) if value is not None else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _details_of(touchpoint: Touchpoint, keeps: tuple[str, ...] | None) -> dict[str, Any] | None:
    """What a signal keeps of its properties, None for other types."""
    if keeps is None:
        return None
    properties = touchpoint.properties
    named = type(properties).model_fields.keys()
    found = {name: getattr(properties, name, None) for name in keeps}
    return {
        name: to_epoch_ms(value) if isinstance(value, datetime) else value
        for name, value in found.items()
        # What no model names may be anything, and what is no text is no value.
        if value is not None and (name in named or isinstance(value, str))
    }


def _parse_times(wires: Sequence[Wire | None]) -> list[int | None]:
    """Epoch milliseconds of each `occurred_at`; None where it must be judged by the contract."""
    texts = [wire.occurred_at if wire is not None else "" for wire in wires]
    try:
        matrix = np.frombuffer("".join(texts).encode("ascii"), dtype=np.uint8)
        if len(matrix) != 24 * len(texts) or any(len(text) != 24 for text in texts):
            raise ValueError("not all are of the common form")
        return _parse_common_form(matrix.reshape(-1, 24))
    except (ValueError, UnicodeEncodeError):
        return [_parse_time(text) for text in texts]


_PATTERN = np.frombuffer(b"0000-00-00T00:00:00.000Z", dtype=np.uint8)
_IS_DIGIT = ord("0") == _PATTERN


def _parse_common_form(matrix: np.ndarray[Any, np.dtype[np.uint8]]) -> list[int | None]:
    digits = matrix[:, _IS_DIGIT]
    if not (matrix[:, ~_IS_DIGIT] == _PATTERN[~_IS_DIGIT]).all() or not ((digits >= 48) & (digits <= 57)).all():
        raise ValueError("not all are of the common form")
    if (matrix[:, :4] == 48).all(axis=1).any():
        raise ValueError("year 0000 is no year")
    values: list[int] = (
        np.ascontiguousarray(matrix[:, :23]).view("S23").ravel().astype("datetime64[ms]").astype(np.int64).tolist()
    )
    return list(values)


def _parse_time(text: str) -> int | None:
    if not RFC3339.fullmatch(text):
        return None
    try:
        return to_epoch_ms(check_moment(text))
    except (ValueError, OverflowError):
        return None


def _is_replayed(record: Record) -> bool:
    return any(name == REPLAY_HEADER for name, _ in record.headers)


def _to_touch(
    touchpoint: Touchpoint, occurred_ms: int, received_ms: int, keeps: Mapping[str, tuple[str, ...]]
) -> Touch:
    return Touch(
        occurred_ms,
        touchpoint.source,
        touchpoint.event_id,
        touchpoint.type,
        received_ms,
        touchpoint.channel,
        touchpoint.order_id,
        touchpoint.case_id,
        touchpoint.store_id,
        touchpoint.agent_id,
        _details_of(touchpoint, keeps.get(touchpoint.type)),
    )


def _to_wire(touchpoint: Touchpoint, identifiers: dict[str, str]) -> Wire:
    return Wire(
        touchpoint.event_id,
        touchpoint.source,
        touchpoint.type,
        "",
        identifiers,
        touchpoint.order_id,
        touchpoint.case_id,
        touchpoint.store_id,
        touchpoint.agent_id,
        touchpoint.channel,
        msgspec.Raw(touchpoint.properties.model_dump_json(exclude_unset=True).encode()),
        schema_version=touchpoint.schema_version,
    )
