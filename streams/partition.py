"""One partition in memory: its customers, its time, its due times. Pure: chunks in, rows and episode changes out."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schemas.identifiers import customer_key
from schemas.moments import format_epoch_ms
from schemas.topics import TOUCHPOINTS
from streams.customer import NOT_SCHEDULED_MS, Customer
from streams.episodes import NO_CONTEXT
from streams.friction.texts import Wording, word
from streams.gathering import Cold, gather_customer, gather_gone
from streams.policy import Policy, Verdict
from streams.records import Arrival, DecodedChunk
from streams.rows import Origin, Rows, TouchpointColumns, alert_row
from streams.rules.model import Rule, retired_rule
from streams.states import EpisodeState, unpack_head, unpack_touches
from streams.touch import Touch

EPOCH_BITS = 32
MANY_LATE = 100


@dataclass(slots=True)
class Outcome:
    """What a chunk or the passing of time brought. Counters are by source."""

    accepted: Counter[str] = field(default_factory=Counter)
    duplicate: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    misrouted: list[Arrival] = field(default_factory=list)
    changes: list[tuple[str, EpisodeState]] = field(default_factory=list)

    @property
    def is_mostly_late(self) -> bool:
        """Whether so much of it is late that something must be wrong."""
        return MANY_LATE <= self.late.total() > self.accepted.total() / 2


class Partition:
    """The open customers of one partition of the touchpoint topics.

    `time_ms` never goes back. `hot` holds customers unpacked, `cold` the packed form of all that were written.
    """

    def __init__(
        self, number: int, partitions: int, policy: Policy, epoch: int, time_ms: int = 0, hot_customers: int = 20_000
    ) -> None:
        self.context = NO_CONTEXT
        self.number = number
        self.partitions = partitions
        self.policy = policy
        self.epoch = epoch
        self.flushes = 0
        self.time_ms = time_ms
        self.positions: dict[str, int] = {}
        self.hot: dict[str, Customer] = {}
        self.cold: dict[str, Cold] = {}
        self.dirty: dict[str, Customer] = {}
        self.touchpoints = TouchpointColumns()
        self._hot_customers = hot_customers
        self._due: list[tuple[int, str]] = []
        self._to_forget: set[str] = set()
        self._gone: dict[str, tuple[Customer, Cold | None]] = {}
        self._episodes: dict[str, tuple[str, EpisodeState]] = {}
        self._unannounced = Outcome()
        self._unreviewed: dict[str, Customer] = {}
        self._unadopted: list[str] = []
        # Customers who wished to be told that stock is back, by SKU; some of them may have been told since.
        self.wishes: dict[str, set[str]] = {}
        # How many other customers an episode concerns, where that was counted.
        self.affected: dict[str, int] = {}
        # What was said of a state when it was told.
        self.wordings: dict[str, tuple[EpisodeState, Wording]] = {}

    @property
    def open_customers(self) -> int:
        """How many customers have something open, as of the last flush."""
        return len(self.cold)

    def restore(self, blocks: Iterable[tuple[str, int, int, bytes]]) -> None:
        """Take over stored states: (customer key, segment, next due, blob), each customer's segments in order."""
        cold, due = self.cold, self._due
        for key, segment, due_ms, blob in blocks:
            if segment == 0:
                cold[key] = Cold(due_ms, due_ms, blob)
                due.append((due_ms, key))
            else:
                cold[key].sealed += (blob,)
        heapq.heapify(due)

    def adopt_orphans(
        self, customer_name: str, journey_ids: Iterable[str], promise_ids: Iterable[str], episode_ids: Iterable[str]
    ) -> None:
        """Have rows that an unfinished flush left behind corrected or retracted with the next flush."""
        key = customer_key(customer_name)
        customer = self.hot.get(key) or self._open(key)
        if customer is not None:
            customer.adopt_orphans(journey_ids, promise_ids, episode_ids)
            self._review({key: customer}, Outcome())

    def process(self, chunk: DecodedChunk) -> Outcome:
        """Take one chunk: deduplicate, stitch, detect. Rows wait in the partition until `gather`."""
        outcome = self.stitch(chunk)
        self.detect(outcome)
        return outcome

    def detect(self, outcome: Outcome) -> None:
        """Review the customers that `stitch` touched, and let time pass to where the chunks brought it."""
        self.advance(self.time_ms, outcome)

    def stitch(self, chunk: DecodedChunk) -> Outcome:
        """Take one chunk without looking for friction yet; `detect` must follow before `gather`.

        After several chunks it costs less: a customer is reviewed once. What it finds then is the same.
        """
        outcome = Outcome()
        touched = self._unreviewed
        accepted: list[Arrival] = []
        customers: list[Customer] = []
        late: list[int] = []
        hot, time_ms, in_time = self.hot, self.time_ms, Verdict.ACCEPTED
        for arrival in chunk.arrivals:
            key = arrival.key
            customer = hot.get(key) or self._open(key)
            if customer is None:
                outcome.misrouted.append(arrival)
                continue
            touch = arrival.touch
            if touch.occurred_ms > time_ms:
                time_ms = touch.occurred_ms
            verdict = customer.add(touch, time_ms)
            if verdict is in_time:
                touched[key] = customer
            elif verdict is Verdict.DUPLICATE:
                outcome.duplicate[touch.source] += 1
                continue
            elif verdict is Verdict.LATE:
                outcome.late[touch.source] += 1
                self._drop_if_empty(key, customer)
            else:
                touched[key] = customer
                self._retract(customer, touch, chunk)
            accepted.append(arrival)
            customers.append(customer)
            late.append(verdict is Verdict.LATE)
        self.time_ms = time_ms
        self._keep(chunk, customers, accepted, late, outcome)
        return outcome

    def _keep(
        self, chunk: DecodedChunk, customers: list[Customer], accepted: list[Arrival], late: list[int], outcome: Outcome
    ) -> None:
        self.positions[chunk.topic] = chunk.next_offset
        self.touchpoints.extend(chunk, customers, accepted, late)
        outcome.accepted.update([arrival.touch.source for arrival in accepted])

    def _retract(self, customer: Customer, touch: Touch, chunk: DecodedChunk) -> None:
        former = customer.superseded
        if former is not None and former.occurred_ms != touch.occurred_ms:
            self.touchpoints.retract(customer.name, former, chunk)

    def _drop_if_empty(self, key: str, customer: Customer) -> None:
        # One that is dirty has orphaned rows to retract.
        if not customer.log and key not in self.cold and key not in self.dirty:
            del self.hot[key]

    def _open(self, key: str) -> Customer | None:
        """The customer of a key, unpacked or new; None when the key belongs to another partition."""
        cold = self.cold.get(key)
        if cold is not None:
            customer = unpack(key, self.policy, cold)
        else:
            customer = Customer(key, self.policy)
            if customer.key_hash % self.partitions != self.number:
                return None
        self.hot[key] = customer
        return customer

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
            self._episodes[state.episode_id] = (customer.name, state)
            outcome.changes.append((customer.name, state))

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
        may_forget = customer.may_forget(self.time_ms)
        if may_forget and key in self.dirty:
            # Nothing is forgotten that is not written; `gather` comes back to it.
            self._to_forget.add(key)
        elif may_forget:
            self._forget(key, customer)
        if customer.due_ms > self.time_ms or key not in self.dirty:
            self._schedule(key, customer)

    def _forget(self, key: str, customer: Customer) -> None:
        kept = len(customer.log)
        if customer.forget(self.time_ms):
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
        for key, customer in self.dirty.items():
            _, former = self._gone.pop(key, (None, self.cold.get(key)))
            self.cold[key] = gather_customer(customer, self.time_ms, origin, rows, former)
        for customer, cold in self._gone.values():
            gather_gone(customer, origin, rows, cold)
        for name, state in self._episodes.values():
            rule = rules.get(state.rule) or retired_rule(state.rule)
            wording, affected = self._word(rule, state), self.affected.get(state.episode_id)
            rows.alerts.append(alert_row(name, rule, state, wording, detected_ms, origin, affected=affected))
            if state.status != "open":
                self.affected.pop(state.episode_id, None)
        self._evict()
        self.dirty, self._gone, self._episodes = {}, {}, {}
        self._forget_written()
        return origin

    def _word(self, rule: Rule, state: EpisodeState) -> Wording:
        said = self.wordings.pop(state.episode_id, None)
        return said[1] if said is not None and said[0] is state else word(rule, state)

    def _evict(self) -> None:
        surplus = len(self.hot) - self._hot_customers
        if surplus > 0:
            for key in [key for key in self.hot if key not in self.dirty][:surplus]:
                self.cold[key].scheduled_ms = self.hot.pop(key).scheduled_ms

    def _forget_written(self) -> None:
        due, self._to_forget = self._to_forget, set()
        for key in due:
            customer = self.hot.get(key) or (self._open(key) if key in self.cold else None)
            if customer is not None:
                self._forget(key, customer)
                self._schedule(key, customer)

    def keep(self, customer: str, state: EpisodeState) -> None:
        """Have one state of an episode written with the next flush."""
        self._episodes[state.episode_id] = (customer, state)

    def note_affected(self, customer: str, episode_id: str, count: int) -> EpisodeState | None:
        """Keep how many other customers an episode concerns, and have it written with that.

        Returns its state, which may have moved on since it was counted; None when it is over.
        """
        self.affected[episode_id] = count
        key = customer_key(customer)
        found = self.hot.get(key) or (self._open(key) if key in self.cold else None)
        state = found.episodes.states.get(episode_id) if found is not None else None
        if state is None or state.status != "open":
            return None
        self._episodes.setdefault(episode_id, (customer, state))
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
            customer = self.hot.get(key) or (self._open(key) if key in self.cold else None)
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
        return bool(self._unreviewed)

    @property
    def is_unwritten(self) -> bool:
        """Whether there is anything that a flush would write."""
        return bool(self._unreviewed or self.dirty or self._gone or self._episodes or len(self.touchpoints))


def describe_late(partition: Partition, outcome: Outcome) -> str:
    """What to say of a chunk that is mostly late."""
    return (
        f"{outcome.late.total()} of {outcome.accepted.total()} touchpoints are late for partition {partition.number}, "
        f"whose time is {format_epoch_ms(partition.time_ms)}: "
        "history that is replayed after newer touchpoints joins no journey"
    )


def unpack(key: str, policy: Policy, cold: Cold) -> Customer:
    """A customer from its packed form. Raises msgspec.DecodeError when that is of another release's format."""
    customer = Customer.restored(key, policy, unpack_head(cold.head), map(unpack_touches, cold.sealed))
    customer.due_ms, customer.scheduled_ms = cold.due_ms, cold.scheduled_ms
    return customer
