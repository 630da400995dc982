"""Figures: what a benchmark found, printed as one line each and kept as JSON lines."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One result. `ratio` is value over reference; `reference` says what that is, such as `limit` or `at most 1536`."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    reference: str = ""

    def __str__(self) -> str:
        """`name value unit (ratio× reference)`."""
        compared = "" if self.ratio is None else f" ({self.ratio:.2f}× {self.reference})"
        return f"{self.name} {format_value(self.value)} {self.unit}{compared}"


def at_least(name: str, value: float, unit: str, wanted: float) -> Figure:
    """A figure that should not be below `wanted`."""
    return Figure(name, value, unit, value / wanted, f"at least {format_value(wanted)}")


def at_most(name: str, value: float, unit: str, wanted: float) -> Figure:
    """A figure that should not be above `wanted`."""
    return Figure(name, value, unit, value / wanted, f"at most {format_value(wanted)}")


def format_value(value: float) -> str:
    """Whole from 100 up, three digits below."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed. Raises ValueError when there is none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1_000_000) * len(ordered) // 1_000_000) - 1))]


def describe_run(benchmark: str, figures: Sequence[Figure]) -> dict[str, Any]:
    """One run as it is kept: when, where, of which revision, what came out."""
    return {
        "benchmark": benchmark,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _read_cpu_model(),
        "cores": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "revision": _read_revision(),
        "figures": [asdict(figure) for figure in figures],
    }


def keep_run(run: dict[str, Any], directory: Path = RESULTS) -> Path:
    """Append a run to its benchmark's file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{run['benchmark']}.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(run, ensure_ascii=False) + "\n")
    return path


def _read_cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _read_revision() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip() or None
