"""Histories stitched and written to ClickHouse in this process: what a worker would have made of them, in a second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from benchmarks.population import Record
from schemas.identifiers import record_key, strongest
from schemas.settings import Settings
from schemas.topics import TOUCHPOINTS
from sinks.state_store import record_flush
from sinks.writer import Writer
from streams.assignment import take_over
from streams.configuration import Configuration
from streams.decoding import Decoder
from streams.partition import Partition
from streams.row_blocks import blocks
from streams.rows import Rows
from streams.rule_watch import RuleWatch
from streams.rules.loading import directories
from streams.score_file import load_weights

GROUP = "journeys"
CHUNK = 2_000
NOW_MS = 1_900_000_000_000
"""Later than any history that is loaded; the door's bounds are wide open."""


def load(writer: Writer, touchpoints: Iterable[Mapping[str, Any]], until_ms: int = 0, **settings: str) -> Partition:
    """Stitch touchpoints in the order given, find friction with the rules of the first edition, and write all rows.

    A touchpoint is its JSON object as a source sends it (docs/touchpoints.md). Customers must be visible: nothing is
    moved between identifiers. Time then passes to `until_ms`, so that what only waiting finds is found. Call
    it once for an empty database; `settings` are names and values of `Settings`.
    """
    told = Settings(**{"oldest_touchpoint": "36500d", **settings})  # type: ignore[arg-type]
    configuration = Configuration.of(told, RuleWatch(directories(None)).plan, load_weights())
    decoder = Decoder(configuration.door, configuration.policy.plan.keeps)
    partition = take_over(writer, GROUP, 0, 1, configuration.policy, "loader", 1_000_000)
    records = [_record(offset, touchpoint) for offset, touchpoint in enumerate(touchpoints)]
    for start in range(0, len(records), CHUNK):
        chunk = decoder.decode(TOUCHPOINTS, 0, records[start : start + CHUNK], NOW_MS)
        assert not chunk.refusals, chunk.refusals[:3]
        partition.process(chunk)
        if start // CHUNK % 10 == 9:
            flush(writer, partition, configuration)
    partition.advance(until_ms)
    while partition.is_unwritten:
        flush(writer, partition, configuration)
    return partition


def flush(writer: Writer, partition: Partition, configuration: Configuration) -> None:
    """Write what is unwritten."""
    rows = Rows()
    origin = partition.gather(rows, configuration.rules, NOW_MS)
    for table, columns in blocks(rows):
        if columns and len(columns[0]):
            writer.insert(table, columns)
    progress = (0, origin.version >> 32, partition.flushes, partition.time_ms, dict(partition.positions))
    record_flush(writer, GROUP, [progress], "loader")


def _record(offset: int, touchpoint: Mapping[str, Any]) -> Record:
    key = record_key(*strongest(touchpoint["identifiers"])).encode()
    return Record(offset, key, msgspec.json.encode(touchpoint), NOW_MS)
