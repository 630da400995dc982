"""One partition in memory: its customers, its time, its due times. Pure: chunks in, rows and episode changes out."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import repeat

from schemas.catalogue import UNSTITCHED
from schemas.identifiers import customer_key, is_customer
from schemas.topics import TOUCHPOINTS, TOUCHPOINTS_REKEYED
from streams.alert_tray import AlertTray
from streams.customer import NEVER_MS, NOT_SCHEDULED_MS, Customer
from streams.customer_store import CustomerStore
from streams.episodes import NO_CONTEXT
from streams.gathering import Cold, gather_customer, gather_gone, gather_identity
from streams.identity.asking import History
from streams.identity.desk import IdentityDesk
from streams.identity.erasing import without_erased
from streams.identity.listening import listen
from streams.identity.reach import NOWHERE, Reach
from streams.identity.sending import turn_away
from streams.outcome import Outcome
from streams.policy import Policy, Verdict
from streams.records import Arrival, DecodedChunk
from streams.retaken import NOTHING, Retaken, Told
from streams.rows import Origin, Rows, TouchpointColumns
from streams.rules.model import Rule
from streams.states import EpisodeState
from streams.touch import Touch
from streams.waiting import Waited, Waiting

EPOCH_BITS = 32


class Partition(CustomerStore):
    """The open customers of one partition of the touchpoint topics.

    `time_ms` never goes back. `hot` holds customers unpacked, `cold` the packed form of all that were written.
    """

    def __init__(
        self, number: int, partitions: int, policy: Policy, epoch: int, time_ms: int = 0, hot_customers: int = 20_000
    ) -> None:
        self.context = NO_CONTEXT
        super().__init__(number, partitions, policy, hot_customers)
        self.epoch = epoch
        self.flushes = 0
        self.time_ms = time_ms
        # Nothing that ends later is forgotten: a worker that takes over here may read what belongs to it once more.
        self._forget_until_ms = time_ms
        # The highest time of what others sent on: time gets there once nothing is left that was before.
        self.ahead_ms = 0
        self.positions: dict[str, int] = {}
        self.retaken = Retaken()
        self.waiting = Waiting()
        self.touchpoints = TouchpointColumns()
        self._due: list[tuple[int, str]] = []
        self._to_forget: set[str] = set()
        self._gone: dict[str, tuple[Customer, Cold | None]] = {}
        self.alerts = AlertTray()
        self._unannounced = Outcome()
        self._unreviewed: dict[str, Customer] = {}
        self._unadopted: list[str] = []
        # Customers who wished to be told that stock is back, by SKU; some of them may have been told since.
        self.wishes: dict[str, set[str]] = {}
        self.identities = IdentityDesk(self)

    def restore(self, blocks: Iterable[tuple[str, int, int, bytes]]) -> None:
        """Take over stored states: (customer key, segment, next due, blob), each customer's segments in order."""
        cold, due, busy = self.cold, self._due, list[str]()
        for key, segment, due_ms, blob in blocks:
            if segment == 0:
                cold[key] = Cold(due_ms, due_ms, blob)
                due.append((due_ms, key))
                if due_ms == NEVER_MS:
                    busy.append(key)
            else:
                cold[key].sealed += (blob,)
        heapq.heapify(due)
        self.identities.restore(busy)

    def adopt_orphans(
        self, customer_name: str, journey_ids: Iterable[str], promise_ids: Iterable[str], episode_ids: Iterable[str]
    ) -> None:
        """Have rows that an unfinished flush left behind corrected or retracted with the next; `detect` must follow."""
        customer = self.find(customer_key(customer_name))
        if customer is not None:
            customer.adopt_orphans(journey_ids, promise_ids, episode_ids)
            self.mark(customer)

    def process(self, chunk: DecodedChunk) -> Outcome:
        """Take one chunk: deduplicate, stitch, detect. Rows wait in the partition until `gather`."""
        outcome = self.stitch(chunk)
        self.detect(outcome)
        return outcome

    def detect(self, outcome: Outcome) -> None:
        """Review the customers that `stitch` touched, and let time pass to where the chunks brought it."""
        self.advance(self.time_ms, outcome)

    def stitch(self, chunk: DecodedChunk, *, is_behind: bool = False) -> Outcome:
        """Take one chunk without looking for friction yet; `detect` must follow before `gather`.

        After several chunks it costs less: a customer is reviewed once. What it finds then is the same. `is_behind`: as
        nobody waits for it, what comes under weaker identifiers may wait too, until `stitch_waiting`.
        """
        outcome = Outcome()
        if chunk.releases or chunk.rebuilds or chunk.links or chunk.forgotten:
            listen(self.identities, chunk, outcome)
        if chunk.refusals and self.block_list:
            kept = without_erased(chunk, self.block_list)
            outcome.identity["forgotten"] += len(chunk.refusals) - len(kept)
            chunk.refusals = kept
        self.positions[chunk.topic] = chunk.next_offset
        # What others send on may be far ahead of what comes here: were it to move time, that would be late.
        keeps_time = chunk.topic != TOUCHPOINTS_REKEYED
        retaken, sets_aside = self.retaken.of(chunk), is_behind and chunk.topic == TOUCHPOINTS
        self._take(chunk, outcome, retaken=retaken, sets_aside=sets_aside, keeps_time=keeps_time)
        return outcome

    @property
    def newcomers(self) -> list[str]:
        """Keys under which something waits, and of which nothing is known here."""
        return [key for key in self.waiting if key not in self.hot and key not in self.cold]

    def stitch_handed(self, origin: int, arrivals: list[Arrival], reach: Reach) -> Outcome:
        """Stitch what another partition, in whose topic it lies, has handed over."""
        outcome = Outcome()
        self._take(DecodedChunk(TOUCHPOINTS, origin, 0, arrivals), outcome, reach=reach, keeps_time=False)
        return outcome

    def stitch_waiting(self, waited: Waited, outcome: Outcome, reach: Reach = NOWHERE) -> None:
        """Stitch what has waited; the outcome's `handed` are for others within reach."""
        arrivals, came_ms = [each for each, _ in waited], [moment for _, moment in waited]
        now_ms = self.time_ms
        self._take(DecodedChunk(TOUCHPOINTS, self.number, 0, arrivals), outcome, came_ms, reach=reach)
        self.time_ms = now_ms

    def _take(
        self, chunk: DecodedChunk, outcome: Outcome, came_ms: Iterable[int] = repeat(0), *,
        retaken: Set[Told] = NOTHING, sets_aside: bool = False, reach: Reach = NOWHERE, keeps_time: bool = True,
    ) -> None:  # fmt: skip
        touched = self._unreviewed
        accepted: list[Arrival] = []
        customers: list[Customer] = []
        late: list[int] = []
        hot, time_ms, in_time, waiting = self.hot, self.time_ms, Verdict.ACCEPTED, self.waiting
        for arrival, reached_ms in zip(chunk.arrivals, came_ms, strict=False):
            key, touch = arrival.key, arrival.touch
            occurred_ms = touch.occurred_ms
            is_late_again = retaken and (touch.source, touch.event_id, occurred_ms) in retaken
            if sets_aside and arrival.is_plain and not is_late_again and not is_customer(key):
                time_ms = max(time_ms, occurred_ms)
                waiting.add(arrival, time_ms)
                continue
            if waiting and key in waiting:
                self.stitch_waiting(waiting.take(key), outcome)  # Under one key all is taken in order of arrival.
            customer = hot.get(key) or self._open(key)
            if customer is None:
                turn_away(arrival, self.block_list, outcome)
                continue
            time_ms = reached_ms or (max(time_ms, occurred_ms) if keeps_time else time_ms)
            if customer.identity is not None or not arrival.is_plain:
                self.time_ms = time_ms
                if not self.identities.take(arrival, customer, outcome, reach):
                    self.drop_if_empty(customer)
                    continue
            is_stitched = arrival.is_plain or touch.type not in UNSTITCHED
            verdict = Verdict.LATE if is_late_again else customer.add(touch, time_ms) if is_stitched else in_time
            if verdict is in_time or verdict is Verdict.RETURNED:
                touched[key] = customer
            elif verdict is Verdict.DUPLICATE:
                outcome.duplicate[touch.source] += 1
                continue
            elif verdict is Verdict.LATE and arrival.hop.moves:
                # It is its link that is late: what it belongs to is stitched anew, and then it is in it.
                self.identities.reopen(customer)
                verdict = in_time
            elif verdict is Verdict.LATE:
                outcome.late[touch.source] += 1
                self.drop_if_empty(customer)
            else:
                touched[key] = customer
                self._retract(customer, touch, chunk)
            accepted.append(arrival)
            customers.append(customer)
            late.append(verdict is Verdict.LATE)
            if customer.identity is not None:
                self.identities.note(key, arrival)
        self.time_ms = time_ms
        if accepted and not keeps_time:
            self.ahead_ms = max(self.ahead_ms, max([arrival.touch.occurred_ms for arrival in accepted]))
        self.touchpoints.extend(chunk, customers, accepted, late)
        outcome.accepted.update([arrival.touch.source for arrival in accepted])
        outcome.identity["provisional"] += sum([customer.is_provisional for customer in customers])

    def _retract(self, customer: Customer, touch: Touch, chunk: DecodedChunk) -> None:
        former = customer.superseded
        if former is not None and former.occurred_ms != touch.occurred_ms:
            self.touchpoints.retract(customer.name, former, chunk.partition)

    def erase(self, key: str) -> list[Customer]:
        """Let go of an erased customer, and take nothing more under this key. Returns those whose state may name it."""
        customer = self.known(key)
        self.block_list.add(key)
        if customer is not None:
            for kept in (self.hot, self.dirty, self._unreviewed):
                kept.pop(key, None)
            self.alerts.drop(customer.name)
            self._gone[key] = customer, self.cold.pop(key, None)
        return self.mentioning(key)

    def mark(self, customer: Customer) -> None:
        """Have a customer looked at and written."""
        self._unreviewed[customer.key] = customer

    def retract(self, customer: Customer, arrival: Arrival, is_late: bool) -> None:
        """Delete the row of a touchpoint that is no longer this customer's."""
        self.touchpoints.retract(customer.name, arrival.touch, self.number, is_late)

    def put_again(self, customer: Customer, history: History, places: Sequence[int]) -> None:
        """Write the touchpoints at these places of a history once more, as in time."""
        for place in places:
            origin = DecodedChunk(*history.origins[place], 0)
            self.touchpoints.extend(origin, [customer], [history.arrivals[place]], [0])

    @property
    def next_version(self) -> int:
        """Epoch and number of the next flush, as rows carry it."""
        return self.epoch << EPOCH_BITS | self.flushes + 1

    def _review(self, customers: dict[str, Customer], outcome: Outcome) -> None:
        time_ms, context = self.time_ms, self.context
        self.dirty.update(customers)
        for key, customer in customers.items():
            changes = customer.review(time_ms, context)
            if changes:
                self._note(customer, changes, outcome)
            self._schedule(key, customer)
            if customer.stitcher.book.wishes:
                self._index_wishes(key, customer)

    def _note(self, customer: Customer, changes: list[EpisodeState], outcome: Outcome) -> None:
        for state in changes:
            self.alerts.put(customer.name, state)
            if state.episode_id not in customer.episodes.silent_ids:
                outcome.changes.append((customer.name, state))
        customer.episodes.silent_ids.clear()

    def _schedule(self, key: str, customer: Customer | Cold) -> None:
        if customer.due_ms < customer.scheduled_ms:
            customer.scheduled_ms = customer.due_ms
            heapq.heappush(self._due, (customer.due_ms, key))

    def advance(self, now_ms: int, outcome: Outcome | None = None) -> Outcome:
        """Let time pass to `now_ms`, never back: close journeys, fire rules, forget what can change no more."""
        outcome = outcome if outcome is not None else Outcome()
        outcome.changes += self._unannounced.changes
        self._unannounced.changes.clear()
        if self._unreviewed:
            touched, self._unreviewed = self._unreviewed, {}
            self._review(touched, outcome)
        self.time_ms = max(self.time_ms, now_ms)
        due = self._due
        while due and due[0][0] <= self.time_ms:
            scheduled_ms, key = heapq.heappop(due)
            waiting = self.hot.get(key) or self.cold.get(key)
            if waiting is not None and waiting.scheduled_ms == scheduled_ms:
                waiting.scheduled_ms = NOT_SCHEDULED_MS
                self._fire(key, waiting, outcome)
        return outcome

    def _fire(self, key: str, waiting: Customer | Cold, outcome: Outcome) -> None:
        if waiting.due_ms > self.time_ms:
            self._schedule(key, waiting)
            return
        customer = waiting if isinstance(waiting, Customer) else self._open(key)
        assert customer is not None, "a stored customer belongs to this partition"
        self._note(customer, customer.review(self.time_ms, self.context), outcome)
        if customer.is_dirty:
            self.dirty[key] = customer
        may_forget = customer.may_forget(min(self.time_ms, self._forget_until_ms))
        if may_forget and key in self.dirty:
            # Nothing is forgotten that is not written; `gather` comes back to it.
            self._to_forget.add(key)
        elif may_forget:
            self._forget(key, customer)
        if customer.due_ms > self.time_ms or key not in self.dirty:
            self._schedule(key, customer)

    def _forget(self, key: str, customer: Customer) -> None:
        kept = len(customer.log)
        if customer.forget(min(self.time_ms, self._forget_until_ms)):
            del self.hot[key]
            self._gone[key] = customer, self.cold.pop(key, None)
            return
        if len(customer.log) < kept:
            self._note(customer, customer.review(self.time_ms, self.context), self._unannounced)
            self.dirty[key] = customer

    def gather(self, rows: Rows, rules: Mapping[str, Rule], detected_ms: int) -> Origin:
        """Move everything unwritten into `rows` under the next flush number; returns what marks them.

        From then on the partition counts as written: a flush that fails must be tried again or end the worker.
        """
        assert not self._unreviewed, "what is stored of a customer has been looked at"
        self.flushes += 1
        origin = Origin(self.number, self.positions.get(TOUCHPOINTS, 0), self.epoch << EPOCH_BITS | self.flushes)
        rows.touchpoints.take(self.touchpoints)
        gather_identity(self.identities, detected_ms, rows)
        for key, customer in self.dirty.items():
            _, former = self._gone.pop(key, (None, self.cold.get(key)))
            self.cold[key] = gather_customer(customer, self.time_ms, origin, rows, former)
        for customer, cold in self._gone.values():
            gather_gone(customer, origin, rows, cold)
        self.alerts.gather(rules, detected_ms, origin, rows)
        self._evict()
        self.dirty, self._gone, self._forget_until_ms = {}, {}, self.waiting.first_reached_ms
        self._forget_written()
        return origin

    def _forget_written(self) -> None:
        due, self._to_forget = self._to_forget, set()
        for key in due:
            customer = self.known(key)
            if customer is not None:
                self._forget(key, customer)
                self._schedule(key, customer)

    def note_affected(self, customer: str, episode_id: str, count: int) -> EpisodeState | None:
        """Keep how many other customers an episode concerns, and have it written with that.

        Returns its state, which may have moved on since it was counted; None when it is over.
        """
        key = customer_key(customer)
        found = self.known(key)
        state = found.episodes.states.get(episode_id) if found is not None else None
        if state is None or state.status != "open":
            return None
        self.alerts.affected[episode_id] = count
        self.alerts.states.setdefault(episode_id, (customer, state))
        return state

    def _index_wishes(self, key: str, customer: Customer) -> None:
        for sku in customer.stitcher.book.wished:
            self.wishes.setdefault(sku, set()).add(key)

    def note_wish(self, key: str, sku: str) -> None:
        """Remember a stored wish of a customer, if it is one of this partition's."""
        if key in self.cold:
            self.wishes.setdefault(sku, set()).add(key)

    def look_again(self, skus: Iterable[str]) -> None:
        """Have the customers who wished to be told of these products looked at when time next passes."""
        for key in {key for sku in skus for key in self.wishes.get(sku, ())}:
            waiting = self.hot.get(key) or self.cold.get(key)
            if waiting is not None:
                waiting.due_ms = self.time_ms
                self._schedule(key, waiting)

    def adopt(self, policy: Policy) -> None:
        """Go by other rules from now on. `look_on` then finds, customer by customer, what they change."""
        self.policy = policy
        for customer in self.hot.values():
            customer.adopt(policy)
        self._unadopted = list(self.cold.keys() | self.hot.keys())

    def look_on(self, count: int) -> Outcome:
        """Review so many of the customers that have not been looked at since the rules changed."""
        outcome = Outcome()
        keys, self._unadopted = self._unadopted[-count:], self._unadopted[:-count]
        for key in keys:
            customer = self.known(key)
            if customer is None:
                continue
            self._note(customer, customer.review(self.time_ms, self.context), outcome)
            if customer.is_dirty:
                self.dirty[key] = customer
            self._schedule(key, customer)
        return outcome

    @property
    def is_adopting(self) -> bool:
        """Whether customers are left that were not looked at since the rules changed."""
        return bool(self._unadopted)

    @property
    def is_unreviewed(self) -> bool:
        """Whether `detect` must come before `gather`."""
        return bool(self._unreviewed or self._unannounced.changes)

    @property
    def is_unwritten(self) -> bool:
        """Whether there is anything that a flush would write."""
        return (
            bool(self.waiting or self._unreviewed or self.dirty or self._gone or self.alerts or len(self.touchpoints))
            or self.identities.is_unwritten
        )
