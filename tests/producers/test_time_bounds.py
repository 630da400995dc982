"""The sender's door refuses the times that a worker's would, with the same reason, and says what the bound is."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producers.client import Client
from producers.emitters import MemoryEmitter
from producers.time_bounds import TimeBounds
from schemas.errors import Undecodable
from schemas.moments import to_epoch_ms
from schemas.settings import Settings
from schemas.topics import REPLAY_HEADER
from schemas.wire import check_touchpoint, encode_touchpoint
from streams.decoding import Decoder, Door

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOW_MS = to_epoch_ms(NOW)
BOUNDS = TimeBounds(timedelta(days=30), timedelta(minutes=90), timedelta(minutes=1))
HISTORY = TimeBounds(None, timedelta(minutes=90), timedelta(minutes=1))
MILLISECOND = timedelta(milliseconds=1)


class Record(NamedTuple):
    """A Kafka record that is written now."""

    value: bytes
    headers: Sequence[tuple[str, bytes]]
    offset: int = 0
    key: bytes | None = b"customer_id:C-1"
    timestamp: int = NOW_MS


def touchpoint(occurred_at: datetime, **changed: Any) -> dict[str, Any]:
    fields = {"event_id": "1", "source": "web", "type": "visited", "identifiers": {"customer_id": "C-1"}}
    return {**fields, "occurred_at": occurred_at.isoformat(), **changed}


def refusal(bounds: TimeBounds, occurred_at: datetime, **changed: Any) -> str | None:
    try:
        bounds.check(check_touchpoint(touchpoint(occurred_at, **changed)), NOW_MS)
    except Undecodable as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("bounds", "occurred_at", "told"),
    [
        (BOUNDS, NOW - timedelta(days=30), None),
        (BOUNDS, NOW - timedelta(days=30) - MILLISECOND, "more than 30 days ago (JOURNEYS_OLDEST_TOUCHPOINT)"),
        (BOUNDS, NOW + timedelta(minutes=90), None),
        (BOUNDS, NOW + timedelta(minutes=90) + MILLISECOND, "more than 90 minutes ahead of now (JOURNEYS_FURTHEST_"),
        (HISTORY, datetime(1970, 1, 1, tzinfo=UTC), None),
        (HISTORY, datetime(1970, 1, 1, tzinfo=UTC) - MILLISECOND, "before 1970"),
        (HISTORY, NOW + timedelta(days=1), "more than 90 minutes ahead of now"),
    ],
)
def test_a_time_at_the_bound_is_taken_and_one_past_it_is_told_with_the_bound(
    bounds: TimeBounds, occurred_at: datetime, told: str | None
) -> None:
    found = refusal(bounds, occurred_at)
    if told is None:
        assert found is None
    else:
        assert found is not None and told in found and occurred_at.isoformat() in found


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=3650), "3,650 days ago"),
        (timedelta(hours=36), "36 hours ago"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(seconds=1.5), "1.5 seconds ago"),
        (timedelta(0), "0 seconds ago"),
    ],
)
def test_a_bound_is_said_in_words(bound: timedelta, words: str) -> None:
    assert words in (refusal(TimeBounds(bound, bound, bound), NOW - timedelta(days=9000)) or "")


def test_the_bounds_are_the_workers_settings_and_history_may_be_older() -> None:
    durations = timedelta(days=10), timedelta(minutes=2), timedelta(seconds=3)
    oldest, ahead, skew = durations
    settings = Settings(oldest_touchpoint=oldest, furthest_ahead=ahead, clock_skew_bound=skew)
    assert TimeBounds.of(settings) == TimeBounds(*durations)
    assert TimeBounds.of(settings, history=True) == TimeBounds(None, ahead, skew)


SECONDS = st.integers(-100_000, 100_000) | st.sampled_from((-61, -60, 0, 60, 61, 5_400, 5_401))


@example(-86_401, -60, 0, False)
@example(-86_401, -61, 0, False)
@given(SECONDS, st.none() | SECONDS, st.none() | SECONDS, st.booleans())
def test_the_senders_door_and_the_workers_agree(
    occurred: int, sent: int | None, received: int | None, is_history: bool
) -> None:
    bounds = TimeBounds(None if is_history else timedelta(days=1), timedelta(minutes=90), timedelta(minutes=1))
    moments = {"sent_at": sent, "received_at": received}
    clocks = {name: at(seconds).isoformat() for name, seconds in moments.items() if seconds is not None}
    raw = encode_touchpoint(touchpoint(at(occurred), **clocks))
    headers = [(REPLAY_HEADER, b"1")] if is_history else []
    door = Door(oldest_ms=86_400_000, ahead_ms=90 * 60_000, skew_bound_ms=60_000, max_bytes=10_000)
    chunk = Decoder(door).decode("touchpoints", 0, [Record(raw, headers)], NOW_MS)
    found = refusal(bounds, at(occurred), **clocks)
    assert [refused.reason for refused in chunk.refusals] == ([] if found is None else [found.split(":")[0]])


def at(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_client_with_bounds_sends_nothing_that_the_worker_would_refuse_and_history_when_told_so() -> None:
    emitter, later = MemoryEmitter(), MemoryEmitter()
    old = touchpoint(datetime.now(UTC) - timedelta(days=31))
    with Client(emitter, time_bounds=BOUNDS) as client, pytest.raises(Undecodable, match="^too_old: "):
        client.emit(old)
    with Client(later, time_bounds=HISTORY) as client:
        client.replay(old, ((REPLAY_HEADER, b"1"),))
    assert (len(emitter.records), len(later.records)) == (0, 1)
