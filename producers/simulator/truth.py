"""The truth about frictions: what the simulator planted, and an exact account of the three rules of waiting,
repeating and promising, including what arose by accident.

Records of the other rules are what a story planted: each is true within its own story, but other stories of the same
customer are not consulted, and what arises by accident is not recorded.

`Ledger` is a plain computation over touchpoints in order of occurrence; it shares nothing with the worker's rules.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from producers.simulator.hours import DAY_MS, MINUTE_MS
from schemas.moments import check_moment, format_epoch_ms, to_epoch_ms

QUEUE_THRESHOLD_MS = 10 * MINUTE_MS
CONTACT_THRESHOLDS_MS = {"phone": 3 * MINUTE_MS, "chat": MINUTE_MS}
REPEAT_WINDOW_MS = 7 * DAY_MS
EXACT_RULES = frozenset({"long_wait", "repeat_contact", "broken_promise"})

SubjectKind = Literal["order", "contact", "touchpoint", "topic", "sku", "case"]


class Friction(NamedTuple):
    """One friction, or delight, that truly happened.

    `true_at_ms` is when it becomes true. A time that passes (a threshold, a promise) passes strictly: at exactly that
    millisecond nothing is wrong yet. `touchpoints` are the event ids of the first touchpoints that show it.
    """

    true_at_ms: int
    rule: str
    customer_id: str
    subject_kind: SubjectKind
    subject: str
    touchpoints: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """As written to a truth file; `exact` says that this rule's records are complete, accidents included."""
        return {
            "rule": self.rule,
            "customer_id": self.customer_id,
            "subject_kind": self.subject_kind,
            "subject": self.subject,
            "touchpoints": list(self.touchpoints),
            "true_at": format_epoch_ms(self.true_at_ms),
            "exact": self.rule in EXACT_RULES,
        }


@dataclass(slots=True)
class _Due:
    friction: Friction
    averted: bool = False


class Ledger:
    """Finds the exact frictions while touchpoints go by. Memory: open waits and promises, contacts of seven days.

    Feed `observe` in order of occurrence; it returns what became true before or at that touchpoint.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, _Due]] = []
        self._sequence = 0
        self._queues: dict[tuple[str, str | None, str], list[_Due]] = {}
        self._contacts: dict[tuple[str, str], _Due] = {}
        self._promises: dict[tuple[str, str], _Due] = {}
        self._last_contacts: dict[tuple[str, SubjectKind, str], tuple[int, str, bool]] = {}
        self._contact_ages: deque[tuple[int, tuple[str, SubjectKind, str]]] = deque()
        self._watch = {
            "queue_joined": self._join_queue,
            "service_started": self._serve,
            "contact_started": self._start_contact,
            "contact_answered": self._answer,
            "contact_abandoned": self._answer,
            "contact_ended": self._answer,
            "order_placed": self._promise,
            "delivery_promised": self._promise,
            "delivery_delayed": self._delay,
            "delivered": self._deliver,
            "picked_up": self._deliver,
        }

    def observe(self, at_ms: int, touchpoint: dict[str, Any]) -> list[Friction]:
        """Take one touchpoint, at its `occurred_at`, that carries a customer_id where its type matters here."""
        found = self.pass_time(at_ms) if self._heap and self._heap[0][0] < at_ms else []
        watch = self._watch.get(touchpoint["type"])
        if watch is not None:
            found.extend(watch(at_ms, touchpoint, touchpoint["identifiers"]["customer_id"]))
        return found

    def pass_time(self, now_ms: int) -> list[Friction]:
        """What became true because a time before `now_ms` passed and nothing had happened."""
        found = []
        while self._heap and self._heap[0][0] < now_ms:
            due = heapq.heappop(self._heap)[2]
            if not due.averted:
                found.append(due.friction)
                self._forget(due.friction)
        return found

    def _expect(self, friction: Friction) -> _Due:
        due = _Due(friction)
        self._sequence += 1
        heapq.heappush(self._heap, (friction.true_at_ms, self._sequence, due))
        return due

    def _forget(self, friction: Friction) -> None:
        # A queue's wait stays until served, at most one small entry for each: nothing else names it.
        key = (friction.customer_id, friction.subject)
        if friction.rule == "broken_promise":
            self._promises.pop(key, None)
        elif friction.subject_kind == "contact":
            self._contacts.pop(key, None)

    def _join_queue(self, at_ms: int, joined: dict[str, Any], customer: str) -> Iterator[Friction]:
        due = at_ms + QUEUE_THRESHOLD_MS
        event_id = joined["event_id"]
        friction = Friction(due, "long_wait", customer, "touchpoint", event_id, (event_id,))
        key = (customer, joined.get("store_id"), joined["properties"]["queue"])
        self._queues.setdefault(key, []).append(self._expect(friction))
        return iter(())

    def _serve(self, at_ms: int, served: dict[str, Any], customer: str) -> Iterator[Friction]:
        for due in self._queues.pop((customer, served.get("store_id"), served["properties"]["queue"]), ()):
            due.averted = True
        return iter(())

    def _start_contact(self, at_ms: int, started: dict[str, Any], customer: str) -> Iterator[Friction]:
        properties, event_id = started["properties"], started["event_id"]
        threshold_ms = CONTACT_THRESHOLDS_MS.get(started.get("channel") or "")
        if threshold_ms is not None:
            contact_id = properties["contact_id"]
            friction = Friction(at_ms + threshold_ms, "long_wait", customer, "contact", contact_id, (event_id,))
            self._contacts[customer, contact_id] = self._expect(friction)
        self._age_contacts(at_ms)
        if started.get("order_id"):
            yield from self._repeat(at_ms, event_id, (customer, "order", started["order_id"]))
        if properties.get("topic"):
            yield from self._repeat(at_ms, event_id, (customer, "topic", properties["topic"]))

    def _repeat(self, at_ms: int, event_id: str, key: tuple[str, SubjectKind, str]) -> Iterator[Friction]:
        last = self._last_contacts.get(key)
        self._last_contacts[key] = (at_ms, event_id, last is not None)
        self._contact_ages.append((at_ms, key))
        if last is not None and not last[2]:
            customer, kind, subject = key
            yield Friction(at_ms, "repeat_contact", customer, kind, subject, (last[1], event_id))

    def _age_contacts(self, now_ms: int) -> None:
        while self._contact_ages and self._contact_ages[0][0] < now_ms - REPEAT_WINDOW_MS:
            at_ms, key = self._contact_ages.popleft()
            last = self._last_contacts.get(key)
            if last is not None and last[0] == at_ms:
                del self._last_contacts[key]

    def _answer(self, at_ms: int, answered: dict[str, Any], customer: str) -> Iterator[Friction]:
        due = self._contacts.pop((customer, answered["properties"]["contact_id"]), None)
        if due is not None:
            due.averted = True
        return iter(())

    def _promise(self, at_ms: int, promised: dict[str, Any], customer: str) -> Iterator[Friction]:
        promised_by = promised["properties"].get("promised_by")
        if promised_by is not None:
            key = (customer, promised["order_id"])
            before = self._promises.get(key)
            first = before.friction.touchpoints if before else ()
            due = to_epoch_ms(check_moment(promised_by))
            if before:
                before.averted = True
            evidence = (*first, promised["event_id"])
            self._promises[key] = self._expect(Friction(due, "broken_promise", customer, "order", key[1], evidence))
        return iter(())

    def _delay(self, at_ms: int, delayed: dict[str, Any], customer: str) -> Iterator[Friction]:
        if (customer, delayed["order_id"]) in self._promises:
            return self._promise(at_ms, delayed, customer)
        return iter(())

    def _deliver(self, at_ms: int, delivered: dict[str, Any], customer: str) -> Iterator[Friction]:
        due = self._promises.pop((customer, delivered.get("order_id") or ""), None)
        if due is not None:
            due.averted = True
        return iter(())
