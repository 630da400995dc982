"""The block list knows identifiers by their hashes alone."""

import pytest

from schemas.identifiers import Pseudonymiser
from schemas.links import forgotten_hash
from schemas.topics import TOUCHPOINTS
from sinks.forgotten_table import FORGOTTEN_IDENTIFIERS
from sinks.memory import MemoryWriter
from sinks.state_queries import FORGOTTEN
from streams.decoding import Decoder, Door
from streams.forgotten import BlockList
from streams.outcome import Outcome
from streams.partition import Partition
from streams.records import DecodedChunk
from tests.streams.identity_world import NOW_MS, Sent, Told
from tests.streams.oracle import HOUR_MS
from tests.streams.scenes import policy


def test_an_identifier_is_held_once_it_was_added_or_loaded() -> None:
    blocked = BlockList()
    assert not blocked.holds("customer_id:C-1") and len(blocked) == 0
    blocked.add("customer_id:C-1")
    writer = MemoryWriter()
    writer.insert(FORGOTTEN_IDENTIFIERS, [[forgotten_hash("email:m")] * 2, ["r1", "r2"], [1, 2]])
    blocked.load(writer.query(FORGOTTEN))
    assert [blocked.holds(key) for key in ("customer_id:C-1", "email:m", "email:n", "C-1")] == [
        True,
        True,
        False,
        False,
    ]
    blocked.load(writer.query(FORGOTTEN))
    assert len(blocked) == 2


HIDER = Pseudonymiser(b"k" * 32, "k1", "IL")
ERASED = "canary@example.com"
FORGETFUL_DOOR = Door(oldest_ms=HOUR_MS, ahead_ms=HOUR_MS, skew_bound_ms=60_000, max_bytes=10**6, pseudonymiser=HIDER)


def forgetful(*erased: str) -> Partition:
    partition = Partition(0, 1, policy(2), 1)
    for key in erased:
        partition.block_list.add(key)
    return partition


def take(
    partition: Partition, identifiers: dict[str, str], kind: str, **properties: str
) -> tuple[DecodedChunk, Outcome]:
    """What becomes of one touchpoint of two hours ago, which is too old."""
    is_merge = kind == "customers_merged"
    told = Told(identifiers, NOW_MS - (0 if is_merge else 2 * HOUR_MS), "e", kind, properties)
    chunk = Decoder(FORGETFUL_DOOR).decode(TOUCHPOINTS, 0, [Sent(told.encoded(), b"customer_id:B")], NOW_MS)
    return chunk, partition.stitch(chunk)


@pytest.mark.parametrize("identifiers", [{"customer_id": "A"}, {"customer_id": "B", "email": ERASED}])
def test_a_refused_record_that_names_an_erased_customer_is_no_dead_letter(identifiers: dict[str, str]) -> None:
    chunk, _ = take(forgetful("customer_id:C"), identifiers, "visit_started")
    assert [each.reason for each in chunk.refusals] == ["too_old"]
    partition = forgetful("customer_id:A", f"email:{HIDER.hide('email', ERASED)}")
    chunk, outcome = take(partition, identifiers, "visit_started")
    assert not chunk.refusals and outcome.identity["forgotten"] == 1


def test_a_merge_with_an_erased_customer_is_not_taken() -> None:
    said = {"merged_id": "A", "reason": "same person"}
    partition = forgetful("customer_id:A")
    chunk, outcome = take(partition, {"customer_id": "B"}, "customers_merged", **said)
    assert not chunk.refusals and not len(partition.touchpoints) and not outcome.sendings
    assert outcome.identity["forgotten"] == 1
    partition = forgetful("customer_id:C")
    _, outcome = take(partition, {"customer_id": "B"}, "customers_merged", **said)
    assert len(partition.touchpoints) == 1 and len(outcome.sendings) == 1
