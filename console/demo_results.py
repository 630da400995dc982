"""What the demo shows: counts, a journey with friction, questions to ask; and whether it held its promises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from console.metrics_page import Samples
from console.timeline import FIELDS, Happening, Mark
from sinks.writer import ClickHouseWriter

# The simulated shop's script makes these fire within a minute; the others may need days, and fire as it happens.
SCRIPTED_RULES = frozenset({"broken_promise", "long_wait", "repeat_contact"})
COUNTS_SQL = """
SELECT (SELECT count() FROM analytics.touchpoints), (SELECT count() FROM analytics.journeys),
       (SELECT countIf(status = 'open') FROM analytics.journeys)
"""
PICK_SQL = """
SELECT a.customer_id, toString(a.journey_id)
FROM (SELECT customer_id, journey_id, count() AS alerts, uniq(rule) AS rules, max(opened_at) AS newest
      FROM analytics.alerts WHERE status != 'withdrawn' GROUP BY customer_id, journey_id
      HAVING countIf(kind = 'friction') > 0) AS a
JOIN analytics.journeys AS j ON j.customer_id = a.customer_id AND j.journey_id = a.journey_id
WHERE j.touchpoints BETWEEN 5 AND 14
ORDER BY a.rules DESC, length(j.sources) DESC, a.newest DESC, a.customer_id LIMIT 1
"""
HAPPENINGS_SQL = """
SELECT occurred_at, source, type, order_id, store_id, channel, agent_id, properties FROM analytics.touchpoints
WHERE customer_id = %(customer_id)s AND journey_id = %(journey_id)s ORDER BY occurred_at, source, event_id
"""
MARKS_SQL = """
SELECT opened_at, rule, severity, status, reason_en, kind FROM analytics.alerts
WHERE customer_id = %(customer_id)s AND journey_id = %(journey_id)s AND status != 'withdrawn' ORDER BY opened_at
"""
QUESTIONS = (
    (
        "Where does it hurt, and how badly?",
        "SELECT rule, count() AS episodes, countIf(status = 'open') AS open, round(avg(actual)) AS average, any(unit) "
        "AS unit FROM analytics.alerts WHERE status <> 'withdrawn' GROUP BY rule ORDER BY episodes DESC",
    ),
    (
        "Do customers with friction buy less often?",
        "SELECT if(friction > 0, 'yes', 'no') AS had_friction, count() AS journeys, "
        "round(100 * countIf(outcome = 'converted') / count(), 1) AS converted_percent, "
        "round(avg(contacts), 2) AS contacts FROM analytics.journeys "
        "GROUP BY had_friction ORDER BY had_friction",
    ),
    (
        "How well are promises kept?",
        "SELECT kind, count() AS promises, countIf(status = 'kept') AS kept, countIf(status IN ('late', 'broken')) AS "
        "missed, countIf(status = 'open') AS open FROM analytics.promises GROUP BY kind ORDER BY promises DESC",
    ),
)


@dataclass(frozen=True)
class Counts:
    """One look at the running demo. Latencies are seconds of live touchpoints; None before the first."""

    sent: int = 0
    stored: int = 0
    journeys: int = 0
    open_journeys: int = 0
    open_customers: int = 0
    alerts: Mapping[str, int] = field(default_factory=dict)
    lag: int = 0
    dead_letters: int = 0
    p50_seconds: float | None = None
    p95_seconds: float | None = None

    def line(self) -> str:
        """All of it in one line."""
        alerts = ", ".join(f"{rule} {count:,}" for rule, count in self.alerts.items()) or "none yet"
        return (
            f"sent {self.sent:,}  stored {self.stored:,}  journeys {self.journeys:,} ({self.open_journeys:,} open)  "
            f"open customers {self.open_customers:,}  lag {self.lag:,}  "
            f"queryable p50 {show_seconds(self.p50_seconds)} p95 {show_seconds(self.p95_seconds)}  alerts: {alerts}"
        )


@dataclass(frozen=True)
class Outcome:
    """How a demo ended. `rules` must each have raised an alert; `stored` and `dead_letters` are this run's."""

    counts: Counts
    rules: frozenset[str]
    undelivered: int
    workers: int
    timeline_lines: int
    failures: tuple[str, ...] = ()


def show_seconds(seconds: float | None) -> str:
    """`0.84 s`, or a dash."""
    return "-" if seconds is None else f"{seconds:.2f} s"


def shortfalls(outcome: Outcome) -> list[str]:
    """What was promised and did not happen, one line each; nothing when the demo held its promises."""
    counts = outcome.counts
    missing = sorted(outcome.rules - {rule for rule, count in counts.alerts.items() if count})
    found = list(outcome.failures)
    if not counts.sent:
        found.append("no touchpoint was sent")
    if outcome.undelivered:
        found.append(f"{outcome.undelivered:,} touchpoints were not delivered to Kafka")
    if counts.stored != counts.sent:
        found.append(f"{counts.sent:,} touchpoints were sent and {counts.stored:,} can be queried")
    if not counts.journeys:
        found.append("no journey was stitched")
    if missing:
        found.append(f"no alert was seen of {', '.join(missing)}")
    if counts.lag:
        found.append(f"the worker is still {counts.lag:,} records behind")
    if counts.dead_letters:
        found.append(f"{counts.dead_letters:,} touchpoints were refused: `journeys dead-letters list` shows them")
    if not outcome.workers:
        found.append("no worker answers")
    if not outcome.timeline_lines:
        found.append("no journey with friction could be shown")
    return found


def read_counts(analyst: ClickHouseWriter, sent: int, alerts: Mapping[str, int], now: Samples, live: Samples) -> Counts:
    """Ask ClickHouse and the workers' metrics; `live` are the metrics since the live part began."""
    stored, journeys, open_journeys = analyst.query(COUNTS_SQL)[0]
    return Counts(
        sent=sent,
        stored=int(stored),
        journeys=int(journeys),
        open_journeys=int(open_journeys),
        open_customers=int(now.total("open_customers")),
        alerts=alerts,
        lag=int(now.total("lag_records")),
        dead_letters=int(now.total("dead_letters_total")),
        p50_seconds=live.quantile_seconds("event_to_queryable_seconds", 0.50),
        p95_seconds=live.quantile_seconds("event_to_queryable_seconds", 0.95),
    )


def read_journey(analyst: ClickHouseWriter) -> tuple[str, list[Happening], list[Mark]]:
    """A customer whose journey is short enough to be read and hurt; an empty name when there is none."""
    picked = analyst.query(PICK_SQL)
    if not picked:
        return "", [], []
    customer_id, journey_id = picked[0]
    asked = {"customer_id": customer_id, "journey_id": journey_id}
    happenings = [
        Happening(row[0], row[1], row[2], dict(zip(FIELDS, row[3:7], strict=True)), _properties(row[7]))
        for row in analyst.query(HAPPENINGS_SQL, asked)
    ]
    return str(customer_id), happenings, [Mark(*row) for row in analyst.query(MARKS_SQL, asked)]


def _properties(text: str) -> dict[str, Any]:
    found = json.loads(text or "{}")
    return found if isinstance(found, dict) else {}
