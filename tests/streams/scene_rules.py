"""The rules of small worlds: the shipped ones with spans of hours, and some that use what the shipped ones do not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from streams.friction.plan import Plan
from streams.rules.calendars import parse_calendars
from streams.rules.loading import load_rules
from streams.rules.model import Rule

SHRUNK: dict[str, dict[str, Any]] = {
    "long_wait": {"longer_than": 2, "give_up_after": 6, "escalate.after": 3},
    "fast_service": {"shorter_than": 1, "give_up_after": 6},
    "repeat_contact": {"repeat.within": 10},
    "wismo": {"repeat.within": 6},
    "failed_deliveries": {"repeat.within": 8},
    "ping_pong": {"repeat.within": 6},
    "channel_hopping": {"repeat.within": 8},
    "silent_delay": {"sequence.within": 4, "resolve.after": 12},
    "checkout_trouble": {"sequence.within": 2, "first.within": 3, "resolve.after": 8},
    "unheard_feedback": {"sequence.within": 6, "resolve.after": 12},
    "no_human": {"sequence.within": 6, "resolve.after": 8},
    "first_contact_resolution": {"sequence.within": 4, "alone.within": 6},
    "told_before_asked": {"sequence.within": 4},
    "friction_then_abandonment": {"sequence.within": 5, "after.within": 3, "resolve.after": 10},
    "delight_opportunity": {"sequence.within": 7, "resolve.after": 1, "cooldown": 3},
    "stock_mismatch": {"mismatch.within": 6, "resolve.after": 9},
    "hold_lost": {"resolve.after": 4},
    "early_delivery": {"deadline.by": 3},
    "unresolved_complaint": {"escalate.after": 6},
    "late_refund": {"escalate.after": 6},
}
"""The spans of the shipped rules, in hours, so that every boundary is on the grid."""


def shrink(rule: Rule) -> Rule:
    """The rule with its spans as `SHRUNK` has them."""
    written = rule.model_dump(exclude_unset=True)
    parts = written.get("sequence", {}) | written
    for name, hours in SHRUNK.get(rule.id, {}).items():
        holder, _, key = name.rpartition(".")
        place = parts[holder] if holder else written["wait"]["cases"] if rule.wait is not None else written
        for part in place if isinstance(place, list | tuple) else [place]:
            if key in part or key == "give_up_after":
                part[key] = timedelta(hours=hours)
    return Rule.model_validate(written)


TEXTS = {"en": "Text", "he": "טקסט"}
OWN: dict[str, dict[str, Any]] = {
    "open_hours_wait": {
        "severity": "info",
        "calendar": "shop",
        "wait": {
            "cases": [
                {
                    "begins": {"types": ["queue_joined"], "where": "queue == 'Q-1'"},
                    "ends": ["service_started"],
                    "match": ["queue"],
                    "longer_than": "2h",
                    "give_up_after": "9h",
                }
            ]
        },
        "resolve": {"after": "5h"},
    },
    "open_hours_silence": {
        "severity": "info",
        "calendar": "shop",
        "escalate": [{"to": "critical", "after": "5h"}, {"to": "warning", "after": "2h"}],
        "sequence": {
            "first": {"types": ["delivery_delayed"]},
            "without": ["notification_sent", "delivered"],
            "within": "3h",
        },
        "resolve": {"on": ["delivered"]},
        "cooldown": "2h",
    },
    "open_hours_promise": {
        "severity": "warning",
        "calendar": "shop",
        "deadline": {"promise": "callback", "when": "broken"},
        "scope": {"channels": ["phone"]},
    },
    "early_in_open_hours": {
        "kind": "delight",
        "severity": "info",
        "calendar": "shop",
        "deadline": {"promise": "refund", "when": "early", "by": "4h"},
        "cooldown": "6h",
    },
    "calls_again": {
        "severity": "warning",
        "scope": {"segments": ["gold"], "sources": ["support", "web"]},
        "repeat": {
            "types": ["contact_started"],
            "channels": ["phone", "chat"],
            "same": ["topic", "order_id"],
            "within": "6h",
            "measures": [{"count": 3}, {"count": 2, "distinct": "channel"}],
            "breaks": {"types": ["callback_made", "contact_ended"], "where": "type == 'callback_made' or resolved"},
        },
        "resolve": {"on": ["gift_given"], "after": "9h"},
        "cooldown": "4h",
    },
    "looks_then_leaves": {
        "kind": "opportunity",
        "severity": "info",
        "scope": {"stores": ["S"]},
        "sequence": {
            "first": {"types": ["stock_shown", "stock_checked"], "count": 2, "within": "3h"},
            "then": ["cart_updated"],
            "without": ["hold_created", "item_unavailable"],
            "within": "4h",
            "match": ["sku"],
        },
        "resolve": {"on": ["hold_created", "back_in_stock_requested"], "after": "6h"},
    },
    "queue_trouble": {
        "severity": "info",
        "escalate": [{"to": "warning", "after": "2h"}],
        "wait": {
            "cases": [
                {
                    "begins": ["queue_joined", "contact_started"],
                    "ends": ["service_started", "contact_answered"],
                    "match": ["store_id", "contact_id", "queue"],
                    "longer_than": "1h",
                    "give_up_after": "4h",
                }
            ]
        },
        "cooldown": "2h",
    },
    "quick_in_open_hours": {
        "kind": "delight",
        "severity": "info",
        "calendar": "shop",
        "scope": {"channels": ["phone", "chat"]},
        "wait": {
            "cases": [
                {
                    "begins": {"types": ["contact_started"], "where": "topic in ['delivery', 'bill']"},
                    "ends": ["contact_answered", "contact_ended", "contact_abandoned"],
                    "ended_where": "by == 'human' or resolved",
                    "match": ["contact_id"],
                    "shorter_than": "2h",
                }
            ]
        },
    },
    "only_complaint": {
        "severity": "warning",
        "sequence": {
            "first": {"types": ["complaint_opened"]},
            "without": ["complaint_resolved"],
            "within": "4h",
            "match": ["case_id"],
            "alone": {"same": ["order_id", "topic"], "within": "6h"},
        },
        "resolve": {"on": ["complaint_resolved"]},
    },
    "complaint_heard": {
        "kind": "delight",
        "severity": "info",
        "deadline": {"promise": "complaint", "when": "kept", "after": ["refund_promised", "refund_issued"]},
    },
    "refund_forgotten": {
        "severity": "info",
        "escalate": [{"to": "critical", "after": "3h"}],
        "deadline": {"promise": "refund", "when": "broken"},
        "resolve": {"after": "5h"},
        "cooldown": "3h",
    },
    "sent_and_not_there": {
        "severity": "info",
        "mismatch": {
            "said": {"types": ["dispatched", "out_for_delivery"], "where": "type == 'dispatched'"},
            "contradicted": ["delivery_failed", "order_status_viewed", "delivery_delayed"],
            "match": ["order_id"],
            "within": "5h",
        },
        "cooldown": "4h",
    },
    "asks_after_trouble": {
        "severity": "critical",
        "calendar": "shop",
        "scope": {"sources": ["web"]},
        "sequence": {
            "first": {"episodes": "friction"},
            "after": {"types": ["page_viewed", "cart_updated", "contact_started"], "within": "5h"},
            "then": {"types": ["contact_started", "order_status_viewed"], "channels": ["phone"]},
            "without": ["gift_given"],
            "within": "6h",
        },
        "resolve": {"on": ["contact_ended"], "after": "3h"},
    },
    "praise_of_store": {
        "kind": "delight",
        "severity": "info",
        "threshold": {"types": ["review_posted", "survey_answered"], "measure": "rating", "limit": 4},
        "cooldown": "2h",
    },
}
"""What the shipped rules do not use: calendars, scopes, cooldowns, breaks and ends of many kinds."""
OPEN = '["00:00-04:00", "06:00-20:00"]'
CALENDARS = parse_calendars(
    f"shop: {{zone: UTC, hours: {{mon: {OPEN}, tue: {OPEN}, wed: {OPEN}, thu: {OPEN}, fri: {OPEN}, sun: {OPEN}}}}}",
    "calendars.yaml",
)
RULES = tuple(map(shrink, load_rules())) + tuple(
    Rule.model_validate(
        {"id": name, "version": 1, "title": TEXTS, "meaning": TEXTS, "why": "-", "reason": TEXTS, "advice": TEXTS} | own
    )
    for name, own in OWN.items()
)
PLAN = Plan(RULES, CALENDARS)
