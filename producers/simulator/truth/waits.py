"""Waiting too long, and being served at once: `long_wait`, `fast_service`."""

from __future__ import annotations

from functools import partial

from producers.simulator.hours import MINUTE_MS, SECOND_MS
from producers.simulator.truth.chronicle import Chronicle
from producers.simulator.truth.friction import SubjectKind
from producers.simulator.truth.touch import Touch

QUEUE_THRESHOLD_MS = 10 * MINUTE_MS
CONTACT_THRESHOLDS_MS = {"phone": 3 * MINUTE_MS, "chat": MINUTE_MS}
_LONG_MS = {"queue": QUEUE_THRESHOLD_MS, **CONTACT_THRESHOLDS_MS}
_FAST_MS = {"queue": MINUTE_MS, "phone": 20 * SECOND_MS, "chat": 10 * SECOND_MS}

Key = tuple[str, str, str]
"""Customer, what kind of wait, and for what: a queue in a store, or a contact."""


class Waits:
    """From a beginning to the next end, or the next beginning, of the same queue or contact.

    A wait that has become long is forgotten: it can no more be fast, and all that ends it is of no account here.
    """

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._waiting: dict[Key, Touch] = {}

    def join_queue(self, touch: Touch) -> None:
        """Begin to wait in a queue."""
        self._begin("queue", _queue(touch), touch)

    def start_contact(self, touch: Touch) -> None:
        """Begin to wait for an answer; only on the phone and in a chat is anybody in a hurry."""
        if touch.channel in CONTACT_THRESHOLDS_MS:
            self._begin(touch.channel, touch.text("contact_id"), touch)

    def serve(self, touch: Touch) -> None:
        """Somebody serves who stood in that queue."""
        self._end("queue", _queue(touch), touch, is_service=True)

    def answer(self, touch: Touch) -> None:
        """Somebody answers, or the contact is over."""
        is_human = touch.type == "contact_answered" and touch.properties.get("by") == "human"
        for channel in CONTACT_THRESHOLDS_MS:
            self._end(channel, touch.text("contact_id"), touch, is_human)

    def _begin(self, way: str, subject: str, touch: Touch) -> None:
        key = touch.customer, way, subject
        self._waiting[key] = touch
        self._chronicle.at(touch.at_ms + _LONG_MS[way] + 1, partial(self._grow_long, key, touch))

    def _grow_long(self, key: Key, began: Touch) -> None:
        if self._waiting.get(key) is began:
            del self._waiting[key]
            _, way, subject = key
            self._chronicle.record(began.at_ms + _LONG_MS[way] + 1, "long_wait", _kind(way), subject, began)

    def _end(self, way: str, subject: str, touch: Touch, is_service: bool) -> None:
        began = self._waiting.pop((touch.customer, way, subject), None)
        if began is not None and is_service and touch.at_ms - began.at_ms <= _FAST_MS[way]:
            self._chronicle.record(touch.at_ms, "fast_service", _kind(way), subject, began, touch)


def _queue(touch: Touch) -> str:
    return "/".join(filter(None, (touch.place, touch.text("queue"))))


def _kind(way: str) -> SubjectKind:
    return "queue" if way == "queue" else "contact"
