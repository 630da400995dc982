"""The worker under measurement, seen from outside: its metrics page, its processor time, its memory."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from pathlib import Path

import psutil

from console.metrics_page import Samples, parse_metrics


class Worker:
    """A running worker process."""

    def __init__(self, process: subprocess.Popen[bytes], data_directory: Path, log: Path) -> None:
        self._process = process
        self._note = data_directory / "workers" / f"{process.pid}.json"
        self._log = log
        self._url = ""
        self.was_killed = False

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        self.was_killed = True
        self._process.kill()
        self._process.wait()

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    @property
    def last_words(self) -> str:
        """The last line of its log."""
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return lines[-1] if lines else ""

    def metrics(self) -> Samples:
        """What its page says now; no samples while it serves none."""
        try:
            self._url = self._url or json.loads(self._note.read_text("utf-8"))["metrics_url"]
            with urllib.request.urlopen(self._url, timeout=10) as answer:
                return parse_metrics([answer.read().decode()])
        except (OSError, ValueError):
            return Samples({})

    @property
    def partitions(self) -> float:
        """How many partitions it owns."""
        return self.metrics().total("partitions_assigned")

    def cpu_seconds(self) -> float:
        """Processor time so far, of all its threads and processes."""
        own = psutil.Process(self._process.pid)
        times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
        return sum(float(each.user + each.system) for each in times)

    def peak_rss_bytes(self) -> int:
        """The most memory it has had resident, its processes added up. Linux only."""
        own = psutil.Process(self._process.pid)
        return sum(_peak_rss_bytes(process.pid) for process in (own, *own.children(recursive=True)))


def _peak_rss_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
