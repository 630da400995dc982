"""Promises: what the company owes a customer by a time. Pure; fed with touches in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streams.touch import Touch, derive_id

PromiseStatus = Literal["open", "kept", "late", "broken", "withdrawn"]
FOREVER_MS = 2**62


@dataclass(frozen=True)
class PromiseKind:
    """How one kind of promise lives. `opens` and `moves` map a type to the property that holds the promised time.

    An opening type moves the promise that is already owed on its subject; a moving type opens none. A kind that
    `lapses` is kept when its time passes (a hold); any other stays owed until settled or withdrawn.
    """

    name: str
    opens: dict[str, str]
    moves: dict[str, str]
    settles: frozenset[str]
    withdraws: frozenset[str]
    subject: str
    lapses: bool = False


KINDS = (
    PromiseKind(
        "delivery",
        opens={"order_placed": "promised_by", "delivery_promised": "promised_by"},
        moves={"delivery_delayed": "promised_by"},
        settles=frozenset({"delivered", "picked_up"}),
        withdraws=frozenset({"parcel_returned", "returned"}),
        subject="order_id",
    ),
    PromiseKind(
        "callback",
        opens={"callback_promised": "due_at"},
        moves={},
        settles=frozenset({"callback_made"}),
        withdraws=frozenset(),
        subject="contact_id",
    ),
    PromiseKind(
        "refund",
        opens={"refund_promised": "due_at"},
        moves={},
        settles=frozenset({"refund_issued"}),
        withdraws=frozenset(),
        subject="order_id",
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
)


def _index() -> dict[str, PromiseKind]:
    return {name: kind for kind in KINDS for name in (*kind.opens, *kind.moves, *kind.settles, *kind.withdraws)}


KIND_BY_TYPE = _index()


class Promise:
    """One promise of one customer. Times are epoch milliseconds."""

    __slots__ = ("kind", "subject", "opening", "moves", "settling", "withdrawn")

    def __init__(self, kind: PromiseKind, subject: str, opening: Touch, promised_ms: int) -> None:
        self.kind = kind
        self.subject = subject
        self.opening = opening
        self.moves: list[tuple[int, int]] = [(opening.occurred_ms, promised_ms)]
        self.settling: Touch | None = None
        self.withdrawn = False

    @property
    def requested_ms(self) -> int:
        """When it was made."""
        return self.opening.occurred_ms

    @property
    def first_promised_ms(self) -> int:
        """The time first promised."""
        return self.moves[0][1]

    @property
    def latest_promised_ms(self) -> int:
        """The time last promised, even if it was moved after it had passed."""
        return self.moves[-1][1]

    @property
    def settled_ms(self) -> int | None:
        """When it was fulfilled or withdrawn; None while it is owed."""
        return self.settling.occurred_ms if self.settling else None

    def broken(self) -> tuple[int, int]:
        """The first moment at which the time promised then had passed and the promise was still owed, and that time."""
        end = self.settled_ms if self.settled_ms is not None else FOREVER_MS
        for (said, promised), following in zip(self.moves, [*self.moves[1:], None], strict=True):
            until = following[0] if following else FOREVER_MS
            if promised < min(until, end):
                return max(promised + 1, said), promised
        return FOREVER_MS, FOREVER_MS

    def broken_ms(self) -> int:
        """The first moment at which the time promised then had passed and the promise was still owed."""
        return self.broken()[0]

    def copied(self) -> Promise:
        """An independent copy."""
        copy = Promise(self.kind, self.subject, self.opening, self.first_promised_ms)
        copy.moves, copy.settling, copy.withdrawn = self.moves.copy(), self.settling, self.withdrawn
        return copy

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
    return str((touch.details or {}).get(kind.subject) or touch.order_id or "")


class PromiseBook:
    """All promises of a customer, in the order they were made; feed it touches in order. Constant time per touch."""

    __slots__ = ("promises", "_owed")

    def __init__(self) -> None:
        self.promises: list[Promise] = []
        self._owed: dict[str, dict[str, Promise]] = {}

    def cut(self, count: int) -> list[Promise]:
        """Keep the first `count` promises, none of which is owed any more; returns the others."""
        gone = self.promises[count:]
        del self.promises[count:]
        self._owed.clear()
        return gone

    def take(self, other: PromiseBook) -> dict[int, Promise]:
        """Become an independent copy of another book; returns the copy of each promise by the original's id."""
        copies = {id(promise): promise.copied() for promise in other.promises}
        self.promises = list(copies.values())
        self._owed = {
            kind: {subject: copies[id(promise)] for subject, promise in owed.items()}
            for kind, owed in other._owed.items()
        }
        return copies

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
        promised_ms = (touch.details or {}).get((kind.opens | kind.moves)[touch.type])
        if promised_ms is None:
            return None
        promise = owed.get(subject)
        if promise is not None and kind.lapses and not promise.is_owed(touch.occurred_ms):
            del owed[subject]
            promise = None
        if promise is None and not subject and touch.type not in kind.opens:
            promise = next(iter(owed.values()), None)
        if promise is not None:
            promise.moves.append((touch.occurred_ms, promised_ms))
        elif touch.type in kind.opens:
            promise = self._open(owed, kind, subject or touch.reference, touch, promised_ms)
        return promise

    def give_up(self) -> None:
        """Let nothing that comes later concern what is owed now: the journeys it could hold open are over."""
        self._owed.clear()

    def _open(self, owed: dict[str, Promise], kind: PromiseKind, subject: str, touch: Touch, due_ms: int) -> Promise:
        promise = owed[subject] = Promise(kind, subject, touch, due_ms)
        self.promises.append(promise)
        return promise

    @staticmethod
    def _settle(owed: dict[str, Promise], subject: str, touch: Touch, kind: PromiseKind) -> Promise | None:
        chosen = subject or next(iter(owed), "")
        promise = owed.pop(chosen, None)
        if promise is not None:
            promise.settling = touch
            promise.withdrawn = touch.type in kind.withdraws
        return promise
