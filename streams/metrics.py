"""What the worker tells Prometheus. One declaration each; no customer, order or event id in a label."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

LATENCY_BUCKETS_SECONDS = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    1.5,
    2.0,
    3.0,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
    600.0,
)


HOPS = (0, 1, 2, 3, 5, 10, 100)
TIME_TO_MERGE_SECONDS = (1.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0, 7 * 86_400.0, 30 * 86_400.0)


class BulkHistogram(Collector):
    """A histogram that takes many observations at once. Not thread-safe: one thread observes."""

    def __init__(self, name: str, documentation: str, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._buckets = np.asarray(buckets, dtype=np.float64)
        self._counts = np.zeros(len(buckets) + 1, dtype=np.int64)
        self._sum = 0.0
        registry.register(self)

    def observe(self, values: Sequence[float]) -> None:
        """Count each value; NaN counts in no bucket but the last."""
        array = np.asarray(values, dtype=np.float64)
        places = np.searchsorted(self._buckets, array, side="left")
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(array.sum())

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The cumulative buckets, as Prometheus wants them."""
        cumulative = np.cumsum(self._counts)
        bounds = [*(str(float(bound)) for bound in self._buckets), "+Inf"]
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric([], list(zip(bounds, cumulative.tolist(), strict=True)), self._sum)
        yield family


class Metrics:
    """All metrics of one worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

        def counter(name: str, documentation: str, *labels: str) -> Counter:
            return Counter(f"journeys_{name}", documentation, labels, registry=registry)

        def gauge(name: str, documentation: str, *labels: str) -> Gauge:
            return Gauge(f"journeys_{name}", documentation, labels, registry=registry)

        self.accepted = counter("touchpoints_accepted_total", "touchpoints taken", "source")
        self.duplicate = counter("touchpoints_duplicate_total", "repeated touchpoints dropped", "source")
        self.late = counter("touchpoints_late_total", "touchpoints too late for their journey", "source")
        self.dead_letters = counter("dead_letters_total", "records refused", "reason")
        self.dead_letter_caps = gauge(
            "dead_letter_caps_used", "refused lately, as a share of what stops the worker", "topic", "partition"
        )
        self.alerts = counter("alerts_total", "episode states published", "rule", "status")
        self.rebalances = counter("rebalances_total", "assignments received from the group")
        self.flushes = counter("flushes_total", "flushes written")
        self.steps = counter("step_seconds_total", "time spent in each step of processing", "step")
        self.retries = counter("clickhouse_retries_total", "failed attempts that were tried again")
        self.lag = gauge("lag_records", "records between position and end", "topic", "partition")
        self.partition_time = gauge("partition_time_seconds", "partition time, since 1970", "partition")
        self.open_customers = gauge("open_customers", "customers with something open")
        self.buffer_rows = gauge("buffer_rows", "touchpoints not yet written")
        self.buffer_limit_rows = gauge("buffer_limit_rows", "buffer_rows at which reading stops")
        self.assigned = gauge("partitions_assigned", "partitions that this worker owns")
        self.last_progress = gauge("last_progress_timestamp_seconds", "when a chunk or a flush was last finished")
        self.rules = gauge("rules_in_force", "rules that are switched on")
        self.rules_broken = gauge("rules_broken", "1 when the rule files cannot be read and an older set is kept")
        self.rule_changes = counter("rule_changes_total", "times that other rules were taken over while running")
        self.facts = counter("facts_total", "facts read", "type")
        self.silent_sources = gauge("sources_silent", "1 for a source that has gone silent", "source")
        self.restore_seconds = gauge("restore_seconds", "how long the last restore of a partition took")
        self._declare_identity(registry)
        fine = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
        self.chunk_seconds = Histogram(
            "journeys_chunk_seconds", "time to process a chunk", buckets=fine, registry=registry
        )
        self.flush_seconds = Histogram(
            "journeys_flush_seconds", "time to write a flush", buckets=(*fine, 30, 60, 300), registry=registry
        )
        self.event_to_queryable = BulkHistogram(
            "journeys_event_to_queryable_seconds",
            "from a live touchpoint's occurred_at to its row in ClickHouse",
            LATENCY_BUCKETS_SECONDS,
            registry,
        )
        self.event_to_alert = BulkHistogram(
            "journeys_event_to_alert_seconds",
            "from the touchpoint or due time that made a live alert to its record in Kafka",
            LATENCY_BUCKETS_SECONDS,
            registry,
        )

    def _declare_identity(self, registry: CollectorRegistry) -> None:
        self.identity = Counter(
            "journeys_identity_total", "what was learned of identity, and what was sent on for it", ["what"],
            registry=registry,
        )  # fmt: skip
        self.identity_errands = Gauge(
            "journeys_identity_errands", "identifiers that wait to be looked up, moved or stitched anew",
            registry=registry,
        )  # fmt: skip
        self.identity_hops = BulkHistogram(
            "journeys_identity_hops", "links between what a touchpoint names and its customer", HOPS, registry
        )
        self.time_to_merge = BulkHistogram(
            "journeys_identity_time_to_merge_seconds",
            "from the first touchpoint under an identifier to the one that says whose it is",
            TIME_TO_MERGE_SECONDS,
            registry,
        )

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Count what is spent in here as a step's time."""
        began = time.perf_counter()
        yield
        self.steps.labels(step).inc(time.perf_counter() - began)

    def count_touchpoints(
        self, accepted: Mapping[str, int], duplicate: Mapping[str, int], late: Mapping[str, int]
    ) -> None:
        """Count what became of touchpoints, by source."""
        for counter, counts in ((self.accepted, accepted), (self.duplicate, duplicate), (self.late, late)):
            for source, count in counts.items():
                counter.labels(source).inc(count)
