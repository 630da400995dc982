"""What is owed, according to the definitions: who promised what by when, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.touch import Touch
from tests.streams.oracle_found import HOUR_MS, Clock, in_order, value

FOREVER = 2**62
CLOCK = Clock()


@dataclass(frozen=True)
class Kind:
    """One kind of promise: what opens it (the property with its time, or a span), moves, settles, withdraws it."""

    subject: str
    opens: dict[str, str | int | None]
    settles: tuple[str, ...]
    moves: dict[str, str | int | None] = field(default_factory=dict)
    withdraws: tuple[str, ...] = ()
    lapses: bool = False
    responsible: str = ""


KINDS = {
    "delivery": Kind(
        "order_id",
        {"order_placed": "promised_by", "delivery_promised": "promised_by"},
        ("delivered", "picked_up"),
        {"delivery_delayed": "promised_by"},
        ("parcel_returned", "returned"),
        responsible="warehouse",
    ),
    "callback": Kind("contact_id", {"callback_promised": "due_at"}, ("callback_made",), responsible="support"),
    "refund": Kind("order_id", {"refund_promised": "due_at"}, ("refund_issued",), responsible="store"),
    "hold": Kind("sku", {"hold_created": "expires_at"}, ("hold_collected", "hold_expired"), lapses=True),
    "complaint": Kind("case_id", {"complaint_opened": 48 * HOUR_MS}, ("complaint_resolved",), responsible="support"),
    "restock": Kind("sku", {"back_in_stock_requested": None}, ("notification_sent",), responsible="messaging"),
}
TELLS_OF_PARCELS = ("order_placed", "delivery_promised", "dispatched", "delivered")
CARRIES = ("dispatched", "out_for_delivery")


@dataclass
class Owed:
    """One promise and all that became of it. `times`: (said at, promised for)."""

    kind: str
    subject: str
    opening: Touch
    times: list[tuple[int, int]]
    settling: Touch | None = None
    withdrawn: bool = False
    given_up: bool = False
    parcels: int = 0
    delivered: set[str] = field(default_factory=set)
    carried: list[int] = field(default_factory=list)

    @property
    def latest(self) -> int | None:
        return self.times[-1][1] if self.times else None

    @property
    def settled(self) -> int | None:
        return self.settling.occurred_ms if self.settling else None

    def holds(self, at: int) -> bool:
        """Whether it holds its journey open at that time, knowing only what was known then."""
        if self.kind == "restock" or self.settling is not None:
            return False
        return not (KINDS[self.kind].lapses and at > self.times[-1][1])

    def status(self, now: int) -> str:
        lapses = KINDS[self.kind].lapses
        if self.settled is None:
            is_open = self.latest is None or now <= self.latest
            return "open" if is_open else "kept" if lapses else "broken"
        if self.withdrawn:
            return "withdrawn"
        return "kept" if lapses or self.latest is None or self.settled <= self.latest else "late"

    def first_passed(self, clock: Clock = CLOCK) -> tuple[int, int]:
        """(when it was broken, promised for) of what first passed unfulfilled; (FOREVER, FOREVER) if nothing did."""
        end = FOREVER if self.settled is None else self.settled
        untils = [said for said, _ in self.times[1:]] + [FOREVER]
        for (said, due), until in zip(self.times, untils, strict=False):
            if clock.after(due, 1) <= min(until, end):
                return max(clock.after(due, 1), said), due
        return FOREVER, FOREVER

    def responsible(self, touches: Sequence[Touch], now: int) -> str:
        if self.status(now) not in ("late", "broken"):
            return ""
        if self.kind == "delivery":
            named = [t.occurred_ms for t in touches if t.type in CARRIES and t.order_id == self.subject]
            if any(at < self.first_passed()[0] for at in self.carried + named):
                return "carrier"
        return KINDS[self.kind].responsible


def subject_of(touch: Touch, kind: str) -> str | None:
    if kind == "restock":
        return value(touch, "sku")
    name = KINDS[kind].subject
    return touch.order_id if name == "order_id" else value(touch, name) or touch.order_id


def apply(touch: Touch, made: list[Owed]) -> None:
    """Let a touch open, move, settle or withdraw a promise of any kind."""
    for name in KINDS:
        subject = subject_of(touch, name)
        unsettled = [owed for owed in made if owed.kind == name and not (owed.settling or owed.given_up)]
        meant = [owed for owed in unsettled if not subject or subject == subject_of(owed.opening, name)]
        if name == "restock":
            apply_wish(touch, subject, meant, made)
        else:
            apply_promise(touch, name, subject, meant[0] if meant else None, made)


def apply_promise(touch: Touch, name: str, subject: str | None, meant: Owed | None, made: list[Owed]) -> None:
    kind, details = KINDS[name], touch.details or {}
    time = {**kind.opens, **kind.moves}.get(touch.type)
    due = touch.occurred_ms + time if isinstance(time, int) else details.get(time)  # type: ignore[arg-type]
    if (
        touch.type in kind.opens
        and due is not None
        and (meant is None or not subject or not meant.holds(touch.occurred_ms))
    ):
        if meant is not None and subject:
            # It has lapsed, and what comes concerns the second hold on that thing.
            meant.given_up = True
        meant = Owed(name, subject or f"{touch.source}/{touch.event_id}", touch, [(touch.occurred_ms, due)])
        made.append(meant)
    elif meant is not None and due is not None:
        meant.times.append((touch.occurred_ms, due))
    if meant is None:
        return
    if name == "delivery":
        note_parcels(touch, meant)
    if touch.type in kind.withdraws or (touch.type in kind.settles and is_whole(touch, meant)):
        meant.settling, meant.withdrawn = touch, touch.type in kind.withdraws


def note_parcels(touch: Touch, owed: Owed) -> None:
    details = touch.details or {}
    if touch.type in TELLS_OF_PARCELS:
        owed.parcels = max(owed.parcels, details.get("parcels") or 0)
    if touch.type == "delivered" and details.get("parcel_id"):
        owed.delivered.add(details["parcel_id"])
    if touch.type in CARRIES and not touch.order_id:
        owed.carried.append(touch.occurred_ms)


def is_whole(touch: Touch, owed: Owed) -> bool:
    """Whether nothing more is to come: of a split order, all parcels were delivered."""
    is_part = touch.type == "delivered" and (touch.details or {}).get("parcel_id")
    return not is_part or len(owed.delivered) >= owed.parcels


def apply_wish(touch: Touch, sku: str | None, meant: list[Owed], made: list[Owed]) -> None:
    if touch.type == "back_in_stock_requested" and sku:
        store = value(touch, "store_id")
        subject = f"{sku}@{store}" if store else sku
        if subject not in [owed.subject for owed in meant]:
            made.append(Owed("restock", subject, touch, []))
    elif touch.type == "notification_sent" and value(touch, "topic") == "restock" and meant:
        meant[0].settling = touch


def answer_wishes(made: Sequence[Owed], facts: Sequence[Touch]) -> None:
    """The first restock after a wish, while nobody has told the customer of any, makes it due a day later."""
    for owed in made:
        if owed.kind != "restock":
            continue
        until = FOREVER if owed.settled is None else owed.settled
        wanted = value(owed.opening, "sku"), value(owed.opening, "store_id")
        for at, sku, store in restocks(facts):
            if (
                owed.opening.occurred_ms < at <= until
                and sku == wanted[0]
                and (not store or wanted[1] in (None, store))
            ):
                owed.times = [(at, at + 24 * HOUR_MS)]
                break


def restocks(facts: Sequence[Touch]) -> list[tuple[int, str | None, str | None]]:
    """(when, product, store or None) of each restock, stated or seen from the stock."""
    found: list[tuple[int, str | None, str | None]] = []
    levels: dict[tuple[str | None, str | None], int] = {}
    for fact in sorted(facts, key=in_order):
        sku, store = value(fact, "sku"), value(fact, "store_id")
        if fact.type == "restocked":
            found.append((fact.occurred_ms, sku, store))
        elif fact.type == "stock_level":
            quantity = int(value(fact, "quantity") or 0)
            if quantity > 0 and levels.get((sku, store), 1) <= 0:
                found.append((fact.occurred_ms, sku, store))
            levels[sku, store] = quantity
    return found
