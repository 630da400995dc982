"""One open customer in memory: touches in, journeys, promises and episodes out. Pure; the clock is passed in."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence

from schemas.episode import WithdrawnBecause
from schemas.identifiers import customer_name, is_customer, own_identifiers_json
from schemas.partitioning import hash_key
from streams.episodes import NO_CONTEXT, Context, EpisodeBook
from streams.identity.state import IdentityState
from streams.policy import Policy, Verdict
from streams.promises import FOREVER_MS
from streams.states import FORMAT, NOTHING_PACKED, EpisodeState, Head, PromiseState
from streams.stitching import Journey, Stitcher, begins_between
from streams.summary import Summary
from streams.touch import Touch, identify, index_touches, order_key, rank

NEVER_MS = -(2**62)
NOT_SCHEDULED_MS = 2**63 - 1
UNKNOWN_PROMISE = PromiseState("", "", "", "", 0, 0, 0, None, "open")


class Customer:
    """All that is open of one customer."""

    __slots__ = (
        "key", "name", "identifiers_json", "key_hash", "policy", "log", "seen", "stitcher", "floor_ms",
        "sealed_segments", "packed", "due_ms", "is_dirty", "journey_ids", "promises", "episodes", "superseded",
        "scheduled_ms", "identity", "is_provisional", "_promise_due_ms", "_order", "_strays", "_stitched", "_sound",
        "_snapshots", "_expires_ms", "_last_is_closed", "_reach_ms",
    )  # fmt: skip

    def __init__(self, key: str, policy: Policy) -> None:
        self.key = key
        self.name = customer_name(key)
        self.identifiers_json = own_identifiers_json(key)
        self.key_hash = hash_key(key.encode())
        self.policy = policy
        self.log: list[Touch] = []
        self.seen: dict[str, Touch] = {}
        self.stitcher = Stitcher(policy.stitching)
        self.floor_ms = NEVER_MS
        self.sealed_segments = 0
        self.packed = NOTHING_PACKED
        self.due_ms = FOREVER_MS
        self.is_dirty = False
        self.journey_ids: set[str] = set()
        self.promises: dict[str, PromiseState] = {}
        self.episodes = EpisodeBook(policy.plan, key)
        self.superseded: Touch | None = None
        self.scheduled_ms = NOT_SCHEDULED_MS
        # A weaker identifier may belong to somebody; a customer_id does so only if a merge record says it.
        self.is_provisional = not is_customer(key)
        self.identity = IdentityState() if self.is_provisional else None
        self._promise_due_ms = FOREVER_MS
        # In order of `order_key`, the same list as `log` while that is in order; `_strays` are not in it yet.
        self._order = self.log
        self._strays: list[Touch] = []
        self._snapshots: list[Stitcher] = []
        # So many touches of `_order` were stitched and watched; of the first `_sound` of them that still holds.
        self._stitched = self._sound = 0
        self._expires_ms = FOREVER_MS
        self._last_is_closed = False
        self._reach_ms = policy.reach_ms

    def add(self, touch: Touch, now_ms: int) -> Verdict:
        """Take one touch, in any order, to be stitched when somebody looks. `now_ms` is partition time."""
        identity, occurred_ms = touch.event_id, touch.occurred_ms
        if identity in self.seen:
            identity = identify(self.seen, touch)
            known = self.seen.get(identity)
            if known is not None:
                return self._supersede(identity, known, touch, now_ms)
        lapses_ms = occurred_ms + self._reach_ms
        is_plainly_in_time = lapses_ms >= now_ms and occurred_ms > self.floor_ms and now_ms <= self._expires_ms
        if not is_plainly_in_time and self.is_late(occurred_ms, now_ms):
            return Verdict.LATE
        self.seen[identity] = touch
        self.is_dirty = True
        if lapses_ms < self._expires_ms:
            self._expires_ms = lapses_ms
        order = self._order
        if order and order[-1].occurred_ms >= occurred_ms and order_key(order[-1]) > order_key(touch):
            self._stray(touch)
        elif order is not self.log:
            order.append(touch)
        self.log.append(touch)
        return Verdict.ACCEPTED

    def fill(self, touches: list[Touch]) -> None:
        """Have these touches, where nothing is known yet: in order and each once. None of them is late."""
        self.log = self._order = touches
        self.seen = index_touches(touches)
        self.is_dirty = True
        self._expires_ms = NEVER_MS
        for touch in touches:
            self.stitcher.feed(touch)
            if touch.details is not None:
                self.episodes.watch.feed(touch)
        self._stitched = self._sound = len(touches)

    def _feed(self, touch: Touch) -> None:
        stitcher = self.stitcher
        stitcher.feed(touch)
        if stitcher.count % self.policy.snapshot_touches == 0:
            self._snapshots.append(stitcher.copied())

    def _stray(self, touch: Touch) -> None:
        if self._order is self.log:
            self._order = self.log.copy()
        self._strays.append(touch)

    def _settle(self) -> None:
        """Put what came out of order where it belongs: together, as many may come before anybody looks."""
        if strays := self._strays:
            order, self._strays = self._order, []
            last = order_key(order[self._stitched - 1]) if self._stitched else None
            for touch in strays:
                insort(order, touch, key=order_key)
            # The others come after all that is stitched, as if they had come in order.
            belated = [touch for touch in strays if last is not None and order_key(touch) < last]
            if belated:
                self._stitched += len(belated)
                self._upset(min(belated, key=order_key), {touch.type for touch in belated})

    def _upset(self, first: Touch, types: Iterable[str]) -> int:
        """Have the stitching hold only before `first`, of which it returns the place, as such types came or went."""
        place = bisect_left(self._order, order_key(first), key=order_key)
        if place < self._stitched:
            self.episodes.watch.upset(types)
        self._sound = min(place, self._sound)
        return place

    def _supersede(self, identity: str, known: Touch, touch: Touch, now_ms: int) -> Verdict:
        """Of two versions of one touchpoint the earlier received one counts; equal times are decided by content."""
        if touch.moves > known.moves and touch.occurred_ms == known.occurred_ms:
            # It was away and has come back, though what is in memory does not know: its row has to be written again.
            known.moves, touch.received_ms = touch.moves, min(touch.received_ms, known.received_ms)
            self._store_anew()
            self.is_dirty = True
            return Verdict.RETURNED
        if touch == known or rank(touch) >= rank(known):
            return Verdict.DUPLICATE
        has_moved = touch.moves > 0
        # Its row has to beat the other's, which was perhaps moved more often.
        touch.moves = max(touch.moves, known.moves)
        if self.is_late(touch.occurred_ms, now_ms):
            return Verdict.LATE if has_moved else Verdict.DUPLICATE
        self.superseded = known
        self.episodes.because = "corrected"
        self._stray(touch)
        self._settle()
        place = self._upset(known, (known.type,))
        del self._order[place]
        self._stitched -= place < self._stitched
        self.log[next(i for i, kept in enumerate(self.log) if kept is known)] = touch
        self.seen[identity] = touch
        self.is_dirty = True
        self._store_anew()
        return Verdict.REPLACED

    def _store_anew(self) -> None:
        """Note that the stored segments no longer begin as the log does."""
        self.sealed_segments = 0
        self.packed = NOTHING_PACKED

    def is_late(self, occurred_ms: int, now_ms: int) -> bool:
        """Whether a touchpoint of that time could only change what is closed for longer than the allowed lateness."""
        rules = self.policy.stitching
        is_recent = occurred_ms + self._reach_ms >= now_ms
        self._restitch()
        self._raise_floor(now_ms)
        if occurred_ms <= self.floor_ms:
            return True
        return not is_recent and not any(
            journey.first.occurred_ms - rules.gap_ms <= occurred_ms <= journey.closes_ms(rules)
            for journey in self.stitcher.journeys
            if journey.first.occurred_ms > self.floor_ms
        )

    def _raise_floor(self, now_ms: int) -> None:
        rules = self.policy.stitching
        self._expires_ms = FOREVER_MS
        for journey in self.stitcher.journeys:
            if journey.last.occurred_ms <= self.floor_ms:
                continue
            closes_ms = journey.closes_ms(rules)
            if closes_ms + rules.lateness_ms >= now_ms:
                self._expires_ms = closes_ms + rules.lateness_ms
                break
            self.floor_ms = max(self.floor_ms, closes_ms)

    def _restitch(self) -> None:
        if self._sound == len(self.log):
            return
        self._settle()
        if self._sound < self.stitcher.count:
            self._rewind(self._sound)
        for touch in self._order[self.stitcher.count :]:
            self._feed(touch)
        watch = self.episodes.watch
        for touch in self._order[self._stitched :]:
            if touch.details is not None:
                watch.feed(touch)
        self._stitched = self._sound = len(self._order)

    def _rewind(self, place: int) -> None:
        snapshots = self._snapshots
        while snapshots and snapshots[-1].count > place:
            snapshots.pop()
        self.stitcher.rewind(place)
        if snapshots and snapshots[-1].count > self.stitcher.count:
            self.stitcher = snapshots[-1].copied()
            for journey in self.stitcher.journeys:
                journey.is_dirty = True
        self.episodes.follow_journeys()

    def _stitch_anew(self) -> None:
        order = sorted(self.log, key=order_key)
        # Most histories come in order, and one list is enough.
        self._order = self.log if order == self.log else order
        self._strays.clear()
        self._snapshots.clear()
        # Whoever watches begins anew below.
        self._sound, self._stitched = 0, len(order)
        self._rewind(0)
        self._restitch()
        self.episodes.begin_anew(self.policy.plan, "late_data", is_empty=not order)

    def review(self, now_ms: int, context: Context = NO_CONTEXT) -> list[EpisodeState]:
        """Bring everything up to date; returns the episodes that changed since the last review."""
        self._restitch()
        stitcher, episodes = self.stitcher, self.episodes
        self.is_dirty |= now_ms >= self._promise_due_ms
        journeys = stitcher.journeys
        closes_ms = FOREVER_MS
        if journeys:
            closes_ms = journeys[-1].closes_ms(self.policy.stitching)
            if (now_ms > closes_ms) != self._last_is_closed:
                self._last_is_closed = not self._last_is_closed
                journeys[-1].is_dirty = True
                self.is_dirty = True
        restock_ms = self._apply_restocks(context, now_ms) if stitcher.book.wishes else FOREVER_MS
        self.is_dirty |= episodes.review(stitcher, self._order, now_ms, context)
        self.due_ms = min(
            episodes.watch.due_ms,
            FOREVER_MS if self._last_is_closed else closes_ms + 1,
            self._find_promise_due_ms(now_ms),
            self._forget_due_ms(now_ms),
            restock_ms,
        )
        changes, episodes.changes = episodes.changes, []
        return changes

    def _apply_restocks(self, context: Context, now_ms: int) -> int:
        if context.restocks is None:
            return FOREVER_MS
        is_changed, due_ms = self.stitcher.book.apply_restocks(context.restocks, now_ms)
        if is_changed:
            self.is_dirty = True
            self.episodes.watch.consider_promises()
        return due_ms

    def adopt(self, policy: Policy) -> None:
        """Go by other rules from now on; the next review says what they change."""
        self.policy = policy
        self.episodes.begin_anew(policy.plan, "rule_changed")

    def _find_promise_due_ms(self, now_ms: int) -> int:
        due_ms = FOREVER_MS
        if self.stitcher.book.promises:
            pending = (p.latest_promised_ms + 1 for p in self.stitcher.book.promises if p.settling is None and p.moves)
            due_ms = min((moment for moment in pending if moment > now_ms), default=FOREVER_MS)
        self._promise_due_ms = due_ms
        return due_ms

    def _forget_due_ms(self, now_ms: int) -> int:
        rules = self.policy.stitching
        # Nothing is forgotten before the first journey is; where that must wait, ask again after a while.
        if self.stitcher.journeys:
            due_ms = self.policy.forgettable_ms(self.stitcher.journeys[0]) + 1
        else:
            due_ms = NEVER_MS if self._has_errand else self._quiet_ms() + self._reach_ms + 1
        return due_ms if due_ms > now_ms else now_ms + max(rules.gap_ms, 1)

    def _quiet_ms(self) -> int:
        """Since when nothing more is known of a customer without touches; what belongs to somebody is kept so long."""
        return self.floor_ms if self.identity is None else max(self.floor_ms, self.identity.active_ms)

    def may_forget(self, now_ms: int) -> bool:
        """Whether `forget` could drop anything."""
        if self._has_errand:
            return False
        if self.stitcher.journeys:
            return now_ms > self.policy.forgettable_ms(self.stitcher.journeys[0])
        return self._is_quiet(now_ms)

    @property
    def _has_errand(self) -> bool:
        return self.identity is not None and self.identity.has_errand

    def _is_quiet(self, now_ms: int) -> bool:
        return now_ms > self._quiet_ms() + self._reach_ms

    def forget(self, now_ms: int) -> bool:
        """Drop what can change no more; call it when nothing is unwritten. Returns whether the customer is done."""
        # What was about to move was not shown, so it may not be written yet.
        if self._has_errand:
            return False
        self._restitch()
        self._raise_floor(now_ms)
        kept = self.stitcher.journeys
        if index := next((i for i in range(len(kept), 0, -1) if self._is_cut(kept, i, now_ms)), 0):
            self._cut(index)
        return not self.log and self._is_quiet(now_ms)

    def _is_cut(self, journeys: Sequence[Journey], index: int, now_ms: int) -> bool:
        if any(now_ms <= self.policy.forgettable_ms(journey) for journey in journeys[:index]):
            return False
        cut_ms = journeys[index - 1].last.occurred_ms
        spans = [(s.anchor_ms, s.last_seen_ms) for s in self.episodes.states.values() if s.status != "withdrawn"]
        spans += [(p.requested_ms, p.matters_until_ms) for p in self.stitcher.book.promises]
        return not any(first <= cut_ms < last and begins_between(journeys, cut_ms, last) for first, last in spans)

    def _cut(self, index: int) -> None:
        gone = self.stitcher.journeys[:index]
        cut_ms = gone[-1].last.occurred_ms
        self.journey_ids -= {journey.journey_id(self.key) for journey in gone}
        self.log = [touch for touch in self.log if touch.occurred_ms > cut_ms]
        self.seen = index_touches(self.log)
        self.promises = {i: state for i, state in self.promises.items() if state.requested_ms > cut_ms}
        self.episodes.restore(s for s in self.episodes.states.values() if s.anchor_ms > cut_ms)
        self._store_anew()
        self._stitch_anew()
        for journey in self.stitcher.journeys:
            journey.is_dirty = False
        if not self.log:
            self._last_is_closed = False

    def replace(self, touches: list[Touch], because: WithdrawnBecause) -> None:
        """Have these touches instead of all that were there, however long their journeys are closed."""
        self.log = touches
        self.seen = index_touches(touches)
        self.floor_ms = NEVER_MS
        self._expires_ms = NEVER_MS
        self._promise_due_ms = NEVER_MS
        self._last_is_closed = False
        self._store_anew()
        self._stitch_anew()
        self.episodes.because = because
        self.is_dirty = True

    def adopt_orphans(self, journey_ids: Iterable[str], promise_ids: Iterable[str], episode_ids: Iterable[str]) -> None:
        """Take rows that an unfinished flush left as written, so that the next flush corrects or retracts them."""
        self.is_dirty = True
        orphaned = set(journey_ids)
        self.journey_ids |= orphaned
        for journey in self.stitcher.journeys:
            journey.is_dirty = journey.is_dirty or journey.journey_id(self.key) in orphaned
        for promise_id in promise_ids:
            self.promises[promise_id] = UNKNOWN_PROMISE
        self.episodes.adopt_orphans(episode_ids)

    def summarise(self, journey: Journey) -> Summary:
        """What one of the journeys comes to."""
        return journey.summarise(self._order)

    def is_closed(self, journey: Journey) -> bool:
        """Whether a journey of this customer is closed; true for all but perhaps the last."""
        return journey is not self.stitcher.journeys[-1] or self._last_is_closed

    def head(self) -> Head:
        """Segment 0 as it must be stored now, without its touches."""
        return Head(
            FORMAT, self.floor_ms, self.sealed_segments, self._last_is_closed, sorted(self.journey_ids),
            list(self.promises.values()), list(self.episodes.states.values()), self.identity, [],
        )  # fmt: skip

    @classmethod
    def restored(cls, key: str, policy: Policy, head: Head, sealed: Iterable[list[Touch]]) -> Customer:
        """A customer from its segments, as it was when they were written."""
        customer = cls(key, policy)
        customer.log = [touch for segment in sealed for touch in segment] + head.tail
        customer.seen = index_touches(customer.log)
        customer.floor_ms = head.floor_ms
        customer.sealed_segments = head.sealed_segments
        customer.journey_ids = set(head.journey_ids)
        customer.promises = {state.promise_id: state for state in head.promises}
        customer.episodes.restore(head.episodes)
        customer._last_is_closed = head.last_is_closed
        customer.identity = head.identity or customer.identity
        customer._stitch_anew()
        for journey in customer.stitcher.journeys:
            journey.is_dirty = journey.journey_id(key) not in customer.journey_ids
        customer._expires_ms = NEVER_MS
        customer._promise_due_ms = NEVER_MS if any(s.status == "open" for s in head.promises) else FOREVER_MS
        return customer
