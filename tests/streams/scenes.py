"""Small worlds for hypothesis: few customers, the types that matter, times on a grid that hits every boundary."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from streams.policy import Policy
from streams.rules.loading import load_rules
from streams.rules.model import Rule, Wait
from streams.stitching import StitchingRules
from streams.touch import Touch
from tests.streams.lives import Seen, Step
from tests.streams.oracle import HOUR_MS, Limits

START_MS = 1_700_000_000_000 // HOUR_MS * HOUR_MS
GAP_HOURS, MAX_GAP_HOURS = 8, 20
SUBJECTS = ("O-1", "O-2")
CUSTOMERS = ("customer_id:A", "customer_id:B")


def at(hours: float, plus_ms: int = 0) -> int:
    """A time on the grid, or just past it."""
    return START_MS + int(hours * HOUR_MS) + plus_ms


def small_rules() -> tuple[Rule, ...]:
    """The shipped rules, with windows of hours, so that every boundary is on the grid."""
    found: list[Rule] = []
    for rule in load_rules():
        if rule.wait is not None:
            spans = {"longer_than": timedelta(hours=2), "give_up_after": timedelta(hours=6)}
            wait = Wait(cases=tuple(case.model_copy(update=spans) for case in rule.wait.cases))
            found.append(rule.model_copy(update={"wait": wait}))
        elif rule.repeat is not None:
            repeat = rule.repeat.model_copy(update={"within": timedelta(hours=10)})
            found.append(rule.model_copy(update={"repeat": repeat}))
        else:
            found.append(rule)
    return tuple(found)


RULES = small_rules()


def policy(lateness_hours: int, hold_open: bool = True) -> Policy:
    gaps = GAP_HOURS * HOUR_MS, MAX_GAP_HOURS * HOUR_MS
    return Policy(StitchingRules(*gaps, lateness_hours * HOUR_MS, hold_open), RULES, snapshot_touches=2)


def limits(hold_open: bool = True) -> Limits:
    return Limits(GAP_HOURS * HOUR_MS, MAX_GAP_HOURS * HOUR_MS, hold_open)


DUE = {"order_placed", "delivery_promised", "delivery_delayed", "callback_promised", "refund_promised", "hold_created"}
TYPES = (
    "page_viewed", "queue_joined", "service_started", "contact_started", "contact_answered", "contact_ended",
    "order_placed", "delivery_delayed", "delivered", "delivery_promised", "parcel_returned", "hold_created",
    "hold_collected", "callback_promised", "callback_made", "refund_promised", "refund_issued", "complaint_resolved",
)  # fmt: skip
WITHOUT_PROMISES = (*TYPES[:6], "complaint_resolved", "cart_updated", "purchased")
THEMES = (
    TYPES,
    ("page_viewed", "hold_created", "hold_created", "hold_collected"),
    ("page_viewed", "order_placed", "delivery_delayed", "delivery_promised", "delivered", "parcel_returned"),
    ("queue_joined", "service_started"),
    ("contact_started", "contact_answered", "contact_ended", "callback_promised", "callback_made"),
    ("contact_started", "page_viewed"),
)
"""Few types at a time, so that they meet."""
TIME_PROPERTY = {"hold_created": "expires_at", "callback_promised": "due_at", "refund_promised": "due_at"}


@st.composite
def touches(draw: st.DrawFn, event_id: str, span_hours: int = 48, types: tuple[str, ...] = TYPES) -> Touch:
    """One touch with all that its type may say."""
    kind = draw(st.sampled_from(types))
    hours = draw(st.integers(0, span_hours))
    moment, source = at(hours, draw(st.sampled_from((0, 0, 1)))), draw(st.sampled_from(("web", "store")))
    touch = Touch(moment, source, event_id, kind, 0)
    subject = draw(st.sampled_from(SUBJECTS))
    details: dict[str, Any] | None = None
    if kind.startswith(("contact", "callback")):
        details = {"contact_id": subject}
        touch.channel = "phone"
        if kind == "contact_started":
            details["topic"] = draw(st.sampled_from(("late", "broken")))
            touch.order_id = draw(st.sampled_from((None, *SUBJECTS)))
        elif kind == "contact_ended":
            details["resolved"] = draw(st.booleans())
    elif kind in ("queue_joined", "service_started"):
        details, touch.store_id = {"queue": subject}, "S"
    elif kind.startswith("hold"):
        details = {"sku": subject}
    elif kind not in ("page_viewed", "cart_updated", "purchased"):
        details, touch.order_id = {}, draw(st.sampled_from((None, *SUBJECTS)))
    if kind in DUE:
        assert details is not None
        details[TIME_PROPERTY.get(kind, "promised_by")] = at(hours + draw(st.integers(-2, 24)))
    touch.details = details
    return touch


@st.composite
def worlds(
    draw: st.DrawFn,
    max_events: int = 10,
    span_hours: int = 48,
    versions: bool = True,
    themes: tuple[tuple[str, ...], ...] = THEMES,
) -> list[Seen]:
    """A set of touchpoints; with `versions`, some come again with other contents, received later or earlier."""
    seen: list[Seen] = []
    types = draw(st.sampled_from(themes))
    for number in range(draw(st.integers(1, max_events))):
        customer = draw(st.sampled_from(CUSTOMERS))
        touch = draw(touches(f"e{number}", span_hours, types))
        touch.received_ms = number
        seen.append((customer, touch))
        if versions and draw(st.integers(0, 7)) == 0:
            other = draw(touches(f"e{number}", span_hours, types))
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
        st.builds(Step, st.integers(1, 4), st.sampled_from(("", "flush", "die"))),
        st.builds(Step, st.integers(0, 4), st.just("die while writing"), st.integers(0, 6)),
        st.builds(Step, st.integers(0, 4), st.just("pass"), st.sampled_from((1, HOUR_MS, 9 * HOUR_MS))),
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
