"""Funnel, flow and variants of a web shop's clicks against pandas, over the session ids that the file itself names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing

import pandas as pd
import pytest

from deploy.local.stack import LocalStack
from sinks.writer import ClickHouseWriter
from tests.integration.ecom import SESSIONS
from tests.integration.expectations import GAP_ONLY, read_ecom
from tests.integration.harness import ROOT
from tests.marts.conftest import _connect, _empty
from tests.marts.loading import load

pytestmark = pytest.mark.integration

RANGE = "since='2024-01-01', until='2024-07-01'"
AFTER_ALL_MS = 1_725_000_000_000
STEPS = ["product_view", "add_to_cart", "shipping_details", "payment_details", "purchase"]
WINDOW_SECONDS = 900


@pytest.fixture(scope="module")
def analyst(server: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseWriter]:
    records = [json.loads(record.value or b"") for record in read_ecom(tmp_path_factory.mktemp("replay"))]
    with closing(_connect(server.clickhouse_url)) as administrator:
        _empty(administrator)
        load(administrator, records, AFTER_ALL_MS, **GAP_ONLY)
    with closing(_connect(server.analyst_url)) as connection:
        yield connection


@pytest.fixture(scope="module")
def clicks() -> pd.DataFrame:
    """The file as it is, in the order of stitching; an event's id is its user and line, the first being the header."""
    rows = pd.read_csv(ROOT / "tests/data/ecom.csv.gz", parse_dates=["timestamp"])
    rows["source"] = rows.event.map({"support_chat": "support"}).fillna("web")
    rows["event_id"] = rows.user_id + "-" + (rows.index + 2).astype(str)
    return rows.sort_values(["user_id", "timestamp", "source", "event_id"], ignore_index=True)


def furthest(times: Sequence[float], types: Sequence[str]) -> list[float]:
    """Times of the attempt that gets furthest; each begin is tried, and of equals the last counts."""
    best: list[float] = []
    for begin, (start, kind) in enumerate(zip(times, types, strict=True)):
        reached = [start] if kind == STEPS[0] else []
        for place in range(begin + 1, len(times) if reached else 0):
            if len(reached) == len(STEPS) or times[place] - start > WINDOW_SECONDS:
                break
            if types[place] == STEPS[len(reached)]:
                reached.append(times[place])
        best = max(best, reached, key=lambda each: (len(each), each[:1]))
    return best


def funnel_of(clicks: pd.DataFrame, by: str) -> list[tuple[int, float]]:
    """For each step how many reached it, and the median of seconds from the first."""
    seconds = clicks.timestamp.astype("datetime64[ms]").astype("int64") / 1000
    groups = clicks.assign(seconds=seconds).groupby(by)
    chains = [furthest(group.seconds.to_list(), group.event.to_list()) for _, group in groups]
    waits = pd.DataFrame(
        [[at - chain[0] for at in chain] + [None] * (len(STEPS) - len(chain)) for chain in chains if chain]
    )
    return [(int(waits[step].count()), float(waits[step].median())) for step in range(len(STEPS))]


def test_journeys_are_sessions_and_steps_their_clicks_in_order(analyst: ClickHouseWriter, clicks: pd.DataFrame) -> None:
    steps = analyst.query(
        "SELECT event_id, step, previous_type, seconds_since_previous FROM analytics.journey_steps "
        "ORDER BY customer_id, occurred_at, source, event_id"
    )
    sessions = clicks.groupby("session_id")
    assert sessions.ngroups == SESSIONS
    since = sessions.timestamp.diff().dt.total_seconds()
    expected = zip(clicks.event_id, sessions.cumcount() + 1, sessions.event.shift(fill_value=""), since, strict=True)
    assert steps == [(name, step, former, None if step == 1 else wait) for name, step, former, wait in expected]


def test_the_funnel_is_that_of_people_in_order_and_not_of_clicks(
    analyst: ClickHouseWriter, clicks: pd.DataFrame
) -> None:
    rows = analyst.query(
        "SELECT reached, median_seconds, customers, customers_median_seconds "
        f"FROM analytics.funnel({RANGE}, steps={STEPS}, window_seconds={WINDOW_SECONDS}) ORDER BY step"
    )
    assert [row[:2] for row in rows] == (of_sessions := funnel_of(clicks, "session_id"))
    assert [row[2:] for row in rows] == funnel_of(clicks, "user_id")
    # Clicks of each type, and journeys that ever had the type: neither asks what came before, or how long ago.
    counts = ", ".join(f"countIf(type = '{step}'), uniqExactIf(journey_id, type = '{step}')" for step in STEPS)
    [naive] = analyst.query(f"SELECT {counts} FROM analytics.touchpoints")
    reached = [number for number, _ in of_sessions]
    assert all(found > right for found, right in zip(naive[::2], reached, strict=True))
    assert all(found > right for found, right in zip(naive[3::2], reached[1:], strict=True))


def test_the_flow_stays_within_a_session(analyst: ClickHouseWriter, clicks: pd.DataFrame) -> None:
    sessions = clicks.groupby("session_id")
    former = clicks.assign(former=sessions.event.shift(), wait=sessions.timestamp.diff().dt.total_seconds())
    pairs = former.dropna().groupby(["former", "event"])
    table = pairs.agg(
        transitions=("wait", "size"),
        journeys=("session_id", "nunique"),
        median=("wait", "median"),
        p90=("wait", lambda waits: waits.quantile(0.9)),
    )
    rows = analyst.query(f"SELECT * FROM analytics.flow({RANGE}, min_journeys=1)")
    within = {row[:2]: row[2:] for row in rows if "(" not in row[0] + row[1]}
    assert within == {pair: pytest.approx(tuple(values)) for pair, *values in table.itertuples()}
    assert {row[1]: row[2:4] for row in rows if row[0] == "(start)"} == {
        type: (number, number) for type, number in sessions.event.first().value_counts().items()
    }
    assert {row[0]: row[2:4] for row in rows if row[1] == "(end)"} == {
        type: (number, number) for type, number in sessions.event.last().value_counts().items()
    }
    # What a customer did next, weeks later or not.
    naive = analyst.query(
        "SELECT former, type, count() FROM (SELECT type, lagInFrame(type) OVER (PARTITION BY customer_id "
        "ORDER BY occurred_at, source, event_id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS former "
        "FROM analytics.touchpoints) WHERE former != '' GROUP BY ALL"
    )
    assert (
        sum(number for *_, number in naive) - sum(row[0] for row in within.values())
        == SESSIONS - clicks.user_id.nunique()
    )


@pytest.mark.parametrize("collapse", [0, 1])
def test_variants_are_orders_and_not_sets_of_types(
    analyst: ClickHouseWriter, clicks: pd.DataFrame, collapse: int
) -> None:
    first = clicks.groupby("session_id").event.shift() != clicks.event
    kept = clicks[first] if collapse else clicks
    sessions = clicks.groupby("session_id").timestamp
    table = pd.DataFrame({"steps": kept.groupby("session_id").event.agg(tuple)})
    table["seconds"] = (sessions.max() - sessions.min()).dt.total_seconds()
    expected = table.groupby("steps").seconds.agg(["size", "median"])
    rows = analyst.query(
        "SELECT steps, journeys, share, open_journeys, median_duration_seconds, converted "
        f"FROM analytics.variants({RANGE}, collapse={collapse})"
    )
    assert {tuple(row[0]): row[1:] for row in rows} == {
        steps: (number, number / SESSIONS, 0, middle, 0) for steps, number, middle in expected.itertuples()
    }
    [(naive,)] = analyst.query(
        "SELECT uniqExact(types) FROM (SELECT arraySort(groupUniqArray(type)) AS types "
        "FROM analytics.touchpoints GROUP BY journey_id)"
    )
    assert naive < len(expected)
