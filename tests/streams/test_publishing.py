"""A dead letter is never too large for Kafka, whatever was refused."""

import json

import pytest

from streams.outbox import MAX_BATCH_BYTES
from streams.publishing import encode_dead_letter
from streams.records import Refusal

LARGEST = 1024 * 1024
"""More than a broker takes by default, key and value together."""


@pytest.mark.parametrize("byte", [b"x", b"\0", b"\xff"], ids=["text", "escaped in JSON", "no text"])
def test_a_refused_record_of_any_size_makes_one_that_kafka_takes(byte: bytes) -> None:
    refusal = Refusal(7, "too_large", "too many bytes", byte * LARGEST, byte * LARGEST)
    letter = encode_dead_letter("touchpoints", 3, refusal, "decode", 1_790_000_000_000)
    assert len(letter) < MAX_BATCH_BYTES
    told = json.loads(letter)
    assert (told["raw_truncated"], told["raw_bytes"], told["offset"]) == (True, LARGEST, 7)
    assert told["key"].encode().startswith(byte if byte != b"\xff" else "\ufffd".encode())
