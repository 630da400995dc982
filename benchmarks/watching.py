"""Watching from outside when touchpoints become queryable and alerts arrive, each against this machine's clock."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks.ground import PARTITIONS
from schemas.moments import check_moment, to_epoch_ms
from schemas.topics import FRICTION_ALERTS
from sinks.writer import ClickHouseWriter

POLL_SECONDS = 0.03
VISIBLE = "SELECT _partition, max(_offset) FROM journeys.touchpoints GROUP BY _partition"
"""A flush's rows of a partition become visible together and in order, so the highest offset tells of all before it."""


class Watch(threading.Thread):
    """Looks again and again until told to stop; then `stop` raises what went wrong."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._stopping = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Look until stopped."""
        try:
            while not self._stopping.is_set():
                self.look()
        except BaseException as error:
            self._error = error

    def look(self) -> None:
        """Look once."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop looking. Raises what ended it before."""
        self._stopping.set()
        self.join()
        if self._error is not None:
            raise self._error


class Visibility(Watch):
    """When which offset of each partition was seen by a query."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._writer = ClickHouseWriter(options)
        self._highest: dict[int, int] = {}
        self._seen: dict[int, list[tuple[int, float]]] = {}

    def look(self) -> None:
        """Ask once, and note the time of the answer where it says something new."""
        rows = self._writer.query(VISIBLE)
        now = time.time()
        for partition, offset in rows:
            if offset > self._highest.get(partition, -1):
                self._highest[partition] = offset
                self._seen.setdefault(partition, []).append((offset, now))
        time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """See `Watch.stop`."""
        super().stop()
        self._writer.close()

    def seen_at(self, place: tuple[int, int]) -> float | None:
        """Epoch seconds at which a (partition, offset) had become visible; None if it never was."""
        partition, offset = place
        return next((moment for highest, moment in self._seen.get(partition, []) if highest >= offset), None)

    def count_visible(self) -> int:
        """How many records are visible."""
        return sum(highest + 1 for highest in self._highest.values())


@dataclass(frozen=True)
class Alert:
    """A first state of an episode. Times are epoch seconds."""

    rule: str
    opened: float
    arrived: float
    last_event_id: str


class Alerts(Watch):
    """What comes on the topic of alerts, and when."""

    def __init__(self, servers: str) -> None:
        super().__init__()
        options = {"bootstrap.servers": servers, "group.id": "watch", "enable.auto.commit": False}
        self._consumer = Consumer({**options, "fetch.queue.backoff.ms": 10, "fetch.wait.max.ms": 20})
        places = [TopicPartition(FRICTION_ALERTS, number, OFFSET_BEGINNING) for number in range(PARTITIONS)]
        self._consumer.assign(places)
        self.opened: list[Alert] = []

    def look(self) -> None:
        """Take what has come."""
        for message in self._consumer.consume(500, POLL_SECONDS):
            now = time.time()
            if message.error() is None:
                self._note(json.loads(message.value() or b""), now)

    def _note(self, episode: dict[str, Any], now: float) -> None:
        if episode["status"] == "open":
            opened = to_epoch_ms(check_moment(episode["opened_at"])) / 1000
            self.opened.append(Alert(episode["rule"], opened, now, episode["evidence"][-1].partition("/")[2]))

    def stop(self) -> None:
        """See `Watch.stop`."""
        super().stop()
        self._consumer.close()
