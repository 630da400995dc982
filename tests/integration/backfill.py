"""Histories for a backfill, and what the tables say afterwards, to be compared with what the stream makes of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from producers.simulator import Shop
from schemas.identifiers import KINDS, record_key, strongest
from schemas.moments import check_moment
from tests.integration.harness import ROOT, Feed, Platform

SETTINGS = {
    "oldest_touchpoint": "36500d", "allowed_lateness": "3650d", "identifier_key": "k" * 32, "identity_moves": "1000"
}  # fmt: skip
TEXTS = ("event_id", "source", "type", "order_id", "case_id", "store_id", "agent_id", "channel")
VIEWS = {
    "journeys": "analytics.journeys",
    "touchpoints": "analytics.touchpoints",
    "promises": "analytics.promises",
    "alerts": "(SELECT * FROM analytics.alerts WHERE status != 'withdrawn')",
    "identity": "analytics.identity",
}
DIFFERING = {
    "received_at": "each run begins at its own time",
    "detected_at": "the clock of whoever found it",
    "decided_at": "the clock of whoever decided",
    "change": "what the last change of an episode was: a worker has seen it change, a backfill only what it came to",
    "affected_customers": "counted when an alert is told, and a backfill tells none",
}
"""Columns that may differ, and why."""


def shop_life(customers: int = 100, stories_per_day: float = 8) -> list[dict[str, Any]]:
    """Four months of a shop of which three in ten visits are anonymous, with e-mail addresses and phone numbers."""
    start = check_moment("2026-03-01T00:00:00+02:00")
    end = start + timedelta(days=120)
    shop = Shop(11, start, customers, end, anonymous_share=0.3, stories_per_day=stories_per_day)
    return list(shop.touchpoints())


def feed(touchpoint: Mapping[str, Any]) -> Feed:
    """The record that a client would send."""
    key = record_key(*strongest(touchpoint["identifiers"])).encode()
    return Feed(key, json.dumps(touchpoint, separators=(",", ":")).encode())


def write_parquet(path: Path, touchpoints: Sequence[Mapping[str, Any]], groups: int = 8) -> Path:
    """Touchpoints as the columns of a Parquet file of several row groups."""
    columns: dict[str, pa.Array] = {
        name: pa.array([each.get(name) for each in touchpoints], pa.string()) for name in TEXTS
    }
    for kind in KINDS:
        columns[kind] = pa.array([each["identifiers"].get(kind) for each in touchpoints], pa.string())
    times = [datetime.fromisoformat(each["occurred_at"]) for each in touchpoints]
    columns["occurred_at"] = pa.array(times, pa.timestamp("ms", "UTC"))
    properties = [json.dumps(each.get("properties", {}), separators=(",", ":")) for each in touchpoints]
    columns["properties"] = _texts(properties)
    pq.write_table(pa.table(columns), path, row_group_size=max(1, len(touchpoints) // groups))
    return path


def _texts(values: Iterable[str | None]) -> pa.Array:
    return pa.array(list(values), pa.string())


def results(platform: Platform, *but: str) -> dict[str, list[str]]:
    """Everything that the views say, but for what may differ, and these columns."""
    found = {}
    for name, view in VIEWS.items():
        columns = [column for column, *_ in platform.query(f"DESCRIBE TABLE (SELECT * FROM {view})")]
        kept = [column for column in columns if column not in (*DIFFERING, *but)]
        rows = platform.query(f"SELECT {', '.join(kept)} FROM {view}")
        found[name] = sorted(repr(dict(zip(kept, map(_plain, row), strict=True))) for row in rows)
    return found


def _plain(value: Any) -> Any:
    # The driver reads false as 0 where a column is stored sparsely.
    return int(value) if isinstance(value, bool) else value


def assert_equal(found: Mapping[str, list[str]], expected: Mapping[str, list[str]]) -> None:
    """Both say the same, view by view."""
    for name, rows in expected.items():
        assert rows, f"{name}: nothing is there to be compared"
        more, fewer = sorted(set(found[name]) - set(rows)), sorted(set(rows) - set(found[name]))
        said = "\n".join([*(f"+ {row}" for row in more[:3]), *(f"- {row}" for row in fewer[:3])])
        assert found[name] == rows, f"{name}: {len(more)} too many, {len(fewer)} missing\n{said}"


def backfill(platform: Platform, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command against a platform."""
    command = [sys.executable, "-m", "console.cli", "--data-dir", str(platform.directory), "backfill", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment(platform, **settings), capture_output=True, text=True, timeout=100,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def environment(platform: Platform, **settings: str) -> dict[str, str]:
    """The variables of this process, and the settings of a platform's workers."""
    told = {**platform.settings, **settings}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOURNEYS_")}
    return {**kept, **{f"JOURNEYS_{name.upper()}": value for name, value in told.items()}}
