"""Taking a partition over: claim its epoch, read its open customers back, find what an unfinished flush left behind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sinks import tables
from sinks.state_store import Claim, claim_epoch, load_states, orphans
from sinks.writer import Writer
from streams.customer import Policy
from streams.partition import Partition


def take_over(
    writer: Writer, group: str, number: int, partitions: int, policy: Policy, worker: str, hot_customers: int
) -> Partition:
    """The partition as the last complete flush left it, claimed for this worker. Raises Transient or Terminal."""
    claim = claim_epoch(writer, group, number, worker)
    partition = Partition(number, partitions, policy, claim.epoch, claim.partition_time_ms, hot_customers)
    partition.restore(_states(writer, number, partitions))
    _adopt_orphans(writer, group, partition, claim)
    return partition


def _states(writer: Writer, number: int, partitions: int) -> Iterator[tuple[str, int, int, bytes]]:
    for block in load_states(writer, number, partitions):
        yield from zip(block.customer_keys, block.segments, block.next_due_ms, block.blobs, strict=True)


def _adopt_orphans(writer: Writer, group: str, partition: Partition, claim: Claim) -> None:
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for orphan in orphans(writer, group, partition.number, partition.partitions):
        found[orphan.customer_id][orphan.table].append(orphan.id)
    for customer_name, by_table in found.items():
        partition.adopt_orphans(
            customer_name,
            by_table[tables.JOURNEYS.name],
            by_table[tables.PROMISES.name],
            by_table[tables.ALERTS.name],
        )
