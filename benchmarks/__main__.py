"""`python -m benchmarks`: run some or all benchmarks, print a line for each figure, keep the figures."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from enum import StrEnum
from types import FrameType
from typing import Annotated

import typer

from benchmarks import (
    accuracy,
    backfill,
    identity,
    latency,
    memory,
    restore,
    rules,
    soak,
    takeover,
    throughput,
    warehouse,
)
from benchmarks.figures import Figure, describe_run, keep_run
from benchmarks.ground import BenchmarkFailed, Report, show_progress
from schemas.errors import JourneysError

EPILOG = """Examples:

python -m benchmarks

python -m benchmarks throughput latency

python -m benchmarks throughput --count 40000 --json"""


class Name(StrEnum):
    """The benchmarks, in the order in which they run."""

    THROUGHPUT = "throughput"
    IDENTITY = "identity"
    RESTORE = "restore"
    TAKEOVER = "takeover"
    MEMORY = "memory"
    LATENCY = "latency"
    TIMERS = "timers"
    SKEW = "skew"
    RULES = "rules"
    ACCURACY = "accuracy"
    WAREHOUSE = "warehouse"
    BACKFILL = "backfill"
    SOAK = "soak"


BENCHMARKS: dict[Name, Callable[[int | None, Report], list[Figure]]] = {
    Name.THROUGHPUT: throughput.measure,
    Name.IDENTITY: identity.measure,
    Name.RESTORE: restore.measure,
    Name.TAKEOVER: takeover.measure,
    Name.MEMORY: memory.measure,
    Name.LATENCY: latency.measure,
    Name.TIMERS: latency.measure_pending,
    Name.SKEW: latency.measure_skewed,
    Name.RULES: rules.measure,
    Name.ACCURACY: accuracy.measure,
    Name.WAREHOUSE: warehouse.measure,
    Name.BACKFILL: backfill.measure,
    Name.SOAK: soak.measure,
}

LONG = {Name.SOAK}
"""Only where somebody asks for it."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog=EPILOG)
def run(
    names: Annotated[
        list[Name] | None, typer.Argument(help="which ones; none: all but soak, which takes an hour")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=100,
            help="touchpoints (throughput, latency, rules, warehouse), customers (restore, takeover, memory, "
            "accuracy), seconds (soak)",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print each benchmark as one line of JSON")] = False,
) -> None:
    """Measure the platform on this machine, each benchmark on a fresh local stack in a temporary directory.

    Prints `name value unit (ratio× reference)` and appends the same to benchmarks/results. Ends with 1 when something
    could not be measured, because it failed or its result was wrong.
    """
    for name in [each for each in Name if (each in names if names else each not in LONG)]:
        try:
            with show_progress() as report:
                figures = BENCHMARKS[name](count, report)
        except (BenchmarkFailed, JourneysError) as error:
            print(f"benchmarks: {name}: {' '.join(str(error).split())}", file=sys.stderr)
            raise typer.Exit(1) from error
        kept = describe_run(name, figures)
        keep_run(kept)
        for line in [json.dumps(kept, ensure_ascii=False)] if as_json else map(str, figures):
            print(line, flush=True)


def _stop(number: int, _: FrameType | None) -> None:
    # What was started must be stopped on this way out too.
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    app(prog_name="python -m benchmarks")
