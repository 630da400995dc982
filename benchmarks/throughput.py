"""Throughput: one worker through a loaded topic, from the first record read to the last position committed.

The limit runs before and after on the same records. A run whose result is not exact is no result.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, replace

from benchmarks import workload
from benchmarks.figures import Figure
from benchmarks.ground import PARTITIONS, ROOT, BenchmarkFailed, Ground, Report, wait_until
from benchmarks.sessions import Observed
from benchmarks.worker import Worker
from console.metrics_page import Samples
from deploy.group_metrics import LABEL

LIMIT_RUNS = 3
STEPS = ("decode", "stitch", "detect", "rows", "insert")
SETTINGS = {
    "journey_gap": f"{workload.GAP_MS // 60_000}m",
    "allowed_lateness": "1h",
    # The workload's day stays where it is, and must not become too old.
    "oldest_touchpoint": "36500d",
}
JOURNEYS = """SELECT customer_id, toUnixTimestamp64Milli(started_at), toUnixTimestamp64Milli(ended_at), touchpoints
FROM analytics.journeys ORDER BY 1, 2, 3"""


@dataclass(frozen=True)
class Run:
    """One worker's way through the workload, `began` in epoch seconds."""

    began: float
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    metrics: Samples


def measure(count: int | None, report: Report) -> list[Figure]:
    """Run the benchmark on `count` touchpoints (default 400,000). Raises BenchmarkFailed when the result is wrong.

    Then once more with a worker of two processes, which has both cores as the limit and the broker have.
    """
    one, two = (measure_worker(count, report, processes) for processes in (1, 2))
    return [*one, *(replace(figure, name=f"{figure.name}_of_two") for figure in two)]


def measure_worker(count: int | None, report: Report, processes: int = 1) -> list[Figure]:
    """The same with one worker of so many processes, of which the first figure is its rate."""
    count = count or workload.COUNT
    observed = Observed(workload.GAP_MS)
    with Ground() as ground:
        customers = max(1, count * workload.CUSTOMERS // workload.COUNT)
        ground.load(observed.watch(workload.generate(count, customers)), report, count)
        before = _run_limit(ground, count, report)
        with ground.worker(**SETTINGS, worker_processes=str(processes)) as worker:
            run = follow(ground, worker, count, report)
        after = _run_limit(ground, count, report)
        report("checking the result")
        _check(ground, run.metrics, observed)
    return _figures(run, count, before, after)


def _run_limit(ground: Ground, count: int, report: Report) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.limit", ground.kafka, str(PARTITIONS), str(count)]
    rates = []
    for number in range(1, LIMIT_RUNS + 1):
        report(f"limit, run {number} of {LIMIT_RUNS}")
        try:
            answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
        except subprocess.CalledProcessError as error:
            raise BenchmarkFailed(f"the limit failed: {error.stderr.strip().splitlines()[-1]}") from error
        rates.append(float(answer.stdout))
    return rates


def follow(ground: Ground, worker: Worker, count: int, report: Report) -> Run:
    """Watch a worker until it has committed everything. Raises BenchmarkFailed when it does not get there."""
    report("waiting for the worker's first chunk")
    first = Samples({})
    deadline = time.monotonic() + 60
    while not first.total("chunk_seconds_count"):
        if not worker.is_alive or time.monotonic() > deadline:
            raise BenchmarkFailed(f"the worker read nothing: {worker.last_words}")
        time.sleep(0.01)
        first = worker.metrics()
    began = _began(first)
    cpu_before = worker.cpu_seconds() - first.total("chunk_seconds_sum")

    def is_done() -> bool:
        if not worker.is_alive:
            raise BenchmarkFailed(f"the worker ended: {worker.last_words}")
        committed = ground.committed_records()
        report(f"worker: {committed:,} of {count:,} touchpoints committed")
        return committed >= count

    wait_until(is_done, "the last position committed", 60 + count / 500)
    seconds = time.time() - began
    return Run(began, seconds, worker.cpu_seconds() - cpu_before, worker.peak_rss_bytes(), worker.metrics())


def _began(first: Samples) -> float:
    """When the first chunk was read: the first chunks are done when they are first seen."""
    last, busy = (first.by_label(name, LABEL) for name in ("last_progress_timestamp_seconds", "chunk_seconds_sum"))
    return min(moment - busy.get(process, 0.0) for process, moment in last.items() if moment)


def _check(ground: Ground, metrics: Samples, observed: Observed) -> None:
    sessions = observed.sessions()
    repeated = observed.records - observed.unique
    counts = {
        "touchpoints": (ground.query_count("SELECT count() FROM analytics.touchpoints"), observed.unique),
        "accepted": (metrics.total("touchpoints_accepted_total"), observed.unique),
        "duplicates": (metrics.total("touchpoints_duplicate_total"), repeated),
        "late": (metrics.total("touchpoints_late_total"), 0),
        "dead letters": (ground.query_count("SELECT count() FROM journeys.dead_letters"), 0),
        "journeys": (ground.query_count("SELECT count() FROM analytics.journeys"), len(sessions)),
    }
    wrong = [f"{name} {found:.0f}, not {wanted}" for name, (found, wanted) in counts.items() if found != wanted]
    if wrong:
        raise BenchmarkFailed(f"the worker's result is wrong: {'; '.join(wrong)}")
    if ground.writer.query(JOURNEYS) != sessions:
        raise BenchmarkFailed("the worker's journeys are not the sessions of the workload")


def _figures(run: Run, count: int, before: list[float], after: list[float]) -> list[Figure]:
    limit = statistics.median([*before, *after])
    rate = count / run.seconds
    steps = run.metrics.by_label("step_seconds_total", "step")
    return [
        Figure("throughput", rate, "touchpoints/s", rate / limit, "limit"),
        Figure("limit", limit, "touchpoints/s"),
        Figure("limit_before", statistics.median(before), "touchpoints/s"),
        Figure("limit_after", statistics.median(after), "touchpoints/s"),
        *(Figure(step, steps.get(step, 0.0) / count * 1e6, "µs/touchpoint") for step in STEPS),
        Figure("worker_cpu", run.cpu_seconds / count * 1e6, "µs/touchpoint"),
        Figure("peak_rss", run.peak_rss_bytes / 1e6, "MB"),
    ]
