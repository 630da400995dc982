"""The desk: what one partition does about identity. Links in, decisions, errands and records to be sent out.

Pure. An errand (reading evidence, moving a history to its owner, stitching anew) needs rows from ClickHouse: it is
noted here, asked for by the flush after the one that has written everything before it, and done when the answer is
there. A customer's state says what errands it has, so none is lost with a worker.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.catalogue import UNSTITCHED
from schemas.episode import WithdrawnBecause
from schemas.links import ERASED, HUMAN_RULES, Link
from streams.customer import Customer
from streams.identity.asking import Answers, Asks, History, Known, admit_late, touches_of
from streams.identity.bars import Bars
from streams.identity.choice import ENDS, Decision, Evidence, add_evidence, decide
from streams.identity.erasing import admit, purge
from streams.identity.hops import is_settled, route
from streams.identity.ledger import Ledger
from streams.identity.reach import NOWHERE, Reach, send_on
from streams.identity.recalling import recall
from streams.identity.sending import forward, links_of, teach, tell_act, tell_release
from streams.identity.shelf import Decided, Shelf
from streams.identity.state import IdentityState, identity_of
from streams.outcome import Outcome
from streams.records import Arrival, Release
from streams.stitching import find_firsts
from streams.touch import Touch


class IdentityDesk:
    """`links`, `decisions` and `redirects` wait for the next flush; they are emptied by who writes them."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.ledger, self.bars = Ledger(), Bars()
        self.links: list[Link] = []
        self.redirects: list[tuple[str, str, int, str, str]] = []
        self.decisions: dict[str, Decided] = {}

    def take(self, arrival: Arrival, customer: Customer, outcome: Outcome, reach: Reach = NOWHERE) -> bool:
        """Learn and teach what an arrival says of identity. False: it is not to be stitched here, and was seen to."""
        shelf, hop, state = self._shelf, arrival.hop, customer.identity
        if arrival.is_plain and state is not None and state.is_known and not state.owner:
            # The most frequent by far, and nothing of it concerns identity.
            state.active_ms = shelf.time_ms
            outcome.hops[0] += 1
            return True
        if shelf.block_list and not admit(arrival, shelf.block_list):
            outcome.identity["forgotten"] += 1
            return False
        if not hop.via and (len(arrival.wire.identifiers) > 1 or arrival.touch.type in UNSTITCHED):
            self._teach(arrival, customer, outcome)
        state = customer.identity
        if state is not None:
            state.active_ms = shelf.time_ms
            if not state.is_known:
                self.ledger.unknown.add(customer.key)
            if (state.owner or hop.via or hop.circle) and not self._let_in(arrival, customer, state, outcome, reach):
                return False
        outcome.hops[len(hop.via)] += 1
        return True

    def _let_in(
        self, arrival: Arrival, customer: Customer, state: IdentityState, outcome: Outcome, reach: Reach
    ) -> bool:
        """Whether an arrival stays. Otherwise it is sent on."""
        owner = state.destination
        if owner and self._shelf.block_list.holds(owner):
            owner = ""
        elif owner and not reach.is_near(owner) and (customer.key in self.ledger.fresh or reach.is_handed):
            owner = ""
            if customer.key not in self.ledger.fresh or not state.is_moving:
                self.move(customer, state)  # When it is written how it came here.
        way = route(customer.key, owner, state.version, arrival.hop, state.released, self.bars.of(customer.key))
        if way is not None and way.is_circle:
            self._note_end(customer, state, Decision(state.owner, "loop", 1))
        if way is not None and way.key != customer.key:
            # A worker that died may have taken it here. Where the next may have it stay, it is not said to be gone.
            if not reach.is_near(way.key):
                self._shelf.retract(customer, arrival, False)
            elif self._shelf.retaken.may_be_written(arrival):
                self.move(customer, state) if state.destination else self.reopen(customer)
            send_on(way, arrival, reach, outcome)
            outcome.identity["forwarded"] += 1
            return False
        if way is not None or is_settled(customer.key, state.version, arrival.hop, state.released):
            state.is_settled = True
            if arrival.hop.barred_by:
                self._note_end(customer, state, Decision("", "unlinked", 1))
        return True

    def note(self, key: str, arrival: Arrival) -> None:
        """Note that a touchpoint was taken, and its row will be written with the next flush."""
        self.ledger.note(key, arrival.touch, self._shelf.flushes)

    def _teach(self, arrival: Arrival, customer: Customer, outcome: Outcome) -> None:
        window_ms = self._shelf.policy.limits.window_ms
        said = links_of(arrival, customer.key)
        if said and teach(said, identity_of(customer).taught, window_ms, outcome):
            self._mark(customer)

    def reopen(self, customer: Customer) -> None:
        """Have a customer stitched anew: a touchpoint came through a link that is older than what is in memory."""
        state = identity_of(customer)
        state.is_partial = True
        if not state.is_known:
            # It may belong to somebody: then what concerns it goes on to there.
            self.ledger.unknown.add(customer.key)
        self.ledger.reopen(customer.key, self._shelf.flushes)
        self._mark(customer)

    def rebuild(self, key: str) -> bool:
        """Have a customer stitched anew, with what came too late. False when the key belongs to another partition."""
        if self._shelf.block_list.holds(key):
            return True
        customer = self._shelf.find(key)
        if customer is None:
            return False
        state = identity_of(customer)
        state.takes_late, state.active_ms = True, self._shelf.time_ms
        self.reopen(customer)
        return True

    def forget(self, identifier: str, outcome: Outcome) -> None:
        """Let go of an erased customer, and of what others keep of him."""
        self.ledger.drop(identifier)
        if identifier in self._shelf.waiting:
            outcome.identity["forgotten"] += len(self._shelf.waiting.take(identifier))
        self._shelf.merged.discard(identifier)
        self.decisions.pop(identifier, None)
        self.bars.drop(identifier)
        for customer in self._shelf.erase(identifier):
            if (state := customer.identity) is not None and purge(state, identifier):
                if state.is_known:
                    self._decide(customer, state, outcome)
                self._mark(customer)

    def hear(self, link: Link, outcome: Outcome) -> bool:
        """Take a link into account. False when its identifier belongs to another partition."""
        is_untying = link.rule == "unlinked" and link.reason == ERASED
        block_list = self._shelf.block_list
        if block_list.holds(link.identifier) or (block_list.holds(link.owner) and not is_untying):
            return True
        customer = self._shelf.find(link.identifier)
        if customer is None:
            return False
        state = self._meet(customer)
        state.active_ms = max(state.active_ms, self._shelf.time_ms, link.occurred_ms)
        is_told = False
        if is_untying:
            # What was known of an erased customer is dropped rather than kept together with its undoing.
            purge(state, link.owner)
        elif (said := Evidence.of(link)) in state.evidence:
            return True  # Heard before, as of a neighbour in this worker, and written with that.
        else:
            self.links.append(link)
            is_told = add_evidence(state.evidence, said, self._shelf.policy.limits)
            if is_told and link.rule in HUMAN_RULES:
                outcome.sendings.append(tell_act(link))
        outcome.identity["heard"] += 1
        self._mark(customer)
        if state.is_known:
            self._decide(customer, state, outcome, is_told=is_told)
        else:
            self.ledger.unknown.add(customer.key)
        return True

    def doubt(self, key: str) -> None:
        """Look up whose an identifier is: one who died has decided that, and may have acted by it."""
        if (customer := self._shelf.find(key)) is not None:
            self._meet(customer).is_known = False
            self.ledger.doubt(key)
            self._mark(customer)

    def _meet(self, customer: Customer) -> IdentityState:
        """The state of a customer of whom something is said, of whom more may be known."""
        if not customer.is_provisional:
            self._shelf.merged.add(customer.key)
        if customer.identity is None:
            customer.identity = IdentityState()
        return customer.identity

    def release(self, key: str, release: Release, outcome: Outcome) -> bool:
        """Have what came through an identifier go back to it. False when the key belongs to another partition."""
        if self._shelf.block_list.holds(key) or self._shelf.block_list.holds(release.identifier):
            return True
        customer = self._shelf.find(key)
        if customer is None:
            return False
        if release.act_ms:
            self.bars.note(key, release)
            self._shelf.merged.add(key)
            self.reopen(customer)
            return True
        state = identity_of(customer)
        if state.released.get(release.identifier, 0) >= release.version:
            return True
        # What went back from here for good may have another way now.
        outcome.sendings += [tell_release(barred, release) for barred in self.bars.of(key)]
        state.released[release.identifier] = release.version
        state.active_ms = self._shelf.time_ms
        self.reopen(customer)
        if state.is_settled:
            # The circle may be broken now: what is here looks for its way again.
            state.is_settled, state.status = False, ""
            self._decide(customer, state, outcome)
            self.move(customer, state)
        elif state.owner:
            outcome.sendings.append(tell_release(state.owner, release))
        return True

    def _decide(
        self, customer: Customer, state: IdentityState, outcome: Outcome, *, is_told: bool = False, is_new: bool = False
    ) -> None:
        """Decide by the evidence. `is_told`: some of it is new. `is_new`: nothing is stored under the key."""
        decision = decide(customer.key, state.evidence, self._shelf.policy.limits)
        if state.status in ENDS and state.is_settled and decision.owner == state.owner:
            return
        if (decision.owner, decision.status) == (state.owner, state.status):
            if is_told and decision.status:
                self._note(customer.key, decision, state.first_ms)
            return
        former, state.status = state.owner, decision.status
        if decision.owner != former:
            state.owner, state.is_settled = decision.owner, False
            state.version = max(self._shelf.next_version, state.version + 1)
            if former and not self._shelf.block_list.holds(former):
                state.formers.append(former)
            self.ledger.fresh[customer.key] = self._shelf.flushes
            if state.formers or not is_new:
                self.move(customer, state)
            outcome.identity["linked" if decision.owner else "released"] += 1
        if decision.status in ("flagged", "conflict"):
            outcome.identity[decision.status] += 1
        moments = [touch.occurred_ms for touch in customer.log] + self._shelf.waiting.moments(customer.key)
        first_ms = min(moments, default=0)
        if decision.evidence is not None and first_ms and not former:
            outcome.merge_seconds.append(max(0, decision.evidence.occurred_ms - first_ms) / 1000)
        state.first_ms = min(filter(None, (first_ms, state.first_ms)), default=0)
        self._note(customer.key, decision, state.first_ms)
        self._mark(customer)

    def _note_end(self, customer: Customer, state: IdentityState, decision: Decision) -> None:
        """Note that what comes under an identifier ends there, though it has an owner."""
        if state.status != decision.status:
            state.status = decision.status
            self._note(customer.key, decision, state.first_ms)
            self._mark(customer)

    def _note(self, key: str, decision: Decision, first_ms: int) -> None:
        self.decisions[key] = Decided(key, decision, first_ms, self._shelf.next_version)

    def move(self, customer: Customer, state: IdentityState) -> None:
        """Have what is stored under a key go to its owner."""
        state.is_moving = True
        self.ledger.move(customer.key, self._shelf.flushes)

    def _mark(self, customer: Customer) -> None:
        customer.is_dirty = True
        self._shelf.mark(customer)

    @property
    def is_unwritten(self) -> bool:
        """Whether links, decisions or redirects wait for the next flush."""
        return bool(self.links or self.decisions or self.redirects)

    def restore(self, keys: Iterable[str]) -> None:
        """Take up the errands of which the stored states of these tell; called before anything is taken."""
        found = [customer for key in keys if (customer := self._shelf.find(key)) is not None]
        self.ledger.restore(found)
        for customer in found:
            # Whoever died over an errand may have taken rows back that are right after all.
            customer.adopt_orphans(customer.journey_ids.copy(), list(customer.promises), list(customer.episodes.states))
            self._mark(customer)

    def ask(self, most_moves: int) -> Asks:
        """What can be asked now: of histories only those of which everything up to the errand is written."""
        return self.ledger.ask(self._shelf, most_moves)

    def apply(self, answers: Answers, outcome: Outcome) -> None:
        """Do the errands to which these are the answers: releases and new stitching first, then moves."""
        for key, known in answers.known.items():
            self._learn(key, known, outcome)
        for key, history in answers.partial.items():
            self._stitch_anew(key, history, answers.moving.get(key), outcome)
        for key, history in answers.moving.items():
            self._move_on(key, history, outcome)
        for key in answers.staying:
            self._move_on(key, None, outcome)

    def _learn(self, key: str, known: Known, outcome: Outcome) -> None:
        was_doubted, customer = self.ledger.learn(key), self._shelf.find(key)
        if customer is None or (state := customer.identity) is None or state.is_known:
            return
        state.is_known = True
        if not (customer.log or known.evidence or known.version or state.evidence):
            if key not in self._shelf.waiting:  # Else it is written with what comes of that.
                self._shelf.drop_if_empty(customer)
                if self._shelf.known(key) is not None:
                    self._mark(customer)
            return
        is_told, holds = bool(state.evidence), self._shelf.block_list.holds
        for each in known.evidence:
            if not holds(each.owner):
                add_evidence(state.evidence, each, self._shelf.policy.limits)
        if known.version and not holds(known.owner) and recall(key, state, known, holds, outcome):
            self.move(customer, state)
        if state.evidence:
            is_new = not (known.is_stored or known.version or self.ledger.has_taken(key) or was_doubted)
            self._decide(
                customer, state, outcome, is_told=is_told or was_doubted, is_new=is_new and customer.is_provisional
            )
        elif was_doubted:  # Said again, by a flush that will be completed.
            self._note(key, Decision(state.owner, state.status), state.first_ms)
        self._mark(customer)

    def _stitch_anew(self, key: str, history: History, moving: History | None, outcome: Outcome) -> None:
        customer, flushes = self._shelf.find(key), self._shelf.flushes
        if customer is None or (state := customer.identity) is None or not state.is_partial:
            return
        belated, is_done = self.ledger.belated(key, flushes), self.ledger.finish_stitching(key, flushes)
        gone = set()
        for place, arrival in enumerate(history.arrivals):
            way = route(key, "", 0, arrival.hop, state.released, self.bars.of(key))
            if way is not None:
                gone.add(place)
                outcome.sendings.append(forward(way, arrival))
                outcome.identity["returned"] += 1
        self._take_away(customer, history, gone)
        if state.takes_late:
            self._shelf.put_again(customer, history, admit_late(history, gone))
            if moving is not None:
                # What moves on in the same flush has to be taken away as it is written now.
                admit_late(moving)
        state.is_partial, state.takes_late = not is_done, state.takes_late and not is_done
        self._replace(customer, touches_of(history, gone), belated, history, "unlinked" if gone else "late_data")

    def _move_on(self, key: str, history: History | None, outcome: Outcome) -> None:
        customer, flushes = self._shelf.find(key), self._shelf.flushes
        if key in self.ledger.fresh or customer is None or (state := customer.identity) is None:
            return
        outcome.sendings += [tell_release(former, Release(key, state.version)) for former in state.formers]
        state.formers.clear()
        if history is None:
            state.is_moving = not self.ledger.finish_move(key, flushes, is_whole=True)
            self._mark(customer)
            return
        gone = self._send_off(customer, state, history, outcome)
        self._take_away(customer, history, gone)
        # Where nothing of a part could leave, nothing of the rest can.
        is_whole = history.is_whole or bool(history.arrivals and not gone)
        belated = self.ledger.belated(key, flushes)
        state.is_moving = not self.ledger.finish_move(key, flushes, is_whole=is_whole)
        if not is_whole:
            self._mark(customer)
            return
        state.is_settled = len(gone) < len(history.arrivals)
        if history.is_whole:
            self._replace(customer, touches_of(history, gone), belated, history, "merged")

    def _send_off(self, customer: Customer, state: IdentityState, history: History, outcome: Outcome) -> set[int]:
        """Send what can go on its way; returns the places of that."""
        gone, barred = set(), self.bars.of(customer.key)
        for place, arrival in enumerate(history.arrivals):
            way = route(customer.key, state.destination, state.version, arrival.hop, state.released, barred)
            if way is not None and way.is_circle:
                self._note_end(customer, state, Decision(state.owner, "loop", 1))
            if way is not None and way.key != customer.key:
                gone.add(place)
                outcome.sendings.append(forward(way, arrival))
                outcome.identity["moved"] += 1
        return gone

    def _take_away(self, customer: Customer, history: History, gone: Iterable[int]) -> None:
        for place in gone:
            self._shelf.retract(customer, history.arrivals[place], history.late[place])
        touches = [history.arrivals[place].touch for place in gone]
        self.redirects += find_firsts(customer.key, customer.name, touches, history.journey_ids)

    def _replace(
        self, customer: Customer, touches: list[Touch], belated: set[str], history: History, because: WithdrawnBecause
    ) -> None:
        """Have a customer consist of what was read and of what was taken since.

        What is in memory besides was taken away already, by a worker that died before it had written all of that.
        """
        kept = [touch for touch in customer.log if touch.reference in belated]
        kept += [touch for touch in touches if touch.type not in UNSTITCHED and touch.reference not in belated]
        customer.replace(kept, because)
        unknown = set(history.episode_ids) - customer.episodes.states.keys()
        customer.adopt_orphans(history.journey_ids, history.promise_ids, unknown)
        customer.episodes.told_ids |= unknown
        self._mark(customer)
