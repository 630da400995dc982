"""The ledger: all rules over touchpoints and facts as they go by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from producers.simulator.hours import DAY_MS, HOUR_MS
from producers.simulator.truth import repeats
from producers.simulator.truth.aftermath import Abandonments, Opportunities
from producers.simulator.truth.chronicle import Chronicle
from producers.simulator.truth.claims import Claims
from producers.simulator.truth.friction import RULES, Friction
from producers.simulator.truth.promises import Promises
from producers.simulator.truth.repeats import Repeats
from producers.simulator.truth.replies import FirstContacts, NoHuman, ToldBeforeAsked
from producers.simulator.truth.silences import CheckoutTrouble, SilentDelays, UnheardFeedback
from producers.simulator.truth.touch import Touch, read_touch
from producers.simulator.truth.verdicts import Verdicts, is_bad_mark
from producers.simulator.truth.waits import Waits

_Watch = Callable[[Touch], None]
_Where = Callable[[Touch], bool]


def _says(name: str, *values: Any) -> _Where:
    return lambda touch: touch.properties.get(name) in values


def _asks_for_delivery(touch: Touch) -> bool:
    return touch.type == "order_status_viewed" or touch.properties.get("topic") == "delivery"


class Ledger:
    """Finds every episode of the first edition while life goes by.

    Feed `observe` and `observe_fact` in order of occurrence; each returns what became true before or at its moment, but
    for what the touchpoints of that very moment bring: they are put into the order of their source and id first. A
    touchpoint without a customer_id belongs to whom its anonymous_id is linked, by `links` or by what came before, else
    to nobody. Memory: what is open, promises that are owed, contacts of some days, and a few numbers for each customer.

    It does not know journeys: it takes each life as one in which no customer is away for `journey_max_gap` (90 days).
    """

    def __init__(self, links: Mapping[str, str] | None = None) -> None:
        self._links = dict(links or {})
        self._chronicle = Chronicle(self._notice)
        self._watch: dict[str, list[tuple[_Where | None, _Watch]]] = {}
        self._moment_ms = 0
        self._moment: list[tuple[str, str, dict[str, Any]]] = []
        self._promises = Promises(self._chronicle)
        self._abandonments = Abandonments(self._chronicle)
        self._opportunities = Opportunities(self._chronicle)
        self._watch_waits()
        self._watch_repeats()
        self._watch_deliveries()
        self._watch_other_promises()
        self._watch_contacts()
        self._watch_feedback()
        self._watch_buying()

    def observe(self, at_ms: int, touchpoint: dict[str, Any]) -> list[Friction]:
        """Take one touchpoint, at its `occurred_at`."""
        if at_ms > self._moment_ms:
            self._turn_to(at_ms)
        if touchpoint["type"] in self._watch:
            self._moment.append((touchpoint["source"], touchpoint["event_id"], touchpoint))
        self._learn(touchpoint["identifiers"])
        return self._chronicle.take()

    def observe_fact(self, at_ms: int, fact: dict[str, Any]) -> list[Friction]:
        """Take one fact; those of a moment come before its touchpoints."""
        if at_ms > self._moment_ms:
            self._turn_to(at_ms)
        if fact["type"] == "restocked":
            self._promises.restock(at_ms, fact)
        elif fact["type"] == "stock_level":
            self._promises.level(at_ms, fact)
        return self._chronicle.take()

    def pass_time(self, now_ms: int) -> list[Friction]:
        """What became true up to `now_ms` because a time before it passed and nothing had happened."""
        self._turn_to(now_ms)
        return self._chronicle.take()

    def _turn_to(self, now_ms: int) -> None:
        """Take the touchpoints of the moment that is over, and let the time until the next one pass."""
        for _, _, touchpoint in sorted(self._moment, key=lambda each: each[:2]):
            identifiers = touchpoint["identifiers"]
            customer = identifiers.get("customer_id") or self._links.get(identifiers.get("anonymous_id", ""))
            if customer is not None:
                self._take(read_touch(self._moment_ms, customer, touchpoint))
        self._moment.clear()
        self._moment_ms = now_ms
        self._chronicle.pass_time(now_ms)

    def _take(self, touch: Touch) -> None:
        for where, watch in self._watch[touch.type]:
            if where is None or where(touch):
                watch(touch)

    def _learn(self, identifiers: dict[str, str]) -> None:
        if "anonymous_id" in identifiers and "customer_id" in identifiers:
            self._links[identifiers["anonymous_id"]] = identifiers["customer_id"]

    def _notice(self, friction: Friction, anchor: Touch) -> None:
        if RULES[friction.rule] == "friction":
            self._abandonments.suffer(friction)
            self._opportunities.suffer(friction, anchor)

    def _on(self, types: str, watch: _Watch, where: _Where | None = None) -> None:
        for name in types.split():
            self._watch.setdefault(name, []).append((where, watch))

    def _watch_waits(self) -> None:
        waits = Waits(self._chronicle)
        self._on("queue_joined", waits.join_queue)
        self._on("service_started", waits.serve)
        self._on("contact_started", waits.start_contact)
        self._on("contact_answered contact_abandoned contact_ended", waits.answer)

    def _watch_repeats(self) -> None:
        def chain(rule: str, within_ms: int, *how: Any) -> Repeats:
            return Repeats(self._chronicle, rule, within_ms, *how)

        contacts = chain("repeat_contact", 7 * DAY_MS, repeats.order_and_topic_of)
        self._on("contact_started", contacts.add)
        channels = chain("channel_hopping", 48 * HOUR_MS, repeats.topic_of, repeats.three_channels)
        self._on("contact_started", channels.add)
        hands = chain("ping_pong", 2 * DAY_MS, repeats.contact_of, repeats.passed_around)
        self._on("contact_transferred contact_answered contact_ended", hands.add)
        looks = chain("wismo", 7 * DAY_MS, repeats.order_of)
        self._on("order_status_viewed contact_started", looks.add, _asks_for_delivery)
        self._on("notification_sent", looks.cut, _says("topic", "delay", "ready"))
        self._on("delivered picked_up", looks.cut)
        failures = chain("failed_deliveries", 14 * DAY_MS, repeats.order_of)
        self._on("delivery_failed", failures.add)
        self._on("delivered picked_up parcel_returned", failures.cut)

    def _watch_deliveries(self) -> None:
        promises = self._promises
        self._on("order_placed delivery_promised", promises.promise_delivery)
        self._on("delivery_delayed", promises.delay)
        self._on("delivery_failed", promises.fail)
        self._on("dispatched", promises.dispatch)
        self._on("delivered", promises.deliver)
        self._on("picked_up", promises.hand_over)
        self._on("parcel_returned returned", promises.take_back)
        silent, told = SilentDelays(self._chronicle), ToldBeforeAsked(self._chronicle)
        says_delay = _says("topic", "delay")
        self._on("delivery_delayed", silent.delay)
        self._on("notification_sent", silent.tell, says_delay)
        self._on("delivered picked_up", silent.tell)
        self._on("delivery_delayed", told.delay)
        self._on("notification_sent", told.tell, says_delay)
        self._on("order_status_viewed contact_started", told.ask)

    def _watch_other_promises(self) -> None:
        promises = self._promises
        self._on("callback_promised", promises.promise_callback)
        self._on("callback_made", promises.call_back)
        self._on("refund_promised", promises.promise_refund)
        self._on("refund_issued", promises.refund)
        self._on("complaint_opened", promises.complain)
        self._on("complaint_resolved", promises.settle_complaint)
        self._on("hold_created", promises.hold)
        self._on("hold_collected", promises.collect_hold)
        self._on("hold_expired", promises.expire_hold)
        self._on("notification_sent", promises.remind, _says("topic", "hold"))
        self._on("back_in_stock_requested", promises.wish)
        self._on("notification_sent", promises.tell_restock, _says("topic", "restock"))

    def _watch_contacts(self) -> None:
        nobody, first = NoHuman(self._chronicle), FirstContacts(self._chronicle)
        self._on("contact_answered", nobody.meet_bot, _says("by", "bot"))
        self._on("contact_answered", nobody.meet_human, _says("by", "human"))
        self._on("contact_ended", nobody.give_up, _says("resolved", False))
        self._on("contact_abandoned", nobody.give_up)
        self._on("contact_started", first.start)
        self._on("contact_ended", first.resolve, _says("resolved", True))

    def _watch_feedback(self) -> None:
        unheard, verdicts = UnheardFeedback(self._chronicle), Verdicts(self._chronicle)
        self._on("survey_answered review_posted", unheard.complain, is_bad_mark)
        self._on("callback_made gift_given", unheard.hear)
        self._on("contact_answered", unheard.hear, _says("by", "human"))
        self._on("gift_given", verdicts.get_gift)
        self._on("survey_answered", verdicts.answer)
        self._on("review_posted social_mention", verdicts.speak)

    def _watch_buying(self) -> None:
        trouble, claims = CheckoutTrouble(self._chronicle), Claims(self._chronicle)
        self._on("payment_failed", trouble.fail)
        self._on("order_placed purchased", trouble.buy)
        self._on("cart_updated checkout_started payment_failed", self._abandonments.go_for_it)
        self._on("order_placed purchased", self._abandonments.buy)
        self._on(
            "visit_started page_viewed searched product_viewed cart_updated checkout_started", self._opportunities.come
        )
        self._on("gift_given", self._opportunities.get_gift)
        self._on("stock_shown", claims.say)
        self._on("item_unavailable", claims.contradict)
        self._on("stock_checked", claims.contradict, _says("in_stock", False))
