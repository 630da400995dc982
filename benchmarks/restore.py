"""Restore: how fast a worker takes partitions over whose open customers are stored in ClickHouse."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import as_completed
from typing import Any

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.ground import GROUP, PARTITIONS, BenchmarkFailed, Ground, Report
from benchmarks.memory import CUSTOMERS, FEW_TOUCHPOINTS, WANTED_BYTES, fresh_processes, read_rss_bytes
from benchmarks.population import EPOCH, Population, configuration, customers_of, in_blocks
from schemas.settings import Settings
from schemas.topics import TOUCHPOINTS
from sinks.state_store import record_flush
from sinks.tables import CUSTOMER_STATE
from sinks.writer import ClickHouseWriter
from streams.assignment import take_over
from streams.worker import tune_garbage_collection

WANTED_PER_SECOND = 200_000
REWRITTEN_SHARE = 0.1
REWRITES = 2


def measure(count: int | None, report: Report) -> list[Figure]:
    """Store `count` customers (default 1,000,000), a tenth of them in three versions, and take all partitions over."""
    each = max(1, (count or CUSTOMERS) // PARTITIONS)
    with Ground() as ground:
        report(f"storing {each * PARTITIONS:,} customers; this takes minutes")
        with fresh_processes() as processes:
            stored = [processes.submit(_store, ground.clickhouse_options, n, each) for n in range(PARTITIONS)]
            for done, future in enumerate(as_completed(stored), 1):
                future.result()
                report(f"storing {each * PARTITIONS:,} customers: {done} of {PARTITIONS} partitions done")
            report("taking over")
            opened, seconds, grown_bytes = processes.submit(_take_over_all, ground.clickhouse_options).result()
    if opened != each * PARTITIONS:
        raise BenchmarkFailed(f"{opened} customers were restored, not {each * PARTITIONS}")
    return [
        at_least("restore", opened / sum(seconds), "customers/s", WANTED_PER_SECOND),
        *(Figure(f"restore_partition_{number}", taken, "s") for number, taken in enumerate(seconds)),
        at_most("restore_memory", grown_bytes / opened, "bytes/customer", WANTED_BYTES),
    ]


def _store(options: Mapping[str, Any], number: int, customers: int) -> None:
    """Bring customers and write their states in blocks, then new states of a tenth of them."""
    writer = ClickHouseWriter(options)
    population = Population(number, PARTITIONS, hot_customers=0)
    again: list[str] = []
    for names in in_blocks(customers_of(number, PARTITIONS, customers)):
        changing = names[: int(len(names) * REWRITTEN_SHARE)]
        population.bring(changing, FEW_TOUCHPOINTS - REWRITES)
        population.bring(names[len(changing) :], FEW_TOUCHPOINTS)
        _write(writer, population)
        again += changing
    for _ in range(REWRITES):
        population.bring(again, 1)
        _write(writer, population)
    partition = population.partition
    progress = (number, EPOCH, partition.flushes, partition.time_ms, {TOUCHPOINTS: 1})
    record_flush(writer, GROUP, [progress], "benchmark")
    writer.close()


def _write(writer: ClickHouseWriter, population: Population) -> None:
    writer.insert(CUSTOMER_STATE, list(zip(*population.gather().states, strict=True)))


def _take_over_all(options: Mapping[str, Any]) -> tuple[int, list[float], int]:
    """(customers, seconds of each partition, growth of resident memory in bytes)."""
    writer = ClickHouseWriter(options)
    policy, hot_customers = configuration().policy, Settings.model_construct().hot_customers
    tune_garbage_collection()
    before = read_rss_bytes()
    partitions, seconds = [], []
    for number in range(PARTITIONS):
        began = time.perf_counter()
        partitions.append(take_over(writer, GROUP, number, PARTITIONS, policy, "benchmark", hot_customers))
        seconds.append(time.perf_counter() - began)
    grown_bytes = read_rss_bytes() - before
    writer.close()
    return sum(partition.open_customers for partition in partitions), seconds, grown_bytes
