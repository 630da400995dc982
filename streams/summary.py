"""What a journey comes to: the part of its row that is counted up touch by touch. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from schemas.catalogue import BY_NAME, SOURCES, STAGES, UNKNOWN_STAGE
from streams.touch import DETAILS, Touch

Outcome = Literal["converted", "abandoned", "resolved", "unresolved", "returned", "browsing"]
MAX_PATH = 200
NO_WAIT_MS = -1

_SOURCE_INDEX: dict[str, int] = {source: index for index, source in enumerate(SOURCES)}
_STAGE_INDEX = {entry.name: STAGES.index(entry.stage) for entry in BY_NAME.values()}
_UNKNOWN_STAGE_INDEX = STAGES.index(UNKNOWN_STAGE)
_ORDER_TYPES = frozenset({"order_placed", "purchased"})
_BASKET_TYPES = frozenset({"cart_updated", "checkout_started", "payment_failed"})
_RETURN_TYPES = frozenset({"returned", "parcel_returned"})
_EFFORT_TYPES = frozenset({"contact_transferred", "order_status_viewed"})
_CONTACT_ENDS = frozenset({"contact_answered", "contact_abandoned", "contact_ended"})
_NOTABLE = _ORDER_TYPES | _BASKET_TYPES | _RETURN_TYPES | _EFFORT_TYPES | DETAILS.keys()


class Summary:
    """Counts, first times, channels, path, waits and outcome of the first `count` touches of a journey.

    `sources` and `stages` go by the order of `SOURCES` and `STAGES`; a stage not seen is 0, a wait not seen NO_WAIT_MS.
    """

    __slots__ = (
        "count", "sources", "stages", "channels", "path", "contacts", "orders", "queue_wait_ms", "contact_wait_ms",
        "transfers", "lookups", "own_channels", "_waits", "_basket", "_returned", "_resolved",
    )  # fmt: skip

    def __init__(self) -> None:
        self.count = 0
        self.sources = [0] * len(SOURCES)
        self.stages = [0] * len(STAGES)
        self.channels: list[str] = []
        self.path: list[str] = []
        self.contacts = 0
        self.orders = 0
        self.queue_wait_ms = NO_WAIT_MS
        self.contact_wait_ms = NO_WAIT_MS
        self.transfers = 0
        self.lookups = 0
        # Channels in which the customer did something.
        self.own_channels: list[str] = []
        self._waits: dict[tuple[str | None, ...], int] = {}
        self._basket = False
        self._returned = False
        self._resolved: bool | None = None

    def extend(self, touches: Sequence[Touch]) -> None:
        """Count touches that come after all others in order. Linear in their number."""
        sources, stages, channels, own_channels = self.sources, self.stages, self.channels, self.own_channels
        kinds = [touch.type for touch in touches]
        self.path += kinds[: max(MAX_PATH - self.count, 0)]
        self.count += len(kinds)
        for kind, touch in zip(kinds, touches, strict=True):
            source = touch.source
            sources[_SOURCE_INDEX[source]] += 1
            stage = _STAGE_INDEX.get(kind, _UNKNOWN_STAGE_INDEX)
            if not stages[stage]:
                stages[stage] = touch.occurred_ms
            channel = touch.channel or source
            if channel not in channels:
                channels.append(channel)
            if channel not in own_channels and source != "messaging":
                own_channels.append(channel)
            if kind in _NOTABLE:
                self._note(touch)

    def copied(self) -> Summary:
        """An independent copy."""
        copy = Summary()
        for name in self.__slots__:
            value = getattr(self, name)
            setattr(copy, name, value.copy() if isinstance(value, (list, dict)) else value)
        return copy

    def _note(self, touch: Touch) -> None:
        kind = touch.type
        if kind in _ORDER_TYPES:
            self.orders += 1
        elif kind in _BASKET_TYPES:
            self._basket = True
        elif kind in _RETURN_TYPES:
            self._returned = True
        elif kind == "contact_started":
            self.contacts += 1
            self._resolved = False if self._resolved is None else self._resolved
            self._start_wait((touch.details or {}).get("contact_id"), touch=touch)
        elif kind in _CONTACT_ENDS:
            if kind == "contact_ended":
                self._resolved = bool((touch.details or {}).get("resolved"))
            waited = self._end_wait((touch.details or {}).get("contact_id"), touch=touch)
            self.contact_wait_ms = max(self.contact_wait_ms, waited)
        elif kind == "queue_joined":
            self._start_wait(touch.store_id, (touch.details or {}).get("queue"), touch=touch)
        elif kind == "service_started":
            waited = self._end_wait(touch.store_id, (touch.details or {}).get("queue"), touch=touch)
            self.queue_wait_ms = max(self.queue_wait_ms, waited)
        elif kind == "contact_transferred":
            self.transfers += 1
        elif kind == "order_status_viewed":
            self.lookups += 1
        elif kind in ("complaint_opened", "complaint_resolved"):
            self._resolved = kind == "complaint_resolved"

    def _start_wait(self, *key: str | None, touch: Touch) -> None:
        self._waits[key] = touch.occurred_ms

    def _end_wait(self, *key: str | None, touch: Touch) -> int:
        started = self._waits.pop(key, None)
        return NO_WAIT_MS if started is None else touch.occurred_ms - started

    def outcome(self) -> Outcome:
        """How it ended so far: a return outweighs an order, an order outweighs support, support outweighs browsing."""
        if self._returned:
            return "returned"
        if self.orders:
            return "converted"
        if self._resolved is not None:
            return "resolved" if self._resolved else "unresolved"
        return "abandoned" if self._basket else "browsing"
