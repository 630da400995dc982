"""How spooled records stand in a file: a head of three numbers, then the record. Data in, data out.

The head has a checksum of its own. So a record that was cut off by the end of a process is told for certain from one
whose bytes were changed afterwards, behind which others may follow.
"""

from __future__ import annotations

import struct
from enum import Enum

import msgspec
from crc32c import crc32c

HEAD = struct.Struct(">III")
"""Length of the body in bytes, CRC32C of the body, CRC32C of these eight bytes."""
_CHECKED_HEAD_BYTES = 8


class SpooledRecord(msgspec.Struct, array_like=True, frozen=True):
    """One record on its way to a topic; `written_ms` is when it was taken, in epoch milliseconds."""

    written_ms: int
    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class Fault(Enum):
    """Why no record can be read at a place: the bytes end before it does, or they are not what was written."""

    TORN = "torn"
    DAMAGED = "damaged"


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SpooledRecord)


def encode_body(record: SpooledRecord) -> bytes:
    """The record as bytes, still without its head."""
    return _encoder.encode(record)


def decode_body(body: bytes) -> SpooledRecord:
    """The record that `encode_body` was given. Raises `msgspec.MsgspecError` for anything else."""
    return _decoder.decode(body)


def frame(body: bytes) -> bytes:
    """Head and body, as they stand in a file."""
    head = struct.pack(">II", len(body), crc32c(body))
    return head + struct.pack(">I", crc32c(head)) + body


def find_body(content: memoryview, at: int) -> tuple[int, int] | Fault:
    """Where the body of the record at byte `at` begins and ends, or why there is none."""
    begin = at + HEAD.size
    if begin > len(content):
        return Fault.TORN
    length, body_sum, head_sum = HEAD.unpack_from(content, at)
    if crc32c(content[at : at + _CHECKED_HEAD_BYTES]) != head_sum:
        return Fault.DAMAGED
    end = begin + length
    if end > len(content):
        return Fault.TORN
    return (begin, end) if crc32c(content[begin:end]) == body_sum else Fault.DAMAGED


def framed_bytes(content: memoryview, at: int) -> int | None:
    """How long the record at byte `at` is with its head, by what its head says; None when there is no sound head."""
    if at + HEAD.size > len(content):
        return None
    length, _, head_sum = HEAD.unpack_from(content, at)
    sound = crc32c(content[at : at + _CHECKED_HEAD_BYTES]) == head_sum
    return HEAD.size + int(length) if sound else None
