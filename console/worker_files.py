"""The workers of a data directory: found by the files that they write, asked on their metrics pages."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil

from console.metrics_page import Samples, parse_metrics

TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class WorkerFile:
    """What a running worker says of itself."""

    pid: int
    metrics_url: str
    started_at: str


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


def fetch_page(worker: WorkerFile) -> str | None:
    """The text of a worker's metrics page; None when it does not answer."""
    if not worker.metrics_url.startswith("http://"):
        return None
    try:
        with urllib.request.urlopen(worker.metrics_url, timeout=TIMEOUT_SECONDS) as answer:
            return str(answer.read().decode("utf-8"))
    except (OSError, ValueError, urllib.error.URLError):
        return None


def sample_workers(data_dir: Path) -> tuple[int, Samples]:
    """How many workers answered, and their metrics together."""
    pages = [page for worker in find_workers(data_dir) if (page := fetch_page(worker)) is not None]
    return len(pages), parse_metrics(pages)
