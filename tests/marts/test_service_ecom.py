"""Repeat contacts, waits and service level of a web shop's clicks against pandas, with the naive query beside each.

The file knows no support and no queues. Its customers and times are as they are; the types are borrowed: the mappings
`ecom_as_contacts.yaml` and `ecom_as_queues.yaml` say which click stands for what.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from deploy.local.stack import LocalStack
from producers.client import Client
from producers.mapping import load_mapping
from producers.replay import ReplayOptions, replay_file
from sinks.writer import ClickHouseWriter
from tests.integration.expectations import GAP_ONLY, RecordingEmitter
from tests.integration.harness import ROOT
from tests.marts.conftest import _connect, _empty
from tests.marts.loading import load

pytestmark = pytest.mark.integration

FILE, DATA = "ecom.csv.gz", ROOT / "tests" / "data"
SINCE, UNTIL = pd.Timestamp("2024-03-01"), pd.Timestamp("2024-05-15")
RANGE = f"since = '{SINCE.date()}', until = '{UNTIL.date()}'"
IN_RANGE = f"occurred_at >= '{SINCE.date()}' AND occurred_at < '{UNTIL.date()}'"
CONTACT_ID = "JSONExtractString(properties, 'contact_id') AS contact_id"
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
AFTER_ALL_MS = 1_725_000_000_000
THRESHOLD_SECONDS, SHORT_SECONDS = 120, 240


@pytest.fixture(scope="module")
def analyst(server: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseWriter]:
    """The file's rows once as contacts and once as queues."""
    directory = tmp_path_factory.mktemp("replay")
    emitter = RecordingEmitter()
    with Client(emitter) as client:
        for name in ("contacts", "queues"):
            options = ReplayOptions(from_start=True, state_dir=Path(directory) / name)
            replay_file(DATA / FILE, client, load_mapping(DATA / f"ecom_as_{name}.yaml"), options)
    with closing(_connect(server.clickhouse_url)) as administrator:
        _empty(administrator)
        load(administrator, (json.loads(record.value or b"") for record in emitter.records), AFTER_ALL_MS, **GAP_ONLY)
    with closing(_connect(server.analyst_url)) as connection:
        yield connection


@pytest.fixture(scope="module")
def clicks() -> pd.DataFrame:
    """The file as it is."""
    return pd.read_csv(DATA / FILE, parse_dates=["timestamp"]).rename(columns={"timestamp": "at"})


def contacts_of(clicks: pd.DataFrame) -> pd.DataFrame:
    """A row for each session with the first time of each kind of event, and what follows from these; NaN: none."""

    def first(*events: str) -> pd.Series:
        return clicks[clicks.event.isin(events)].groupby("session_id")["at"].min()

    sessions = clicks.groupby("session_id")[["user_id", "platform", "acquisition_channel"]].first()
    contacts = sessions.assign(
        started=first("catalog"),
        answered=first("filter_results", "add_to_cart"),
        by_human=first("add_to_cart"),
        ended=first("purchase"),
        abandoned=first("wishlist_add", "error_page", "payment_error", "checkout_bug"),
    ).dropna(subset="started")
    for answer, wait in (("answered", "wait"), ("by_human", "human_wait"), ("abandoned", "patience")):
        contacts[wait] = (contacts[answer] - contacts.started).dt.total_seconds()
    # An answer before the question is a wrong clock, not a short wait.
    for wait in ("wait", "human_wait"):
        contacts[wait] = contacts[wait].where(contacts[wait] >= 0)
    return contacts


def within(clicks: pd.DataFrame) -> pd.DataFrame:
    """What is known of the range alone."""
    return clicks[(clicks["at"] >= SINCE) & (clicks["at"] < UNTIL)]


@pytest.mark.parametrize("window_days", [1, 7, 30])
def test_a_repeat_is_another_contact_about_the_same_and_not_another_touchpoint(
    analyst: ClickHouseWriter, clicks: pd.DataFrame, window_days: int
) -> None:
    asked = contacts_of(clicks[clicks["at"] < UNTIL]).sort_values("started", kind="stable")
    since_former = asked.started - asked.groupby(["user_id", "platform"]).started.shift()
    asked["is_repeat"] = since_former <= pd.Timedelta(days=window_days)
    # A contact of which the beginning was before the range is not one of the range.
    expected = asked[asked.started >= SINCE].groupby("platform").is_repeat.agg(["size", "sum"])
    rows = analyst.query(
        "SELECT topic, contacts, repeats, repeat_share "
        f"FROM analytics.repeat_contacts({RANGE}, window_days = {window_days})"
    )
    assert {row[0]: row[1:] for row in rows} == {
        topic: (size, repeats, repeats / size) for topic, size, repeats in expected.itertuples()
    }
    # Each touchpoint with another one of its customer in the days before it: asking twice in one contact counts, and
    # so does having asked about something else.
    naive = analyst.query(
        f"SELECT count(), countIf(former > 0 AND at - former <= {window_days * 86_400}) FROM "
        "(SELECT occurred_at, toUnixTimestamp(occurred_at) AS at, lagInFrame(at) OVER (PARTITION BY customer_id "
        "ORDER BY occurred_at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS former FROM analytics.touchpoints "
        f"WHERE type = 'contact_started') WHERE {IN_RANGE}"
    )
    [(contacts, repeats)] = naive
    assert (
        contacts > expected["size"].sum() and repeats / contacts > 1.2 * expected["sum"].sum() / expected["size"].sum()
    )


def test_waits_are_those_of_the_answered_and_the_rest_is_counted_beside(
    analyst: ClickHouseWriter, clicks: pd.DataFrame
) -> None:
    asked = contacts_of(within(clicks))
    expected = {}
    for kind, wait, answer in (("contact", "wait", "answered"), ("human", "human_wait", "by_human")):
        # Whom a bot served to the end has not waited for a human.
        waiting = asked if kind == "contact" else asked[asked.by_human.notna() | asked.ended.isna()]
        for channel, group in waiting.groupby("acquisition_channel"):
            expected[kind, channel] = describe(group[wait], group[answer].isna() & group.abandoned.notna())
    assert quantiles(analyst, "kind != 'queue'", "kind, channel") == approximately(expected)
    assert all(unanswered > 20 for _, unanswered, *_ in expected.values()), "enough that would have counted as 0"
    # To whom nobody answered, an outer join gives a time of 1970, and `greatest` a wait of 0.
    naive = analyst.query(
        f"WITH s AS (SELECT {CONTACT_ID}, any(channel) AS channel, min(occurred_at) AS at FROM analytics.touchpoints "
        f"WHERE type = 'contact_started' AND {IN_RANGE} GROUP BY contact_id), a AS (SELECT {CONTACT_ID}, "
        f"min(occurred_at) AS at FROM analytics.touchpoints WHERE type = 'contact_answered' AND {IN_RANGE} "
        "GROUP BY contact_id) SELECT channel, quantileExactInclusive(0.5)(greatest(dateDiff('second', s.at, a.at), 0)) "
        "FROM s LEFT JOIN a USING contact_id GROUP BY channel SETTINGS join_use_nulls = 0"
    )
    assert naive and all(median < 0.8 * expected["contact", channel][3] for channel, median in naive)


@pytest.mark.parametrize("answered_by", ["any", "human"])
def test_the_service_level_is_of_the_answered_and_of_those_who_gave_up(
    analyst: ClickHouseWriter, clicks: pd.DataFrame, answered_by: str
) -> None:
    asked = contacts_of(within(clicks))
    wait, answer = ("human_wait", "by_human") if answered_by == "human" else ("wait", "answered")
    left = asked[answer].isna() & asked.patience.notna()
    kinds = asked.assign(
        is_answered=asked[wait].notna(),
        in_time=asked[wait] <= THRESHOLD_SECONDS,
        gave_up=left & (asked.patience >= SHORT_SECONDS),
        turned_away=left & (asked.patience < SHORT_SECONDS),
    ).groupby("acquisition_channel")
    expected = {
        channel: (
            len(group), *(answered, in_time, gave_up, turned_away) , len(group) - answered - gave_up - turned_away,
            in_time / (answered + gave_up), gave_up / (answered + gave_up), group[wait].mean(),
        )
        for channel, group in kinds
        for answered, in_time, gave_up, turned_away in [
            group[["is_answered", "in_time", "gave_up", "turned_away"]].sum().to_list()
        ]
    }  # fmt: skip
    rows = analyst.query(
        f"SELECT * FROM analytics.service_level({RANGE}, threshold_seconds = {THRESHOLD_SECONDS}, "
        f"short_abandon_seconds = {SHORT_SECONDS}, answered_by = '{answered_by}')"
    )
    assert {row[0]: row[1:] for row in rows} == approximately(expected)
    assert min(kinds.gave_up.sum().sum(), kinds.turned_away.sum().sum()) > 10
    # Of the answered nobody ever gave up; among all who came are those who left at once, and those still waiting.
    shares = [(in_time / offered, share, in_time / answered) for _, offered, answered, in_time, *_, share, _, _ in rows]
    assert sum(of_all < share < of_answered for of_all, share, of_answered in shares) >= len(shares) - 1


def test_a_queue_is_waited_in_until_served_or_left(analyst: ClickHouseWriter, clicks: pd.DataFrame) -> None:
    # Of one moment the row's id decides, which is text.
    kept = within(clicks[clicks.event.isin(["shipping_details", "payment_details"])])
    kept = kept.assign(row=kept.user_id + "-" + (kept.index + 2).astype(str))
    following = kept.sort_values(["user_id", "platform", "at", "row"]).groupby(["user_id", "platform"])
    lines = following.apply(lambda group: group.assign(then=group.event.shift(-1), then_at=group["at"].shift(-1)))
    joined = lines[lines.event == "shipping_details"]
    seconds = (joined.then_at - joined["at"]).dt.total_seconds().where(joined.then == "payment_details")
    stores = joined.index.get_level_values("platform")
    expected = {
        ("queue", store): describe(seconds[stores == store], joined[stores == store].then == "shipping_details")
        for store in stores.unique()
    }
    assert quantiles(analyst, "kind = 'queue'", "kind, store_id") == approximately(expected)
    # The next service, whatever came before it: who left and came back is said to have waited all the time.
    naive = analyst.query(
        "SELECT store_id, count(), quantileExactInclusive(0.5)(dateDiff('second', at, served_at)) FROM "
        "(SELECT j.store_id AS store_id, j.occurred_at AS at, min(s.occurred_at) AS served_at "
        "FROM analytics.touchpoints AS j JOIN analytics.touchpoints AS s USING (customer_id, store_id) "
        "WHERE j.type = 'queue_joined' AND s.type = 'service_started' AND s.occurred_at > j.occurred_at "
        f"AND j.{IN_RANGE.replace(' AND ', ' AND j.')} GROUP BY store_id, at, j.event_id) GROUP BY store_id"
    )
    assert naive and all(
        answered > expected["queue", store][0] and median > expected["queue", store][3]
        for store, answered, median in naive
    )


def approximately(expected: dict[Any, tuple[Any, ...]]) -> dict[Any, Any]:
    """The same, but for the last digits of floats."""
    return {name: pytest.approx(values) for name, values in expected.items()}


def describe(seconds: pd.Series, gave_up: pd.Series) -> tuple[Any, ...]:
    """Answered, unanswered, who of these gave up, quantiles and the longest of the answered."""
    answered, unanswered = int(seconds.count()), int(seconds.isna().sum())
    middles = [float(seconds.quantile(each)) for each in QUANTILES.values()]
    return (
        answered,
        unanswered,
        int((gave_up & seconds.isna()).sum()),
        *middles,
        seconds.max(),
    )


def quantiles(analyst: ClickHouseWriter, where: str, by: str) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """What the view says in the same form, by two of its columns."""
    columns = ", ".join(f"{name}_seconds" for name in QUANTILES)
    rows = analyst.query(
        f"SELECT {by}, answered, unanswered, gave_up_waits, {columns}, max_seconds "
        f"FROM analytics.wait_quantiles({RANGE}) WHERE {where}"
    )
    return {row[:2]: row[2:] for row in rows}
