import pytest

from schemas.topics import TOUCHPOINTS, TOUCHPOINTS_REKEYED
from streams.records import DecodedChunk
from streams.retaken import Retaken
from tests.streams.lives import to_arrival
from tests.streams.scenes import touch


def chunk(offset: int, topic: str = TOUCHPOINTS) -> DecodedChunk:
    return DecodedChunk(topic, 0, offset + 1, [to_arrival(offset, "customer_id:A", touch("page_viewed", 0, "e"), {})])


def test_late_ones_are_known_until_all_of_them_have_been_read_again() -> None:
    retaken = Retaken([("web", "one", 1, 7), ("web", "other", 2, 5)])
    assert retaken.of(chunk(7)) == {("web", "one", 1), ("web", "other", 2)}
    assert retaken.of(chunk(8, TOUCHPOINTS_REKEYED)) == frozenset()
    assert retaken.of(DecodedChunk(TOUCHPOINTS, 0, 9)) != frozenset()
    assert retaken.of(chunk(8)) == frozenset()
    assert retaken.of(chunk(3)) == frozenset()


@pytest.mark.parametrize(("end", "is_known"), [(None, True), (5, True), (4, False)])
def test_a_topic_that_has_started_over_is_another_one(end: int | None, is_known: bool) -> None:
    retaken = Retaken([("web", "one", 1, 7)], position=10)
    retaken.check_end(end)
    assert bool(retaken.of(chunk(3))) is is_known
