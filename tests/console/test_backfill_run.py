"""What a backfill looks at before it asks for a server, and what it says then."""

import gzip
import json
import os
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from console.backfill_run import Run, Wanted, look_into, opened_run
from schemas.settings import Settings
from tests.console.running import journeys, one_line

MAPPING = """
fields:
  event_id: id
  source: {constant: web}
  type: {constant: searched}
  occurred_at: at
  identifiers.customer_id: who
"""
ROW = {"event_id": "1", "source": "web", "type": "searched", "identifiers": {"customer_id": "C-1"}}


def backfill(directory: Path, *arguments: str, **settings: str) -> CompletedProcess[str]:
    """Run the command where no server is known, so that whatever needs one fails with other words."""
    return journeys("backfill", *arguments, cwd=directory, changed=settings)


def settings(directory: Path, key: str | None = None, key_id: str = "k1") -> Settings:
    return Settings(data_dir=directory, identifier_key=key, identifier_key_id=key_id)  # type: ignore[arg-type]


def history(directory: Path) -> Path:
    path = directory / "history.ndjson"
    path.write_text(json.dumps(ROW) + "\n")
    return path


def leave(directory: Path, path: Path, given: Settings, *, is_done: bool) -> Run:
    """What an earlier run would have left."""
    wanted = Wanted([path], None, directory, 1)
    with opened_run(wanted, look_into(wanted), given) as run:
        run.journal.is_done = is_done
        run.file.save(run.journal)
    return run


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("folder", "folder is a folder: give the files in it, folder/*.parquet folder/*.csv.gz"),
        ("hollow", "hollow is a folder: give files, and there is no Parquet, NDJSON or CSV in it"),
        ("absent.ndjson", "no such file: absent.ndjson"),
        ("wrong.csv", "wrong.csv: has no column at, id; its columns are who"),
        ("broken.csv.gz", "broken.csv.gz: broken before its first row: Not a gzipped file"),
    ],
)
def test_files_that_cannot_be_read_are_told_before_anything_is_asked_or_saved(
    name: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "hollow").mkdir()
    for within in ("a.parquet", "b.parquet", "a.csv.gz", "readme.txt"):
        (tmp_path / "folder" / within).touch()
    (tmp_path / "wrong.csv").write_text("who\nC-1\n")
    (tmp_path / "broken.csv.gz").write_text("who\nC-1\n")
    (tmp_path / "m.yaml").write_text(MAPPING)
    done = backfill(tmp_path, name, "--mapping", "m.yaml")
    assert done.returncode == 1 and told in one_line(done.stderr)
    assert not (tmp_path / ".journeys").exists()


def test_a_mapping_that_is_not_there_is_told_before_a_server_is_asked(tmp_path: Path) -> None:
    done = backfill(tmp_path, str(history(tmp_path)), "--mapping", "absent.yaml")
    assert done.returncode == 1 and "absent.yaml" in one_line(done.stderr)


def test_files_without_rows_are_no_error(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MAPPING)
    (tmp_path / "empty.csv").touch()
    (tmp_path / "header.csv").write_text("id,at,who\n")
    (tmp_path / "empty.ndjson.gz").write_bytes(gzip.compress(b""))
    files = ("empty.csv", "header.csv", "empty.ndjson.gz", "--mapping", "m.yaml")
    done = backfill(tmp_path, *files)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{name}: no rows" for name in files[:3]]
    told = backfill(tmp_path, *files, "--json")
    assert json.loads(told.stdout)["rows"] == 0 and told.stderr.count("no rows") == 3
    assert not (tmp_path / ".journeys").exists()


def test_a_run_that_begins_saves_nothing_yet_and_keeps_another_away(tmp_path: Path) -> None:
    wanted = Wanted([history(tmp_path)], None, tmp_path, 1)
    with opened_run(wanted, look_into(wanted), settings(tmp_path)) as run:
        assert not run.resumed and not run.is_done
        done = backfill(tmp_path, str(wanted.paths[0]), "--state-dir", str(tmp_path))
    assert done.returncode == 1
    assert f"another backfill (process {os.getpid()}) is at work on the same files" in one_line(done.stderr)
    assert not list(tmp_path.glob("backfill-*/journal.json"))


def test_what_is_loaded_already_is_no_error_and_needs_no_server(tmp_path: Path) -> None:
    path, directory = history(tmp_path), tmp_path / ".journeys"
    leave(directory, path, settings(directory, "a" * 32), is_done=True)
    done = backfill(tmp_path, str(path), JOURNEYS_IDENTIFIER_KEY="a" * 32)
    assert (done.returncode, done.stderr) == (0, "") and len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("these files are loaded already, and there is nothing to do: --from-start does it")
    told = backfill(tmp_path, str(path), "--json", JOURNEYS_IDENTIFIER_KEY="a" * 32)
    said = json.loads(told.stdout)
    assert told.returncode == 0 and said["loaded_already"] is True and said["other_identifier_key"] is False


@pytest.mark.parametrize(
    ("then", "changed", "told"),
    [
        (("a" * 32, "k1"), {"JOURNEYS_IDENTIFIER_KEY": "b" * 32}, "with identifier key k1, and now another key is set"),
        (
            ("a" * 32, "k1"),
            {"JOURNEYS_IDENTIFIER_KEY": "a" * 32, "JOURNEYS_IDENTIFIER_KEY_ID": "k2"},
            "with identifier key k1, and now k2 is set",
        ),
        (("a" * 32, "k1"), {}, "with identifier key k1, and now none is set"),
        ((None, "k1"), {"JOURNEYS_IDENTIFIER_KEY": "a" * 32}, "without an identifier key, and now k1 is set"),
    ],
    ids=["another", "another name", "none now", "none then"],
)
def test_another_identifier_key_is_told(
    then: tuple[str | None, str], changed: dict[str, str], told: str, tmp_path: Path
) -> None:
    path, directory = history(tmp_path), tmp_path / ".journeys"
    leave(directory, path, settings(directory, *then), is_done=True)
    done = backfill(tmp_path, str(path), **changed)
    assert done.returncode == 0 and told in done.stdout and "does not count twice" not in done.stdout
    run = leave(directory, path, settings(directory, *then), is_done=False)
    # It would go on under another key than it began with.
    refused = backfill(tmp_path, str(path), **changed)
    assert refused.returncode == 1 and f"this backfill began {told}" in one_line(refused.stderr)
    assert "a" * 16 not in (run.file.directory / "journal.json").read_text()
