"""Latency: at a steady 1,000 touchpoints a second, from sending to where it can be queried, and to the alert."""

from __future__ import annotations

import time

from benchmarks.figures import Figure, at_most, quantile
from benchmarks.ground import PARTITIONS, BenchmarkFailed, Ground, Report, wait_until
from benchmarks.live_feed import Sent, send_steadily
from benchmarks.memory import fresh_processes
from benchmarks.watching import Alert, Alerts, Visibility
from console.metrics_page import Samples

PER_SECOND = 1_000
SECONDS = 20
WARM_UP_SECONDS = 3
WANTED_QUERYABLE_SECONDS = 2.0
WANTED_ALERT_SECONDS = 1.0
QUANTILES = (0.5, 0.95, 0.99)


def measure(count: int | None, report: Report) -> list[Figure]:
    """Send for 3 s to warm up and then `count` touchpoints (default 20,000), one worker with default settings reading.

    Raises BenchmarkFailed when a touchpoint does not become visible or no alert comes.
    """
    warm_up = WARM_UP_SECONDS * PER_SECOND
    total = warm_up + (count or SECONDS * PER_SECOND)
    with Ground() as ground, ground.worker() as worker:
        report("waiting for the worker's partitions")
        wait_until(lambda: worker.metrics().total("partitions_assigned") == PARTITIONS, "all partitions assigned", 60)
        visibility, alerts = Visibility(ground.clickhouse_options), Alerts(ground.kafka)
        visibility.start()
        alerts.start()
        report(f"sending {PER_SECOND:,} touchpoints a second for {total / PER_SECOND:.0f} s")
        cpu_before, began = worker.cpu_seconds(), time.monotonic()
        with fresh_processes() as processes:
            sent = processes.submit(send_steadily, ground.kafka, total, PER_SECOND).result()
        wait_until(lambda: visibility.count_visible() >= total, "all touchpoints visible", 30)
        metrics, cores = worker.metrics(), (worker.cpu_seconds() - cpu_before) / (time.monotonic() - began)
        alerts.stop()
        visibility.stop()
    measured = sorted(sent.seconds)[warm_up:]
    return [
        *_figures("queryable", _queryable_seconds(sent, visibility, measured), WANTED_QUERYABLE_SECONDS),
        *_figures("alert", _alert_seconds(sent, alerts.opened, set(measured)), WANTED_ALERT_SECONDS),
        *_figures("alert_by_time", _timer_seconds(alerts.opened), WANTED_ALERT_SECONDS),
        *_worker_figures(metrics, "event_to_queryable"),
        *_worker_figures(metrics, "event_to_alert"),
        *_worker_figures(metrics, "flush"),
        Figure("worker_cpu", cores, "cores"),
    ]


def _queryable_seconds(sent: Sent, visibility: Visibility, measured: list[str]) -> list[float]:
    found = [(sent.seconds[event_id], visibility.seen_at(sent.places[event_id])) for event_id in measured]
    return [seen - began for began, seen in found if seen is not None]


def _alert_seconds(sent: Sent, opened: list[Alert], measured: set[str]) -> list[float]:
    """From sending the touchpoint that made an alert to the alert."""
    caused = [alert for alert in opened if alert.rule == "repeat_contact" and alert.last_event_id in measured]
    return [alert.arrived - sent.seconds[alert.last_event_id] for alert in caused]


def _timer_seconds(opened: list[Alert]) -> list[float]:
    """From the moment at which a wait became too long to the alert."""
    return [alert.arrived - alert.opened for alert in opened if alert.rule == "long_wait"]


def _figures(name: str, seconds: list[float], wanted_seconds: float) -> list[Figure]:
    if not seconds:
        raise BenchmarkFailed(f"nothing was seen of {name}")
    values = [(f"{name}_p{share * 100:.0f}", quantile(seconds, share)) for share in QUANTILES]
    compared = [at_most(n, v, "s", wanted_seconds) if n.endswith("p95") else Figure(n, v, "s") for n, v in values]
    return [*compared, Figure(f"{name}_samples", len(seconds), "samples")]


def _worker_figures(metrics: Samples, name: str) -> list[Figure]:
    found = [(share, metrics.quantile_seconds(f"{name}_seconds", share)) for share in QUANTILES]
    return [Figure(f"worker_{name}_p{share * 100:.0f}", value, "s") for share, value in found if value is not None]
