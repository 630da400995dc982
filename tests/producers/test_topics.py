import gc
import logging
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from deploy.local.stack import LocalStack
from producers.topics import check_topics, create_topics, judge_partitions
from schemas.errors import Misconfigured, Transient
from schemas.topics import TOPICS

EQUAL = {topic.name: topic.partitions or 4 for topic in TOPICS}


def test_equal_partitions_are_fine() -> None:
    assert judge_partitions({**EQUAL, "somebody-elses": 7}) == 4


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        (
            {name: 4 for name in EQUAL if name != "facts"},
            "Kafka has no topic facts: create them with `journeys migrate`",
        ),
        (
            {**EQUAL, "identity-links": 3},
            "must have equally many partitions: touchpoints 4, touchpoints-rekeyed 4, identity",
        ),
        ({**EQUAL, "facts": 4}, "topic facts has 4 partitions and must have 1"),
    ],
)
def test_topics_that_would_not_work_together_are_told_in_one_line(counts: dict[str, int], told: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        judge_partitions(counts)
    assert told in str(refused.value) and "\n" not in str(refused.value)


# kafka-python leaves the socket of a failed start to the garbage collector, which must find it here and not later.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_no_server_is_told_as_something_that_passes(caplog: pytest.LogCaptureFixture) -> None:
    # Captured log records would hold on to it.
    caplog.set_level(logging.CRITICAL, "kafka")
    with pytest.raises(Transient, match=r"no Kafka server answers at 127\.0\.0\.1:1"):
        check_topics({"bootstrap_servers": "127.0.0.1:1", "bootstrap_timeout_ms": 300})
    gc.collect()


@pytest.mark.integration
def test_topics_are_created_once_and_what_is_there_is_left_alone(tmp_path: Path) -> None:
    with LocalStack(tmp_path, run_clickhouse=False) as stack:
        options = {"bootstrap_servers": stack.kafka}
        admin = KafkaAdminClient(**options)
        admin.create_topics([NewTopic("facts", 1, 1, topic_configs={"retention.ms": "1000"})])
        admin.close()
        assert create_topics(options, 3) == [topic.name for topic in TOPICS if topic.name != "facts"]
        assert create_topics(options, 5) == []
        assert check_topics(options) == 3
