import json
from pathlib import Path
from typing import Any

import pytest

from producers.simulator.__main__ import main


def lines(text: str | bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_command_writes_touchpoints_truth_and_facts(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    truth, facts = tmp_path / "truth.ndjson", tmp_path / "facts.ndjson"
    options = ["--count", "3000", "--customers", "300", "--truth", str(truth), "--facts", str(facts)]
    assert main(options) == 0
    told = lines(capfdbinary.readouterr().out)
    ids = {touchpoint["event_id"] for touchpoint in told}
    found = lines(truth.read_bytes())
    assert len(told) == 3000
    assert all(friction["exact"] and ids.issuperset(friction["touchpoints"]) for friction in found)
    assert {"long_wait", "repeat_contact", "fast_service"} <= {friction["rule"] for friction in found}
    anchors = {f"{touchpoint['source']}/{touchpoint['event_id']}" for touchpoint in told}
    assert all(friction["anchor"] in anchors for friction in found)
    assert all(friction["anchor"].endswith(f"/{friction['touchpoints'][0]}") for friction in found)
    assert "restocked" in {fact["type"] for fact in lines(facts.read_bytes())}


def test_asking_for_the_truth_changes_nothing_that_is_told(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    options = ["--count", "2000", "--customers", "200", "--anonymous-share", "0.5"]
    assert main(options) == 0
    silent = capfdbinary.readouterr().out
    assert main([*options, "--truth", str(tmp_path / "truth.ndjson")]) == 0
    assert capfdbinary.readouterr().out == silent


def test_disorder_on_the_way_out_keeps_all_and_adds_copies(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["--count", "1000", "--late-share", "0.1", "--duplicate-share", "0.1"]) == 0
    told = lines(capfdbinary.readouterr().out)
    assert len({touchpoint["event_id"] for touchpoint in told}) == 1000 < len(told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--count", "0"], "--count must be at least 1"),
        (["--customers", "0"], "at least 1 customer"),
        (["--late-share", "7"], "between 0 and 1"),
        (["--truth", "/nowhere/at/all"], "No such file"),
    ],
)
def test_a_bad_option_is_one_clear_line(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_start_without_a_zone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--start", "2026-01-01T00:00:00"])
    assert "no zone" in capsys.readouterr().err
