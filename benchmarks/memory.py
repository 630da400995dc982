"""Memory: what an open customer costs a worker, after it was gathered and most customers were evicted to packed form."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

import psutil

from benchmarks.figures import Figure, at_most
from benchmarks.ground import PARTITIONS, Report
from benchmarks.population import Population, customers_of, in_blocks
from schemas.settings import Settings
from streams.worker import tune_garbage_collection

CUSTOMERS = 1_000_000
WANTED_BYTES = 1_536
FEW_TOUCHPOINTS, MANY_TOUCHPOINTS = 5, 15

Result = TypeVar("Result")


def measure(count: int | None, report: Report) -> list[Figure]:
    """Bytes per open customer at `count` customers (default 1,000,000) with 5 touchpoints, and with 15.

    With 15 it is one partition of the same size. Each in a fresh process, as its resident memory's growth.
    """
    each = max(1, (count or CUSTOMERS) // PARTITIONS)
    report(f"bringing {each * PARTITIONS:,} customers with {FEW_TOUCHPOINTS} touchpoints each; this takes minutes")
    few = in_fresh_process(_measure_growth, PARTITIONS, each, FEW_TOUCHPOINTS)
    report(f"bringing {each:,} customers with {MANY_TOUCHPOINTS} touchpoints each")
    many = in_fresh_process(_measure_growth, 1, each, MANY_TOUCHPOINTS)
    return [
        at_most(f"memory_{FEW_TOUCHPOINTS}_touchpoints", few[0], "bytes/customer", WANTED_BYTES),
        Figure(f"memory_{FEW_TOUCHPOINTS}_touchpoints_all_packed", few[1], "bytes/customer"),
        Figure(f"memory_{MANY_TOUCHPOINTS}_touchpoints", many[0], "bytes/customer"),
        Figure(f"memory_{MANY_TOUCHPOINTS}_touchpoints_all_packed", many[1], "bytes/customer"),
    ]


def in_fresh_process(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function in a process that has done nothing before."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def read_rss_bytes() -> int:
    """This process's resident memory."""
    return int(psutil.Process().memory_info().rss)


def _measure_growth(partitions: int, customers: int, touchpoints: int) -> tuple[float, float]:
    """Bytes per customer with the default share of customers unpacked, and with none."""
    with_hot = _grow(partitions, customers, touchpoints, Settings().hot_customers)
    # What the process has freed it uses again, so only a fresh one tells: the share of the unpacked ones is taken off.
    packed = in_fresh_process(_grow, 1, customers, touchpoints, 0)
    return with_hot, packed


def _grow(partitions: int, customers: int, touchpoints: int, hot_customers: int) -> float:
    populations = [Population(number, PARTITIONS, hot_customers) for number in range(partitions)]
    tune_garbage_collection()
    before = read_rss_bytes()
    for population in populations:
        for names in in_blocks(customers_of(population.partition.number, PARTITIONS, customers), size=12_500):
            population.add(names, touchpoints)
        # What was just written stays unpacked until the next flush.
        population.gather()
    gc.collect()
    opened = sum(population.partition.open_customers for population in populations)
    assert opened == partitions * customers, f"{opened} customers are open"
    return (read_rss_bytes() - before) / opened
