"""A door reads the versions that it is told to, fast and by the contract alike."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from schemas.catalogue import BY_NAME
from schemas.errors import Undecodable
from schemas.examples import example_touchpoint
from schemas.moments import check_moment, to_epoch_ms
from schemas.wire import check_touchpoint, encode_touchpoint
from streams.decoding import Decoder, Door

GOOD = example_touchpoint(BY_NAME["order_placed"])
NOW_MS = to_epoch_ms(check_moment(GOOD["occurred_at"]))
DOOR = Door(oldest_ms=1_000, ahead_ms=1_000, skew_bound_ms=60_000, max_bytes=10_000)
WIDER = replace(DOOR, versions=frozenset({1, 2}))


class Record(NamedTuple):
    """A Kafka record."""

    value: bytes
    offset: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()
    key: bytes = b"customer_id:C-1"
    timestamp: int = NOW_MS


# A byte-order mark is beyond the fast path.
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"], ids=["fast", "contract"])
@pytest.mark.parametrize(("version", "doors"), [(1, [DOOR, WIDER]), (2, [WIDER]), (3, [])])
def test_a_version_passes_where_it_is_read(before: bytes, version: int, doors: list[Door]) -> None:
    raw = before + encode_touchpoint({**GOOD, "schema_version": version, "colour": "blue"})
    for door in (DOOR, WIDER):
        chunk = Decoder(door).decode("touchpoints", 0, [Record(raw)], NOW_MS)
        assert [each.wire.schema_version for each in chunk.arrivals] == ([version] if door in doors else [])
        assert [each.reason for each in chunk.refusals] == ([] if door in doors else ["unknown_version"])


@pytest.mark.parametrize("changed", [{"source": "moon"}, {"identifiers": {}}, {"properties": {"amount": "ten"}}])
def test_of_a_version_that_is_not_read_nothing_else_is_judged(changed: dict[str, object]) -> None:
    with pytest.raises(Undecodable, match=r"^unknown_version: schema_version: 2 is not read here, only 1$"):
        check_touchpoint({**GOOD, **changed, "schema_version": 2})
