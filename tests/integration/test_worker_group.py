"""One worker of two processes: they share the work, and live and die as one."""

import os
import re
import signal
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from console.worker_files import find_workers
from tests.integration.conftest import StartPlatform
from tests.integration.ecom import shuffle, wait_for_progress
from tests.integration.expectations import GAP_ONLY, assert_exact, expect, read_ecom
from tests.integration.harness import Platform, WorkerProcess, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.no_cover, pytest.mark.timeout(240)]

PROCESSES = ("0", "1")


def start_group(platform: Platform) -> WorkerProcess:
    """Start a worker of two processes and wait until each has half of the partitions."""
    platform.module = "tests.integration.group_process"
    group = platform.start_worker(worker_processes=str(len(PROCESSES)))
    share = platform.partitions / len(PROCESSES)
    wait_until(lambda: assigned(group) == dict.fromkeys(PROCESSES, share), "a share for each process")
    return group


def assigned(group: WorkerProcess) -> dict[str, float]:
    return group.metrics().by_label("partitions_assigned", "process")


def members(group: WorkerProcess) -> list[psutil.Process]:
    return psutil.Process(group.pid).children(recursive=True)


def test_two_processes_share_the_work_and_one_that_dies_comes_back(
    start_platform: StartPlatform, tmp_path: Path
) -> None:
    records = shuffle(read_ecom(tmp_path)[:6_000], 31)
    platform = start_platform(**GAP_ONLY)
    group = start_group(platform)
    first, second = members(group)
    with platform.sending(records, per_second=240):
        wait_for_progress(platform)
        os.kill(first.pid, signal.SIGKILL)
        wait_for_progress(platform)
        wait_until(lambda: assigned(group) == {"0": 2, "1": 2}, "a share for each process again")
    platform.wait_idle()
    assert group.exit_code is None and second.is_running() and not first.is_running()
    assert len(re.findall(r"worker process \d ended with -9 and is started again", group.last_log_lines())) == 1
    assert_page(group, len(records))
    assert [worker.pid for worker in find_workers(platform.directory)] == [group.pid]

    left = members(group)
    assert len(left) == len(PROCESSES) and group.terminate() == 0
    assert not [process for process in left if process.is_running()]
    assert find_workers(platform.directory) == []
    assert_exact(platform, expect(records))


def assert_page(group: WorkerProcess, sent: int) -> None:
    """The page has both processes, each family once, and what both have done."""
    families = [family.name for family in text_string_to_metric_families(group.metrics_page())]
    assert len(families) == len(set(families)) and "journeys_chunk_seconds" in families
    metrics = group.metrics()
    assert metrics.by_label("worker_process_up", "process") == {"0": 1, "1": 1}
    accepted = metrics.by_label("touchpoints_accepted_total", "process")
    # The one that came back counts from 0 again.
    assert set(accepted) == set(PROCESSES) and min(accepted.values()) > 0 and sum(accepted.values()) <= sent
    wait_until(lambda: group.metrics().total("lag_records") == 0, "lag 0 on the page, which looks once a second")


def test_no_process_outlives_a_parent_that_is_killed(start_platform: StartPlatform, tmp_path: Path) -> None:
    records = shuffle(read_ecom(tmp_path)[:3_000], 32)
    platform = start_platform(**GAP_ONLY)
    group = start_group(platform)
    left = members(group)
    with platform.sending(records, per_second=1_000):
        wait_for_progress(platform)
        group.kill()
        assert not psutil.wait_procs(left, 5)[1]
        # Whoever runs the worker starts it again.
        group = start_group(platform)
    platform.wait_idle()
    assert group.terminate() == 0
    assert_exact(platform, expect(records))
