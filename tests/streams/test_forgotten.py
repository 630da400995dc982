"""The block list knows identifiers by their hashes alone."""

from schemas.links import forgotten_hash
from sinks.forgotten_table import FORGOTTEN_IDENTIFIERS
from sinks.memory import MemoryWriter
from sinks.state_queries import FORGOTTEN
from streams.forgotten import BlockList


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
