"""Typed properties of each catalogued touchpoint type. Extra properties are kept as they came."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from schemas.identifiers import MAX_LENGTH, is_clean_text, is_placeholder
from schemas.moments import Moment

Text = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
Count = Annotated[int, Field(ge=-(2**53), le=2**53)]
Tally = Annotated[int, Field(ge=0, le=2**53)]
ParcelCount = Annotated[int, Field(ge=1, le=10_000)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


def _check_id(value: str) -> str:
    if not is_clean_text(value):
        raise ValueError(f"must be 1 to {MAX_LENGTH} printable characters without outer blanks or direction marks")
    return value


def _check_customer(value: str) -> str:
    if is_placeholder(value):
        raise ValueError(f"{value!r} names nobody in particular: give the customer_id of one customer")
    return value


Id = Annotated[
    str,
    Field(strict=True),
    AfterValidator(_check_id),
    Field(json_schema_extra={"minLength": 1, "maxLength": MAX_LENGTH}),
]
CustomerId = Annotated[Id, AfterValidator(_check_customer)]


class Properties(BaseModel):
    """No required property; the base of the others. Types are strict: `"1"` is no number."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class PageViewed(Properties):
    url: Text


class Searched(Properties):
    query: Annotated[str, StringConstraints(max_length=2048)]
    results: Count | None = None


class Product(Properties):
    sku: Text


class MaybeProduct(Properties):
    sku: Text | None = None


class StockShown(Properties):
    sku: Text
    in_stock: bool
    store_id: Text | None = None
    quantity: Count | None = None
    restock_eta: Moment | None = None


class CartUpdated(Properties):
    sku: Text
    quantity: Count


class CheckoutStarted(Properties):
    cart_value: Number


class PaymentFailed(Properties):
    reason: Text


class OrderPlaced(Properties):
    amount: Number
    currency: Currency
    promised_by: Moment | None = None
    sku: Text | None = None


class BackInStockRequested(Properties):
    sku: Text
    store_id: Text | None = None


class Queued(Properties):
    queue: Text


class StockChecked(Properties):
    sku: Text
    in_stock: bool


class TransferRequested(Properties):
    sku: Text
    from_store: Text
    eta: Moment


class HoldCreated(Properties):
    sku: Text
    expires_at: Moment


class Purchased(Properties):
    receipt_id: Text
    amount: Number
    currency: Currency


class Reasoned(Properties):
    reason: Text


class RefundPromised(Properties):
    due_at: Moment


class ContactStarted(Properties):
    contact_id: Text
    topic: Text | None = None


class Contact(Properties):
    contact_id: Text


class ContactAnswered(Properties):
    contact_id: Text
    by: Literal["bot", "human"]


class ContactTransferred(Properties):
    contact_id: Text
    to_queue: Text


class ContactEnded(Properties):
    contact_id: Text
    resolved: bool
    handle_seconds: Number | None = None


class ComplaintOpened(Properties):
    topic: Text


class CallbackPromised(Properties):
    contact_id: Text
    due_at: Moment


class Promised(Properties):
    promised_by: Moment


class DeliveryPromised(Properties):
    promised_by: Moment
    parcel_id: Text | None = None
    parcels: ParcelCount | None = None


class Parcel(Properties):
    """One parcel of an order that comes in `parcels` of them."""

    parcel_id: Text | None = None
    parcels: ParcelCount | None = None


class NotificationSent(Properties):
    topic: Literal["delay", "restock", "ready", "hold", "survey", "gift", "offer"]
    sku: Text | None = None


class GiftGiven(Properties):
    kind: Text


class CustomersMerged(Properties):
    """The customer of the touchpoint has absorbed `merged_id`, until now a customer of its own."""

    merged_id: CustomerId
    reason: Text


class SurveyAnswered(Properties):
    metric: Literal["nps", "csat", "ces"]
    score: Annotated[float, Field(ge=0, le=10)]


class ReviewPosted(Properties):
    rating: Annotated[float, Field(ge=0, le=10)]


class SocialMention(Properties):
    sentiment: Literal["positive", "neutral", "negative"]


class Restocked(Properties):
    sku: Text
    store_id: Text | None = None


class StockLevel(Properties):
    sku: Text
    store_id: Text
    quantity: Count


class SourceHeartbeat(Properties):
    """A source's own heartbeat needs none of these; a worker states with them what it has heard of the source.

    `partition`: whose touchpoints it counted; `last_said`: the time of the latest; `counts`: how many there were in
    each hour from `counted_from`, a full hour, on.
    """

    partition: Tally | None = None
    last_said: Moment | None = None
    counted_from: Moment | None = None
    counts: Annotated[list[Tally], Field(max_length=1_000)] | None = None
