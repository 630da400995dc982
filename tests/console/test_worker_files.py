"""What is known of this machine's workers, from their notes and their pages."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge, start_http_server
from pydantic import SecretStr

from console.checks import judge_worker_rules, judge_workers
from console.commands.status import describe_worker, look
from console.metrics_page import Samples, parse_metrics
from console.worker_files import WorkerFile, WorkerLook, find_workers, judge_worker, look_at_worker, look_at_workers
from schemas.settings import Settings

FILE = WorkerFile(7, "http://127.0.0.1:1/metrics", "2026-11-24T22:00:00Z")
PLAIN = "http://127.0.0.1:1/metrics  since 2026-11-24T22:00:00Z"


def samples(*lines: str) -> Samples:
    return parse_metrics(["".join(f"journeys_{line}\n" for line in lines)])


JOINING = samples("rebalances_total 0.0", "partitions_assigned 0.0")
ALONE = samples("rebalances_total 2.0", "partitions_assigned 4.0")
GROUP = (
    'worker_process_up{process="0"} 1.0',
    'worker_process_up{process="1"} 1.0',
    'rebalances_total{process="0"} 1.0',
    'partitions_assigned{process="0"} 1.0',
    'partitions_assigned{process="1"} 0.0',
)
WHOLE = samples(*GROUP, 'rebalances_total{process="1"} 1.0')
HALF_JOINED = samples(*GROUP, 'rebalances_total{process="1"} 0.0')
HALF_SILENT = samples(GROUP[0], 'worker_process_up{process="1"} 0.0', *GROUP[2:4])


@pytest.mark.parametrize(
    ("found", "processes", "partitions", "has_joined", "shown"),
    [
        (ALONE, 1, 4, True, "4 partitions"),
        (JOINING, 1, 0, False, "joining its group"),
        (WHOLE, 2, 1, True, "1 partition in 2 processes"),
        (HALF_JOINED, 2, 1, False, "joining its group in 2 processes"),
        (samples(), 1, 0, False, "joining its group"),
    ],
    ids=["alone", "joining", "whole", "half joined", "just started"],
)
def test_a_worker_has_joined_when_each_of_its_processes_knows_its_partitions(
    found: Samples, processes: int, partitions: int, has_joined: bool, shown: str
) -> None:
    look = judge_worker(FILE, found)
    assert (look.processes, look.partitions, look.has_joined, look.faults) == (processes, partitions, has_joined, ())
    assert (look.pid, look.metrics_url, look.started_at) == (FILE.pid, FILE.metrics_url, FILE.started_at)
    assert describe_worker(look) == f"{PLAIN}  {shown}"


def test_a_process_that_does_not_answer_is_a_fault_of_a_worker_whose_page_does() -> None:
    look = judge_worker(FILE, HALF_SILENT)
    assert look.faults == ("process 1 of worker 7 does not answer",) and not look.has_joined


def test_a_worker_that_does_not_answer_is_told_with_its_address() -> None:
    look = look_at_worker(FILE)
    assert look.faults == ("worker 7 does not answer at http://127.0.0.1:1/metrics",)
    assert describe_worker(look) == PLAIN and not look.has_joined


@pytest.mark.parametrize(
    ("looks", "verdict", "told"),
    [
        ([ALONE, WHOLE], "ok", "2 on this machine, with 5 partitions"),
        ([ALONE, JOINING], "ok", "2 on this machine, with 4 partitions, 1 of them just joining"),
        ([ALONE, HALF_SILENT], "fail", "process 1 of worker 7 does not answer"),
        ([ALONE, None], "fail", "worker 7 does not answer at http://127.0.0.1:1/metrics"),
    ],
)
def test_doctor_fails_for_any_process_that_does_not_answer(
    looks: list[Samples | None], verdict: str, told: str
) -> None:
    finding = judge_workers([judge_worker(FILE, found) for found in looks])
    assert (finding.verdict, finding.detail) == (verdict, told)


@pytest.mark.parametrize(
    ("pages", "verdict", "told"),
    [
        ({}, "ok", "no worker to ask"),
        ({7: ALONE, 8: samples("rules_broken 0.0")}, "ok", "as in their files"),
        (
            {7: ALONE, 8: samples("rules_broken 1.0")},
            "fail",
            "worker 8 has a broken rule file and keeps the set of before",
        ),
        (
            {9: samples('rules_broken{process="0"} 0.0', 'rules_broken{process="1"} 1.0')},
            "fail",
            "worker 9 has a broken rule file and keeps the set of before",
        ),
    ],
    ids=["none", "whole", "broken", "one process of two"],
)
def test_a_worker_that_cannot_use_its_rule_files_is_a_failure(
    pages: dict[int, Samples], verdict: str, told: str
) -> None:
    finding = judge_worker_rules([judge_worker(replace(FILE, pid=pid), found) for pid, found in pages.items()])
    assert (finding.verdict, finding.detail) == (verdict, told)
    assert ("`JOURNEYS_RULES_DIR=… journeys rules check`" in finding.advice) == (verdict == "fail")


@contextmanager
def broken_worker(data_dir: Path) -> Iterator[int]:
    """The note of a worker that lives, and its page, on which its rules are broken; yields its process id."""
    registry = CollectorRegistry()
    Gauge("journeys_rules_broken", "", registry=registry).set(1)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        url = f"http://127.0.0.1:{server.server_port}/metrics"
        (data_dir / "workers").mkdir()
        note = json.dumps({"pid": os.getpid(), "metrics_url": url, "started_at": "now"})
        (data_dir / "workers" / "1.json").write_text(note, "utf-8")
        yield os.getpid()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_status_and_doctor_see_the_broken_rules_of_a_running_worker(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, kafka="127.0.0.1:1", clickhouse=SecretStr("clickhouse://u@127.0.0.1:1/"))
    with broken_worker(tmp_path) as pid:
        line = f"worker {pid} has a broken rule file and keeps the set of before: look into the worker's log; "
        assert [each for each in look(settings).down if each.startswith(line)]
        finding = judge_worker_rules(look_at_workers(tmp_path))
        assert finding.verdict == "fail" and f"{finding.detail}: {finding.advice}".startswith(line)


def test_workers_are_found_by_the_notes_of_those_that_live(tmp_path: Path) -> None:
    notes = tmp_path / "workers"
    notes.mkdir()
    alive = {"pid": os.getpid(), "metrics_url": "http://127.0.0.1:1/", "started_at": "now"}
    contents = {"1": json.dumps(alive), "2": json.dumps({**alive, "pid": 2**22 + 1}), "3": '{"pid": 1', "4": "[]"}
    for name, content in contents.items():
        (notes / f"{name}.json").write_text(content, "utf-8")
    assert find_workers(tmp_path) == [WorkerFile(os.getpid(), "http://127.0.0.1:1/", "now")]
    assert find_workers(tmp_path / "elsewhere") == []


def test_status_json_holds_what_is_known_of_a_worker() -> None:
    assert vars(judge_worker(FILE, ALONE)).keys() >= {"pid", "partitions", "processes", "has_joined"}
    assert isinstance(judge_worker(FILE, ALONE), WorkerLook)
