"""Alerts as they happen: from touchpoints, from time alone, and resolved; the topic and the table tell the same."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from schemas.episode import Episode
from schemas.moments import check_moment, format_epoch_ms, to_epoch_ms
from schemas.topics import FRICTION_ALERTS
from tests.integration.conftest import StartPlatform
from tests.integration.expectations import touchpoint
from tests.integration.harness import Platform, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

COLUMNS = (
    "toString(episode_id), rule, rule_version, severity, status, customer_id, toString(journey_id), subject, store_id, "
    "toUnixTimestamp64Milli(opened_at), toUnixTimestamp64Milli(last_seen_at), toUnixTimestamp64Milli(resolved_at), "
    "threshold, actual, unit, title_en, title_he, reason_en, reason_he, advice_en, advice_he, evidence"
)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_alerts_come_with_touchpoints_and_with_time_and_are_resolved(start_platform: StartPlatform) -> None:
    platform = start_platform()
    platform.wait_assigned(platform.start_worker())
    with platform.tail(FRICTION_ALERTS) as read:
        alerts = Alerts(read)
        began = now_ms()
        asked = [
            touchpoint("C-1", f"ask-{n}", began - 2 + n, "contact_started", source="support", channel="email",
                       properties={"contact_id": f"K-{n}", "topic": "delivery"})
            for n in range(2)
        ]  # fmt: skip
        queued_ms = now_ms() - 600_000 + 3_000
        queued = touchpoint("C-2", "queue", queued_ms, "queue_joined", source="store", store_id="S-1",
                            properties={"queue": "returns"})  # fmt: skip
        ordered = touchpoint("C-3", "order", now_ms(), "order_placed", order_id="O-1",
                             properties={"amount": 10.0, "currency": "ILS",
                                         "promised_by": format_epoch_ms(now_ms() + 2_000)})  # fmt: skip
        platform.send([*asked, queued, ordered])

        alerts.wait_for("repeat_contact", "C-1", "open")
        broken = alerts.wait_for("broken_promise", "C-3", "open")
        waited = alerts.wait_for("long_wait", "C-2", "open")
        assert to_epoch_ms(check_moment(waited.opened_at)) >= queued_ms + 600_000
        assert waited.actual >= 600

        delivered = touchpoint("C-3", "delivery", now_ms(), "delivered", source="delivery", order_id="O-1")
        served = touchpoint("C-2", "served", now_ms(), "service_started", source="store", store_id="S-1",
                            properties={"queue": "returns"})  # fmt: skip
        platform.send([delivered, served])
        resolved = alerts.wait_for("broken_promise", "C-3", "resolved")
        assert resolved.episode_id == broken.episode_id and resolved.version > broken.version
        assert alerts.wait_for("long_wait", "C-2", "resolved").episode_id == waited.episode_id

        platform.wait_idle()
        wait_until(lambda: alerts.latest_rows() == table_rows(platform), "the table to show what the topic says")
        before, count = alerts.latest_rows(), len(alerts.all)

        platform.send([*asked, queued, ordered, delivered, served])
        platform.wait_idle()
        time.sleep(1)
        alerts.read_on()
        assert table_rows(platform) == before == alerts.latest_rows()
        assert len(alerts.all) == count == 5
        print("seconds to the alert:", {rule: round(seconds, 3) for rule, seconds in alerts.delays().items()})


class Alerts:
    """The alerts that a topic has brought so far."""

    def __init__(self, read: Callable[[], list[Any]]) -> None:
        self._read = read
        self.all: list[Episode] = []
        self._arrived_ms: dict[tuple[str, str], int] = {}

    def read_on(self) -> None:
        for record in self._read():
            episode = Episode.model_validate_json(record.value)
            assert record.key == episode.episode_id.encode()
            self.all.append(episode)
            self._arrived_ms.setdefault((episode.rule, episode.status), record.timestamp)

    def wait_for(self, rule: str, customer: str, status: str) -> Episode:
        """The alert of a rule for a customer in a status, once it has come."""

        def has_come() -> bool:
            self.read_on()
            return any(self._is(episode, rule, customer, status) for episode in self.all)

        wait_until(has_come, f"{rule} for {customer}, {status}", seconds=20)
        return next(episode for episode in self.all if self._is(episode, rule, customer, status))

    @staticmethod
    def _is(episode: Episode, rule: str, customer: str, status: str) -> bool:
        return (episode.rule, episode.customer_id, episode.status) == (rule, customer, status)

    def latest_rows(self) -> dict[str, tuple[Any, ...]]:
        """Of each episode the state with the highest version, as `table_rows`."""
        newest: dict[str, Episode] = {}
        for episode in self.all:
            known = newest.get(episode.episode_id)
            if known is None or episode.version > known.version:
                newest[episode.episode_id] = episode
        return {identity: as_row(episode) for identity, episode in newest.items()}

    def delays(self) -> dict[str, float]:
        """From what opened an episode to its record in Kafka, by rule."""
        opened = {episode.rule: to_epoch_ms(check_moment(episode.opened_at)) for episode in self.all}
        return {rule: (self._arrived_ms[rule, "open"] - moment) / 1000 for rule, moment in opened.items()}


def as_row(episode: Episode) -> tuple[Any, ...]:
    body = json.loads(episode.model_dump_json())
    times = [
        body[name] and to_epoch_ms(check_moment(body[name])) for name in ("opened_at", "last_seen_at", "resolved_at")
    ]
    named = ("rule", "rule_version", "severity", "status", "customer_id", "journey_id", "subject", "store_id")
    texts = [body[field][language] for field in ("title", "reason", "advice") for language in ("en", "he")]
    evidence = tuple(body["evidence"])
    return (
        body["episode_id"], *(body[name] for name in named), *times, body["threshold"], body["actual"], body["unit"],
        *texts, evidence,
    )  # fmt: skip


def table_rows(platform: Platform) -> dict[str, tuple[Any, ...]]:
    """Episode id to the columns that the topic has too."""
    rows = platform.query(f"SELECT {COLUMNS} FROM analytics.alerts")
    assert len(rows) == len({row[0] for row in rows})
    return {row[0]: (*row[:-1], tuple(row[-1])) for row in rows}
