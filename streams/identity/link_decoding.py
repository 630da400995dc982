"""Decoding records of `identity-links`, and what is no touchpoint among those of `touchpoints-rekeyed`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.errors import Undecodable
from schemas.links import decode_forgotten, decode_link
from streams.identity.hops import is_instruction, read_rebuilds, read_releases
from streams.records import DecodedChunk, Record, refuse


def decode_links(topic: str, partition: int, records: Sequence[Record]) -> DecodedChunk:
    """The verdict on each record. Tombstones say nothing. Never raises for what a record holds."""
    chunk = DecodedChunk(topic, partition, records[-1].offset + 1)
    for record in records:
        if not record.value:
            continue
        if (identifier := decode_forgotten(record.value)) is not None:
            chunk.forgotten.append(identifier)
            continue
        try:
            chunk.links.append(decode_link(record.value))
        except Undecodable as error:
            chunk.refusals.append(refuse(record, error))
    return chunk


def take_instructions(records: Sequence[Record], chunk: DecodedChunk) -> Sequence[Record]:
    """Move releases and what asks for rebuilds into the chunk; returns the other records."""
    if not any(map(is_instruction, records)):
        return records
    chunk.releases.extend(read_releases(records))
    chunk.rebuilds.extend(read_rebuilds(records))
    return [record for record in records if not is_instruction(record)]
