"""What ClickHouse holds, for people who look after the platform."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sinks.writer import ClickHouseWriter

ROWS_SQL = """
SELECT t.name, ifNull(t.total_rows, 0) FROM system.tables AS t
WHERE t.database = 'journeys' AND t.engine LIKE '%MergeTree' ORDER BY t.name
"""
LAST_SQL = "SELECT count(), max(occurred_at), max(_ingested_at) FROM journeys.touchpoints"
OPEN_SQL = "SELECT rule, count() FROM analytics.alerts WHERE status = 'open' GROUP BY rule ORDER BY rule"
DEAD_SQL = """SELECT reason, count() FROM analytics.dead_letters WHERE status != 'replayed'
GROUP BY reason ORDER BY count() DESC, reason"""


@dataclass(frozen=True)
class Stored:
    """Rows by base table (versions included), the last touchpoint, and what is wrong. Times are ISO 8601, UTC.

    Dead letters are those that have not been sent again.
    """

    rows: dict[str, int]
    last_occurred_at: str | None
    last_ingested_at: str | None
    open_alerts: dict[str, int] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)


def read_stored(admin: ClickHouseWriter) -> Stored:
    """Ask as the user who administers. Raises `Transient` or `Terminal`, one line each."""
    count, occurred_at, ingested_at = admin.query(LAST_SQL)[0]
    return Stored(
        rows={str(name): int(rows) for name, rows in admin.query(ROWS_SQL)},
        last_occurred_at=_iso(occurred_at) if count else None,
        last_ingested_at=_iso(ingested_at) if count else None,
        open_alerts={str(rule): int(rows) for rule, rows in admin.query(OPEN_SQL)},
        dead_letters={str(reason): int(rows) for reason, rows in admin.query(DEAD_SQL)},
    )


def _iso(moment: datetime) -> str:
    return str(moment.isoformat(timespec="milliseconds")).replace("+00:00", "Z")
