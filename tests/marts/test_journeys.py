"""Journey marts against small histories that a naive query gets wrong."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import pytest

from deploy.local.stack import LocalStack
from deploy.services import clickhouse_client_options
from schemas.settings import Settings
from sinks.writer import ClickHouseWriter
from tests.marts.conftest import Load
from tests.marts.loading import say

pytestmark = pytest.mark.integration

START = datetime(2026, 9, 7, 10, tzinfo=UTC)
RANGE = "since='2026-09-01', until='2026-12-01'"
LONG_AFTER_MS = 1_830_000_000_000
GAP_ONLY = {"journey_gap": "30m", "hold_open_for_promises": "false", "allowed_lateness": "200d"}
PROPERTIES: dict[str, dict[str, Any]] = {
    "order_placed": {"amount": 10.0, "currency": "ILS"},
    "purchased": {"receipt_id": "R-1", "amount": 10.0, "currency": "ILS"},
    "product_viewed": {"sku": "K-1"},
    "cart_updated": {"sku": "K-1", "quantity": 1},
    "contact_started": {"contact_id": "K-1", "topic": "parcel"},
    "contact_ended": {"contact_id": "K-1", "resolved": True},
    "notification_sent": {"topic": "offer"},
    "returned": {"reason": "size"},
    "customers_merged": {"merged_id": "C-0", "reason": "one person"},
}


def live(customer: str, *types: str, days: float = 0, seconds: Sequence[float] = ()) -> list[dict[str, Any]]:
    """A touchpoint of each type (`type@source/channel`), a minute or the given seconds apart."""
    moment, told = START + timedelta(days=days), []
    for number, word in enumerate(types):
        type, _, place = word.partition("@")
        source, _, channel = place.partition("/")
        moment += timedelta(seconds=(seconds[number - 1] if seconds else 60) if number else 0)
        named = {"event_id": f"{customer}-{days}-{number:06}"} | ({"channel": channel} if channel else {})
        at = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        told.append(say(customer, type, at, source=source or "web", properties=PROPERTIES.get(type), **named))
    return told


def reached(analyst: ClickHouseWriter, steps: Sequence[str], window_seconds: int) -> list[tuple[Any, ...]]:
    return analyst.query(
        f"SELECT reached, customers, median_seconds FROM analytics.funnel({RANGE}, steps={list(steps)}, "
        f"window_seconds={window_seconds}) ORDER BY step"
    )


def test_steps_of_one_moment_go_by_source_and_event_id_and_not_by_arrival(history: Load) -> None:
    at = "2026-09-07T10:00:00.500Z"
    told = [("web", "b", "w_b"), ("web", "a", "w_a"), ("store", "z", "s_z"), ("support", "y", "s_y")]
    analyst = history(
        [
            *(say("C-1", type, at, source=source, event_id=event_id) for source, event_id, type in told),
            say("C-1", "first", "2026-09-07T10:00:00Z", event_id="zz", store_id="S-1", agent_id="A-1", order_id="O-1"),
            say("C-1", "next_journey", "2026-10-20T10:00:00Z"),
        ]
    )
    rows = analyst.query(
        "SELECT step, type, previous_type, seconds_since_previous, store_id, agent_id, order_id "
        "FROM analytics.journey_steps ORDER BY occurred_at, step"
    )
    assert rows == [
        (1, "first", "", None, "S-1", "A-1", "O-1"),
        (2, "s_z", "first", 0.5, "", "", ""),
        (3, "s_y", "s_z", 0, "", "", ""),
        (4, "w_a", "s_y", 0, "", "", ""),
        (5, "w_b", "w_a", 0, "", "", ""),
        (1, "next_journey", "", None, "", "", ""),
    ]
    [(types,)] = analyst.query(
        f"SELECT types FROM analytics.journey_paths({RANGE}) WHERE converted = 0 ORDER BY started_at LIMIT 1"
    )
    assert types == [row[1] for row in rows[:5]]


def test_steps_leave_out_late_touchpoints_and_records_of_a_merge(history: Load) -> None:
    analyst = history(
        [
            *live("C-1", "a", "customers_merged@support", "b"),
            *live("C-1", "c", days=100),
            say("C-1", "too_late", "2026-09-07T10:01:30Z"),
        ]
    )
    assert analyst.query("SELECT countIf(late), count() FROM analytics.touchpoints") == [(1, 5)]
    steps = analyst.query("SELECT step, type, previous_type FROM analytics.journey_steps ORDER BY occurred_at")
    assert steps == [(1, "a", ""), (2, "b", "a"), (1, "c", "")]
    assert analyst.query(f"SELECT types FROM analytics.journey_paths({RANGE})") == [(["a", "b"],)]


def test_a_range_takes_journeys_whole_and_nothing_of_the_next(history: Load) -> None:
    long = live("C-2", "a", "b", "c", seconds=(1_000_000, 1_000_000))
    analyst = history([*live("C-1", "a", "b"), *live("C-1", "c", days=20), *long])
    ask = "SELECT customer_id, types FROM analytics.journey_paths(since='2026-09-07', until='2026-09-08') ORDER BY 1"
    assert analyst.query(ask) == [("C-1", ["a", "b"]), ("C-2", ["a", "b", "c"])]


def test_flow_has_starts_and_ends_and_does_not_end_what_is_open(history: Load) -> None:
    analyst = history(
        [
            *live("C-1", "a", "b", "a", "b", seconds=(1, 5, 2)),
            *live("C-2", "a", "b", seconds=(9,)),
            *live("C-3", "b", days=15),
        ]
    )
    ask = "SELECT from_type, to_type, transitions, journeys, median_seconds, p90_seconds FROM analytics.flow"
    # The 90th percentile of 1, 2 and 9 lies 0.8 of the way from 2 to 9.
    ab, ba = ("a", "b", 3, 2, 2.0, pytest.approx(7.6)), ("b", "a", 1, 1, 5.0, 5.0)
    ends = [("(start)", "a", 2, 2, None, None), ("(start)", "b", 1, 1, None, None)]
    rows = analyst.query(f"{ask}({RANGE}, min_journeys=1) ORDER BY 1, 2")
    assert rows == [*ends, ab, ("b", "(end)", 2, 2, None, None), ("b", "(open)", 1, 1, None, None), ba]
    # Three transitions of two journeys: a limit is on journeys.
    assert analyst.query(f"{ask}({RANGE}, min_journeys=3)") == []
    first = "since='2026-09-07 10:00:00', until='2026-09-07 10:00:00.001'"
    assert analyst.query(f"{ask}({first}, min_journeys=2) ORDER BY 1, 2") == [
        ends[0],
        ab,
        ("b", "(end)", 2, 2, None, None),
    ]
    assert analyst.query(f"{ask}(since='2026-09-07 10:00:00.001', until='2026-09-22 10:00:00', min_journeys=0)") == []


def test_variants_differ_after_the_200_types_of_the_path(history: Load) -> None:
    same = ["a", "b"] * 100
    analyst = history([*live("C-1", *same, "order_placed"), *live("C-2", *same, "b")], until_ms=LONG_AFTER_MS)
    assert analyst.query("SELECT uniqExact(path) FROM analytics.journeys") == [(1,)]
    rows = analyst.query(
        f"SELECT steps[-1], length(steps), journeys, all_journeys, share, open_journeys, median_duration_seconds, "
        f"converted, converted_share FROM analytics.variants({RANGE}, collapse=0) ORDER BY 1"
    )
    assert rows == [("b", 201, 1, 2, 0.5, 0, 12_000, 0, 0), ("order_placed", 201, 1, 2, 0.5, 0, 12_000, 1, 1)]
    assert analyst.query(f"SELECT length(steps) FROM analytics.variants({RANGE}, collapse=1) ORDER BY 1") == [
        (200,),
        (201,),
    ]


def test_variants_collapse_what_repeats_at_once_only(history: Load) -> None:
    analyst = history(
        [
            *live("C-1", "a", "a", "b", "a"),
            *live("C-2", "a", "b", "b", "a"),
            *live("C-3", "a", "b"),
            *live("C-4", "b", days=90),
        ]
    )
    ask = "SELECT steps, journeys, all_journeys, open_journeys, median_duration_seconds FROM analytics.variants"
    assert analyst.query(f"{ask}(since='2026-09-01', until='2026-10-01', collapse=1) ORDER BY journeys") == [
        (["a", "b"], 1, 3, 0, 60), (["a", "b", "a"], 2, 3, 0, 180),
    ]  # fmt: skip
    assert len(analyst.query(f"{ask}(since='2026-09-01', until='2026-10-01', collapse=0)")) == 3


def test_a_funnel_minds_order_and_time_and_counts_journeys_not_touchpoints(history: Load) -> None:
    analyst = history(
        [
            *live("C-1", "see", "see", "see", "cart", "buy"),
            *live("C-2", "cart", "see", "buy"),
            *live("C-3", "see", "cart", "buy", seconds=(60, 4_000)),
            *live("C-4", "see", "see", "cart", "buy", seconds=(3_600, 60, 3_000)),
            *live("C-5", "buy"),
        ]
    )
    steps = ["see", "cart", "buy"]
    # C-1's last attempt takes 60 s to the cart and 120 to buy; C-4 makes it from its second look on.
    assert reached(analyst, steps, 3_600) == [(4, 4, 0), (3, 3, 60), (2, 2, 1_590)]
    naive = "SELECT countIf(has(types, 'see')), countIf(has(types, 'cart')), countIf(has(types, 'buy')) "
    assert analyst.query(f"{naive} FROM analytics.journey_paths({RANGE})") == [(4, 4, 5)]
    shares = analyst.query(
        f"SELECT step, type, first_reached, share_of_first, previous_reached, share_of_previous "
        f"FROM analytics.funnel({RANGE}, steps={steps}, window_seconds=3600) ORDER BY step"
    )
    assert shares == [
        (1, "see", 4, 1, None, None),
        (2, "cart", 4, 0.75, 4, 0.75),
        (3, "buy", 4, 0.5, 3, pytest.approx(2 / 3)),
    ]


def test_a_funnel_of_customers_goes_on_in_their_next_journey(history: Load) -> None:
    told = [
        *live("C-1", "see"),
        *live("C-1", "see", days=1),
        *live("C-1", "buy", days=2),
        *live("C-2", "buy"),
        *live("C-2", "see", days=3),
    ]
    analyst = history(told, **GAP_ONLY)
    assert reached(analyst, ["see", "buy"], 86_400) == [(3, 2, 0), (0, 1, None)]
    assert reached(analyst, ["see", "see"], 86_399) == [(3, 2, 0), (0, 0, None)]
    assert reached(analyst, ["see", "see"], 86_400) == [(3, 2, 0), (0, 1, None)]


def test_a_funnel_that_nobody_entered_has_its_steps_and_no_shares(history: Load) -> None:
    analyst = history(live("C-1", "a"))
    rows = analyst.query(f"SELECT * FROM analytics.funnel({RANGE}, steps=['x', 'y'], window_seconds=9) ORDER BY step")
    assert rows == [
        (1, "x", 0, 0, None, None, None, None, 0, None, None),
        (2, "y", 0, 0, None, 0, None, None, 0, None, None),
    ]


def furthest(life: Sequence[tuple[float, str]], steps: Sequence[str], window: float) -> list[float]:
    """Times of the attempt that gets furthest, of several the last: each begin tried, each next step the earliest.

    Of attempts that begin at one moment the first counts: it is the quickest.
    """
    best: list[float] = []
    for begin, (start, kind) in enumerate(life):
        times = [start] if kind == steps[0] else []
        for at, other in life[begin + 1 :]:
            if times and len(times) < len(steps) and other == steps[len(times)] and at - start <= window:
                times.append(at)
        best = max(best, times, key=lambda each: (len(each), each[:1]))
    return best


@pytest.mark.parametrize("steps", [["a", "b", "c"], ["a", "a", "b"], ["b", "a", "b", "a"]])
def test_a_funnel_is_what_trying_every_begin_gives(history: Load, steps: list[str]) -> None:
    chosen, told, lives = random.Random(5), [], []
    for number in range(300):
        types = chosen.choices("abcd", k=chosen.randint(1, 14))
        gaps = [chosen.choice((0, 1, 3, 10, 30)) for _ in types[1:]]
        told += live(f"C-{number}", *types, seconds=gaps or (0,))
        lives.append([(sum(gaps[:place]), kind) for place, kind in enumerate(types)])
    chains = [furthest(each, steps, 25) for each in lives]
    expected = [
        (len(times), len(times), float(median(times)) if times else None)
        for times in (
            [chain[level] - chain[0] for chain in chains if len(chain) > level] for level in range(len(steps))
        )
    ]
    assert expected[-1][0] > 5 and reached(history(told), steps, 25) == expected


def test_drop_off_leaves_out_the_open_and_what_was_ordered_and_returned(history: Load) -> None:
    analyst = history(
        [
            *live("C-1", "product_viewed", "cart_updated", "cart_updated"),
            *live("C-2", "product_viewed", "cart_updated", "order_placed", "returned@store"),
            *live("C-3", *["product_viewed"] * 201, "contact_started@support"),
            *live("C-4", "product_viewed", days=30),
        ]
    )
    rows = analyst.query(f"SELECT * FROM analytics.drop_off({RANGE}) ORDER BY last_type")
    # C-2's outcome is returned, and yet it ordered; C-4 is open.
    assert rows == [
        ("consider", "cart_updated", 1, 3, pytest.approx(1 / 3), 2, 0.5),
        ("support", "contact_started", 1, 2, 0.5, 1, 1),
    ]
    assert analyst.query("SELECT path[-1] FROM analytics.journeys WHERE customer_id = 'C-3'") == [("product_viewed",)]


def test_retention_is_null_while_a_period_lasts_and_0_after(history: Load) -> None:
    told = [
        # The week of 7 September: C-1 comes back in period 1 and orders in 2, C-2 never does, C-3 ordered before.
        *live("C-1", "order_placed"),
        *live("C-1", "a", days=9.9),
        *live("C-1", "purchased@store", "returned@store", days=10.1),
        *live("C-2", "a"),
        *live("C-2", "order_placed", days=5),
        *live("C-3", "order_placed", days=-30),
        *live("C-3", "order_placed", days=1),
        # The week after.
        *live("C-4", "order_placed", days=7),
    ]
    analyst = history(told, **GAP_ONLY)
    rows = analyst.query(
        "SELECT toString(cohort_week), customers, period, returned, returned_share, reordered, reordered_share "
        "FROM analytics.retention(since='2026-09-02', until='2026-10-05', period_days=10) ORDER BY 1, 3"
    )
    # Its last customer may order on 13 September, so period 1 is over by the 24th, 2 by 4 October.
    assert rows == [
        ("2026-09-07", 2, 1, 1, 0.5, 0, 0),
        ("2026-09-07", 2, 2, 1, 0.5, 1, 0.5),
        ("2026-09-07", 2, 3, None, None, None, None),
        ("2026-09-14", 1, 1, 0, 0, 0, 0),
        ("2026-09-14", 1, 2, None, None, None, None),
        ("2026-09-14", 1, 3, None, None, None, None),
    ]


def test_the_last_channel_is_the_one_up_to_the_order_and_not_the_last_new_one(history: Load) -> None:
    analyst = history(
        [
            *live("C-1", "a@web", "b@web/app", "order_placed@web", "delivered@delivery", "c@web/app"),
            *live("C-2", "a@web", "b@support/chat", "c@web"),
            *live("C-3", "a@store", days=60),
        ]
    )
    rows = analyst.query(f"SELECT * FROM analytics.conversion_by_channel({RANGE}) ORDER BY channel")
    assert rows == [("store", 1, 0, 0, 1, 1, 0, 0, 1), ("web", 2, 1, 0.5, 0, 2, 1, 0.5, 0)]
    naive = analyst.query("SELECT DISTINCT channels[-1] FROM analytics.journeys ORDER BY 1")
    assert naive == [("chat",), ("delivery",), ("store",)]


def test_hops_are_changes_and_not_the_number_of_channels(history: Load) -> None:
    analyst = history(
        [
            *live("C-1", "a@web", "a@store", "a@web", "a@store", "purchased@store"),
            *live(
                "C-2",
                "a@web",
                "notification_sent@messaging/sms",
                "delivered@delivery",
                "a@web",
                "a@support/chat",
                seconds=(1, 1, 1, 9),
            ),
            *live("C-3", "notification_sent@messaging/sms"),
        ]
    )
    rows = analyst.query(
        f"SELECT hops, journeys, all_journeys, converted, converted_share, outcomes, contacts, scored_journeys "
        f"FROM analytics.channel_hops({RANGE}) ORDER BY hops"
    )
    assert rows == [
        (0, 1, 3, 0, 0, {"browsing": 1}, 0, 1),
        (1, 1, 3, 0, 0, {"browsing": 1}, 0, 1),
        (3, 1, 3, 1, 1, {"converted": 1}, 0, 1),
    ]
    assert analyst.query("SELECT length(channels) - 1 FROM analytics.journeys ORDER BY customer_id") == [
        (1,),
        (3,),
        (0,),
    ]
    scores = "SELECT experience, effort FROM analytics."
    assert analyst.query(f"{scores}channel_hops({RANGE}) WHERE hops = 3") == analyst.query(
        f"{scores}journeys WHERE customer_id = 'C-1'"
    )
    pairs = analyst.query(f"SELECT * FROM analytics.channel_pairs({RANGE}) ORDER BY 1, 2")
    assert pairs == [("store", "web", 1, 1, 1, 60), ("web", "chat", 1, 1, 0, 9), ("web", "store", 2, 1, 1, 60)]


def test_customers_are_all_that_were_ever_seen(history: Load) -> None:
    anonymous = say("", "a", "2026-09-07T10:00:00Z") | {"identifiers": {"anonymous_id": "x-1"}}
    merged = live("C-5", "customers_merged@support")
    analyst = history(
        [
            anonymous,
            *merged,
            *live("C-1", "contact_started@support", "contact_ended@support"),
            *live("C-1", "a", "order_placed", days=40),
            *live("C-2", "b", days=100),
            *live("C-3", "came_late"),
        ]
    )
    rows = analyst.query(
        "SELECT customer_id, is_provisional, toString(first_seen_at), toString(last_seen_at), touchpoints, journeys, "
        "open_journeys, orders, contacts, last_outcome FROM analytics.customers ORDER BY customer_id"
    )
    first = "2026-09-07 10:00:00.000"
    assert rows == [
        ("C-1", False, first, "2026-10-17 10:01:00.000", 4, 2, 0, 1, 1, "converted"),
        ("C-2", False, "2026-12-16 10:00:00.000", "2026-12-16 10:00:00.000", 1, 1, 1, 0, 0, "browsing"),
        ("C-3", False, first, first, 1, 0, 0, 0, 0, None),
        ("anonymous_id:x-1", True, first, first, 1, 1, 0, 0, 0, "browsing"),
    ]
    scores = "SELECT customer_id, experience, effort FROM analytics."
    assert analyst.query(f"{scores}customers WHERE journeys > 0 ORDER BY 1") == analyst.query(
        f"{scores}customer_scores ORDER BY 1"
    )
    assert analyst.query(f"{scores}customers WHERE journeys = 0") == [("C-3", None, None)]


VIEWS = [
    "journey_steps", "customers", f"journey_paths({RANGE})", f"flow({RANGE}, min_journeys=1)",
    f"variants({RANGE}, collapse=1)", f"funnel({RANGE}, steps=['a', 'order_placed'], window_seconds=99)",
    f"drop_off({RANGE})", f"retention({RANGE}, period_days=7)", f"conversion_by_channel({RANGE})",
    f"channel_hops({RANGE})", f"channel_pairs({RANGE})",
]  # fmt: skip


def test_rows_that_were_written_twice_or_retracted_change_nothing(history: Load, server: LocalStack) -> None:
    told = [live(f"C-{each}", "a@web", "a@store", "order_placed", "b", days=each) for each in range(9)]
    analyst = history([*sum(told, []), *live("C-1", "a@store", "b", days=30), *live("C-1", "b", days=40)], **GAP_ONLY)
    before = [analyst.query(f"SELECT * FROM analytics.{view} ORDER BY ALL") for view in VIEWS]
    with closing(ClickHouseWriter(clickhouse_client_options(server.clickhouse_url, Settings()))) as administrator:
        for table in ("touchpoints", "journeys"):
            once_more = f"INSERT INTO journeys.{table} SELECT * REPLACE ({{}}) FROM journeys.{table}"
            administrator.query(once_more.format("_version AS _version"))
            administrator.query(once_more.format("'C-gone' AS customer_id, 0 AS _is_deleted"))
            administrator.query(
                once_more.format("_version + 1 AS _version, 1 AS _is_deleted") + " WHERE customer_id = 'C-gone'"
            )
    after = [analyst.query(f"SELECT * FROM analytics.{view} ORDER BY ALL") for view in VIEWS]
    assert all(before) and [view for view, former, now in zip(VIEWS, before, after, strict=True) if former != now] == []
