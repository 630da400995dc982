"""Any touchpoints and facts of a few customers, orders and products, close enough to get in each other's way."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from schemas.catalogue import BY_NAME
from schemas.moments import format_epoch_ms
from tests.producers.simulator.lives import START_MS
from tests.producers.simulator.oracle_touches import DAY_MS, HOUR_MS

SECOND_MS, MINUTE_MS = 1_000, 60_000
SPANS = (
    *(0, 1, 10 * SECOND_MS, 20 * SECOND_MS, MINUTE_MS, MINUTE_MS + 1, 3 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS),
    *(HOUR_MS, 4 * HOUR_MS, 4 * HOUR_MS + 1, DAY_MS - 1, DAY_MS, DAY_MS + 1, 2 * DAY_MS, 2 * DAY_MS + 1),
    *(7 * DAY_MS, 7 * DAY_MS + 1, 14 * DAY_MS),
)
FACTS = ("restocked", "stock_level")
TOGETHER: tuple[tuple[str, ...], ...] = (
    ("queue_joined", "service_started"),
    ("contact_started", "contact_answered", "contact_ended", "contact_abandoned", "contact_transferred"),
    ("contact_started", "contact_ended"),
    ("contact_started", "order_status_viewed", "notification_sent", "delivered"),
    ("order_placed", "delivery_delayed", "delivery_failed", "delivered"),
    ("order_placed", "dispatched", "delivered"),
    ("delivery_delayed", "notification_sent", "order_status_viewed", "contact_started"),
    ("payment_failed", "payment_failed", "payment_failed", "order_placed"),
    ("order_placed", "delivery_promised", "delivery_delayed", "delivery_failed", "dispatched", "delivered", "picked_up",
     "parcel_returned", "returned", "order_status_viewed", "notification_sent"),
    ("callback_promised", "callback_made", "refund_promised", "refund_issued"),
    ("complaint_opened", "complaint_resolved"),
    ("hold_created", "hold_collected", "hold_expired", "notification_sent"),
    ("back_in_stock_requested", "restocked", "stock_level", "notification_sent"),
    ("stock_shown", "stock_checked", "item_unavailable"),
    ("payment_failed", "cart_updated", "order_placed", "purchased", "contact_started", "visit_started", "gift_given"),
    ("survey_answered", "review_posted", "social_mention", "gift_given", "callback_made", "page_viewed"),
)  # fmt: skip
"""Types that some rule looks at together."""
ANY = tuple(dict.fromkeys(name for group in TOGETHER for name in group))

Draft = Callable[[int, int], dict[str, Any]]


def touchpoint(
    number: int, moment_ms: int, type_name: str, properties: dict[str, Any], **fields: str
) -> dict[str, Any]:
    """One touchpoint, or a fact where no customer is meant."""
    customer = fields.pop("customer", "C-1")
    made: dict[str, Any] = {
        "event_id": f"e-{number}",
        "source": BY_NAME[type_name].source if type_name in BY_NAME else "store",
        "type": type_name,
        "occurred_at": format_epoch_ms(moment_ms),
        "properties": properties,
        **fields,
    }
    return made if type_name in FACTS else {**made, "identifiers": {"customer_id": customer}}


@st.composite
def drafts(draw: st.DrawFn, types: tuple[str, ...]) -> Draft:
    """One touchpoint or fact of any of the types, still without a time."""
    type_name = draw(st.sampled_from(types))
    ahead_ms = draw(st.sampled_from(SPANS)) - draw(st.sampled_from([0, 0, 0, DAY_MS]))
    which = draw(st.sampled_from(["1", "2"]))
    other = draw(st.sampled_from(["1", "2"]))
    channel = draw(st.sampled_from(["phone", "chat", "email"]))
    number_of = draw(st.integers(0, 10))

    def make(number: int, moment_ms: int) -> dict[str, Any]:
        promised = format_epoch_ms(moment_ms + ahead_ms)
        values: dict[str, Any] = {
            "queue": "till",
            "contact_id": f"K-{which}",
            "topic": _topic(type_name, number_of),
            "by": "human" if number_of % 2 else "bot",
            "resolved": number_of % 3 > 0,
            "promised_by": promised,
            "due_at": promised,
            "expires_at": promised,
            "sku": f"SKU-{which}",
            "in_stock": number_of % 3 > 0,
            "metric": ("nps", "csat", "ces")[number_of % 3],
            "score": float(number_of),
            "rating": float(number_of % 6),
            "sentiment": "positive" if number_of % 2 else "negative",
            "quantity": number_of % 3,
        }
        properties = {name: values[name] for name in _NAMES.get(type_name, ()) if values[name] is not None}
        return touchpoint(number, moment_ms, type_name, _refine(type_name, properties, other, number_of), **fields)

    fields = _fields(type_name, which, other, channel, number_of)
    return make


_CONTACT = ("contact_id",)
_NAMES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("queue_joined", "service_started"), ("queue",)),
    **dict.fromkeys(("contact_abandoned", "contact_transferred", "callback_made"), _CONTACT),
    "contact_started": ("contact_id", "topic"),
    "contact_answered": ("contact_id", "by"),
    "contact_ended": ("contact_id", "resolved"),
    "callback_promised": ("contact_id", "due_at"),
    **dict.fromkeys(("order_placed", "delivery_promised", "delivery_delayed"), ("promised_by",)),
    "refund_promised": ("due_at",),
    "hold_created": ("sku", "expires_at"),
    **dict.fromkeys(("hold_collected", "hold_expired", "item_unavailable", "back_in_stock_requested"), ("sku",)),
    **dict.fromkeys(("stock_shown", "stock_checked"), ("sku", "in_stock")),
    "notification_sent": ("topic", "sku"),
    "survey_answered": ("metric", "score"),
    "review_posted": ("rating",),
    "social_mention": ("sentiment",),
    "restocked": ("sku",),
    "stock_level": ("sku", "quantity"),
}
_OF_AN_ORDER = frozenset(
    {"order_placed", "delivery_promised", "delivery_delayed", "delivery_failed", "dispatched", "delivered", "picked_up"}
    | {"parcel_returned", "returned", "order_status_viewed", "refund_promised", "refund_issued"}
)


def _topic(type_name: str, number_of: int) -> str | None:
    if type_name == "notification_sent":
        return ("delay", "restock", "hold", "ready", "survey")[number_of % 5]
    return (None, "delivery", "refund")[number_of % 3]


def _fields(type_name: str, which: str, other: str, channel: str, number_of: int) -> dict[str, str]:
    fields = {"customer": "C-2" if number_of == 9 else "C-1"}
    if type_name in _OF_AN_ORDER or type_name == "notification_sent" or (number_of % 4 == 0 and "contact" in type_name):
        fields["order_id"] = f"O-{other}"
    if type_name.startswith("complaint"):
        fields["case_id"] = f"Q-{which}"
    if type_name in ("queue_joined", "service_started", "item_unavailable", "stock_checked"):
        fields["store_id"] = f"S-{other}"
    if type_name.startswith("contact"):
        fields |= {"channel": channel, "agent_id": f"A-{number_of % 4}"}
    return fields


def _refine(type_name: str, properties: dict[str, Any], other: str, number_of: int) -> dict[str, Any]:
    """Which store, and which parcel, where a type may say so."""
    if type_name == "stock_level" or (
        type_name in ("restocked", "stock_shown", "back_in_stock_requested") and number_of % 2
    ):
        return {**properties, "store_id": f"S-{other}"}
    if type_name in ("dispatched", "delivered") and number_of < 7:
        return {"parcel_id": f"P-{number_of % 3}", "parcels": 2 + number_of % 2}
    if type_name == "notification_sent" and number_of == 2:
        return {"topic": properties["topic"]}
    return properties


@st.composite
def stretches(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Touchpoints and facts in order of occurrence, and a time at or after the last of them."""
    together = st.sampled_from(TOGETHER).flatmap(lambda types: st.lists(drafts(types), min_size=4, max_size=20))
    chosen = draw(together)
    if draw(st.booleans()):
        chosen = draw(st.permutations([*chosen, *draw(st.lists(drafts(ANY), max_size=6))]))
    # At one pace, because what is hours apart never meets what is a matter of seconds.
    pace = draw(st.lists(st.sampled_from(SPANS), min_size=1, max_size=4))
    made: list[dict[str, Any]] = []
    moment_ms = START_MS
    for number, draft in enumerate(chosen):
        moment_ms += draw(st.sampled_from(pace))
        made.append(draft(number, moment_ms))
    facts = [each for each in made if each["type"] in FACTS]
    return [each for each in made if each["type"] not in FACTS], facts, moment_ms + draw(st.sampled_from(SPANS))
