from typing import Any

from schemas.catalogue import BY_NAME, CATALOGUE, FACT_TYPES, SOURCES, STAGES

FIRST_EDITION = {
    "web": "page_viewed searched product_viewed stock_shown review_opened cart_updated checkout_started payment_failed "
    "order_placed order_status_viewed back_in_stock_requested identified",
    "store": "visit_started queue_joined service_started stock_checked item_unavailable transfer_requested "
    "hold_created hold_collected hold_expired purchased returned refund_promised refund_issued loyalty_scanned",
    "support": "contact_started contact_answered contact_transferred contact_escalated contact_ended contact_abandoned "
    "complaint_opened complaint_resolved callback_promised callback_made "
    "customers_merged",
    "delivery": "delivery_promised dispatched delivery_delayed out_for_delivery delivery_failed delivered "
    "ready_for_pickup picked_up parcel_returned",
    "messaging": "notification_sent notification_failed gift_given",
    "feedback": "survey_answered review_posted referral_made social_mention",
}
KEY_PROPERTIES: dict[str, set[str]] = {
    "page_viewed": {"url"},
    "searched": {"query", "results"},
    "stock_shown": {"sku", "store_id", "in_stock", "quantity", "restock_eta"},
    "cart_updated": {"sku", "quantity"},
    "order_placed": {"amount", "currency", "promised_by", "sku"},
    "back_in_stock_requested": {"sku", "store_id"},
    "transfer_requested": {"sku", "from_store", "eta"},
    "hold_created": {"sku", "expires_at"},
    "hold_collected": {"sku"},
    "hold_expired": {"sku"},
    "purchased": {"receipt_id", "amount", "currency"},
    "contact_started": {"contact_id", "topic"},
    "contact_answered": {"contact_id", "by"},
    "contact_transferred": {"contact_id", "to_queue"},
    "contact_ended": {"contact_id", "resolved", "handle_seconds"},
    "callback_promised": {"contact_id", "due_at"},
    "delivery_promised": {"promised_by", "parcel_id", "parcels"},
    "delivery_delayed": {"promised_by"},
    "dispatched": {"parcel_id", "parcels"},
    "delivered": {"parcel_id", "parcels"},
    "notification_sent": {"topic", "sku"},
    "survey_answered": {"metric", "score"},
}


def test_the_catalogue_is_the_first_edition() -> None:
    assert {s: [entry.name for entry in CATALOGUE if entry.source == s] for s in SOURCES} == {
        source: names.split() for source, names in FIRST_EDITION.items()
    }


def test_types_carry_their_key_properties() -> None:
    def named(name: str) -> set[str]:
        fields: dict[str, Any] = BY_NAME[name].properties.model_fields
        return set(fields)

    assert {name: named(name) for name in KEY_PROPERTIES} == KEY_PROPERTIES


def test_names_are_unique_and_stages_known() -> None:
    assert len(BY_NAME) == len(CATALOGUE)
    assert {entry.stage for entry in CATALOGUE} == set(STAGES)


def test_facts_are_the_first_edition_and_no_touchpoints() -> None:
    assert [fact.name for fact in FACT_TYPES] == ["restocked", "stock_level", "source_heartbeat"]
    assert not {fact.name for fact in FACT_TYPES} & BY_NAME.keys()
