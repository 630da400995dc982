"""When the workers count as having obeyed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from console.forgetting_workers import NO_WORKER_SECONDS, SAID, Answer, look_for_worker, wait_for_workers
from sinks.memory import MemoryWriter


class Progress(MemoryWriter):
    """Answers what positions the partitions have reached, one answer each time, the last one for good."""

    def __init__(self, *answers: Mapping[int, int]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[Mapping[str, Any]] = []

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, columnar: bool = False
    ) -> list[tuple[Any, ...]]:
        self.asked.append(parameters or {})
        return [*(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]).items()]


@pytest.mark.parametrize(
    ("answers", "running", "answer", "seconds"),
    [
        ([{0: 6, 3: 10}], True, "confirmed", 0),
        ([{}, {0: 6}, {0: 5, 3: 10}, {0: 6, 3: 10}], True, "confirmed", 0.6),
        ([{0: 5, 3: 10}], True, "not in time", 10),
        ([{}], None, "not in time", 10),
        ([{}], False, "no worker", NO_WORKER_SECONDS),
        ([{}, {0: 9, 3: 11}], False, "confirmed", 0.2),
    ],
    ids=["at once", "after a while", "one partition has not", "nobody knows", "none runs", "it has just ended"],
)
def test_each_partition_must_be_past_its_record(
    answers: list[dict[int, int]], running: bool | None, answer: Answer, seconds: float
) -> None:
    now = [0.0]

    def sleep(some: float) -> None:
        now[0] += some

    progress = Progress(*answers)
    found = wait_for_workers(progress, "journeys", {0: 5, 3: 9}, 10, lambda: running, now=lambda: now[0], sleep=sleep)
    assert found == answer and SAID[found] and now[0] == pytest.approx(seconds, abs=0.9)
    assert progress.asked[0] == {"topic": "identity-links", "group": "journeys", "partitions": (0, 3)}


@pytest.mark.parametrize("is_local", [True, False])
def test_a_group_that_cannot_be_asked_about_has_a_worker_if_this_machine_has(tmp_path: Path, is_local: bool) -> None:
    unreachable = {"bootstrap_servers": ["127.0.0.1:1"], "bootstrap_timeout_ms": 100}
    assert look_for_worker(unreachable, "journeys", tmp_path, is_local=is_local) is (False if is_local else None)
    notes = tmp_path / "workers"
    notes.mkdir()
    note = {"pid": os.getpid(), "metrics_url": "http://127.0.0.1:1/metrics", "started_at": "now"}
    (notes / "1.json").write_text(json.dumps(note), "utf-8")
    assert look_for_worker(unreachable, "journeys", tmp_path, is_local=is_local) is True


def test_nothing_to_wait_for_is_confirmed() -> None:
    assert wait_for_workers(Progress({}), "journeys", {}, 0, lambda: False) == "confirmed"
