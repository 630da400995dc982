"""The ledger of errands: what has to be read from ClickHouse before all is right, and since when it can be. Pure.

Times are counted in flushes: an errand that was noted after so many can be done once there was one more, as then
everything up to it is written.
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.customer import Customer
from streams.identity.asking import Asks
from streams.identity.shelf import Shelf
from streams.touch import Touch

MOST_EVIDENCE_ASKED = 20_000


class Ledger:
    """`unknown`: keys of which ClickHouse may hold evidence; of those `doubted` a decision that was never completed.
    `fresh`: keys decided in this flush.

    What is decided and not yet written may be decided otherwise by the next worker, who may know more, if this one
    dies: so nothing is sent by it.
    """

    def __init__(self) -> None:
        self.unknown: set[str] = set()
        self.doubted: set[str] = set()
        self.fresh: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._moving: dict[str, int] = {}
        self._partial: dict[str, int] = {}
        self._partial_again: dict[str, int] = {}
        # What was taken under keys that have errands: it may not be written when ClickHouse is asked what there is.
        self._belated: dict[str, dict[str, int]] = {}

    def __len__(self) -> int:
        return len(self.unknown) + len(self._moving) + len(self._partial)

    def move(self, key: str, flushes: int) -> None:
        """Note that a history has to be moved, by what was decided just now."""
        self._moving[key] = flushes

    def doubt(self, key: str) -> None:
        """Note that what is known of a key is to be looked up."""
        self.unknown.add(key)
        self.doubted.add(key)

    def learn(self, key: str) -> bool:
        """Note that what is known of a key was looked up; returns whether it had been doubted."""
        was_doubted = key in self.doubted
        self.unknown.discard(key)
        self.doubted.discard(key)
        return was_doubted

    def reopen(self, key: str, flushes: int) -> None:
        """Note that a customer has to be stitched anew from all that there is."""
        self._partial.setdefault(key, flushes)
        self._partial_again[key] = flushes

    def restore(self, customers: Iterable[Customer]) -> None:
        """Take up the errands of which restored states tell."""
        for customer in customers:
            if (state := customer.identity) is None:
                continue
            if not state.is_known:
                self.unknown.add(customer.key)
            if state.is_moving:
                self._moving[customer.key] = -1
            if state.is_partial:
                self._partial[customer.key] = -1

    def note(self, key: str, touch: Touch, flushes: int) -> None:
        """Note a touchpoint that was taken; which one, if its key has an errand."""
        self._taken[key] = flushes
        if key in self._moving or key in self._partial:
            self._belated.setdefault(key, {})[touch.reference] = flushes

    def has_taken(self, key: str) -> bool:
        """Whether something was taken under a key that may not have been written when ClickHouse was asked last."""
        return key in self._taken

    def drop(self, key: str) -> None:
        """Forget all errands of a key."""
        self.learn(key)
        for noted in (self.fresh, self._taken, self._moving, self._partial, self._partial_again):
            noted.pop(key, None)
        self._belated.pop(key, None)

    def count_ready(self, flushes: int) -> int:
        """How many histories could be moved or stitched anew now."""
        return sum(since < flushes for noted in (self._moving, self._partial) for since in noted.values())

    def ask(self, shelf: Shelf, most: int) -> Asks:
        """What can be asked now; of histories, so many of each kind at most, and none of what has nowhere to go."""
        flushes = shelf.flushes
        self.fresh = {key: since for key, since in self.fresh.items() if since >= flushes}
        self._taken = {key: since for key, since in self._taken.items() if since >= flushes}
        moving = [key for key, since in self._moving.items() if since < flushes][:most]
        going = [key for key in moving if _goes_on(shelf.find(key))]
        partial = [key for key, since in self._partial.items() if since < flushes][:most]
        evidence = [*self.unknown, *shelf.newcomers][:MOST_EVIDENCE_ASKED]
        linked = [key for key in evidence if _is_linked(shelf.hot.get(key))]
        return Asks(evidence, linked, going, partial, sorted(set(moving) - set(going)))

    def belated(self, key: str, flushes: int) -> set[str]:
        """What was taken under a key after its history was read. What is older and is not in that was taken away."""
        return {name for name, since in self._belated.get(key, {}).items() if since >= flushes}

    def finish_move(self, key: str, flushes: int, *, is_whole: bool) -> bool:
        """Strike a move off, unless something is left to be moved; returns whether it is struck off."""
        self._moving.pop(key, None)
        is_done = is_whole and not self.belated(key, flushes)
        if not is_done:
            # At the end: others have their turn first.
            self._moving[key] = flushes if is_whole else flushes - 1
        self._tidy(key)
        return is_done

    def finish_stitching(self, key: str, flushes: int) -> bool:
        """Strike a new stitching off, unless it was asked for again since; returns whether it is struck off."""
        # An erasure may have struck it off since it was asked for.
        self._partial.pop(key, None)
        is_done = self._partial_again.pop(key, -1) < flushes
        if not is_done:
            self.reopen(key, flushes)
        self._tidy(key)
        return is_done

    def _tidy(self, key: str) -> None:
        if key not in self._moving and key not in self._partial:
            self._belated.pop(key, None)


def _goes_on(customer: Customer | None) -> bool:
    return customer is not None and customer.identity is not None and bool(customer.identity.destination)


def _is_linked(customer: Customer | None) -> bool:
    return customer is not None and customer.identity is not None and bool(customer.identity.evidence)
