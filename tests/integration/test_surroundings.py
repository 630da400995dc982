"""What a worker knows besides touchpoints: facts reach customers across partitions, rules change while it runs."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from schemas.fact import check_fact, encode_fact, fact_key
from schemas.moments import format_epoch_ms
from schemas.topics import FACTS, FRICTION_ALERTS
from tests.integration.conftest import StartPlatform
from tests.integration.expectations import touchpoint
from tests.integration.harness import Feed, Platform, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CUSTOMERS = [f"C-{number}" for number in range(8)]


def ago(milliseconds: int) -> int:
    return time.time_ns() // 1_000_000 - milliseconds


def state(platform: Platform, type_name: str, at_ms: int, **properties: Any) -> None:
    fact = {
        "event_id": f"{type_name}-{at_ms}",
        "source": "store",
        "type": type_name,
        "occurred_at": format_epoch_ms(at_ms),
        "properties": properties,
    }
    platform.send([Feed(fact_key(check_fact(fact)), encode_fact(fact), partition=0)], FACTS)


def open_alerts(platform: Platform, rule: str) -> set[str]:
    rows = platform.query(f"SELECT customer_id FROM analytics.alerts WHERE rule = '{rule}' AND status = 'open'")
    return {customer for (customer,) in rows}


def test_a_restock_reaches_whoever_asked_for_it_also_after_a_restart(start_platform: StartPlatform) -> None:
    platform = start_platform()
    worker = platform.start_worker()
    wishes = [
        touchpoint(name, f"wish-{name}", ago(3 * DAY_MS), "back_in_stock_requested", properties={"sku": "SKU-1"})
        for name in CUSTOMERS
    ]
    told = touchpoint("C-0", "told", ago(2 * DAY_MS - HOUR_MS), "notification_sent", source="messaging",
                      properties={"topic": "restock", "sku": "SKU-1"})  # fmt: skip
    # Somebody is on the site now: time stands still in a partition that has only history.
    present = [touchpoint(f"now-{number}", f"now-{number}", ago(0)) for number in range(20)]
    platform.send([*wishes, told, *present])
    platform.wait_idle()
    worker = platform.restart(worker)
    platform.wait_assigned(worker)
    assert open_alerts(platform, "restock_silence") == set()

    state(platform, "restocked", ago(2 * DAY_MS), sku="SKU-1")
    wait_until(lambda: open_alerts(platform, "restock_silence") == set(CUSTOMERS[1:]), "all who were not told")
    kept = "SELECT kind, status, count() FROM analytics.promises GROUP BY kind, status ORDER BY status"
    wait_until(
        lambda: platform.query(kept) == [("restock", "broken", 7), ("restock", "kept", 1)], "the ledger to say the same"
    )
    stored = "SELECT source, type, sku FROM analytics.facts"
    assert platform.query(stored) == [("store", "restocked", "SKU-1")]


def test_an_empty_shelf_says_whom_else_it_concerns(start_platform: StartPlatform) -> None:
    platform = start_platform()
    platform.wait_assigned(platform.start_worker())
    with platform.tail(FRICTION_ALERTS) as read:
        cart = touchpoint("C-1", "cart", ago(HOUR_MS), "cart_updated", properties={"sku": "SKU-1", "quantity": 1})
        other = touchpoint("C-2", "other", ago(HOUR_MS), "cart_updated", properties={"sku": "SKU-2", "quantity": 1})
        shown = touchpoint("C-3", "shown", ago(HOUR_MS), "stock_shown",
                           properties={"sku": "SKU-1", "in_stock": True, "store_id": "S-1"})  # fmt: skip
        platform.send([cart, other, shown])
        platform.wait_idle()
        missing = touchpoint("C-3", "missing", ago(0), "item_unavailable", source="store", store_id="S-1",
                             properties={"sku": "SKU-1"})  # fmt: skip
        platform.send([missing])
        found: list[dict[str, Any]] = []

        def is_counted() -> bool:
            found.extend(json.loads(record.value) for record in read())
            return any(f["rule"] == "stock_mismatch" and f["affected_customers"] == 1 for f in found)

        wait_until(is_counted, "the alert with its count")
    affected = "SELECT affected_customers FROM analytics.alerts WHERE rule = 'stock_mismatch'"
    wait_until(lambda: platform.query(affected) == [(1,)], "the count in the table")


def test_changed_rules_are_taken_over_and_broken_ones_are_told(start_platform: StartPlatform, tmp_path: Path) -> None:
    own = tmp_path / "rules"
    own.mkdir()
    platform = start_platform(rules_dir=str(own))
    worker = platform.start_worker()
    platform.wait_assigned(worker)
    platform.send(
        [
            touchpoint(name, f"gift-{name}", ago(HOUR_MS), "gift_given", properties={"kind": "card"})
            for name in CUSTOMERS
        ]
    )
    status = (
        "SELECT status, withdrawn_because, count() FROM analytics.alerts WHERE rule = 'unexpected_gift' GROUP BY ALL"
    )
    wait_until(lambda: platform.query(status) == [("resolved", "", 8)], "eight gifts")

    (own / "gift.yaml").write_text("id: unexpected_gift\nenabled: false\n", "utf-8")
    wait_until(lambda: platform.query(status) == [("withdrawn", "rule_changed", 8)], "what it had found withdrawn")
    (own / "gift.yaml").write_text("id: unexpected_gift\nenabled: perhaps\n", "utf-8")
    wait_until(lambda: worker.metrics().total("rules_broken") == 1, "the fault in a metric")
    assert "gift.yaml" in worker.log.read_text("utf-8") and worker.exit_code is None
    (own / "gift.yaml").unlink()
    wait_until(lambda: platform.query(status) == [("resolved", "", 8)], "the shipped rule to be back")
    assert worker.metrics().total("rules_broken") == 0
