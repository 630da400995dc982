"""Rule files change while a worker runs: what is whole is taken over, what is broken is told and changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.errors import Misconfigured
from streams.rule_watch import RuleWatch
from streams.rules.loading import SHIPPED, directories

OFF = "id: promoter\nenabled: false\n"


def write(directory: Path, text: str, age_seconds: int) -> None:
    """Write the file, and give it a time of its own: a test is faster than the clock of some disks."""
    path = directory / "own.yaml"
    path.write_text(text, "utf-8")
    os.utime(path, (1_700_000_000 + age_seconds,) * 2)


def test_a_change_is_taken_over_and_a_fault_keeps_what_was(tmp_path: Path) -> None:
    watch = RuleWatch(directories(tmp_path))
    assert "promoter" in watch.plan.rules and not watch.reload()
    write(tmp_path, OFF, 1)
    assert watch.reload() and "promoter" not in watch.plan.rules
    assert not watch.reload()
    write(tmp_path, "id: promoter\nenabled: maybe\n", 2)
    assert not watch.reload() and "own.yaml" in str(watch.fault)
    assert "promoter" not in watch.plan.rules
    write(tmp_path, OFF, 3)
    assert not watch.reload() and watch.fault is None, "mended, and the same as before"
    (tmp_path / "own.yaml").unlink()
    assert watch.reload() and "promoter" in watch.plan.rules


def test_what_changed_is_told_by_name(tmp_path: Path) -> None:
    watch = RuleWatch(directories(tmp_path))
    write(tmp_path, OFF, 1)
    (tmp_path / "wismo.yaml").write_text(
        next(SHIPPED.glob("wismo.y*ml")).read_text("utf-8").replace("version: 1", "version: 9"), "utf-8"
    )
    (tmp_path / "calendars.yaml").write_text(
        "depot:\n  zone: Asia/Jerusalem\n  hours: {mon: ['08:00-16:00']}\n", "utf-8"
    )
    assert watch.reload(), watch.fault
    assert watch.changes == "changed: wismo; off: promoter; calendars: depot"
    (tmp_path / "own.yaml").unlink()
    assert watch.reload()
    assert watch.changes == "on: promoter"


def test_files_that_are_broken_from_the_start_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "id: [", 1)
    with pytest.raises(Misconfigured, match=r"own\.yaml"):
        RuleWatch(directories(tmp_path))


def test_other_files_are_nobodys_business(tmp_path: Path) -> None:
    watch = RuleWatch(directories(tmp_path))
    (tmp_path / "notes.txt").write_text("id: [", "utf-8")
    assert not watch.reload() and watch.fault is None
