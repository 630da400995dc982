"""`python -m benchmarks` from outside."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_help_names_the_benchmarks_and_has_examples() -> None:
    answer = run("--help")
    assert answer.returncode == 0
    for expected in (
        "throughput",
        "restore",
        "memory",
        "latency",
        "--count",
        "--json",
        "python -m benchmarks throughput",
    ):
        assert expected in answer.stdout


def test_an_unknown_benchmark_is_refused() -> None:
    answer = run("speed")
    assert answer.returncode == 2
    assert "speed" in answer.stderr and not answer.stdout
