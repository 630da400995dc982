"""The same again and again: `repeat_contact`, `wismo`, `failed_deliveries`, `ping_pong`, `channel_hopping`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from producers.simulator.truth.chronicle import Chronicle
from producers.simulator.truth.friction import SubjectKind
from producers.simulator.truth.touch import Touch

Key = tuple[str, SubjectKind, str]
Subjects = Callable[[Touch], list[tuple[SubjectKind, str]]]
Measure = Callable[[Sequence[Touch]], bool]


def order_of(touch: Touch) -> list[tuple[SubjectKind, str]]:
    """What only an order holds together."""
    return [("order", touch.order_id)] if touch.order_id else []


def topic_of(touch: Touch) -> list[tuple[SubjectKind, str]]:
    """What only a topic holds together."""
    return [("topic", topic)] if (topic := touch.text("topic")) else []


def contact_of(touch: Touch) -> list[tuple[SubjectKind, str]]:
    """What only a contact holds together."""
    return [("contact", contact_id)] if (contact_id := touch.text("contact_id")) else []


def order_and_topic_of(touch: Touch) -> list[tuple[SubjectKind, str]]:
    """What an order holds together, and else a topic."""
    return order_of(touch) + topic_of(touch)


def twice(touches: Sequence[Touch]) -> bool:
    """Two of them, whatever they are."""
    return len(touches) >= 2


def three_channels(touches: Sequence[Touch]) -> bool:
    """Three different ways to ask."""
    return len({touch.channel for touch in touches if touch.channel}) >= 3


def passed_around(touches: Sequence[Touch]) -> bool:
    """Passed on twice, or in the hands of three people."""
    transfers = sum(touch.type == "contact_transferred" for touch in touches)
    return transfers >= 2 or len({touch.agent_id for touch in touches if touch.agent_id}) >= 3


class _Chain:
    __slots__ = ("first", "last_ms", "recent", "has_fired", "keys")

    def __init__(self, first: Touch) -> None:
        self.first = first
        self.last_ms = first.at_ms
        self.recent: list[Touch] = []
        self.has_fired = False
        self.keys: set[Key] = set()


class Repeats:
    """Touches chained while each follows the chain's last within a time and shares a subject with it.

    A touch joins the chain of its first subject that has a fresh one, and all its subjects then point to that chain.
    `is_enough` looks at those of the chain that are no older than the time. Memory: the chains that may still go on.
    """

    def __init__(
        self, chronicle: Chronicle, rule: str, within_ms: int, subjects_of: Subjects, is_enough: Measure = twice
    ) -> None:
        self._chronicle = chronicle
        self._rule = rule
        self._within_ms = within_ms
        self._subjects_of = subjects_of
        self._is_enough = is_enough
        self._latest: dict[Key, _Chain] = {}

    def add(self, touch: Touch) -> None:
        """Take one of the touches that this rule chains."""
        keys = self._keys(touch)
        if not keys:
            return
        # Those that are too old to go on have been forgotten.
        chain = next((self._latest[key] for key in keys if key in self._latest), None) or _Chain(touch)
        chain.last_ms = touch.at_ms
        chain.keys.update(keys)
        self._latest.update(dict.fromkeys(keys, chain))
        self._chronicle.at(touch.at_ms + self._within_ms + 1, partial(self._grow_old, chain, touch.at_ms))
        if not chain.has_fired:
            oldest_ms = touch.at_ms - self._within_ms
            chain.recent = [*(old for old in chain.recent if old.at_ms >= oldest_ms), touch]
            self._judge(chain, touch)

    def cut(self, touch: Touch) -> None:
        """End the chain that shares a subject with this touch."""
        for key in self._keys(touch):
            if key in self._latest:
                self._forget(self._latest[key])

    def _keys(self, touch: Touch) -> list[Key]:
        return [(touch.customer, kind, subject) for kind, subject in self._subjects_of(touch)]

    def _judge(self, chain: _Chain, touch: Touch) -> None:
        if self._is_enough(chain.recent):
            chain.has_fired = True
            kind, subject = self._subjects_of(chain.first)[0]
            shown = (other for other in chain.recent if other is not chain.first)
            self._chronicle.record(touch.at_ms, self._rule, kind, subject, chain.first, *shown)
            chain.recent = []

    def _grow_old(self, chain: _Chain, last_ms: int) -> None:
        if chain.last_ms == last_ms:
            self._forget(chain)

    def _forget(self, chain: _Chain) -> None:
        for key in chain.keys:
            if self._latest.get(key) is chain:
                del self._latest[key]
