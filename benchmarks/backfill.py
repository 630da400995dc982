"""Backfill: how fast years of history in Parquet become finished journeys, with all rules of the first edition.

Histories are copied under other customers, so that files are large and quick to make: the events of a real web shop, in
which hardly any rule finds anything; and a simulated shop's life, in which every rule does, once with visible customers
and once with those who hide behind browsers, devices and cards.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.figures import Figure, at_least
from benchmarks.ground import PARTITIONS, ROOT, BenchmarkFailed, Ground, Report
from console.backfill_run import Wanted, look_into, opened_run
from console.backfilling import Backfill
from producers.history_files import cut, read_rows
from producers.mapping import load_mapping
from producers.simulator.shop import Shop
from schemas.identifiers import KINDS
from schemas.moments import check_moment
from schemas.settings import Settings

TOUCHPOINTS = 8_000_000
WITH_FINDINGS = 2_000_000
"""Touchpoints by default: where rules find hardly anything, and where each finds something."""
SIMULATED = 200_000
PER_CUSTOMER = 25
START = "2025-01-01T00:00:00+02:00"
GROUP_ROWS = 200_000
WANTED_PER_SECOND = 100_000.0
TEXTS = ("event_id", "source", "type", "order_id", "case_id", "store_id", "agent_id", "channel")
OWN = ("event_id", "order_id", "case_id", *KINDS)
"""Columns that another customer has others in."""


def measure(count: int | None, report: Report) -> list[Figure]:
    """Load and stitch `count` touchpoints of each kind (default 8,000,000 of the web shop's), from one file."""
    many, fewer = (count, count) if count else (TOUCHPOINTS, WITH_FINDINGS)
    simulated = min(SIMULATED, fewer)
    report(f"simulating {simulated:,} touchpoints")
    shop = Shop(7, check_moment(START), max(1, simulated // PER_CUSTOMER), personal=False)
    hidden = _table(list(islice(shop.touchpoints(), simulated)))
    visible = hidden.drop_columns([kind for kind in KINDS[1:] if kind in hidden.column_names])
    rates = {
        name: _run(table, max(1, wanted // len(table)), name, report)
        for name, table, wanted in (
            ("backfill", _real(), many),
            ("backfill_rules", visible, fewer),
            ("backfill_identities", hidden, fewer),
        )
    }
    return [at_least(name, rate, "touchpoints/s", WANTED_PER_SECOND) for name, rate in rates.items()]


def _real() -> pa.Table:
    mapping = load_mapping(ROOT / "producers/mappings/ecom.yaml")
    [piece] = cut([ROOT / "tests/data/ecom.csv.gz"], mapping)
    return _table([row.touchpoint for rows in read_rows(piece, mapping, 10_000) for row in rows if row.touchpoint])


def _run(table: pa.Table, copies: int, what: str, report: Report) -> float:
    """Touchpoints a second, from the first byte that is read to the last journey that is written."""
    with Ground() as ground:
        path = ground.directory / "history.parquet"
        _write(table, copies, path)
        settings = Settings(data_dir=ground.directory, oldest_touchpoint="36500d")  # type: ignore[arg-type]
        wanted = Wanted([path], None, ground.directory, len(os.sched_getaffinity(0)))
        began = time.perf_counter()
        with opened_run(wanted, look_into(wanted), settings) as run:
            result = Backfill(
                run, settings, ground.clickhouse_options, PARTITIONS,
                lambda step, done, total: report(f"{what}: {step} {done:,} of {total:,}"), lambda _: None,
            ).run()  # fmt: skip
        seconds = time.perf_counter() - began
        stored = ground.query_count("SELECT sum(touchpoints) FROM analytics.journeys")
        if stored != copies * len(table) or result.loaded.rejected:
            raise BenchmarkFailed(f"{stored:,} of {copies * len(table):,} touchpoints are in journeys")
        return stored / seconds


def _table(touchpoints: Sequence[Mapping[str, Any]]) -> pa.Table:
    columns = {name: [each.get(name) for each in touchpoints] for name in TEXTS}
    columns.update({kind: [each["identifiers"].get(kind) for each in touchpoints] for kind in KINDS})
    columns["properties"] = [json.dumps(each["properties"], separators=(",", ":")) for each in touchpoints]
    texts = {name: pa.array(values, pa.string()) for name, values in columns.items() if any(values)}
    times = [datetime.fromisoformat(each["occurred_at"]) for each in touchpoints]
    return pa.table({**texts, "occurred_at": pa.array(times, pa.timestamp("ms", "UTC"))})


def _write(table: pa.Table, copies: int, path: Path) -> None:
    """The same again and again, by other customers."""
    with pq.ParquetWriter(path, table.schema) as file:
        for number in range(copies):
            copied = table
            for place, name in enumerate(table.column_names):
                if number and name in OWN:
                    renamed = pc.binary_join_element_wise(table.column(name), str(number), "-")
                    copied = copied.set_column(place, name, renamed)
            file.write_table(copied, GROUP_ROWS)
