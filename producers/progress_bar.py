"""A replay's progress bar: on a terminal with rate and time left, and nothing anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from producers.replay import Observe, Position


@contextmanager
def show_progress(title: str, console: Console | None = None) -> Iterator[Observe]:
    """Yield an observer for `replay_file`. It draws on standard error."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeRemainingColumn()
    began = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None, done="")

        def observe(position: Position) -> None:
            done = describe(position, time.monotonic() - began)
            progress.update(task, total=position.total_bytes, completed=position.read_bytes or 0, done=done)

        yield observe


def describe(position: Position, seconds: float) -> str:
    """Rows, rows per second and rejected rows in words."""
    rate = position.rows / seconds if seconds > 0 else 0.0
    rejected = f", {position.rejected:,} rejected" if position.rejected else ""
    return f"{position.rows:,} rows, {rate:,.0f}/s{rejected}"
