"""All rules of the first edition, computed the slow and obvious way over whole lists of touchpoints and facts."""

from collections import defaultdict
from typing import Any

from producers.simulator.truth import RULES
from tests.producers.simulator.lives import occurred_ms
from tests.producers.simulator.oracle_courses import find_courses
from tests.producers.simulator.oracle_promises import find_promises
from tests.producers.simulator.oracle_touches import DAY_MS, HOUR_MS, Found, Seen, at_ms, find, place, prop

MINUTE_MS = 60_000
LIMITS_MS = {"queue": (10 * MINUTE_MS, MINUTE_MS), "phone": (3 * MINUTE_MS, 20_000), "chat": (MINUTE_MS, 10_000)}


def find_frictions(touchpoints: list[dict[str, Any]], facts: list[dict[str, Any]], end_ms: int) -> list[Found]:
    """Every episode that stands at the end, in order."""
    customers: dict[str, list[Seen]] = defaultdict(list)
    for touchpoint in touchpoints:
        customers[touchpoint["identifiers"]["customer_id"]].append(touchpoint)
    found: list[Found] = []
    for touches in customers.values():
        touches.sort(key=lambda touch: (occurred_ms(touch), touch["source"], touch["event_id"]))
        found += _find_of_one(touches, sorted(facts, key=occurred_ms), end_ms)
    return sorted(found)


def _find_of_one(touches: list[Seen], facts: list[dict[str, Any]], end_ms: int) -> list[Found]:
    first_hand = [
        *_waits(touches, end_ms),
        *_repeats(touches),
        *find_promises(touches, facts, end_ms),
        *find_courses(touches),
        *_mismatches(touches),
        *_points(touches),
    ]
    opened = [episode for episode in first_hand if episode[0] <= end_ms]
    frictions = [episode for episode in opened if RULES[episode[1]] == "friction"]
    followed = [*_abandonments(touches, frictions), *_opportunities(touches, frictions)]
    return [*opened, *(episode for episode in followed if episode[0] <= end_ms)]


def _waits(touches: list[Seen], end_ms: int) -> list[Found]:
    found: list[Found] = []
    for index, began in enumerate(touches):
        kind = _begins(began)
        if kind is None:
            continue
        ended = next((t for t in touches[index + 1 :] if _ends(t, began, kind)), None)
        waited_ms = (at_ms(ended) if ended else end_ms) - at_ms(began)
        long_ms, fast_ms = LIMITS_MS[kind]
        subject = f"{place(began)}/{prop(began, 'queue')}" if kind == "queue" else prop(began, "contact_id")
        if waited_ms > long_ms:
            found.append(find(at_ms(began) + long_ms + 1, "long_wait", began, subject))
        served = ended is not None and (ended["type"] == "service_started" or prop(ended, "by") == "human")
        if ended and served and waited_ms <= fast_ms:
            found.append(find(at_ms(ended), "fast_service", began, subject))
    return found


def _begins(touch: Seen) -> str | None:
    if touch["type"] == "contact_started" and touch.get("channel") in ("phone", "chat"):
        return str(touch["channel"])
    return "queue" if touch["type"] == "queue_joined" else None


def _ends(touch: Seen, began: Seen, kind: str) -> bool:
    if kind == "queue":
        names_the_queue = touch["type"] in ("service_started", "queue_joined")
        return names_the_queue and (place(touch), prop(touch, "queue")) == (place(began), prop(began, "queue"))
    is_end = touch["type"] in ("contact_answered", "contact_abandoned", "contact_ended") or _begins(touch) == kind
    return bool(is_end and prop(touch, "contact_id") == prop(began, "contact_id"))


def _repeats(touches: list[Seen]) -> list[Found]:
    def looks(touch: Seen) -> bool:
        asks = touch["type"] == "contact_started" and prop(touch, "topic") == "delivery"
        return bool(asks or touch["type"] == "order_status_viewed")

    def tells(touch: Seen) -> bool:
        hands_over = touch["type"] in ("delivered", "picked_up")
        return hands_over or (touch["type"] == "notification_sent" and prop(touch, "topic") in ("delay", "ready"))

    contacts = [touch for touch in touches if touch["type"] == "contact_started"]
    handled = ("contact_transferred", "contact_answered", "contact_ended")
    gone = ("delivered", "picked_up", "parcel_returned")
    return [
        *_chained("repeat_contact", contacts, [], ("order_id", "topic"), 7 * DAY_MS, lambda near: len(near) >= 2),
        *_chained("channel_hopping", contacts, [], ("topic",), 2 * DAY_MS, lambda near: _differ(near, "channel")),
        *_chained(
            "ping_pong",
            [touch for touch in touches if touch["type"] in handled],
            [],
            ("contact_id",),
            2 * DAY_MS,
            lambda near: _differ(near, "agent_id") or [t["type"] for t in near].count("contact_transferred") >= 2,
        ),
        *_chained(
            "wismo",
            [touch for touch in touches if looks(touch)],
            [touch for touch in touches if tells(touch)],
            ("order_id",),
            7 * DAY_MS,
            lambda near: len(near) >= 2,
        ),
        *_chained(
            "failed_deliveries",
            [touch for touch in touches if touch["type"] == "delivery_failed"],
            [touch for touch in touches if touch["type"] in gone],
            ("order_id",),
            14 * DAY_MS,
            lambda near: len(near) >= 2,
        ),
    ]


def _differ(near: list[Seen], name: str) -> bool:
    return len({touch[name] for touch in near if touch.get(name)}) >= 3


def _chained(
    rule: str, touches: list[Seen], cuts: list[Seen], same: tuple[str, ...], within_ms: int, is_enough: Any
) -> list[Found]:
    chains: list[list[Seen]] = []
    for touch in touches:
        near = [chain for name in same if (chain := _chain_before(touch, chains, cuts, name, within_ms)) is not None]
        if near:
            near[0].append(touch)
        elif any(_value(touch, name) for name in same):
            chains.append([touch])
    found: list[Found] = []
    for chain in chains:
        for index, touch in enumerate(chain):
            if is_enough([old for old in chain[: index + 1] if at_ms(old) >= at_ms(touch) - within_ms]):
                subject = next(value for name in same if (value := _value(chain[0], name)))
                found.append(find(at_ms(touch), rule, chain[0], subject))
                break
    return found


def _chain_before(
    touch: Seen, chains: list[list[Seen]], cuts: list[Seen], name: str, within_ms: int
) -> list[Seen] | None:
    """The chain of the latest touch with the same value, if it may go on."""
    value = _value(touch, name)
    sharing = [(other, chain) for chain in chains for other in chain if value and _value(other, name) == value]
    if not sharing:
        return None
    latest, chain = max(sharing, key=lambda pair: _order(pair[0]))
    is_cut = any(_value(cut, name) == value and _order(latest) < _order(cut) < _order(touch) for cut in cuts)
    return None if is_cut or at_ms(touch) - at_ms(chain[-1]) > within_ms else chain


def _value(touch: Seen, name: str) -> str | None:
    found: str | None = touch.get(name) or prop(touch, name)
    return found


def _order(touch: Seen) -> tuple[int, str, str]:
    return at_ms(touch), touch["source"], touch["event_id"]


def _mismatches(touches: list[Seen]) -> list[Found]:
    first: dict[str, Found] = {}
    for index, missing in enumerate(touches):
        denied = missing["type"] == "stock_checked" and prop(missing, "in_stock") is False
        if not denied and missing["type"] != "item_unavailable":
            continue
        fitting = [
            claim
            for number, claim in enumerate(touches[:index])
            if _claims(claim, missing) and not any(_replaces(later, claim) for later in touches[number + 1 : index])
        ]
        if fitting:
            where = place(missing)
            subject = prop(missing, "sku") + (f"@{where}" if where else "")
            episode = find(at_ms(missing), "stock_mismatch", fitting[-1], subject)
            first.setdefault(fitting[-1]["event_id"], episode)
    return list(first.values())


def _claims(claim: Seen, missing: Seen) -> bool:
    is_claim = claim["type"] == "stock_shown" and prop(claim, "in_stock") and prop(claim, "sku") == prop(missing, "sku")
    return bool(is_claim) and place(claim) in (None, place(missing)) and at_ms(missing) - at_ms(claim) <= 2 * DAY_MS


def _replaces(later: Seen, claim: Seen) -> bool:
    same = later["type"] == "stock_shown" and prop(later, "sku") == prop(claim, "sku")
    return same and place(later) in (None, place(claim))


def _points(touches: list[Seen]) -> list[Found]:
    found: list[Found] = []
    for touch in touches:
        subject = touch.get("order_id") or f"{touch['source']}/{touch['event_id']}"
        if touch["type"] == "gift_given":
            found.append(find(at_ms(touch), "unexpected_gift", touch, subject))
        if touch["type"] == "survey_answered" and prop(touch, "metric") == "nps" and prop(touch, "score") >= 9:
            found.append(find(at_ms(touch), "promoter", touch, subject))
        if touch["type"] == "social_mention" and prop(touch, "sentiment") == "positive":
            found.append(find(at_ms(touch), "public_praise", touch, subject))
        if touch["type"] == "review_posted" and prop(touch, "rating") >= 5:
            found.append(find(at_ms(touch), "public_praise", touch, subject))
    return found


def _abandonments(touches: list[Seen], frictions: list[Found]) -> list[Found]:
    found: dict[str, Found] = {}
    for opened_ms, _, customer, subject, anchor in sorted(frictions):
        carts = [t for t in touches if t["type"] in ("cart_updated", "checkout_started", "payment_failed")]
        bought = [t for t in touches if t["type"] in ("order_placed", "purchased")]
        was_buying = any(opened_ms - DAY_MS <= at_ms(cart) <= opened_ms for cart in carts)
        if was_buying and not any(opened_ms < at_ms(touch) <= opened_ms + 2 * DAY_MS for touch in bought):
            at = opened_ms + 2 * DAY_MS + 1
            found.setdefault(anchor, (at, "friction_then_abandonment", customer, subject, anchor))
    return list(found.values())


PRESENT = ("visit_started", "page_viewed", "searched", "product_viewed", "cart_updated", "checkout_started")


def _opportunities(touches: list[Seen], frictions: list[Found]) -> list[Found]:
    chances: dict[str, Found] = {}
    for opened_ms, _, customer, subject, anchor in sorted(frictions):
        after = [t for t in touches if opened_ms < at_ms(t) <= opened_ms + 7 * DAY_MS]
        following = next((t for t in after if t["type"] in PRESENT or t["type"] == "gift_given"), None)
        if following is not None and following["type"] in PRESENT:
            found = at_ms(following), "delight_opportunity", customer, subject, anchor
            chances[anchor] = min(chances.get(anchor, found), found, key=lambda chance: chance[0])
    places = {f"{touch['source']}/{touch['event_id']}": index for index, touch in enumerate(touches)}
    in_order = sorted(chances.values(), key=lambda chance: (chance[0], places[chance[4]]))
    quiet_ms = [chance[0] + HOUR_MS // 2 + DAY_MS for chance in in_order]
    return [chance for index, chance in enumerate(in_order) if not index or chance[0] > quiet_ms[index - 1]]
