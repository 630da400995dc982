"""The exchange: what the partitions of one worker do together within one flush, and hand each other. Pure.

All that they do until the flush is written in it, or done again. So a touchpoint whose owner is known by then need not
go through Kafka, nor be stitched before; and a link is heard here at once, though its record is sent all the same, as
the next worker may have only one of the two partitions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from schemas.links import Link
from schemas.partitioning import partition_of
from streams.identity.asking import Answers
from streams.identity.handing import hand_over, may_wait
from streams.identity.reach import Reach
from streams.outcome import Outcome
from streams.partition import Partition
from streams.records import Arrival

Places = defaultdict[tuple[int, int], list[Arrival]]
"""Arrivals by the partition that they are handed to and the one in whose topic they lie."""


class Exchange:
    """`partitions`: those that the worker has, by number; whoever adds or removes some does it there."""

    def __init__(self, partitions: Mapping[int, Partition]) -> None:
        self._partitions = partitions

    @property
    def unwritten_rows(self) -> int:
        """Touchpoints that were taken, or wait, and are not gathered."""
        return sum(len(each.touchpoints) + len(each.waiting) for each in self._partitions.values())

    @property
    def is_waiting(self) -> bool:
        """Whether anything waits for its flush."""
        return any(each.waiting for each in self._partitions.values())

    @property
    def is_asking(self) -> bool:
        """Whether something waits in a partition that has not looked up yet whose its identifiers are."""
        return any(each.waiting and each.identities.ledger.unknown for each in self._partitions.values())

    def hear(self, links: Iterable[Link], partitions: int) -> Iterator[tuple[Partition, Outcome]]:
        """Have those heard whose identifiers belong to partitions of this worker; yields what that brings."""
        for link in links:
            neighbour = self._partitions.get(partition_of(link.identifier.encode(), partitions))
            if neighbour is not None:
                outcome = Outcome()
                neighbour.identities.hear(link, outcome)
                yield neighbour, outcome

    def apply(self, answers: Mapping[Partition, Answers]) -> Iterator[tuple[Partition, Outcome]]:
        """Do the errands of those partitions that are still here."""
        for partition in answers.keys() & set(self._partitions.values()):
            outcome = Outcome()
            partition.identities.apply(answers[partition], outcome)
            yield partition, outcome

    def review(self) -> Iterator[tuple[Partition, Outcome]]:
        """Look for friction in what has come and was not looked at."""
        for partition in list(self._partitions.values()):
            if partition.is_unreviewed:
                outcome = Outcome()
                partition.detect(outcome)
                yield partition, outcome

    def settle(self, *, is_behind: bool = False) -> Iterator[tuple[Partition, Outcome]]:
        """Stitch all that waits, with its owner where that is known and here; yields what each step brings.

        A step's outcome has to be published before the next step. `is_behind`: what may soon be known to belong to
        somebody waits for the next flush.
        """
        handed: Places = defaultdict(list)
        for partition in list(self._partitions.values()):
            if partition.waiting:
                outcome, reach = Outcome(), self._reach(partition, is_handed=False)
                due = partition.waiting.take_due(partial(may_wait, partition) if is_behind else None)
                partition.stitch_waiting(hand_over(partition, due, reach, outcome), outcome, reach)
                self._sort(outcome, partition.number, partition.partitions, handed)
                yield partition, outcome
        while handed:
            (number, origin), arrivals = handed.popitem()
            partition = self._partitions[number]
            outcome = partition.stitch_handed(origin, arrivals, self._reach(partition, is_handed=True))
            self._sort(outcome, origin, partition.partitions, handed)
            yield partition, outcome

    def _reach(self, partition: Partition, *, is_handed: bool) -> Reach:
        if len(self._partitions) == partition.partitions:
            return Reach(lambda key: True, is_handed)
        return Reach(lambda key: partition_of(key.encode(), partition.partitions) in self._partitions, is_handed)

    @staticmethod
    def _sort(outcome: Outcome, origin: int, partitions: int, handed: Places) -> None:
        for key, arrivals in outcome.handed.items():
            handed[partition_of(key.encode(), partitions), origin] += arrivals
