"""Something happened, and then something else: `told_before_asked`, `no_human`, `first_contact_resolution`."""

from __future__ import annotations

from functools import partial

from producers.simulator.hours import DAY_MS, HOUR_MS
from producers.simulator.truth.chronicle import Chronicle
from producers.simulator.truth.friction import SubjectKind
from producers.simulator.truth.touch import Touch

_TELL_WITHIN_MS = 4 * HOUR_MS
_END_WITHIN_MS = DAY_MS
_RESOLVE_WITHIN_MS = 2 * DAY_MS
_ALONE_MS = 7 * DAY_MS


class _Replies:
    """Each beginning is true by itself at the first reply in time, unless something came between."""

    def __init__(self, chronicle: Chronicle, rule: str, kind: SubjectKind, within_ms: int) -> None:
        self._chronicle = chronicle
        self._rule = rule
        self._kind = kind
        self._within_ms = within_ms
        self._open: dict[tuple[str, str], list[Touch]] = {}

    def begin(self, touch: Touch, subject: str) -> None:
        if subject:
            key = touch.customer, subject
            self._open.setdefault(key, []).append(touch)
            self._chronicle.at(touch.at_ms + self._within_ms + 1, partial(self._pass, key, touch))

    def reply(self, touch: Touch, subject: str) -> None:
        for began in self._open.pop((touch.customer, subject), ()):
            self._chronicle.record(touch.at_ms, self._rule, self._kind, subject, began, touch)

    def interrupt(self, touch: Touch, subject: str) -> None:
        self._open.pop((touch.customer, subject), None)

    def _pass(self, key: tuple[str, str], began: Touch) -> None:
        waiting = [touch for touch in self._open.get(key, ()) if touch is not began]
        if waiting:
            self._open[key] = waiting
        else:
            self._open.pop(key, None)


class ToldBeforeAsked:
    """A delivery was moved, and within four hours the customer was told without having looked or asked."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._replies = _Replies(chronicle, "told_before_asked", "order", _TELL_WITHIN_MS)

    def delay(self, touch: Touch) -> None:
        """A delivery is moved."""
        self._replies.begin(touch, touch.order_id or "")

    def tell(self, touch: Touch) -> None:
        """The customer is told."""
        self._replies.reply(touch, touch.order_id or "")

    def ask(self, touch: Touch) -> None:
        """The customer looks, or asks about that order."""
        self._replies.interrupt(touch, touch.order_id or "")


class NoHuman:
    """A bot answered, and within a day it ended unresolved or was abandoned before a human had come."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._replies = _Replies(chronicle, "no_human", "contact", _END_WITHIN_MS)

    def meet_bot(self, touch: Touch) -> None:
        """A bot answers."""
        self._replies.begin(touch, touch.text("contact_id"))

    def give_up(self, touch: Touch) -> None:
        """It ends and helped nobody."""
        self._replies.reply(touch, touch.text("contact_id"))

    def meet_human(self, touch: Touch) -> None:
        """A human comes."""
        self._replies.interrupt(touch, touch.text("contact_id"))


class _Contact:
    __slots__ = ("start", "is_alone", "resolution")

    def __init__(self, start: Touch) -> None:
        self.start = start
        self.is_alone = True
        self.resolution: Touch | None = None


class FirstContacts:
    """A contact was resolved within two days, with no other on its order or topic in the seven days around it."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._by_id: dict[tuple[str, str], list[_Contact]] = {}
        self._about: dict[tuple[str, str, str], list[_Contact]] = {}

    def start(self, touch: Touch) -> None:
        """A contact begins."""
        contact, contact_id = _Contact(touch), touch.text("contact_id")
        self._by_id.setdefault((touch.customer, contact_id), []).append(contact)
        for key in self._keys(touch):
            beside = self._about.setdefault(key, [])
            for other in beside:
                if other.start.text("contact_id") != contact_id:
                    other.is_alone = contact.is_alone = False
            beside.append(contact)
        self._chronicle.at(touch.at_ms + _ALONE_MS + 1, partial(self._pass, contact))

    def resolve(self, touch: Touch) -> None:
        """It ends, and the matter is settled."""
        for contact in self._by_id.get((touch.customer, touch.text("contact_id")), ()):
            if contact.resolution is None and touch.at_ms <= contact.start.at_ms + _RESOLVE_WITHIN_MS:
                contact.resolution = touch

    @staticmethod
    def _keys(touch: Touch) -> list[tuple[str, str, str]]:
        named = (("order_id", touch.order_id), ("topic", touch.text("topic")))
        return [(touch.customer, name, value) for name, value in named if value]

    def _pass(self, contact: _Contact) -> None:
        start, contact_id = contact.start, contact.start.text("contact_id")
        for key in self._keys(start):
            self._about[key].remove(contact)
            if not self._about[key]:
                del self._about[key]
        same = self._by_id[start.customer, contact_id]
        same.remove(contact)
        if not same:
            del self._by_id[start.customer, contact_id]
        if contact.is_alone and contact.resolution is not None:
            at_ms = start.at_ms + _ALONE_MS + 1
            self._chronicle.record(at_ms, "first_contact_resolution", "contact", contact_id, start, contact.resolution)
