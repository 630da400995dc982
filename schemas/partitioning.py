"""Which partition a record key belongs to: Kafka's murmur2, as the Java client and kafka-python compute it."""

from __future__ import annotations

from functools import lru_cache
from struct import iter_unpack

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_REMEMBERED_KEYS = 1 << 16
"""A key comes back: with the next record that is sent to it, and when its customer is opened."""


@lru_cache(_REMEMBERED_KEYS)
def hash_key(key: bytes) -> int:
    """Non-negative 31-bit murmur2 of a key, seed 0x9747b28c (Kafka's `Utils.toPositive(Utils.murmur2(key))`)."""
    length = len(key)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for (word,) in iter_unpack("<I", key[:whole]):
        k = word * _M & _MASK
        h = (h * _M & _MASK) ^ ((k ^ (k >> 24)) * _M & _MASK)
    if whole != length:
        h = (h ^ int.from_bytes(key[whole:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return (h ^ (h >> 15)) & 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that owns a key when there are this many."""
    return hash_key(key) % partitions
