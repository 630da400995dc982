"""Small worlds for hypothesis: few customers, the types that matter, times on a grid that hits every boundary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from streams.policy import Policy
from streams.stitching import StitchingRules
from streams.touch import Touch
from tests.streams.lives import Seen, Step
from tests.streams.oracle import HOUR_MS, Expected, Limits, expect
from tests.streams.scene_rules import CALENDARS, PLAN, RULES

START_MS = 1_700_000_000_000 // HOUR_MS * HOUR_MS
GAP_HOURS, MAX_GAP_HOURS = 8, 20
CUSTOMERS = ("customer_id:A", "customer_id:B")


def at(hours: float, plus_ms: int = 0) -> int:
    """A time on the grid, or just past it."""
    return START_MS + int(hours * HOUR_MS) + plus_ms


def policy(lateness_hours: int, hold_open: bool = True) -> Policy:
    gaps = GAP_HOURS * HOUR_MS, MAX_GAP_HOURS * HOUR_MS
    return Policy(StitchingRules(*gaps, lateness_hours * HOUR_MS, hold_open), PLAN, snapshot_touches=2)


def limits(hold_open: bool = True) -> Limits:
    return Limits(GAP_HOURS * HOUR_MS, MAX_GAP_HOURS * HOUR_MS, hold_open)


def expected(seen: Iterable[Seen], now_ms: int, told: Iterable[Touch] = (), hold_open: bool = True) -> Expected:
    """What the oracle says under the rules of these scenes."""
    return expect(seen, limits(hold_open), RULES, now_ms, told, CALENDARS)


WANDERS = ("page_viewed", "cart_updated", "gift_given", "visit_started", "order_placed")
CALLS = ("contact_started", "contact_started", "contact_answered", "contact_ended", "contact_abandoned")
TELLS = ("notification_sent topic=delay", "notification_sent topic=ready")
BOUGHT = ("order_placed", "purchased")
THEMES: dict[str, tuple[tuple[str, ...], ...]] = {
    "orders": (
        ("order_placed", "delivery_delayed", "delivery_promised", "delivered", "parcel_returned", "page_viewed"),
        ("order_placed", "delivery_delayed", "delivered", "picked_up", "contact_started", "order_status_viewed"),
        ("delivery_delayed", "delivery_delayed", "contact_started", "delivered", *TELLS),
        ("order_placed", "delivery_promised", "delivery_failed", "delivery_delayed", "delivered", "delivered"),
        ("delivery_promised", "dispatched", "out_for_delivery", "delivered", "delivered", "delivered"),
        ("dispatched", "dispatched", "out_for_delivery", "delivery_failed", "order_status_viewed", "delivery_delayed"),
        ("delivery_failed", "delivery_failed", "delivery_failed", "delivered", "picked_up", "page_viewed"),
        ("order_status_viewed", "order_status_viewed", "contact_started topic=delivery", "delivered", *TELLS),
    ),
    "waits": (
        ("queue_joined", "queue_joined", "service_started", *WANDERS),
        ("queue_joined", "service_started", "cart_updated", "checkout_started", "payment_failed", *BOUGHT),
        ("queue_joined", "contact_started channel=phone", "visit_started", "searched", "gift_given"),
        ("contact_started channel=phone", "contact_started channel=chat", *CALLS[2:], "cart_updated"),
    ),
    "contacts": (
        (*CALLS, "callback_promised", "callback_made"),
        (*CALLS, *WANDERS),
        ("contact_answered", "contact_answered", "contact_transferred", "contact_transferred", "contact_ended"),
        ("contact_answered by=bot", "contact_answered", "contact_ended", "contact_ended", "contact_abandoned"),
        ("contact_started", "contact_started", "contact_ended resolved=true", "page_viewed"),
        ("contact_started", "contact_ended resolved=true"),
        ("contact_started segment=gold", "contact_started", "callback_made", "contact_ended", "gift_given"),
        ("contact_started", "contact_started topic=delivery", "contact_started topic=delivery channel=email"),
    ),
    "opinions": (
        ("payment_failed", "payment_failed", "payment_failed", "checkout_started", *BOUGHT),
        ("survey_answered", "review_posted", "social_mention", "contact_answered", "callback_made", *WANDERS),
        ("survey_answered metric=nps", "survey_answered metric=csat", "contact_answered", "gift_given"),
        ("complaint_opened", "complaint_resolved", "refund_promised", "refund_issued", "page_viewed"),
        ("callback_promised", "callback_made", "refund_promised", "refund_issued", "returned"),
    ),
    "stock": (
        ("hold_created", "hold_created", "hold_collected", "hold_expired", "notification_sent topic=hold"),
        ("back_in_stock_requested", "back_in_stock_requested", "notification_sent topic=restock", "page_viewed"),
        ("back_in_stock_requested", "notification_sent topic=restock", "visit_started", "gift_given"),
        ("stock_shown", "stock_shown", "stock_checked", "item_unavailable"),
        ("stock_shown", "stock_checked", "cart_updated", "hold_created", "back_in_stock_requested"),
        ("stock_shown in_stock=true", "item_unavailable", "visit_started", "cart_updated", "purchased"),
    ),
}
"""Few types at a time, so that they meet; some with what they say."""
TYPES = tuple(sorted({kind.split()[0] for themes in THEMES.values() for theme in themes for kind in theme}))
THEMES["everything"] = (TYPES,)
ALL_THEMES = tuple(theme for themes in THEMES.values() for theme in themes)

SAID: dict[str, tuple[Any, ...]] = {
    "contact_id": ("K-1", "K-2"),
    "sku": ("P-1", "P-2"),
    "order_id": ("O-1", "O-2", None),
    "case_id": ("C-1", None, "C-2"),
    "store_id": ("S", None, "T"),
    "topic": ("delivery", "bill", None),
    "by": ("human", "bot"),
    "resolved": (False, True),
    "in_stock": (True, False),
    "queue": ("Q-1", "Q-2"),
    "metric": ("nps", "csat", "ces"),
    "score": (1, 2, 3, 6, 7, 9),
    "rating": (2, 3, 4, 5),
    "sentiment": ("positive", "negative"),
    "segment": ("gold", None),
    "parcel_id": ("p1", "p2", "p3", None),
    "parcels": (None, 1, 2, 3),
    "channel": ("phone", "chat", "email", None),
    "agent_id": ("a", "b", "c", None),
    "notified": ("delay", "ready", "restock", "hold", "offer"),
}
"""What properties and fields say; None: nothing."""
NAMES = ("contact_id", "sku", "order_id", "case_id", "queue", "topic")
ONE_MATTER = {name: (SAID[name][0], *({None} & {*SAID[name]})) for name in NAMES}
"""What tells one matter from another: in some worlds there is only one of each, named or not."""
FIELDS = {"order_id", "case_id", "store_id", "agent_id", "channel"}
CONTACT, PARCEL, STOCK = ("contact_id", "channel"), ("order_id", "parcels", "parcel_id"), ("sku", "in_stock")
PROPERTIES: dict[str, tuple[str, ...]] = {
    "queue_joined": ("queue", "store_id"), "service_started": ("queue", "store_id"), "visit_started": ("store_id",),
    "contact_started": (*CONTACT, "topic", "order_id", "segment"), "contact_answered": (*CONTACT, "by", "agent_id"),
    "contact_transferred": (*CONTACT, "agent_id"), "contact_ended": (*CONTACT, "resolved", "agent_id"),
    "contact_abandoned": CONTACT, "callback_promised": CONTACT, "callback_made": CONTACT,
    "order_placed": ("order_id",), "order_status_viewed": ("order_id",), "purchased": ("store_id",),
    "delivery_promised": ("order_id", "parcels"), "delivery_delayed": ("order_id",), "delivery_failed": ("order_id",),
    "dispatched": PARCEL, "out_for_delivery": ("order_id",), "delivered": PARCEL, "picked_up": ("order_id",),
    "parcel_returned": ("order_id",), "returned": ("order_id",), "refund_promised": ("order_id",),
    "refund_issued": ("order_id",), "hold_created": ("sku",), "hold_collected": ("sku",), "hold_expired": ("sku",),
    "complaint_opened": ("case_id", "order_id", "topic"), "complaint_resolved": ("case_id", "order_id"),
    "back_in_stock_requested": ("sku", "store_id"), "notification_sent": ("order_id", "sku"),
    "stock_shown": (*STOCK, "store_id"), "stock_checked": (*STOCK, "store_id"), "item_unavailable": ("sku", "store_id"),
    "cart_updated": ("sku", "store_id"), "survey_answered": ("metric", "score", "order_id"),
    "review_posted": ("rating",), "social_mention": ("sentiment",), "gift_given": ("order_id",),
}  # fmt: skip
MAY_NOT_SAY = {"notification_sent", "hold_collected", "hold_expired"}
OWN_STORE = {"stock_shown", "back_in_stock_requested"}
"""Types that have `store_id` among their properties."""
DUE = {
    "order_placed": "promised_by", "delivery_promised": "promised_by", "delivery_delayed": "promised_by",
    "callback_promised": "due_at", "refund_promised": "due_at", "hold_created": "expires_at",
}  # fmt: skip


WISHES = {"complaint_opened", "back_in_stock_requested"}
WITHOUT_PROMISES = tuple(
    theme for theme in ALL_THEMES if not WISHES.union(DUE).intersection(kind.split()[0] for kind in theme)
)


@dataclass(frozen=True)
class Grid:
    """When things happen in a world: at every `step` hours of a span, give or take some milliseconds."""

    span_hours: int
    step_hours: int
    off_ms: tuple[int, ...]


GRIDS = st.builds(
    Grid, st.sampled_from((8, 16, 48)), st.sampled_from((1, 2, 2, 3)), st.sampled_from(((0,), (0, 0, 1), (0, 1, -1)))
)
"""In a short time more of them meet; in a long one there are several journeys."""
LONG_GRIDS = st.builds(Grid, st.sampled_from((20, 40, 120)), st.sampled_from((1, 2)), st.just((0, 0, 1, -1)))


@st.composite
def touches(draw: st.DrawFn, event_id: str, grid: Grid, types: tuple[str, ...], one_matter: bool) -> Touch:
    """One touch with all that its type may say."""
    kind, *given = draw(st.sampled_from(types)).split()
    hours = draw(st.integers(0, grid.span_hours // grid.step_hours)) * grid.step_hours
    moment, source = at(hours, draw(st.sampled_from(grid.off_ms))), draw(st.sampled_from(("web", "support")))
    said: dict[str, Any] = {}
    for name in PROPERTIES.get(kind, ()):
        said[name] = draw(st.sampled_from(ONE_MATTER[name] if one_matter and name in ONE_MATTER else SAID[name]))
    if kind == "notification_sent":
        said["topic"] = draw(st.sampled_from(SAID["notified"]))
    if kind in MAY_NOT_SAY and draw(st.booleans()):
        said.pop("sku")
    if kind in DUE and (kind != "order_placed" or draw(st.integers(0, 3))):
        said[DUE[kind]] = at(hours + draw(st.integers(-2, 24)))
    said |= {name: {"true": True, "false": False}.get(text, text) for name, text in (part.split("=") for part in given)}
    fields = {name: said.pop(name, None) for name in FIELDS - ({"store_id"} if kind in OWN_STORE else set())}
    return Touch(moment, source, event_id, kind, 0, **fields, details={n: v for n, v in said.items() if v is not None})


@st.composite
def facts(draw: st.DrawFn, span_hours: int = 48) -> list[Touch]:
    """What is said of stock, as touches: what they say is in `details`."""
    found: list[Touch] = []
    sku = draw(st.sampled_from(SAID["sku"]))
    span_hours = draw(st.sampled_from((span_hours // 6, span_hours)))
    for number in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(("restocked", "stock_level", "stock_level")))
        moment = at(draw(st.integers(0, span_hours)), draw(st.sampled_from((0, 0, 1, -1))))
        said = {"sku": sku, "store_id": draw(st.sampled_from(SAID["store_id"]))}
        if kind == "stock_level":
            said |= {"quantity": draw(st.sampled_from((0, 1, 0, 2))), "store_id": said["store_id"] or "S"}
        details = {name: value for name, value in said.items() if value is not None}
        found.append(Touch(moment, "store", f"f{number}", kind, number, details=details))
    return found


@st.composite
def worlds(
    draw: st.DrawFn,
    max_events: int = 10,
    grids: st.SearchStrategy[Grid] = GRIDS,
    versions: bool = True,
    themes: tuple[tuple[str, ...], ...] = ALL_THEMES,
) -> list[Seen]:
    """A set of touchpoints; with `versions`, some come again with other contents, received later or earlier."""
    seen: list[Seen] = []
    types, grid, one_matter = draw(st.sampled_from(themes)), draw(grids), draw(st.booleans())
    customers = CUSTOMERS[: draw(st.integers(1, 2))]
    for number in range(draw(st.integers(1, max_events))):
        customer = draw(st.sampled_from(customers))
        touch = draw(touches(f"e{number}", grid, types, one_matter))
        touch.received_ms = number
        seen.append((customer, touch))
        if versions and draw(st.integers(0, 7)) == 0:
            other = draw(touches(f"e{number}", grid, types, one_matter))
            other.source, other.received_ms = touch.source, draw(st.sampled_from((number + 100, number - 100)))
            seen.append((customer, other))
    return seen


@st.composite
def deliveries(draw: st.DrawFn, seen: list[Seen]) -> list[Seen]:
    """Any order, some of them twice."""
    doubled = seen + draw(st.lists(st.sampled_from(seen), max_size=3))
    return draw(st.permutations(doubled))


STEPS = st.lists(
    st.one_of(
        st.builds(Step, st.integers(1, 4), st.sampled_from(("", "flush", "die", "sweep")), is_behind=st.booleans()),
        st.builds(Step, st.integers(0, 4), st.just("die while writing"), st.integers(0, 7), st.booleans()),
        st.builds(Step, st.integers(0, 4), st.just("stand still while writing"), st.integers(2, 4), st.booleans()),
        st.builds(Step, st.integers(0, 4), st.just("pass"), st.sampled_from((1, HOUR_MS, 9 * HOUR_MS)), st.booleans()),
        st.builds(Step, st.integers(0, 4), st.just("learn"), st.integers(1, 3), st.booleans()),
    ),
    max_size=6,
)
HOURS_AFTER = st.integers(0, 24) | st.sampled_from((8, 20, 60, 2000))


@st.composite
def nearly_ordered(draw: st.DrawFn, seen: list[Seen], disorder_hours: int) -> list[Seen]:
    """By time, but for touchpoints that come up to so many hours late; some come again, soon or after everything."""
    late = [draw(st.integers(0, disorder_hours)) * HOUR_MS for _ in seen]
    arrived = [touch.occurred_ms + delay for (_, touch), delay in zip(seen, late, strict=True)]
    ordered = [seen[index] for index in sorted(range(len(seen)), key=arrived.__getitem__)]
    return ordered + draw(st.lists(st.sampled_from(seen), max_size=2))


def touch(kind: str, hours: float, event_id: str, plus_ms: int = 0, **fields: Any) -> Touch:
    """One touch by hand."""
    return Touch(at(hours, plus_ms), fields.pop("source", "web"), event_id, kind, 0, **fields)
