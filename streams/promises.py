"""Promises: what the company owes a customer by a time. Pure; fed with touches in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from streams.touch import Touch, derive_id, order_key

PromiseStatus = Literal["open", "kept", "late", "broken", "withdrawn"]
Responsible = Literal["", "carrier", "warehouse", "store", "support", "messaging"]
FOREVER_MS = 2**62
HOUR_MS = 3_600_000
CASE_MS = 48 * HOUR_MS
"""A complaint is to be settled within this time, whatever was said."""
TELL_MS = 24 * HOUR_MS
"""Who asked to be told that stock is back is to be told within this time after it is."""


@dataclass(frozen=True)
class PromiseKind:
    """How one kind of promise lives. `opens` and `moves` map a type to the property that holds the promised time.

    An opening type moves the promise that is already owed on its subject; a moving type opens none. Where a type names
    no property, the time is `span_ms` after the touch, or not known yet (a wish). `settles_topic`: settled only by a
    message on that topic. A kind that `lapses` is kept when its time passes (a hold); any other stays owed until it is
    settled or withdrawn. What `informs` tells how far it has come. Only a kind that `holds` keeps its journey open.
    """

    name: str
    opens: dict[str, str | None]
    moves: dict[str, str]
    settles: frozenset[str]
    withdraws: frozenset[str]
    subject: str
    responsible: Responsible = ""
    informs: frozenset[str] = frozenset()
    settles_topic: str | None = None
    span_ms: int | None = None
    lapses: bool = False
    holds: bool = True


KINDS = (
    PromiseKind(
        "delivery",
        opens={"order_placed": "promised_by", "delivery_promised": "promised_by"},
        moves={"delivery_delayed": "promised_by"},
        settles=frozenset({"delivered", "picked_up"}),
        withdraws=frozenset({"parcel_returned", "returned"}),
        subject="order_id",
        responsible="warehouse",
        informs=frozenset({"dispatched", "out_for_delivery"}),
    ),
    PromiseKind(
        "callback",
        opens={"callback_promised": "due_at"},
        moves={},
        settles=frozenset({"callback_made"}),
        withdraws=frozenset(),
        subject="contact_id",
        responsible="support",
    ),
    PromiseKind(
        "refund",
        opens={"refund_promised": "due_at"},
        moves={},
        settles=frozenset({"refund_issued"}),
        withdraws=frozenset(),
        subject="order_id",
        responsible="store",
    ),
    PromiseKind(
        "hold",
        opens={"hold_created": "expires_at"},
        moves={},
        settles=frozenset({"hold_collected", "hold_expired"}),
        withdraws=frozenset(),
        subject="sku",
        lapses=True,
    ),
    PromiseKind(
        "complaint",
        opens={"complaint_opened": None},
        moves={},
        settles=frozenset({"complaint_resolved"}),
        withdraws=frozenset(),
        subject="case_id",
        responsible="support",
        span_ms=CASE_MS,
    ),
    PromiseKind(
        "restock",
        opens={"back_in_stock_requested": None},
        moves={},
        settles=frozenset({"notification_sent"}),
        withdraws=frozenset(),
        subject="sku",
        responsible="messaging",
        settles_topic="restock",
        holds=False,
    ),
)


def _index() -> dict[str, PromiseKind]:
    return {
        name: kind
        for kind in KINDS
        for name in (*kind.opens, *kind.moves, *kind.settles, *kind.withdraws, *kind.informs)
    }


KIND_BY_TYPE = _index()


class Promise:
    """One promise of one customer. Times are epoch milliseconds.

    `moves`: what was promised when; empty while there is no time yet. `parcels`: in how many it comes, 0: nobody said.
    """

    __slots__ = ("kind", "subject", "opening", "moves", "settling", "withdrawn", "parcels", "arrived", "informed")

    def __init__(self, kind: PromiseKind, subject: str, opening: Touch, promised_ms: int | None) -> None:
        self.kind = kind
        self.subject = subject
        self.opening = opening
        self.moves: list[tuple[int, int]] = [] if promised_ms is None else [(opening.occurred_ms, promised_ms)]
        self.settling: Touch | None = None
        self.withdrawn = False
        self.parcels = 0
        self.arrived: tuple[str, ...] = ()
        self.informed: Touch | None = None

    @property
    def requested_ms(self) -> int:
        """When it was made."""
        return self.opening.occurred_ms

    @property
    def first_promised_ms(self) -> int:
        """The time first promised; FOREVER_MS while there is none."""
        return self.moves[0][1] if self.moves else FOREVER_MS

    @property
    def latest_promised_ms(self) -> int:
        """The time last promised, even if it was moved after it had passed; FOREVER_MS while there is none."""
        return self.moves[-1][1] if self.moves else FOREVER_MS

    @property
    def settled_ms(self) -> int | None:
        """When it was fulfilled or withdrawn; None while it is owed."""
        return self.settling.occurred_ms if self.settling else None

    def broken(self, pass_by: Callable[[int], int] = lambda promised_ms: promised_ms + 1) -> tuple[int, int]:
        """The first moment at which the time promised then had passed and the promise was still owed, and that time.

        `pass_by`: the moment at which a promised time has passed, by some clock.
        """
        end = self.settled_ms if self.settled_ms is not None else FOREVER_MS
        for (said, promised), following in zip(self.moves, [*self.moves[1:], None], strict=False):
            until, passed_ms = following[0] if following else FOREVER_MS, pass_by(promised)
            if passed_ms <= min(until, end):
                return max(passed_ms, said), promised
        return FOREVER_MS, FOREVER_MS

    def broken_ms(self) -> int:
        """The first moment at which the time promised then had passed and the promise was still owed."""
        return self.broken()[0]

    def responsible(self, now_ms: int) -> Responsible:
        """Who broke it or was late; empty when nobody did."""
        if self.status(now_ms) not in ("late", "broken"):
            return ""
        if self.informed is not None and self.informed.occurred_ms < self.broken_ms():
            return "carrier"
        return self.kind.responsible

    def learn(self, touch: Touch) -> None:
        """Take in what a touch says of parcels, and that the goods are on their way."""
        details = touch.details or {}
        self.parcels = max(self.parcels, details.get("parcels") or 0)
        if self.informed is None and touch.type in self.kind.informs:
            self.informed = touch

    def take_parcel(self, touch: Touch) -> bool:
        """Count one parcel; returns whether that was all of it."""
        self.learn(touch)
        parcel = (touch.details or {}).get("parcel_id")
        if parcel is None:
            return True
        if parcel not in self.arrived:
            self.arrived += (parcel,)
        return len(self.arrived) >= self.parcels

    def copied(self) -> Promise:
        """An independent copy."""
        copy = Promise(self.kind, self.subject, self.opening, None)
        copy.moves, copy.settling, copy.withdrawn = self.moves.copy(), self.settling, self.withdrawn
        copy.parcels, copy.arrived, copy.informed = self.parcels, self.arrived, self.informed
        return copy

    @property
    def matters_until_ms(self) -> int:
        """The last moment at which a touch could concern it: an open wish outlives its journey."""
        open_until_ms = self.requested_ms if self.kind.holds else FOREVER_MS
        return open_until_ms if self.settled_ms is None else self.settled_ms

    def is_owed(self, at_ms: int) -> bool:
        """Whether it still holds its journey open at that time: neither settled nor withdrawn nor lapsed."""
        if self.settling is not None and self.settling.occurred_ms <= at_ms:
            return False
        return not (self.kind.lapses and at_ms > self.latest_promised_ms)

    def status(self, now_ms: int) -> PromiseStatus:
        """Where it stands. Kept or late is judged against the latest promised time."""
        if self.settling is not None:
            if self.withdrawn:
                return "withdrawn"
            return "kept" if self.settling.occurred_ms <= self.latest_promised_ms or self.kind.lapses else "late"
        if now_ms <= self.latest_promised_ms:
            return "open"
        return "kept" if self.kind.lapses else "broken"

    def promise_id(self, customer_key: str) -> str:
        """UUIDv5 of customer, kind, subject and opening touchpoint."""
        return derive_id(customer_key, self.kind.name, self.subject, self.opening.source, self.opening.event_id)


def _subject_of(touch: Touch, kind: PromiseKind) -> str:
    if kind.subject == "order_id":
        return touch.order_id or ""
    if kind.subject == "case_id":
        return touch.case_id or touch.order_id or ""
    details = touch.details or {}
    found = str(details.get(kind.subject) or (touch.order_id if kind.holds else None) or "")
    store_id = (details.get("store_id") or touch.store_id) if touch.type in kind.opens and not kind.holds else None
    return f"{found}@{store_id}" if found and store_id else found


class Restocks(Protocol):
    """When stock came back."""

    def first_restock(self, sku: str, store_id: str | None, after_ms: int, until_ms: int) -> tuple[int, str] | None:
        """The first restock after one moment and not after another that answers a wish, and the fact that says so."""
        ...


class PromiseBook:
    """All promises of a customer, in the order they were made; feed it touches in order. Constant time per touch."""

    __slots__ = ("promises", "wishes", "_informing", "_owed")

    def __init__(self) -> None:
        # What first told of an order's being on its way.
        self._informing: dict[str, Touch] = {}
        self.promises: list[Promise] = []
        # To be told that stock is back, open and settled.
        self.wishes: list[Promise] = []
        self._owed: dict[str, dict[str, Promise]] = {}

    def cut(self, count: int, first: Touch) -> list[Promise]:
        """Keep the first `count` promises, as they stood before the touch `first`; returns the others.

        None of those kept is owed at that point, but for kinds that hold no journey open.
        """
        gone = self.promises[count:]
        del self.promises[count:]
        self._owed.clear()
        self._informing = {s: touch for s, touch in self._informing.items() if order_key(touch) < order_key(first)}
        self.wishes = [promise for promise in self.promises if not promise.kind.holds]
        for promise in self.wishes:
            if promise.settling is not None and order_key(promise.settling) >= order_key(first):
                promise.settling = None
            if promise.settling is None:
                self._owed.setdefault(promise.kind.name, {}).setdefault(promise.subject, promise)
        return gone

    def take(self, other: PromiseBook) -> dict[int, Promise]:
        """Become an independent copy of another book; returns the copy of each promise by the original's id."""
        copies = {id(promise): promise.copied() for promise in other.promises}
        for copy in copies.values():
            self._add(copy)
        self._informing = other._informing.copy()
        self._owed = {
            kind: {subject: copies[id(promise)] for subject, promise in owed.items()}
            for kind, owed in other._owed.items()
        }
        return copies

    def apply_restocks(self, restocks: Restocks, now_ms: int) -> tuple[bool, int]:
        """Have the clocks of wishes run from the restock that answers them.

        Returns whether that changed anything, and when the next restock that is known of will.
        """
        is_changed, due_ms = False, FOREVER_MS
        for wish in self.wishes:
            sku, store_id = _product_of(wish.opening)
            until_ms = FOREVER_MS if wish.settled_ms is None else wish.settled_ms
            found = restocks.first_restock(sku, store_id, wish.requested_ms, until_ms)
            if found is not None and found[0] > now_ms:
                due_ms, found = min(due_ms, found[0]), None
            moves = [] if found is None else [(found[0], found[0] + TELL_MS)]
            is_changed = is_changed or moves != wish.moves
            wish.moves = moves
        return is_changed, due_ms

    @property
    def wished(self) -> list[str]:
        """The SKUs of which the customer asked to be told: a fact may also concern a wish that has been fulfilled."""
        return [_product_of(wish.opening)[0] for wish in self.wishes]

    def feed(self, touch: Touch) -> Promise | None:
        """Let a touch open, move, settle or withdraw a promise; returns the one it concerns.

        A touch that names no subject concerns the oldest owed promise of its kind, if it does not open one.
        """
        kind = KIND_BY_TYPE.get(touch.type)
        if kind is None:
            return None
        owed = self._owed.setdefault(kind.name, {})
        subject = _subject_of(touch, kind)
        if touch.type in kind.settles or touch.type in kind.withdraws:
            return self._settle(owed, subject, touch, kind)
        promise = owed.get(subject)
        if touch.type in kind.informs:
            return self._inform(owed, subject, touch)
        return self._promise(owed, promise, subject, touch, kind)

    def _inform(self, owed: dict[str, Promise], subject: str, touch: Touch) -> Promise | None:
        promise = owed.get(subject) if subject else next(iter(owed.values()), None)
        if subject:
            self._informing.setdefault(subject, touch)
        if promise is not None:
            promise.learn(touch)
        return promise

    def _promise(
        self, owed: dict[str, Promise], promise: Promise | None, subject: str, touch: Touch, kind: PromiseKind
    ) -> Promise | None:
        promised_ms = _promised_ms(touch, kind)
        if promised_ms is None and kind.holds:
            return None
        if promise is not None and kind.lapses and not promise.is_owed(touch.occurred_ms):
            del owed[subject]
            promise = None
        if promise is None and not subject and touch.type not in kind.opens:
            promise = next(iter(owed.values()), None)
        if promise is None and touch.type in kind.opens:
            promise = owed[subject or touch.reference] = Promise(kind, subject or touch.reference, touch, promised_ms)
            promise.informed = self._informing.get(promise.subject) if kind.informs else None
            self._add(promise)
        elif promise is not None and promised_ms is not None:
            promise.moves.append((touch.occurred_ms, promised_ms))
        if promise is not None:
            promise.learn(touch)
        return promise

    def _add(self, promise: Promise) -> None:
        self.promises.append(promise)
        if not promise.kind.holds:
            self.wishes.append(promise)

    def give_up(self) -> None:
        """Let nothing that comes later concern what is owed now: the journeys it could hold open are over."""
        kept = self._owed.get("restock")
        self._owed.clear()
        if kept:
            self._owed["restock"] = kept

    @staticmethod
    def _settle(owed: dict[str, Promise], subject: str, touch: Touch, kind: PromiseKind) -> Promise | None:
        if kind.settles_topic is not None and (touch.details or {}).get("topic") != kind.settles_topic:
            return None
        chosen = subject or next(iter(owed), "")
        if subject and not kind.holds:
            chosen = next((name for name, wish in owed.items() if _product_of(wish.opening)[0] == chosen), chosen)
        promise = owed.get(chosen)
        if promise is None or (touch.type == "delivered" and not promise.take_parcel(touch)):
            return promise
        del owed[chosen]
        promise.settling = touch
        promise.withdrawn = touch.type in kind.withdraws
        return promise


def _product_of(wish: Touch) -> tuple[str, str | None]:
    """The SKU that a wish is for, and the store if it names one."""
    details = wish.details or {}
    return str(details.get("sku") or ""), details.get("store_id") or wish.store_id


def _promised_ms(touch: Touch, kind: PromiseKind) -> int | None:
    if kind.span_ms is not None:
        return touch.occurred_ms + kind.span_ms
    named = kind.moves.get(touch.type) or kind.opens.get(touch.type)
    found: int | None = (touch.details or {}).get(named) if named else None
    return found
