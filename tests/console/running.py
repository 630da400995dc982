"""Runs `journeys` as people do: as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from console.cli import main

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "console.cli")


def environment(**changed: str) -> dict[str, str]:
    """This process's environment without what changes the platform or how Python writes."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("JOURNEYS_") and name not in ("KAFKA", "CLICKHOUSE", "FORCE_COLOR", "PYTHONUNBUFFERED")
    }
    return {**kept, "PYTHONPATH": str(ROOT), **changed}


def journeys(
    *arguments: str, cwd: Path, stdin: str = "", seconds: float = 100, changed: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd, input=stdin, capture_output=True, text=True, timeout=seconds, env=environment(**(changed or {})),
    )  # fmt: skip


def run_here(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: most of what one of its own costs is its start."""
    with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out.seek(0)
        err.seek(0)
        code: Any = ended.value.code
        return subprocess.CompletedProcess(list(arguments), code, out.read(), err.read())


@contextmanager
def unread() -> Iterator[int]:
    """A pipe to write to that nobody reads, as after `| head` has seen enough."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def one_line(text: str) -> str:
    """The only line of an error output, which a person can read."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert "Traceback" not in text and "\x1b" not in text
    return lines[0]


def wait_until(is_true: Callable[[], bool], seconds: float = 80.0) -> None:
    """Wait for something to happen; fail when it does not."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
