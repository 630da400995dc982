"""Waits until the workers have obeyed: each has flushed past the records that tell it whom to forget."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from console.kafka_positions import ask_again
from console.worker_files import find_workers
from producers.servers import find_fault
from schemas.topics import IDENTITY_LINKS
from sinks.writer import Writer

POSITIONS_SQL = """SELECT partition, argMax(positions[%(topic)s], (epoch, flush)) FROM journeys.partition_progress
WHERE consumer_group = %(group)s AND partition IN %(partitions)s GROUP BY partition"""
STEP_SECONDS, LONG_STEP_SECONDS = 0.2, 1.0
NO_WORKER_SECONDS = 3.0
"""How long a group without members may still be one whose workers are just starting."""

Answer = Literal["confirmed", "no worker", "not in time"]
SAID: Mapping[Answer, str] = {
    "confirmed": "the workers have confirmed: nothing of the customer is open in their memory",
    "no worker": "no worker has confirmed; whichever starts next obeys the record before anything else",
    "not in time": "the workers have not confirmed in time; they obey as soon as they come to the record",
}


def wait_for_workers(
    clickhouse: Writer,
    group: str,
    offsets: Mapping[int, int],
    seconds: float,
    is_running: Callable[[], bool | None],
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Answer:
    """Wait until each partition's last flush is past the record at its offset.

    `is_running` says whether there is a worker, None: nobody knows. Raises as `Writer.query` does.
    """
    began = now()
    while not have_passed(clickhouse, group, IDENTITY_LINKS, offsets):
        waited = now() - began
        is_long = waited >= min(seconds, NO_WORKER_SECONDS)
        if is_long and is_running() is False:
            return "no worker"
        if waited >= seconds:
            return "not in time"
        sleep(LONG_STEP_SECONDS if is_long else STEP_SECONDS)
    return "confirmed"


def have_passed(clickhouse: Writer, group: str, topic: str, offsets: Mapping[int, int]) -> bool:
    """Whether each partition's last flush is past a topic's record at its offset. Raises as `Writer.query` does."""
    if not offsets:
        return True
    asked = {"topic": topic, "group": group, "partitions": tuple(offsets)}
    reached = dict(clickhouse.query(POSITIONS_SQL, asked))
    return all(reached.get(partition, 0) > offset for partition, offset in offsets.items())


def look_for_worker(options: Mapping[str, Any], group: str, data_dir: Path, *, is_local: bool) -> bool | None:
    """Whether the group has a member, or this machine a worker. None where neither can be told."""
    members = _count_members(options, group)
    if members or find_workers(data_dir):
        return True
    return False if members == 0 or is_local else None


def _count_members(options: Mapping[str, Any], group: str) -> int | None:
    def ask() -> Any:
        admin = KafkaAdminClient(**options)
        try:
            return admin.describe_groups([group])
        finally:
            admin.close()

    if find_fault(options) is not None:
        return None
    try:
        found = ask_again(ask)[group]
        return None if found.get("error") else len(found["members"])
    except (KafkaError, OSError, ValueError, KeyError, TypeError):
        # Small brokers answer this in ways that the library does not read.
        return None
