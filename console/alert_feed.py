"""Follows the topic `friction-alerts` in a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from console.alert_lines import AlertBook, parse_alert
from producers.emitters import explain
from schemas.episode import Episode
from schemas.topics import FRICTION_ALERTS

POLL_MS = 300


class AlertFeed:
    """A context manager. Reads every alert state from the start of the topic, without a group and without commits.

    `failure` is one line once reading has ended for good.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._book = AlertBook()
        self._fresh: deque[Episode] = deque()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="alert-feed", daemon=True)
        self.failure: str | None = None

    def __enter__(self) -> AlertFeed:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(10.0)

    def latest(self, count: int) -> list[Episode]:
        """The states that came last, the newest first."""
        with self._lock:
            return self._book.latest(count)

    def by_rule(self) -> dict[str, int]:
        """Episodes by rule."""
        with self._lock:
            return self._book.by_rule()

    def take_fresh(self) -> list[Episode]:
        """The states that came since this was last called, the oldest first."""
        with self._lock:
            fresh = list(self._fresh)
            self._fresh.clear()
            return fresh

    def _follow(self) -> None:
        try:
            consumer = KafkaConsumer(
                **self._options, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
            )
            try:
                partitions = consumer.partitions_for_topic(FRICTION_ALERTS) or set()
                consumer.assign([TopicPartition(FRICTION_ALERTS, number) for number in partitions])
                consumer.seek_to_beginning()
                while not self._stopping.is_set():
                    self._read(consumer)
            finally:
                consumer.close(autocommit=False)
        except (KafkaError, OSError, ValueError) as error:
            self.failure = f"alerts cannot be read: {explain(error)}"

    def _read(self, consumer: Any) -> None:
        for records in consumer.poll(timeout_ms=POLL_MS).values():
            for record in records:
                episode = parse_alert(record.value)
                with self._lock:
                    if episode is not None and self._book.add(episode):
                        self._fresh.append(episode)
