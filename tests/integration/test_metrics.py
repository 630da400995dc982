"""What a worker's /metrics page tells, and that it names nobody."""

import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.conftest import StartPlatform
from tests.integration.expectations import touchpoint
from tests.integration.harness import Feed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

WANTED = {
    "journeys_touchpoints_accepted",
    "journeys_touchpoints_duplicate",
    "journeys_dead_letters",
    "journeys_chunk_seconds",
    "journeys_flush_seconds",
    "journeys_event_to_queryable_seconds",
    "journeys_event_to_alert_seconds",
    "journeys_lag_records",
    "journeys_open_customers",
    "journeys_buffer_rows",
    "journeys_rebalances",
}
ALLOWED_LABELS = {"source", "reason", "rule", "status", "type", "step", "topic", "partition", "le", "what"}
PER_SECOND = 200
SECONDS = 10


def test_the_page_shows_what_happens_and_names_nobody(start_platform: StartPlatform) -> None:
    platform = start_platform(flush_interval="1s")
    worker = platform.start_worker()
    platform.wait_assigned(worker)
    began = time.monotonic()
    for n in range(SECONDS * PER_SECOND):
        platform.producer.send("touchpoints", *_live(n))
        time.sleep(max(0.0, began + n / PER_SECOND - time.monotonic()))
    records = [touchpoint("C-1", "twice", _now_ms())] * 2
    platform.send([*records, Feed(b"key", b"bad"), *[_contact(n) for n in range(2)]])
    platform.wait_idle()
    time.sleep(1.5)

    page = worker.metrics_page()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert families.keys() >= WANTED
    ours = [sample for name in families if name.startswith("journeys_") for sample in families[name].samples]
    assert {label for sample in ours for label in sample.labels} <= ALLOWED_LABELS
    values = {value for sample in ours for value in sample.labels.values()}
    assert not [value for value in values if re.search(r"C-\d|live-|twice|ask-", value)]

    metrics = worker.metrics()
    assert metrics.by_label("touchpoints_accepted_total", "source") == {"web": SECONDS * PER_SECOND + 1, "support": 2}
    assert metrics.total("touchpoints_duplicate_total", source="web") == 1
    assert metrics.by_label("dead_letters_total", "reason") == {"invalid_json": 1}
    assert metrics.total("event_to_queryable_seconds_count") == SECONDS * PER_SECOND + 3
    assert metrics.total("event_to_alert_seconds_count") == metrics.total("alerts_total") == 1
    assert metrics.total("lag_records") == 0 and metrics.total("buffer_rows") == 0
    assert {"touchpoints", "touchpoints-rekeyed", "identity-links"} == metrics.by_label("lag_records", "topic").keys()
    assert metrics.total("open_customers") == 502
    print({f"p{int(q * 100)}": metrics.quantile_seconds("event_to_queryable_seconds", q) for q in (0.5, 0.95)})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _live(n: int) -> tuple[bytes | None, bytes | None]:
    record = touchpoint(f"live-{n % 500}", f"live-{n}", _now_ms())
    return record.value, record.key


def _contact(n: int) -> Feed:
    return touchpoint(
        "C-2", f"ask-{n}", _now_ms() + n, "contact_started", source="support", channel="email",
        properties={"contact_id": f"K-{n}", "topic": "delivery"},
    )  # fmt: skip
