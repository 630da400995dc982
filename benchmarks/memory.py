"""Memory: what an open customer costs a worker, after gathering and evicting most to their packed form."""

from __future__ import annotations

import gc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import psutil

from benchmarks.figures import Figure, at_most
from benchmarks.ground import PARTITIONS, Report
from benchmarks.population import Population, configuration, customers_of, in_blocks
from schemas.settings import Settings
from streams.decoding import Decoder
from streams.worker import tune_garbage_collection

CUSTOMERS = 1_000_000
WANTED_BYTES = 1_536
SAMPLING = 2
FLUSH_CUSTOMERS = 2_500
FEW_TOUCHPOINTS, MANY_TOUCHPOINTS = 5, 15


def measure(count: int | None, report: Report) -> list[Figure]:
    """Bytes per open customer at `count` customers (default 1,000,000) with 5 touchpoints, and with 15.

    With the default number of customers kept unpacked, and with none; each in a fresh process, as the growth of its
    resident memory. All but the first are half of one partition, with half of those kept unpacked.
    """
    each = max(1, (count or CUSTOMERS) // PARTITIONS)
    report(f"bringing {each * PARTITIONS:,} customers and more; this takes minutes")
    # Fewer customers must not mean that more of them are unpacked.
    hot = Settings.model_construct().hot_customers * each // CUSTOMERS
    sample = max(1, each // SAMPLING)
    with fresh_processes() as processes:
        few = processes.submit(_grow, PARTITIONS, each, FEW_TOUCHPOINTS, hot)
        many = processes.submit(_grow, 1, sample, MANY_TOUCHPOINTS, hot // SAMPLING)
        few_packed = processes.submit(_grow, 1, sample, FEW_TOUCHPOINTS, 0)
        many_packed = processes.submit(_grow, 1, sample, MANY_TOUCHPOINTS, 0)
    return [
        at_most(f"memory_{FEW_TOUCHPOINTS}_touchpoints", few.result(), "bytes/customer", WANTED_BYTES),
        Figure(f"memory_{FEW_TOUCHPOINTS}_touchpoints_all_packed", few_packed.result(), "bytes/customer"),
        Figure(f"memory_{MANY_TOUCHPOINTS}_touchpoints", many.result(), "bytes/customer"),
        Figure(f"memory_{MANY_TOUCHPOINTS}_touchpoints_all_packed", many_packed.result(), "bytes/customer"),
    ]


def fresh_processes() -> ProcessPoolExecutor:
    """Two at a time, each doing one thing in its life."""
    return ProcessPoolExecutor(2, get_context("spawn"), max_tasks_per_child=1)


def read_rss_bytes() -> int:
    """This process's resident memory."""
    return int(psutil.Process().memory_info().rss)


def _grow(partitions: int, customers: int, touchpoints: int, hot_customers: int) -> float:
    """Bytes per open customer, with `hot_customers` of each partition unpacked."""
    # A worker has one decoder for all its partitions, and it remembers keys.
    decoder = Decoder(configuration().door, configuration().policy.plan.keeps)
    populations = [Population(number, PARTITIONS, hot_customers, decoder) for number in range(partitions)]
    tune_garbage_collection()
    # What a flush needs while it is made is used again by each, and is no customer's.
    warm_up = Population(0, PARTITIONS, 0)
    warm_up.bring(list(customers_of(0, PARTITIONS, FLUSH_CUSTOMERS)), touchpoints)
    warm_up.gather()
    del warm_up
    before = read_rss_bytes()
    for population in populations:
        for names in in_blocks(customers_of(population.partition.number, PARTITIONS, customers), FLUSH_CUSTOMERS):
            population.bring(names, touchpoints)
            population.gather()
        # What was just written stays unpacked until the next flush.
        population.gather()
    gc.collect()
    opened = sum(population.partition.open_customers for population in populations)
    assert opened == partitions * customers, f"{opened} customers are open"
    return (read_rss_bytes() - before) / opened
