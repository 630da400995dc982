"""Facts on their way in through the commands: between touchpoints, and counted apart where touchpoints are counted."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console.commands.emit import Tally, send_lines
from console.shop_feed import ShopFeed
from producers.client import Client
from producers.emitters import MemoryEmitter
from producers.replay import HEADERS
from producers.time_bounds import TimeBounds
from schemas.moments import format_epoch_ms, to_epoch_ms

NOW_MS = to_epoch_ms(datetime.now(UTC))


def touchpoint(number: int) -> dict[str, Any]:
    return {**fact(number), "type": "kiosk", "identifiers": {"customer_id": "C-1"}, "properties": {}}


def fact(number: int, age_ms: int = 0, **properties: Any) -> dict[str, Any]:
    return {
        "event_id": f"e-{number}",
        "source": "store",
        "type": "restocked",
        "occurred_at": format_epoch_ms(NOW_MS - age_ms),
        "properties": {"sku": "K-1", **properties},
    }


def test_emit_takes_facts_between_touchpoints_and_refuses_them_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    old = fact(4, age_ms=400 * 86_400_000)
    lines = [touchpoint(1), fact(2), fact(3, store_id=7), old]
    bounds = TimeBounds(timedelta(days=365), timedelta(minutes=5), timedelta(seconds=60))
    for history in (False, True):
        tally, content = Tally(), io.BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode())
        within = bounds if not history else TimeBounds(None, bounds.furthest_ahead, bounds.clock_skew_bound)
        emitter, facts = MemoryEmitter(), MemoryEmitter()
        send_lines(content, Client(emitter, facts=facts, time_bounds=within), tally, history=history)
        assert len(emitter.records) == 1 and len(facts.records) == tally.delivered - 1 == 1 + history
        assert facts.records[0].headers == (HEADERS if history else ())
        assert tally.reasons == {"invalid_property": 1} if history else {"invalid_property": 1, "too_old": 1}
    assert "line 3: invalid_property: properties.store_id: " in capsys.readouterr().err


def test_the_shop_feed_sends_facts_and_counts_them_apart() -> None:
    emitter, facts = MemoryEmitter(), MemoryEmitter()
    told: list[int] = []
    live = iter([(0.0, touchpoint(3)), (0.0, fact(4))])
    feed = ShopFeed(Client(emitter, facts=facts), live, 0.0)
    feed.send_history([touchpoint(1), fact(2)], told.append)
    assert (feed.sent, feed.stated, feed.delivered, told) == (1, 1, 2, [1])
    with feed:
        feed._thread.join(10)
    assert (feed.sent, feed.stated, feed.delivered, feed.failure) == (2, 2, 4, None)
    assert [len(emitter.records), len(facts.records)] == [2, 2]
