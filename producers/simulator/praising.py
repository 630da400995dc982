"""Feedback, praise and small surprises."""

from __future__ import annotations

from producers.simulator.assortment import PRAISE, say
from producers.simulator.story import Story, Telling

_GIFTS = ("coupon", "birthday_card", "sample", "free_coffee")


def give_feedback(story: Story, order_id: str) -> Telling:
    """A survey after the delivery, perhaps a review."""
    story.wait_hours(2, 30)
    yield story.touch("notification_sent", {"topic": "survey"}, order_id=order_id, channel="email")
    story.wait_hours(0.1, 30)
    score = min(10, int(4 + story.rng.random() * 8))
    yield story.touch("survey_answered", {"metric": "nps", "score": float(score)}, order_id=order_id)
    if story.chance(0.2):
        yield from post_review(story, min(5, max(1, score // 2)), order_id)


def post_review(story: Story, rating: int, order_id: str | None = None) -> Telling:
    """A public review, one to five stars."""
    story.wait(30, 900)
    properties: dict[str, object] = {"rating": float(rating)}
    if rating >= 4:
        properties["text"] = say(story.rng, PRAISE, story.persona.language)
    yield story.touch("review_posted", properties, order_id=order_id)


def praise(story: Story) -> Telling:
    """A word to friends or to the public."""
    if story.chance(0.5):
        yield story.touch("referral_made", {"code": f"FRIEND-{story.persona.customer_id[2:]}"})
        return
    sentiment = "positive" if story.chance(0.6) else "neutral" if story.chance(0.5) else "negative"
    yield story.touch("social_mention", {"sentiment": sentiment}, channel="instagram")


def be_surprised(story: Story) -> Telling:
    """A gift that nobody asked for, and its message."""
    yield story.touch("gift_given", {"kind": _GIFTS[int(story.rng.random() * len(_GIFTS))]})
    story.wait(1, 600)
    yield story.touch("notification_sent", {"topic": "gift"}, channel="whatsapp")
