"""The workers of a data directory: found by the files that they write, asked on their metrics pages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import psutil

from console.metrics_page import PREFIX, Samples, parse_metrics
from deploy.group_metrics import LABEL, UP, ask_page

# A worker of several processes waits up to two seconds for each of them.
TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class WorkerFile:
    """What a running worker says of itself."""

    pid: int
    metrics_url: str
    started_at: str


@dataclass(frozen=True)
class WorkerLook(WorkerFile):
    """A running worker and what its metrics page says; `faults` has one line for each thing that is wrong.

    It has joined once each of its processes has been told its partitions, be it none. With broken rules it works on
    with those of before. One that does not answer has no processes.
    """

    processes: int = 0
    partitions: int = 0
    has_joined: bool = False
    has_broken_rules: bool = False
    faults: tuple[str, ...] = ()


def find_workers(data_dir: Path) -> list[WorkerFile]:
    """The workers that are alive, by process id; a file left behind by a killed one is passed over."""
    found = [_read(path) for path in sorted((data_dir / "workers").glob("*.json"))]
    return [worker for worker in found if worker is not None and _is_alive(worker.pid)]


def _read(path: Path) -> WorkerFile | None:
    try:
        told = json.loads(path.read_text("utf-8"))
        return WorkerFile(int(told["pid"]), str(told["metrics_url"]), str(told["started_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        # Being written or removed at this moment.
        return None


def _is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def look_at_workers(data_dir: Path) -> list[WorkerLook]:
    """Ask each worker of a data directory that is alive, once."""
    return [look_at_worker(worker) for worker in find_workers(data_dir)]


def look_at_worker(worker: WorkerFile) -> WorkerLook:
    """Ask a worker how it is."""
    page = fetch_page(worker)
    try:
        samples = None if page is None else parse_metrics([page])
    except ValueError:
        samples = None
    return judge_worker(worker, samples)


def judge_worker(worker: WorkerFile, samples: Samples | None) -> WorkerLook:
    """What the samples of a worker's page say of it; None where it has none."""
    told = worker.pid, worker.metrics_url, worker.started_at
    if samples is None:
        return WorkerLook(*told, faults=(f"worker {worker.pid} does not answer at {worker.metrics_url}",))
    processes = samples.by_label(UP.removeprefix(PREFIX), LABEL)
    faults = [f"process {name} of worker {worker.pid} does not answer" for name, up in processes.items() if not up]
    assignments = samples.by_label("rebalances_total", LABEL)
    return WorkerLook(
        *told,
        processes=len(processes) or 1,
        partitions=int(samples.total("partitions_assigned")),
        has_joined=bool(assignments) and all(assignments.values()) and not faults,
        has_broken_rules=any(samples.by_label("rules_broken", LABEL).values()),
        faults=tuple(faults),
    )


def fetch_page(worker: WorkerFile) -> str | None:
    """The text of a worker's metrics page; None when it does not answer."""
    return ask_page(worker.metrics_url, TIMEOUT_SECONDS)


def sample_workers(data_dir: Path) -> tuple[int, Samples]:
    """How many workers answered, and their metrics together."""
    pages = [page for worker in find_workers(data_dir) if (page := fetch_page(worker)) is not None]
    return len(pages), parse_metrics(pages)
