from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2

from schemas.partitioning import hash_key, partition_of


@given(st.binary(max_size=300))
def test_a_key_hashes_as_every_kafka_client_hashes_it(key: bytes) -> None:
    assert hash_key(key) == murmur2(key) & 0x7FFFFFFF


@given(st.text(max_size=40), st.integers(1, 1024))
def test_a_key_has_one_partition_and_it_exists(text: str, partitions: int) -> None:
    key = text.encode("utf-8", "replace")
    assert partition_of(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions < partitions


def test_the_hash_of_a_known_key_never_changes() -> None:
    # From the Java client's own tests, so that two Python mistakes cannot agree with one another.
    assert hash_key(b"21") == (-973932308) & 0x7FFFFFFF
    assert hash_key(b"foobar") == (-790332482) & 0x7FFFFFFF
    assert hash_key(b"a-little-bit-long-string") == (-985981536) & 0x7FFFFFFF
