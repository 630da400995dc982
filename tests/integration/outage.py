"""Taking ClickHouse away for a while under load, and looking at what the worker does meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence

from schemas.topics import TOUCHPOINTS
from tests.faults.chaos_proxy import ChaosProxy, Mode
from tests.integration.expectations import assert_exact, expect
from tests.integration.harness import Feed, Platform, wait_until

LIMIT = 2_000
CHUNK = 500
SMALL_BUFFER = {"buffer_rows": str(LIMIT), "flush_rows": "1000", "chunk_records": str(CHUNK)}

Watch = Callable[[], None]
Outage = Callable[[Platform, Watch], None]


def suspended(seconds: float) -> Outage:
    """ClickHouse hangs: its port is open and nothing answers."""

    def hang(platform: Platform, watch: Watch) -> None:
        clickhouse = platform.stack.process("clickhouse")
        clickhouse.suspend()
        _watch_for(seconds, watch)
        clickhouse.resume()

    return hang


def down(seconds: float) -> Outage:
    """ClickHouse is killed -9 and not there for a while."""

    def stop(platform: Platform, watch: Watch) -> None:
        clickhouse = platform.stack.process("clickhouse")
        os.kill(clickhouse.pid or 0, signal.SIGKILL)
        clickhouse.stop()
        _watch_for(seconds, watch)
        clickhouse.start()
        clickhouse.wait_healthy()

    return stop


def cut_off(proxy: ChaosProxy) -> Outage:
    """The address that is asked first has gone, for good."""

    def cut(_: Platform, watch: Watch) -> None:
        proxy.switch(Mode("reset"))
        _watch_for(2, watch)

    return cut


def survive(platform: Platform, records: Sequence[Feed], outage: Outage, per_second: float) -> list[float]:
    """Feed records through an outage; returns the buffer (rows) as it was seen meanwhile. All is exact afterwards."""
    worker = platform.start_worker()
    platform.wait_assigned(worker)
    buffered: list[float] = []

    def watch() -> None:
        metrics = worker.metrics()
        assert worker.exit_code is None
        assert metrics.total("rebalances_total") == 1 and metrics.total("partitions_assigned") == platform.partitions
        buffered.append(metrics.total("buffer_rows"))

    with platform.sending(records, per_second):
        wait_until(lambda: has_begun(platform), "some progress in each partition")
        outage(platform, watch)
    platform.wait_idle()
    watch()
    assert_exact(platform, expect(records))
    return buffered


def has_begun(platform: Platform) -> bool:
    """Whether something of each partition is done: one that is still being restored holds all others up."""
    done = [number for (topic, number), offset in platform.committed().items() if topic == TOUCHPOINTS and offset]
    return len(done) == platform.partitions


def _watch_for(seconds: float, watch: Watch) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        watch()
        time.sleep(0.2)
