"""Latency: at a steady 1,000 touchpoints a second, from sending to where it can be queried, and to the alert."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks.figures import Figure, at_most, quantile
from benchmarks.ground import PARTITIONS, BenchmarkFailed, Ground, Report, wait_until
from benchmarks.live_feed import PENDING, Make, Sent, make_skewed, make_touchpoint, pending_orders, send_steadily
from benchmarks.memory import fresh_processes
from benchmarks.watching import Alert, Alerts, Visibility
from console.metrics_page import Samples

PER_SECOND = 1_000
SECONDS = 20
WARM_UP_SECONDS = 3
WANTED_QUERYABLE_SECONDS = 2.0
WANTED_ALERT_SECONDS = 1.0
WANTED_EPISODE_SECONDS = 2.0
TIMED = ("long_wait",)
QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Observed:
    """What was sent, when each of it was visible, the alerts, and what the worker said of itself."""

    sent: Sent
    measured: list[str]
    visibility: Visibility
    alerts: list[Alert]
    metrics: Samples
    cores: float

    def those(self, are_meant: Callable[[str], bool]) -> Observed:
        """The same of some touchpoints only."""
        return replace(self, measured=[event_id for event_id in self.measured if are_meant(event_id)])


def measure(count: int | None, report: Report) -> list[Figure]:
    """Send for 3 s to warm up and then `count` touchpoints (default 20,000), one worker with default settings reading.

    Raises BenchmarkFailed when a touchpoint does not become visible or no alert comes.
    """
    found = observe(count or SECONDS * PER_SECOND, report, lambda ground: None)
    return [
        *_figures("queryable", _queryable_seconds(found), WANTED_QUERYABLE_SECONDS),
        *_figures("alert", _alert_seconds(found), WANTED_ALERT_SECONDS),
        *_figures("alert_by_time", _timer_seconds(found.alerts, TIMED), WANTED_ALERT_SECONDS),
        *_worker_figures(found.metrics, "event_to_queryable"),
        *_worker_figures(found.metrics, "event_to_alert"),
        *_worker_figures(found.metrics, "flush"),
        Figure("worker_cpu", found.cores, "cores"),
    ]


def measure_pending(count: int | None, report: Report) -> list[Figure]:
    """The same with 100,000 promises pending, of which some come due while the touchpoints are sent."""
    found = observe(count or SECONDS * PER_SECOND, report, lambda ground: load_promises(ground, report))
    by_touch = _alert_seconds(found)
    by_time = _timer_seconds(found.alerts, (*TIMED, "broken_promise"))
    return [
        *_figures("episode", by_touch + by_time, WANTED_EPISODE_SECONDS),
        *_figures("episode_by_time", by_time, WANTED_EPISODE_SECONDS),
        *_figures("queryable", _queryable_seconds(found), WANTED_QUERYABLE_SECONDS),
        Figure("pending", PENDING, "promises"),
        Figure("worker_cpu", found.cores, "cores"),
    ]


def measure_skewed(count: int | None, report: Report) -> list[Figure]:
    """What those wait who share a worker with a customer of whom nearly all touchpoints are, and those who do not.

    Raises BenchmarkFailed as `measure` does.
    """
    plain, skewed = (
        observe(count or SECONDS * PER_SECOND, report, lambda ground: None, make)
        for make in (make_touchpoint, make_skewed)
    )
    hot = skewed.sent.hot
    others, its_own = skewed.those(lambda event_id: event_id not in hot), skewed.those(lambda event_id: event_id in hot)
    return [
        *_against("others_queryable", _queryable_seconds(others), _queryable_seconds(plain)),
        *_against("others_alert", _alert_seconds(others), _alert_seconds(plain)),
        *_against("hot_queryable", _queryable_seconds(its_own), _queryable_seconds(plain)),
        Figure("hot_share", len(its_own.measured) / len(skewed.measured), "of the touchpoints"),
        Figure("worker_cpu", skewed.cores, "cores", skewed.cores / plain.cores, "without"),
    ]


def observe(count: int, report: Report, prepare: Callable[[Ground], object], make: Make = make_touchpoint) -> Observed:
    """Watch a worker while touchpoints come; `prepare` what it knows before."""
    warm_up = WARM_UP_SECONDS * PER_SECOND
    total = warm_up + count
    with Ground() as ground, ground.worker() as worker:
        report("waiting for the worker's partitions")
        wait_until(lambda: worker.metrics().total("partitions_assigned") == PARTITIONS, "all partitions assigned", 60)
        prepare(ground)
        known = ground.query_count("SELECT count() FROM journeys.touchpoints")
        visibility, alerts = Visibility(ground.clickhouse_options), Alerts(ground.kafka)
        visibility.start()
        alerts.start()
        report(f"sending {PER_SECOND:,} touchpoints a second for {total / PER_SECOND:.0f} s")
        cpu_before, began = worker.cpu_seconds(), time.monotonic()
        with fresh_processes() as processes:
            sent = processes.submit(send_steadily, ground.kafka, total, PER_SECOND, make).result()
        wait_until(lambda: visibility.count_visible() >= known + total, "all touchpoints visible", 30)
        metrics, cores = worker.metrics(), (worker.cpu_seconds() - cpu_before) / (time.monotonic() - began)
        alerts.stop()
        visibility.stop()
    return Observed(sent, sorted(sent.seconds)[warm_up:], visibility, alerts.opened, metrics, cores)


def load_promises(ground: Ground, report: Report) -> None:
    """Have the worker take in orders that are promised: most for tomorrow, some for the time of the measurement."""
    now_ms = int(time.time() * 1000)
    ground.load(pending_orders(now_ms), report, PENDING)
    stored = "SELECT count() FROM journeys.promises FINAL"
    wait_until(lambda: ground.query_count(stored) >= PENDING, "all promises stored", 120)


def _queryable_seconds(observed: Observed) -> list[float]:
    sent, seen_at = observed.sent, observed.visibility.seen_at
    found = [(sent.seconds[event_id], seen_at(sent.places[event_id])) for event_id in observed.measured]
    return [seen - began for began, seen in found if seen is not None]


def _alert_seconds(observed: Observed) -> list[float]:
    """From sending the touchpoint that made an alert to the alert."""
    sent, measured = observed.sent, set(observed.measured)
    caused = [alert for alert in observed.alerts if alert.rule == "repeat_contact" and alert.last_event_id in measured]
    return [alert.arrived - sent.seconds[alert.last_event_id] for alert in caused]


def _timer_seconds(opened: list[Alert], rules: Sequence[str]) -> list[float]:
    """From the moment at which time alone made an episode to the alert."""
    return [alert.arrived - alert.opened for alert in opened if alert.rule in rules]


def _figures(name: str, seconds: list[float], wanted_seconds: float) -> list[Figure]:
    if not seconds:
        raise BenchmarkFailed(f"nothing was seen of {name}")
    values = [(f"{name}_p{share * 100:.0f}", quantile(seconds, share)) for share in QUANTILES]
    compared = [at_most(n, v, "s", wanted_seconds) if n.endswith("p95") else Figure(n, v, "s") for n, v in values]
    return [*compared, Figure(f"{name}_samples", len(seconds), "samples")]


def _against(name: str, seconds: list[float], without: list[float]) -> list[Figure]:
    if not seconds or not without:
        raise BenchmarkFailed(f"nothing was seen of {name}")
    found = [(f"{name}_p{share * 100:.0f}", quantile(seconds, share), quantile(without, share)) for share in QUANTILES]
    return [Figure(figure, value, "s", value / plain, "without") for figure, value, plain in found]


def _worker_figures(metrics: Samples, name: str) -> list[Figure]:
    found = [(share, metrics.quantile_seconds(f"{name}_seconds", share)) for share in QUANTILES]
    return [Figure(f"worker_{name}_p{share * 100:.0f}", value, "s") for share, value in found if value is not None]
