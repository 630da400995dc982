"""The platform on Apache Kafka, as it runs in production."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from kafka import KafkaProducer

from schemas.partitioning import partition_of
from schemas.topics import TOUCHPOINTS
from tests.integration.conftest import StartPlatform
from tests.integration.ecom import assert_sessions, kill_in_turn, repeat_some, shuffle
from tests.integration.expectations import GAP_ONLY, assert_exact, expect, read_ecom
from tests.integration.harness import Feed, Platform

pytestmark = [pytest.mark.faults, pytest.mark.apache_kafka, pytest.mark.timeout(360)]


def test_shuffled_repeated_and_killed_the_sessions_are_the_same(start_platform: StartPlatform, tmp_path: Path) -> None:
    records = read_ecom(tmp_path)
    platform = start_platform(kafka="apache", **GAP_ONLY)
    kill_in_turn(platform, platform.start_worker(), repeat_some(shuffle(records, 21), 22), kills=1)
    platform.wait_idle()
    assert_sessions(platform, records)
    # This broker says exactly how far its partitions reach.
    committed = {place: offset for place, offset in platform.committed().items() if place[0] == TOUCHPOINTS}
    assert committed == platform.broker_ends(TOUCHPOINTS) == platform.ends


@pytest.mark.parametrize("size", [40, 300])
def test_what_comes_in_transactions_is_taken_when_they_are_committed_and_not_when_they_are_aborted(
    start_platform: StartPlatform, tmp_path: Path, size: int
) -> None:
    records = read_ecom(tmp_path)[:3_000]
    platform = start_platform(kafka="apache", **GAP_ONLY, chunk_records="100")
    send_in_transactions(platform, records[:1_500], size)
    # Marks of transactions stand between the records, as holes in the offsets, and much is read ahead.
    platform.start_worker()
    platform.wait_idle()
    send_in_transactions(platform, records[1_500:], size)
    platform.wait_idle()
    assert_exact(platform, expect(committed(records[:1_500], size) + committed(records[1_500:], size)))


def test_what_retention_has_taken_away_is_not_waited_for_and_the_rest_is_whole(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    records = read_ecom(tmp_path)[:4_000]
    platform = start_platform(kafka="apache", partitions=1, **GAP_ONLY, chunk_records="100")
    platform.send(records)
    platform.delete_before(TOUCHPOINTS, 0, 1_000)
    platform.start_worker()
    platform.wait_idle()
    assert_exact(platform, expect(records[1_000:]))


def committed(records: Sequence[Feed], size: int) -> list[Feed]:
    """Those that `send_in_transactions` does not take back."""
    return [record for at, record in enumerate(records) if at // size % 4 != 3]


def send_in_transactions(platform: Platform, records: Sequence[Feed], size: int) -> None:
    """Send so many records in each transaction, and abort each fourth."""
    producer = KafkaProducer(**platform.kafka_options, transactional_id="shop", metrics_enabled=False)
    try:
        producer.init_transactions()
        for number, start in enumerate(range(0, len(records), size)):
            producer.begin_transaction()
            sent = [
                producer.send(
                    TOUCHPOINTS, record.value, record.key, list(record.headers),
                    partition=partition_of(record.key or b"", platform.partitions),
                )
                for record in records[start : start + size]
            ]  # fmt: skip
            # Else what is aborted may never have been sent.
            producer.flush()
            if number % 4 == 3:
                producer.abort_transaction()
                continue
            producer.commit_transaction()
            for future in sent:
                platform.note_end(future.get(timeout=30))
    finally:
        producer.close()
