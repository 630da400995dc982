"""Taking a partition over: claim its epoch, read its open customers back, find what an unfinished flush left behind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from schemas.identifiers import customer_key, customer_name
from schemas.partitioning import partition_of
from schemas.topics import TOUCHPOINTS
from sinks import identity_queries as queries
from sinks import state_queries, tables
from sinks.state_store import (
    LONGEST_REPEAT_RECORDS,
    claim_epoch,
    had_owner,
    load_late,
    load_states,
    orphans,
    unfinished_decisions,
)
from sinks.writer import Writer
from streams.partition import Partition
from streams.policy import Policy
from streams.retaken import Retaken

OrphansByCustomer = defaultdict[str, defaultdict[str, list[str]]]
"""Ids by customer, as tables show it, and table."""


def take_over(
    writer: Writer, group: str, number: int, partitions: int, policy: Policy, worker: str, hot_customers: int
) -> Partition:
    """The partition as the last complete flush left it, claimed for this worker. Raises Transient or Terminal."""
    claim = claim_epoch(writer, group, number, worker)
    partition = Partition(number, partitions, policy, claim.epoch, claim.partition_time_ms, hot_customers)
    acts = [(owner, identifier, rule, int(act_ms)) for owner, identifier, rule, act_ms in writer.query(queries.ACTS)]
    partition.identities.bars.load(acts)
    partition.merged = {key for (key,) in writer.query(queries.MERGED)} | {owner for owner, *_ in acts}
    partition.block_list.load(writer.query(state_queries.FORGOTTEN))
    partition.restore(_states(writer, number, partitions))
    position = claim.positions.get(TOUCHPOINTS, 0)
    taken_until = position + LONGEST_REPEAT_RECORDS if had_owner(writer, group, number) else 0
    partition.retaken = Retaken(load_late(writer, TOUCHPOINTS, number, position), position, taken_until)
    for name, sku in find_wishes(writer):
        partition.note_wish(customer_key(name), sku)
    adopt_orphans(partition, find_orphans(writer, group, number, partitions))
    # Last, as it is facts that decide, and they are not known here: what was stated while nobody owned it.
    partition.look_again(list(partition.wishes))
    return partition


def find_orphans(writer: Writer, group: str, number: int, partitions: int) -> OrphansByCustomer:
    """Rows that flushes of former owners left behind unfinished, and that this owner has not written since.

    At take-over, and again from time to time: a former owner may have stood still in the middle of an insert, and what
    it still has to say lands whenever it wakes. Raises Transient or Terminal.
    """
    found: OrphansByCustomer = defaultdict(lambda: defaultdict(list))
    for orphan in orphans(writer, group, number, partitions):
        found[orphan.customer_id][orphan.table].append(orphan.id)
    for identifier in unfinished_decisions(writer, group, number):
        if partition_of(identifier.encode(), partitions) == number:
            found[customer_name(identifier)][tables.IDENTITY_OWNERS.name].append(identifier)
    return found


def find_wishes(writer: Writer) -> Iterator[tuple[str, str]]:
    """Customers who asked to be told that a product is back. Raises Transient or Terminal.

    A product's name may hold the sign that parts it from the store: one name too many costs a look.
    """
    for name, subject in writer.query(state_queries.WISHES):
        for sku in {subject, subject.rpartition("@")[0] or subject}:
            yield name, sku


def adopt_orphans(partition: Partition, found: OrphansByCustomer) -> None:
    """Have them corrected or retracted with the next flush."""
    for name, by_table in found.items():
        for identifier in by_table[tables.IDENTITY_OWNERS.name]:
            partition.identities.doubt(identifier)
        partition.adopt_orphans(
            name, by_table[tables.JOURNEYS.name], by_table[tables.PROMISES.name], by_table[tables.ALERTS.name]
        )


def _states(writer: Writer, number: int, partitions: int) -> Iterator[tuple[str, int, int, bytes]]:
    for block in load_states(writer, number, partitions):
        yield from zip(block.customer_keys, block.segments, block.next_due_ms, block.blobs, strict=True)
