"""The packed form of a customer: what is packed bit by bit is what is packed at once."""

from itertools import accumulate

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.identity.choice import Evidence
from streams.identity.state import IdentityState
from streams.states import FORMAT, NOTHING_PACKED, Head, Packed, pack_head, pack_touches, unpack_head, unpack_touches
from streams.touch import Touch

TEXTS = st.none() | st.sampled_from(("O-1", "הזמנה", "x" * 40))
TOUCHES = st.builds(
    Touch,
    st.integers(0, 2**45), st.sampled_from(("web", "store")), st.text(min_size=1, max_size=5), st.just("contact_ended"),
    st.integers(0, 2**45), channel=TEXTS, order_id=TEXTS, agent_id=TEXTS,
    details=st.none() | st.fixed_dictionaries({"contact_id": st.just("K-1"), "resolved": st.booleans()}),
)  # fmt: skip


IDENTITY = IdentityState(True, [Evidence("customer_id:C", "seen_together", 5, "web", "e-1")], "customer_id:C", "linked")


def make_head(*journey_ids: str, identity: IdentityState | None = IDENTITY) -> Head:
    return Head(FORMAT, -5, 0, False, list(journey_ids), [], [], identity, [])


def make_touches(count: int) -> list[Touch]:
    return [Touch(number, "web", f"e-{number}", "searched", number) for number in range(count)]


def pack_growing(tails: list[list[Touch]]) -> bytes:
    """The last blob of a customer who was packed each time that touches were added, beside heads that change too."""
    blob, packed = b"", NOTHING_PACKED
    for number, tail in enumerate(tails):
        blob, packed = pack_head(make_head(*"abcdefgh"[:number]), tail, blob, packed)
        assert blob == pack_head(make_head(*"abcdefgh"[:number]), tail, b"", NOTHING_PACKED)[0]
    return blob


@given(st.lists(st.lists(TOUCHES, max_size=9), min_size=1, max_size=6))
def test_packing_a_growing_tail_gives_the_bytes_of_packing_it_whole(added: list[list[Touch]]) -> None:
    tails = list(accumulate(added))
    blob = pack_growing(tails)
    whole = make_head(*"abcdefgh"[: len(tails) - 1])
    whole.tail = tails[-1]
    assert blob == msgspec.msgpack.encode(whole)
    assert unpack_head(blob) == whole


@pytest.mark.parametrize("sizes", [(0, 15, 16), (14, 15, 16, 17), (15, 31), (0, 16), (16, 255, 256, 257), (511,)])
def test_the_length_of_a_tail_is_written_right_on_both_sides_of_each_form(sizes: tuple[int, ...]) -> None:
    blob = pack_growing([make_touches(size) for size in sizes])
    assert unpack_head(blob).tail == make_touches(sizes[-1])


@pytest.mark.parametrize("identity", [None, IDENTITY, IdentityState()])
def test_a_head_comes_back_as_it_was(identity: IdentityState | None) -> None:
    head, tail = make_head("a", identity=identity), make_touches(3)
    blob, _ = pack_head(head, tail, b"", NOTHING_PACKED)
    head.tail = tail
    assert unpack_head(blob) == head


def test_a_head_of_the_first_format_is_still_read() -> None:
    touches = make_touches(1)
    former = msgspec.msgpack.encode([1, -5, 2, True, ["a"], [], [], [msgspec.to_builtins(touches[0])[:11]]])
    assert unpack_head(former) == Head(FORMAT, -5, 2, True, ["a"], [], [], None, touches)


def test_what_is_packed_is_taken_as_it_stands_and_not_packed_again() -> None:
    first, second = make_touches(2)
    blob, packed = pack_head(make_head(), [first], b"", NOTHING_PACKED)
    other = Touch(9, "store", "another", "visited", 9)
    grown, counted = pack_head(make_head(), [other, second], blob, packed)
    assert unpack_head(grown).tail == [first, second]
    assert counted == Packed(2, len(pack_touches([first, second])) - 1)


def test_a_sealed_segment_comes_back_as_it_was() -> None:
    touches = make_touches(256)
    assert unpack_touches(pack_touches(touches)) == touches


def test_a_head_of_another_format_is_refused_and_says_which() -> None:
    head = make_head()
    head.format = FORMAT + 1
    with pytest.raises(msgspec.DecodeError, match=f"has format {FORMAT + 1}, this release reads up to {FORMAT}"):
        unpack_head(msgspec.msgpack.encode(head))
