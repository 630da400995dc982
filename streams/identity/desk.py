"""The desk: what one partition does about identity. Links in, decisions, errands and records to be sent out.

Pure. An errand (reading evidence, moving a history to its owner, stitching anew) needs rows from ClickHouse: it is
noted here, asked for by the flush after the one that has written everything before it, and done when the answer is
there. A customer's state says what errands it has, so none is lost with a worker.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.catalogue import UNSTITCHED
from schemas.episode import WithdrawnBecause
from schemas.links import ERASED, Link
from streams.customer import Customer
from streams.identity.asking import Answers, Asks, History, Known, admit_late, touches_of
from streams.identity.choice import Decision, Evidence, add_evidence, decide
from streams.identity.erasing import purge, strip
from streams.identity.hops import is_settled, route
from streams.identity.ledger import Ledger
from streams.identity.sending import forward, links_of, origin, tell_link, tell_rebuild, tell_release
from streams.identity.shelf import Decided, Shelf
from streams.identity.state import IdentityState, identity_of
from streams.outcome import Outcome
from streams.records import Arrival, DecodedChunk, Release
from streams.stitching import find_firsts
from streams.touch import Touch

MOST_TAUGHT = 256


class IdentityDesk:
    """`links`, `decisions` and `redirects` wait for the next flush; they are emptied by who writes them."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.ledger = Ledger()
        # Decided, but not yet written: if this worker dies the next one may know more, and decide otherwise at once. So
        # nothing is sent by such a decision.
        self._fresh: dict[str, int] = {}
        self.links: list[Link] = []
        self.redirects: list[tuple[str, str, int, str, str]] = []
        self.decisions: dict[str, Decided] = {}

    # Touchpoints as they come

    def take(self, arrival: Arrival, customer: Customer, outcome: Outcome) -> bool:
        """Learn and teach what an arrival says of identity. False: it is not to be stitched here, and was seen to."""
        shelf, hop = self._shelf, arrival.hop
        if shelf.block_list:
            strip(arrival, shelf.block_list)
        if not hop.via and (len(arrival.wire.identifiers) > 1 or arrival.touch.type in UNSTITCHED):
            self._teach(arrival, customer, outcome)
        state = customer.identity
        if state is not None:
            state.active_ms = shelf.time_ms
            if not state.is_known:
                self.ledger.unknown.add(customer.key)
            if (state.owner or hop.via or hop.circle) and not self._let_in(arrival, customer, state, outcome):
                return False
        outcome.hops[len(hop.via)] += 1
        return True

    def _let_in(self, arrival: Arrival, customer: Customer, state: IdentityState, outcome: Outcome) -> bool:
        """Whether an arrival stays. Otherwise it is sent on."""
        owner = "" if customer.key in self._fresh else state.destination
        if owner and self._shelf.block_list.holds(owner):
            owner = ""
        way = route(customer.key, owner, state.version, arrival.hop, state.released)
        if way is not None and way.is_circle:
            self._note_circle(customer, state)
        if way is not None and way.key != customer.key:
            outcome.sendings.append(forward(way, arrival))
            outcome.identity["forwarded"] += 1
            # A worker that died may have taken it here, and written that.
            self._shelf.retract(customer, arrival, False)
            return False
        if way is not None or is_settled(customer.key, state.version, arrival.hop, state.released):
            state.is_settled = True
        return True

    def note(self, key: str, arrival: Arrival) -> None:
        """Note that a touchpoint was taken, and its row will be written with the next flush."""
        self.ledger.note(key, arrival.touch, self._shelf.flushes)

    def _teach(self, arrival: Arrival, customer: Customer, outcome: Outcome) -> None:
        said = links_of(arrival, customer.key)
        if not said:
            return
        state = identity_of(customer)
        for link in said:
            window = link.occurred_ms // self._shelf.policy.limits.window_ms
            memo = f"{window}:{link.rule[0]}:{link.identifier}"
            told = state.taught.get(memo)
            if told is None or origin(arrival.touch) < told:
                if len(state.taught) >= MOST_TAUGHT:
                    # What is forgotten is at worst said once more.
                    del state.taught[next(iter(state.taught))]
                state.taught[memo] = origin(arrival.touch)
                outcome.sendings.append(tell_link(link))
                outcome.identity["taught"] += 1
                self._mark(customer)

    def reopen(self, customer: Customer) -> None:
        """Have a customer stitched anew: a touchpoint came through a link that is older than what is in memory."""
        state = identity_of(customer)
        state.is_partial = True
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

    # Links and releases as they come

    def read(self, chunk: DecodedChunk, outcome: Outcome) -> None:
        """Take what a chunk says of identity besides its touchpoints; what belongs elsewhere is sent there."""
        for key, release in chunk.releases:
            if not self.release(key, release, outcome):
                outcome.sendings.append(tell_release(key, release))
        for key in chunk.rebuilds:
            if not self.rebuild(key):
                outcome.sendings.append(tell_rebuild(key))
        for link in chunk.links:
            if not self.hear(link, outcome):
                outcome.sendings.append(tell_link(link))
        # After the links: what an erasure unties comes before what it has forgotten.
        for identifier in chunk.forgotten:
            self._drop_errands(identifier)
            for customer in self._shelf.erase(identifier):
                if (state := customer.identity) is not None and purge(state, identifier):
                    if state.is_known:
                        self._decide(customer, state, outcome)
                    self._mark(customer)

    def _drop_errands(self, key: str) -> None:
        self.ledger.drop(key)
        self._shelf.merged.discard(key)
        self._fresh.pop(key, None)
        self.decisions.pop(key, None)

    def hear(self, link: Link, outcome: Outcome) -> bool:
        """Take a link into account. False when its identifier belongs to another partition."""
        is_untying = link.rule == "unlinked" and link.reason == ERASED
        block_list = self._shelf.block_list
        if block_list.holds(link.identifier) or (block_list.holds(link.owner) and not is_untying):
            return True
        customer = self._shelf.find(link.identifier)
        if customer is None:
            return False
        if link.identifier.startswith("customer_id:"):
            self._shelf.merged.add(link.identifier)
            if customer.identity is None:
                customer.identity = IdentityState()
        state = identity_of(customer)
        state.active_ms = max(state.active_ms, self._shelf.time_ms, link.occurred_ms)
        is_told = False
        if is_untying:
            # What was known of an erased customer is dropped rather than kept together with its undoing.
            purge(state, link.owner)
        else:
            self.links.append(link)
            is_told = add_evidence(state.evidence, Evidence.of(link), self._shelf.policy.limits)
        outcome.identity["heard"] += 1
        self._mark(customer)
        if state.is_known:
            self._decide(customer, state, outcome, is_told=is_told)
        else:
            self.ledger.unknown.add(customer.key)
        return True

    def release(self, key: str, release: Release, outcome: Outcome) -> bool:
        """Have what came through an identifier go back to it. False when the key belongs to another partition."""
        if self._shelf.block_list.holds(key) or self._shelf.block_list.holds(release.identifier):
            return True
        customer = self._shelf.find(key)
        if customer is None:
            return False
        state = identity_of(customer)
        if state.released.get(release.identifier, 0) >= release.version:
            return True
        state.released[release.identifier] = release.version
        state.active_ms = self._shelf.time_ms
        self.reopen(customer)
        if state.is_settled:
            # The circle may be broken now: what is here looks for its way again.
            state.is_settled, state.status = False, ""
            self._decide(customer, state, outcome)
            self._move(customer, state)
        elif state.owner:
            outcome.sendings.append(tell_release(state.owner, release))
        return True

    def _decide(self, customer: Customer, state: IdentityState, outcome: Outcome, *, is_told: bool = False) -> None:
        """Decide by the evidence. `is_told`: some of it is new, so that what is written of the decision may change."""
        decision = decide(customer.key, state.evidence, self._shelf.policy.limits)
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
            self._fresh[customer.key] = self._shelf.flushes
            self._move(customer, state)
            outcome.identity["linked" if decision.owner else "released"] += 1
        if decision.status in ("flagged", "conflict"):
            outcome.identity[decision.status] += 1
        first_ms = min((touch.occurred_ms for touch in customer.log), default=0)
        if decision.evidence is not None and first_ms and not former:
            outcome.merge_seconds.append(max(0, decision.evidence.occurred_ms - first_ms) / 1000)
        state.first_ms = min(filter(None, (first_ms, state.first_ms)), default=0)
        self._note(customer.key, decision, state.first_ms)
        self._mark(customer)

    def _note_circle(self, customer: Customer, state: IdentityState) -> None:
        if state.status != "loop":
            state.status = "loop"
            self._note(customer.key, Decision(state.owner, "loop", 1), state.first_ms)
            self._mark(customer)

    def _note(self, key: str, decision: Decision, first_ms: int) -> None:
        self.decisions[key] = Decided(key, decision, first_ms, self._shelf.next_version)

    def _move(self, customer: Customer, state: IdentityState) -> None:
        state.is_moving = True
        self.ledger.move(customer.key, self._shelf.flushes)

    def _mark(self, customer: Customer) -> None:
        customer.is_dirty = True
        self._shelf.mark(customer)

    # Errands

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
        flushes = self._shelf.flushes
        self._fresh = {key: since for key, since in self._fresh.items() if since >= flushes}
        return self.ledger.ask(flushes, most_moves, self._goes_on)

    def _goes_on(self, key: str) -> bool:
        customer = self._shelf.find(key)
        state = customer.identity if customer is not None else None
        return state is not None and bool(state.destination)

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
        self.ledger.unknown.discard(key)
        customer = self._shelf.find(key)
        if customer is None or (state := customer.identity) is None or state.is_known:
            return
        state.is_known = True
        if not customer.log and not known.evidence and not state.evidence:
            self._shelf.drop_if_empty(customer)
            if self._shelf.known(key) is not None:
                self._mark(customer)
            return
        is_told = bool(state.evidence)
        for each in known.evidence:
            add_evidence(state.evidence, each, self._shelf.policy.limits)
        if known.owner:
            # It was decided before, and forgotten here. What came meanwhile was taken here, and has to be moved.
            state.owner, state.status, state.version = known.owner, known.status, known.version
            self._move(customer, state)
            outcome.sendings += [tell_release(known.owner, Release(*each)) for each in state.released.items()]
        if state.evidence:
            self._decide(customer, state, outcome, is_told=is_told)
        self._mark(customer)

    def _stitch_anew(self, key: str, history: History, moving: History | None, outcome: Outcome) -> None:
        customer, flushes = self._shelf.find(key), self._shelf.flushes
        if customer is None or (state := customer.identity) is None or not state.is_partial:
            return
        belated, is_done = self.ledger.belated(key, flushes), self.ledger.finish_stitching(key, flushes)
        gone = set()
        for place, arrival in enumerate(history.arrivals):
            way = route(key, "", 0, arrival.hop, state.released)
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
        if key in self._fresh or customer is None or (state := customer.identity) is None:
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
        gone = set()
        for place, arrival in enumerate(history.arrivals):
            way = route(customer.key, state.destination, state.version, arrival.hop, state.released)
            if way is not None and way.is_circle:
                self._note_circle(customer, state)
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
        self._mark(customer)
