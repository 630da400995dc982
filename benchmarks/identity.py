"""Identity: the throughput workload with 30 % of it anonymous, half of which is identified afterwards, against itself.

A run ends with the flush that has the last anonymous touchpoint with its customer. A run whose result is not exact is
no result. The workload's day passes in seconds, so a day's lateness is allowed: what moves would be late otherwise, and
cost a new stitching from ClickHouse each time, as in a replay that is days ahead of itself.
"""

from __future__ import annotations

import json
import statistics
import zlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks import workload
from benchmarks.figures import Figure
from benchmarks.ground import BenchmarkFailed, Ground, Report, wait_until
from benchmarks.sessions import Observed
from benchmarks.throughput import JOURNEYS, SETTINGS, STEPS, Run, follow
from benchmarks.worker import Worker
from schemas.links import forgotten_hash
from schemas.moments import check_moment, format_epoch_ms, to_epoch_ms
from sinks.forgotten_table import FORGOTTEN_IDENTIFIERS

ANONYMOUS_SHARE = 0.3
IDENTIFIED_SHARE = 0.5
ROUNDS = 3
STRANGERS = "SELECT countIf(startsWith(customer_id, 'anonymous_id:')), count() FROM journeys.touchpoints FINAL"
LAST_FLUSH = "SELECT toUnixTimestamp64Milli(max(_ingested_at)) FROM journeys.partition_progress"
Record = tuple[bytes, bytes]


class Visits:
    """Hides some visits: a customer's touchpoints of one session, under an id of their own."""

    def __init__(self, records: list[Record]) -> None:
        self._records = records
        visible = Observed(workload.GAP_MS)
        for _, value in records:
            visible.note(value)
        self._starts: defaultdict[str, list[int]] = defaultdict(list)
        for customer, first_ms, *_ in visible.sessions():
            self._starts[customer].append(first_ms)
        self._last = {self._visit_of(json.loads(value)): place for place, (_, value) in enumerate(records)}
        self.observed = Observed(workload.GAP_MS)
        self.strangers: set[tuple[str, str]] = set()

    def _visit_of(self, touchpoint: dict[str, Any]) -> str:
        customer = touchpoint["identifiers"]["customer_id"]
        starts, occurred_ms = self._starts[customer], to_epoch_ms(check_moment(touchpoint["occurred_at"]))
        return f"a-{customer}-{starts[bisect_right(starts, occurred_ms) - 1]}"

    def hidden(self) -> Iterator[Record]:
        """The records to be sent; `observed` learns of each under the name at which it must end."""
        for place, (key, value) in enumerate(self._records):
            touchpoint = json.loads(value)
            visit = self._visit_of(touchpoint)
            draw = zlib.crc32(visit.encode()) % 1_000 / 1_000
            if draw >= ANONYMOUS_SHARE:
                self.observed.note(value)
                yield key, value
                continue
            is_known = draw < ANONYMOUS_SHARE * IDENTIFIED_SHARE
            customer = touchpoint["identifiers"]["customer_id"]
            yield f"anonymous_id:{visit}".encode(), _encode({**touchpoint, "identifiers": {"anonymous_id": visit}})
            self._note(touchpoint, customer if is_known else f"anonymous_id:{visit}")
            if not is_known:
                self.strangers.add((visit, touchpoint["event_id"]))
            elif self._last[visit] == place:
                login = self._login(touchpoint, customer, visit)
                self._note(login, customer)
                yield f"customer_id:{customer}".encode(), _encode(login)

    def _note(self, touchpoint: dict[str, Any], name: str) -> None:
        self.observed.note(_encode({**touchpoint, "identifiers": {"customer_id": name}}))

    @staticmethod
    def _login(touchpoint: dict[str, Any], customer: str, visit: str) -> dict[str, Any]:
        occurred_ms = to_epoch_ms(check_moment(touchpoint["occurred_at"])) + 1
        return {
            "event_id": f"login-{visit}",
            "source": "web",
            "type": "identified",
            "occurred_at": format_epoch_ms(occurred_ms),
            "identifiers": {"customer_id": customer, "anonymous_id": visit},
        }


def _encode(touchpoint: dict[str, Any]) -> bytes:
    return json.dumps(touchpoint, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Cost:
    """What one run took: touchpoints a second, and the worker's processor time for each touchpoint."""

    rate: float
    cpu_us: float


def measure(count: int | None, report: Report) -> list[Figure]:
    """Run both in turns on `count` touchpoints (default 400,000). Raises BenchmarkFailed when a result is wrong.

    A machine is not always equally fast: each hidden run is compared with the mean of the plain ones right before and
    after it, and the median of these ratios counts.
    """
    count = count or workload.COUNT
    customers = max(1, count * workload.CUSTOMERS // workload.COUNT)
    records = list(workload.generate(count, customers))
    plain, hidden = [_measure_plain(records, report)], list[Cost]()
    figures: list[Figure] = []
    for _ in range(ROUNDS):
        cost, figures = _measure_hidden(records, report)
        hidden.append(cost)
        plain.append(_measure_plain(records, report))
    return [*compare(plain, hidden), *figures]


def compare(plain: Sequence[Cost], hidden: Sequence[Cost]) -> Iterator[Figure]:
    """`hidden[n]` ran between `plain[n]` and `plain[n + 1]`."""
    beside = [(before.rate + after.rate) / 2 for before, after in pairwise(plain)]
    ratios = [each.rate / rate for each, rate in zip(hidden, beside, strict=True)]
    rate, reference = (statistics.median(each.rate for each in costs) for costs in (hidden, plain))
    cpu, plain_cpu = (statistics.median(each.cpu_us for each in costs) for costs in (hidden, plain))
    yield Figure("identity", rate, "touchpoints/s", statistics.median(ratios), "plain")
    yield Figure("identity_plain", reference, "touchpoints/s")
    for number, (each, ratio) in enumerate(zip(hidden, ratios, strict=True), 1):
        yield Figure(f"identity_round_{number}", each.rate, "touchpoints/s", ratio, "plain")
    yield Figure("identity_cpu", cpu, "µs/touchpoint", cpu / plain_cpu, "plain")


def _measure_plain(records: list[Record], report: Report) -> Cost:
    """All customers visible."""
    plain = Observed(workload.GAP_MS)
    with _caught_up(plain.watch(records), len(records), report) as (ground, _, run):
        _check(ground, plain)
    return _cost(run.seconds, run, len(records))


def _measure_hidden(records: list[Record], report: Report) -> tuple[Cost, list[Figure]]:
    """Some are hidden, and it ends when all are with their customers. Also what each step cost."""
    visits = Visits(records)
    hidden = list(visits.hidden())
    with _caught_up(hidden, len(hidden), report) as (ground, worker, run):
        # Asked of the worker first: the query costs a core as long as it is asked.
        wait_until(lambda: worker.metrics().total("identity_errands") == 0, "every history moved", 120, 0.1)
        wanted = len(visits.strangers), visits.observed.unique
        wait_until(lambda: ground.writer.query(STRANGERS) == [wanted], "every visit with its customer", 120, 0.2)
        report("checking the result")
        sessions = visits.observed.sessions()
        wait_until(lambda: ground.writer.query(JOURNEYS) == sessions, "the journeys of the workload", 60, 0.2)
        [(ended_ms,)] = ground.writer.query(LAST_FLUSH)
        metrics = worker.metrics()
    moved = metrics.by_label("identity_total", "what")
    return _cost(ended_ms / 1_000 - run.began, run, len(hidden)), [
        *(Figure(f"identity_{what}", moved.get(what, 0.0), "records") for what in ("taught", "moved", "forwarded")),
        *_steps(run, len(hidden)),
    ]


@contextmanager
def _caught_up(records: Iterable[Record], count: int, report: Report) -> Iterator[tuple[Ground, Worker, Run]]:
    """A worker that has committed so many records, and how it got there."""
    with Ground() as ground:
        # As in any installation that is in use: workers look whether who comes was erased.
        ground.writer.insert(FORGOTTEN_IDENTIFIERS, [[forgotten_hash("customer_id:erased")], ["receipt"], [1]])
        ground.load(records, report, count)
        with ground.worker(**{**SETTINGS, "allowed_lateness": "1d"}) as worker:
            yield ground, worker, follow(ground, worker, count, report)


def _cost(seconds: float, run: Run, count: int) -> Cost:
    return Cost(count / seconds, run.cpu_seconds / count * 1e6)


def _steps(run: Run, count: int) -> Iterable[Figure]:
    steps = run.metrics.by_label("step_seconds_total", "step")
    return [Figure(f"identity_{name}", steps.get(name, 0.0) / count * 1e6, "µs/touchpoint") for name in STEPS]


def _check(ground: Ground, observed: Observed) -> None:
    if ground.writer.query(JOURNEYS) != observed.sessions():
        raise BenchmarkFailed("the worker's journeys are not the sessions of the workload")
