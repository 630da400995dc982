"""The catalogue of touchpoint types, first edition: stage, usual source, typed properties, meaning.

Any type may come from any source. Types that are not listed are kept and stitched, but no shipped rule sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas import properties as p

Source = Literal["web", "store", "support", "delivery", "messaging", "feedback"]
Stage = Literal["discover", "consider", "purchase", "fulfil", "support", "loyalty"]
SOURCES: tuple[Source, ...] = ("web", "store", "support", "delivery", "messaging", "feedback")
STAGES: tuple[Stage, ...] = ("discover", "consider", "purchase", "fulfil", "support", "loyalty")


@dataclass(frozen=True)
class TouchpointType:
    """One line of the catalogue."""

    name: str
    source: Source
    stage: Stage
    properties: type[p.Properties]
    meaning: str


def _types(source: Source, *rows: tuple[str, Stage, type[p.Properties], str]) -> tuple[TouchpointType, ...]:
    return tuple(TouchpointType(name, source, stage, model, meaning) for name, stage, model, meaning in rows)


CATALOGUE: tuple[TouchpointType, ...] = (
    *_types(
        "web",
        ("page_viewed", "discover", p.PageViewed, "a page or app screen was shown"),
        ("searched", "discover", p.Searched, "a search was made on the site"),
        ("product_viewed", "consider", p.Product, "a product page was shown"),
        ("stock_shown", "consider", p.StockShown, "the site said whether a product is in stock"),
        ("review_opened", "consider", p.Product, "reviews of a product were read"),
        ("cart_updated", "consider", p.CartUpdated, "a product was put into the cart or its quantity changed"),
        ("checkout_started", "purchase", p.CheckoutStarted, "the checkout was entered"),
        ("payment_failed", "purchase", p.PaymentFailed, "a payment was refused"),
        ("order_placed", "purchase", p.OrderPlaced, "an order was placed, perhaps with a delivery promise"),
        ("order_status_viewed", "fulfil", p.Properties, "the customer looked where the order is"),
        ("back_in_stock_requested", "consider", p.BackInStockRequested, "the customer asked to be told of a restock"),
        ("identified", "discover", p.Properties, "the customer logged in or was otherwise recognised"),
    ),
    *_types(
        "store",
        ("visit_started", "discover", p.Properties, "the customer came into a store"),
        ("queue_joined", "purchase", p.Queued, "the customer began to wait in a queue"),
        ("service_started", "purchase", p.Queued, "the wait in that queue ended: somebody serves the customer"),
        ("stock_checked", "consider", p.StockChecked, "staff looked whether a product is there"),
        ("item_unavailable", "consider", p.Product, "the product was not there"),
        ("transfer_requested", "fulfil", p.TransferRequested, "the product was asked for from another store"),
        ("hold_created", "fulfil", p.HoldCreated, "a product is held for the customer until a time"),
        ("hold_collected", "fulfil", p.MaybeProduct, "the held product was collected"),
        ("hold_expired", "fulfil", p.MaybeProduct, "the hold ran out"),
        ("purchased", "purchase", p.Purchased, "a purchase at the till"),
        ("returned", "support", p.Reasoned, "goods were brought back"),
        ("refund_promised", "support", p.RefundPromised, "a refund was promised by a time"),
        ("refund_issued", "support", p.Properties, "the refund was paid"),
        ("loyalty_scanned", "loyalty", p.Properties, "a loyalty card was shown"),
    ),
    *_types(
        "support",
        ("contact_started", "support", p.ContactStarted, "the customer called, wrote or opened a chat and waits"),
        ("contact_answered", "support", p.ContactAnswered, "a bot or a human answered"),
        ("contact_transferred", "support", p.ContactTransferred, "the customer was passed on"),
        ("contact_escalated", "support", p.Contact, "the case went to a higher level"),
        ("contact_ended", "support", p.ContactEnded, "the contact ended, resolved or not"),
        ("contact_abandoned", "support", p.Contact, "the customer gave up waiting"),
        ("complaint_opened", "support", p.ComplaintOpened, "a complaint was recorded"),
        ("complaint_resolved", "support", p.Properties, "the complaint was settled"),
        ("callback_promised", "support", p.CallbackPromised, "a call back was promised by a time"),
        ("callback_made", "support", p.Contact, "the promised call was made"),
        (
            "customers_merged",
            "support",
            p.CustomersMerged,
            "two customers were found to be one: `customer_id` must be there and stays, `merged_id` is another's; no "
            "contact by itself",
        ),
    ),
    *_types(
        "delivery",
        ("delivery_promised", "fulfil", p.DeliveryPromised, "a delivery time was promised"),
        ("dispatched", "fulfil", p.Parcel, "the parcel left the warehouse"),
        ("delivery_delayed", "fulfil", p.Promised, "the promised time was moved"),
        ("out_for_delivery", "fulfil", p.Properties, "the courier has the parcel"),
        ("delivery_failed", "fulfil", p.Reasoned, "the courier could not hand it over"),
        ("delivered", "fulfil", p.Parcel, "the parcel was handed over"),
        ("ready_for_pickup", "fulfil", p.Properties, "the order can be picked up"),
        ("picked_up", "fulfil", p.Properties, "the order was picked up"),
        ("parcel_returned", "fulfil", p.Properties, "the parcel went back"),
    ),
    *_types(
        "messaging",
        ("notification_sent", "fulfil", p.NotificationSent, "the company told the customer something"),
        ("notification_failed", "fulfil", p.Properties, "such a message did not arrive"),
        ("gift_given", "loyalty", p.GiftGiven, "a small surprise"),
    ),
    *_types(
        "feedback",
        ("survey_answered", "loyalty", p.SurveyAnswered, "a survey answer: NPS, CSAT or CES"),
        ("review_posted", "loyalty", p.ReviewPosted, "a public review"),
        ("referral_made", "loyalty", p.Properties, "the customer recommended the company"),
        ("social_mention", "loyalty", p.SocialMention, "the customer spoke of the company in public"),
    ),
)

BY_NAME: dict[str, TouchpointType] = {entry.name: entry for entry in CATALOGUE}
CUSTOMERS_MERGED = "customers_merged"
UNSTITCHED = frozenset({CUSTOMERS_MERGED})
"""Types that are kept but are no contact with the customer: they belong to no journey."""
UNKNOWN_STAGE: Stage = "discover"
"""Stage of a type that the catalogue does not have."""


@dataclass(frozen=True)
class FactType:
    """One kind of fact: something that concerns no single customer, on topic `facts`."""

    name: str
    properties: type[p.Properties]
    meaning: str


FACT_TYPES: tuple[FactType, ...] = (
    FactType("restocked", p.Restocked, "a product is available again"),
    FactType("stock_level", p.StockLevel, "how many of a product a store has"),
    FactType("source_heartbeat", p.SourceHeartbeat, "a source is alive though it has nothing to say"),
)
