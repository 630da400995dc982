"""What is printed and kept of a run."""

import json
from pathlib import Path

import pytest

from benchmarks.figures import Figure, at_least, at_most, describe_run, keep_run, quantile


@pytest.mark.parametrize(
    ("figure", "line"),
    [
        (
            Figure("throughput", 45_123.4, "touchpoints/s", 0.3149, "limit"),
            "throughput 45123 touchpoints/s (0.31× limit)",
        ),
        (Figure("decode", 5.4321, "µs/touchpoint"), "decode 5.43 µs/touchpoint"),
        (at_least("restore", 300_000, "customers/s", 200_000), "restore 300000 customers/s (1.50× at least 200000)"),
        (at_most("alert_p95", 0.25, "s", 1.0), "alert_p95 0.25 s (0.25× at most 1)"),
    ],
)
def test_a_figure_is_one_line(figure: Figure, line: str) -> None:
    assert str(figure) == line


def test_quantiles_are_values_that_were_seen() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert [quantile(values, share) for share in (0.0, 0.5, 0.95, 0.99, 1.0)] == [1, 50, 95, 99, 100]
    assert quantile([7.0], 0.5) == 7
    with pytest.raises(ValueError):
        quantile([], 0.5)


def test_runs_are_appended_as_json_lines(tmp_path: Path) -> None:
    run = describe_run("throughput", [Figure("limit", 100.0, "touchpoints/s")])
    keep_run(run, tmp_path / "results")
    path = keep_run(run, tmp_path / "results")
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == [run, run]
    assert {"date", "cpu", "revision", "load_average", "figures"} <= run.keys()
