"""One true record, and the names of the rules."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from schemas.moments import format_epoch_ms

SubjectKind = Literal["order", "contact", "touchpoint", "topic", "sku", "case", "queue"]
RuleKind = Literal["friction", "delight", "opportunity"]

RULES: dict[str, RuleKind] = {
    "long_wait": "friction",
    "repeat_contact": "friction",
    "wismo": "friction",
    "broken_promise": "friction",
    "silent_delay": "friction",
    "failed_deliveries": "friction",
    "stock_mismatch": "friction",
    "restock_silence": "friction",
    "hold_lost": "friction",
    "unresolved_complaint": "friction",
    "ping_pong": "friction",
    "no_human": "friction",
    "checkout_trouble": "friction",
    "channel_hopping": "friction",
    "unheard_feedback": "friction",
    "missed_callback": "friction",
    "late_refund": "friction",
    "friction_then_abandonment": "friction",
    "early_delivery": "delight",
    "first_contact_resolution": "delight",
    "told_before_asked": "delight",
    "fast_service": "delight",
    "kept_after_trouble": "delight",
    "unexpected_gift": "delight",
    "promoter": "delight",
    "public_praise": "delight",
    "delight_opportunity": "opportunity",
}
"""Every rule of the first edition."""
EXACT_RULES = frozenset(RULES)
"""Rules whose records are complete and exact, accidents included: all of them."""


class Friction(NamedTuple):
    """One friction, delight or opportunity that truly happened: one episode.

    `true_at_ms` is when it opens. A time that passes (a threshold, a promise) passes strictly: at exactly that
    millisecond nothing is wrong yet, one later it is. `touchpoints` are the event ids of the first touchpoints that
    show it, that of the anchor first; `anchor` is the anchor as `source/event_id`. No two records of one customer and
    rule share an anchor.
    """

    true_at_ms: int
    rule: str
    customer_id: str
    subject_kind: SubjectKind
    subject: str
    touchpoints: tuple[str, ...]
    anchor: str

    def as_dict(self) -> dict[str, Any]:
        """As written to a truth file; `exact` says that this rule's records are complete, accidents included."""
        return {
            "rule": self.rule,
            "customer_id": self.customer_id,
            "subject_kind": self.subject_kind,
            "subject": self.subject,
            "anchor": self.anchor,
            "touchpoints": list(self.touchpoints),
            "true_at": format_epoch_ms(self.true_at_ms),
            "exact": self.rule in EXACT_RULES,
        }
