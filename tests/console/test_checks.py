"""The checks of `journeys doctor` that need no server."""

from pathlib import Path

from console.checks import Finding, run_checks
from schemas.settings import Settings


def check_rules(tmp_path: Path, rules_dir: Path | None) -> Finding:
    settings = Settings(data_dir=tmp_path, rules_dir=rules_dir)
    return {found.name: found for found in run_checks(settings)}["rules"]


def test_rules_of_ones_own_are_read_with_the_shipped_ones(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    shipped = check_rules(tmp_path, None)
    assert shipped.verdict == "ok" and shipped.detail.endswith(" are on: the shipped ones")
    assert check_rules(tmp_path, own).detail == f"{shipped.detail} and those of {own}"


def test_rules_of_ones_own_that_cannot_be_used_are_a_failure_in_one_line(tmp_path: Path) -> None:
    own = tmp_path / "own"
    absent = check_rules(tmp_path, own)
    assert absent.verdict == "fail" and "own is no directory" in absent.detail
    own.mkdir()
    (own / "mine.yaml").write_text("id: 7\n", "utf-8")
    broken = check_rules(tmp_path, own)
    assert broken.verdict == "fail" and "mine.yaml:1: id: " in broken.detail and "\n" not in broken.detail
