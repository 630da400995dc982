"""What a backfill remembers, and what `journeys doctor` says of one that was cut off."""

import os
from pathlib import Path
from typing import Any

import pytest

from console.backfill_journal import Journal, JournalFile, PieceDone, Unfinished, find_unfinished, run_name
from console.checks import judge_backfills
from producers.replay_progress import Identity
from schemas.errors import Misconfigured


def journal(path: Path, **more: Any) -> Journal:
    return Journal(paths=[str(path)], files=[Identity.of(path)], started_ms=1, since_ms=2, is_first=True, **more)


def test_a_run_that_was_cut_off_goes_on_unless_a_file_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_text("{}\n")
    kept = JournalFile(tmp_path, run_name([file], None))
    assert kept.load([Identity.of(file)], from_start=False) is None
    written = journal(file, pieces={"0": PieceDone(rows=3, accepted=2, reasons={"too_old": 1}, newest_ms={1: 7})})
    with kept.locked():
        kept.save(written)
    assert kept.load([Identity.of(file)], from_start=False) == written
    assert kept.load([Identity.of(file)], from_start=True) is None
    kept.save(written.model_copy(update={"releases": [("customer_id:C-1", "anonymous_id:a", 7)]}))
    assert kept.left_releases() == [("customer_id:C-1", "anonymous_id:a", 7)]
    file.write_text("{}\n{}\n")
    with pytest.raises(Misconfigured, match="has changed since its backfill began: run with --from-start"):
        kept.load([Identity.of(file)], from_start=False)


def test_pieces_add_up() -> None:
    whole = PieceDone()
    whole.add(
        PieceDone(rows=3, accepted=2, reasons={"too_old": 1}, first={"too_old": "line 3"}, newest_ms={1: 7, 2: 9})
    )
    whole.add(PieceDone(rows=2, reasons={"too_old": 1, "naive_time": 1}, first={"too_old": "line 9"}, newest_ms={1: 8}))
    assert (whole.rows, whole.accepted, whole.rejected) == (5, 2, 3)
    assert whole.newest_ms == {1: 8, 2: 9}
    assert whole.first["too_old"] == "line 3"


def test_one_that_is_unfinished_is_worth_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_text("{}\n")
    kept = JournalFile(tmp_path, "x")
    with kept.locked():
        kept.save(journal(file, is_done=True))
        assert judge_backfills(find_unfinished(tmp_path)).verdict == "ok"
        kept.save(journal(file, mapping="/maps/my clicks.yaml"))
    finding = judge_backfills(find_unfinished(tmp_path))
    assert (finding.verdict, finding.detail) == ("warn", f"unfinished: {file} with mapping /maps/my clicks.yaml")
    call = f"journeys --data-dir {tmp_path} backfill {file} --mapping '/maps/my clicks.yaml'"
    assert finding.advice == (
        f"stop the workers, then `{call}` goes on; one that is not wanted any more is forgotten by deleting "
        f"{tmp_path}/backfill-x: what it has loaded stays stored, and may be in no journey"
    )


def test_of_one_that_is_unfinished_not_every_file_is_named_and_one_that_is_gone_is_told(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{number}.parquet") for number in range(9)]
    unfinished = Unfinished(
        Path(".journeys/backfill-x"),
        Journal(paths=paths, files=[], started_ms=1, since_ms=2, is_first=True),
    )
    finding = judge_backfills([unfinished])
    assert f"{paths[4]} (which is gone) and 4 more files" in finding.detail and paths[5] not in finding.detail
    assert f"`journeys backfill {' '.join(paths[:4])} … {paths[8]}` goes on" in finding.advice


def test_two_are_not_at_work_on_the_same_files(tmp_path: Path) -> None:
    one, other = JournalFile(tmp_path, "x"), JournalFile(tmp_path, "x")
    with one.locked():
        told = rf"another backfill \(process {os.getpid()}\) is at work on the same files"
        with pytest.raises(Misconfigured, match=told), other.locked():
            pass
        with JournalFile(tmp_path, "y").locked():
            pass
    with other.locked():
        pass


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(Misconfigured, match="backfill-x: cannot be written to"),
        JournalFile(tmp_path / "file", "x").locked(),
    ):
        pass
