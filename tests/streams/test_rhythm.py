"""The guard against what it must never do, cry wolf, and what it must do, notice in time."""

from collections.abc import Callable, Iterator
from itertools import count
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.fact import check_fact, parse_fact
from streams.rhythm import (
    HOUR_MS,
    KEPT_HOURS,
    MINUTE_MS,
    WEEK_HOURS,
    Guard,
    SilenceSettings,
    SourceRhythm,
    judge_silence,
)
from streams.touch import Touch

pytestmark = pytest.mark.no_cover

LIMITS = SilenceSettings()
SUNDAY_MS = 1_780_185_600_000  # 2026-05-31T00:00:00Z
DAY_MS = 24 * HOUR_MS
STEP_MS = 10 * MINUTE_MS
_names = count()

Rate = Callable[[int], float]
"""Touchpoints an hour that a source sends at a time."""


def shop(at_ms: int, rate: float = 120.0) -> float:
    """Open from 9 to 20, on Friday until 13, closed on Saturday."""
    day, hour = (at_ms - SUNDAY_MS) // DAY_MS % 7, at_ms // HOUR_MS % 24
    closes = {5: 13, 6: 0}.get(day, 20)
    return rate if 9 <= hour < closes else 0.0


def website(at_ms: int) -> float:
    """Never quite asleep, and half as busy at the weekend."""
    busy = 20.0 + 200.0 * (at_ms // HOUR_MS % 24 in range(8, 23))
    return busy / 2 if (at_ms - SUNDAY_MS) // DAY_MS % 7 >= 5 else busy


def touches(source: str, at_ms: int, number: int) -> list[Touch]:
    return [Touch(at_ms, source, f"e-{next(_names)}", "kiosk", at_ms) for _ in range(number)]


def lived(guard: Guard, rate: Rate, seed: int, since_ms: int, until_ms: int) -> Iterator[int]:
    """Feed a guard ten minutes at a time with what chance makes of the rate; yields the end of each."""
    rng, next_ms = Random(seed), since_ms
    for now_ms in range(since_ms + STEP_MS, until_ms, STEP_MS):
        chunk: list[Touch] = []
        while next_ms < now_ms:
            hourly = rate(next_ms)
            if hourly:
                chunk += touches("store", next_ms, 1)
            next_ms += max(1, int(rng.expovariate(hourly) * HOUR_MS)) if hourly else STEP_MS
        guard.feed(rng.randrange(4), chunk)
        yield now_ms


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 7 * 24 - 1), st.sampled_from([shop, website]))
def test_nights_weekends_and_the_first_weeks_are_no_silence(seed: int, began_hours: int, rate: Rate) -> None:
    guard, began_ms = Guard(), SUNDAY_MS + began_hours * HOUR_MS
    for now_ms in lived(guard, rate, seed, began_ms, began_ms + 16 * DAY_MS):
        silent = guard.silent(now_ms)
        # In its first week nobody can know that a shop closes early on Friday.
        is_unknown = rate is shop and now_ms < began_ms + 9 * DAY_MS
        assert not silent or (is_unknown and (silent["store"] - SUNDAY_MS) // DAY_MS % 7 == 5)


@pytest.mark.parametrize("began_days", range(7))
def test_a_whole_week_with_equal_days_is_known_before_it_has_passed(began_days: int) -> None:
    def equal_days(at_ms: int) -> float:
        return 120.0 if 9 <= at_ms // HOUR_MS % 24 < 20 and (at_ms - SUNDAY_MS) // DAY_MS % 7 < 5 else 0.0

    guard, began_ms = Guard(), SUNDAY_MS + began_days * DAY_MS
    for now_ms in lived(guard, equal_days, began_days, began_ms, began_ms + 8 * DAY_MS):
        assert guard.silent(now_ms) == {}


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([2, 9, 30]), st.sampled_from([60.0, 300.0, 3000.0]))
def test_a_feed_that_breaks_at_a_busy_time_is_noticed_soon(seed: int, days: int, rate: float) -> None:
    guard, noon_ms = Guard(), SUNDAY_MS + days * DAY_MS + 12 * HOUR_MS
    hourly = round(rate)
    for hour_ms in range(SUNDAY_MS, noon_ms, HOUR_MS):
        if shop(hour_ms) or days == 2:
            guard.feed(0, touches("store", hour_ms + HOUR_MS - MINUTE_MS, max(1, hourly)))
    last_ms = guard.last_seen_ms["store"]
    noticed = next(now for now in range(last_ms, last_ms + DAY_MS, MINUTE_MS) if guard.silent(now))
    assert LIMITS.shortest_ms <= noticed - last_ms <= max(LIMITS.shortest_ms, 30 / rate * HOUR_MS) + MINUTE_MS
    assert guard.silent(noticed) == {"store": last_ms}
    assert guard.missing("store", noticed) >= LIMITS.expected_missing


def test_nothing_is_judged_before_a_full_day() -> None:
    guard = Guard()
    was_silent = []
    for hour in range(28):
        guard.feed(0, touches("web", SUNDAY_MS + hour * HOUR_MS, 500))
        was_silent.append(bool(guard.silent(SUNDAY_MS + (hour + 1) * HOUR_MS)))
    assert was_silent == [False] * 26 + [True] * 2


def test_in_the_first_week_the_quietest_day_is_the_measure() -> None:
    guard = Guard()
    for hour, number in enumerate([500] * 24 + [40] * 24 + [500] * 24):
        guard.feed(0, touches("web", SUNDAY_MS + (hour + 1) * HOUR_MS - MINUTE_MS, number))
    assert guard.missing("web", SUNDAY_MS + 74 * HOUR_MS) == pytest.approx(40 * (2 + 1 / 60))


def test_the_source_s_heartbeat_is_life_but_no_rhythm() -> None:
    guard, hour_ms = Guard(), SUNDAY_MS + 48 * HOUR_MS
    for hour in range(48):
        guard.feed(0, touches("web", SUNDAY_MS + hour * HOUR_MS, 500))
    assert guard.silent(hour_ms) == {"web": hour_ms - HOUR_MS}
    before = guard.missing("web", hour_ms)
    heartbeat = b'{"event_id":"h","source":"web","type":"source_heartbeat","occurred_at":"2026-06-01T23:59:00Z"}'
    guard.take(parse_fact(heartbeat))
    assert guard.silent(hour_ms) == {} and guard.last_seen_ms == {"web": hour_ms - MINUTE_MS}
    assert guard.missing("web", hour_ms) == pytest.approx(before / 60)


def test_a_source_that_never_had_a_rhythm_is_never_silent() -> None:
    guard = Guard()
    guard.take(
        parse_fact(b'{"event_id":"h","source":"web","type":"source_heartbeat","occurred_at":"2026-06-01T00:00:00Z"}')
    )
    assert guard.silent(SUNDAY_MS + 90 * DAY_MS) == {} and guard.missing("store", SUNDAY_MS) == 0


def test_a_clock_that_is_changed_by_an_hour_is_no_silence() -> None:
    guard = Guard()
    for hour_ms in range(SUNDAY_MS, SUNDAY_MS + 14 * DAY_MS, HOUR_MS):
        guard.feed(0, touches("store", hour_ms + HOUR_MS - MINUTE_MS, round(shop(hour_ms, 600))))
    opens_ms = SUNDAY_MS + 14 * DAY_MS + 9 * HOUR_MS
    assert guard.silent(opens_ms + HOUR_MS - 1) == {}
    assert "store" in guard.silent(opens_ms + HOUR_MS + 10 * MINUTE_MS)


def test_a_silence_of_weeks_ends_when_the_rhythm_is_forgotten() -> None:
    guard = Guard()
    for hour_ms in range(SUNDAY_MS, SUNDAY_MS + 28 * DAY_MS, HOUR_MS):
        guard.feed(0, touches("web", hour_ms, 50))
    is_silent = [bool(guard.silent(SUNDAY_MS + (28 + day) * DAY_MS)) for day in range(1, 50)]
    assert is_silent[:20] == [True] * 20 and is_silent == sorted(is_silent, reverse=True) and not is_silent[-1]


def test_last_week_counts_as_much_as_all_before_it() -> None:
    rhythm = SourceRhythm()
    for week, number in enumerate([0, 80, 40, 20, 10]):
        for hour in range(WEEK_HOURS):
            rhythm.count(0, 495_000 + week * WEEK_HOURS + hour, number + (hour == 0))
    now_ms = (495_000 + 5 * WEEK_HOURS + 12) * HOUR_MS
    mean = (80 / 16 + 40 / 8 + 20 / 4 + 10 / 2) / (1 / 16 + 1 / 8 + 1 / 4 + 1 / 2)
    assert rhythm.expected(now_ms - HOUR_MS // 2, now_ms + HOUR_MS) == pytest.approx(1.5 * mean)


heard = st.tuples(st.integers(0, 2), st.sampled_from(["web", "store"]), st.integers(0, 15 * 24 - 1), st.integers(1, 60))


def knowledge(guard: Guard, now_ms: int) -> tuple[dict[str, int], dict[str, float], dict[str, int]]:
    missing = {source: guard.missing(source, now_ms + 3 * HOUR_MS) for source in ("web", "store")}
    return guard.last_seen_ms, missing, guard.silent(now_ms)


@settings(max_examples=25, deadline=None)
@given(st.lists(heard, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_what_owners_state_adds_up_in_any_order_and_however_often(
    life: list[tuple[int, str, int, int]], rng: Random
) -> None:
    """Two workers own partitions 0, and 1 and 2; a third hears all; a fourth only what they stated."""
    owners, everything, listener = (Guard(), Guard()), Guard(), Guard()
    end_ms = SUNDAY_MS + 15 * DAY_MS
    stated: list[bytes] = []
    for at, (partition, source, hour, number) in enumerate(life):
        chunk = touches(source, SUNDAY_MS + hour * HOUR_MS, number)
        owners[partition > 0].feed(partition, chunk)
        everything.feed(partition, chunk)
        if at % 5 == 0:
            stated += [value for owner in owners for _, value in owner.statements(end_ms, closing=True)]
    stated += [value for owner in owners for _, value in owner.statements(end_ms, closing=True)]
    # Life that another has told already is not told again; here nobody listened in between.
    stated += rng.choices(stated, k=len(stated))
    rng.shuffle(stated)
    for value in stated:
        listener.take(parse_fact(value))
    last, missing, _ = knowledge(everything, end_ms)
    heard_last, heard_missing, _ = knowledge(listener, end_ms)
    assert all(0 <= last[source] - heard_last[source] < LIMITS.shortest_ms // 2 for source in last)
    assert {name: rhythm.totals for name, rhythm in listener._rhythms.items()} == {
        name: rhythm.totals for name, rhythm in everything._rhythms.items()
    }
    for owner in owners:
        for value in stated:
            owner.take(parse_fact(value))
        assert knowledge(owner, end_ms) == knowledge(everything, end_ms)


@settings(max_examples=30, deadline=None)
@given(st.lists(heard, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_touchpoints_may_come_in_any_order_and_any_chunks(life: list[tuple[int, str, int, int]], rng: Random) -> None:
    guards, end_ms = (Guard(), Guard()), SUNDAY_MS + 15 * DAY_MS
    for guard in guards:
        chunks: dict[int, list[Touch]] = {}
        for partition, source, hour, number in life:
            chunks.setdefault(partition if guard is guards[0] else partition + 3 * hour, []).extend(
                touches(source, SUNDAY_MS + hour * HOUR_MS, number)
            )
        for name, chunk in chunks.items():
            guard.feed(name % 3, chunk)
        rng.shuffle(life)
    assert knowledge(guards[0], end_ms) == knowledge(guards[1], end_ms)


def test_taking_a_partition_over_and_reading_some_of_it_again_counts_nothing_twice() -> None:
    first, second = Guard(), Guard()
    chunk = touches("web", SUNDAY_MS, 700)
    first.feed(3, chunk)
    for _, value in first.statements(SUNDAY_MS + HOUR_MS, closing=True):
        second.take(parse_fact(value))
    second.feed(3, chunk)
    assert second._rhythms["web"].totals == {SUNDAY_MS // HOUR_MS: 700}
    ((key, value),) = [said for said in second.statements(SUNDAY_MS + HOUR_MS, closing=True) if b"#3@" in said[0]]
    assert b'"counts":[700,0]' in value


def test_statements_are_few_and_a_key_never_loses_what_it_had() -> None:
    guard, keys = Guard(), []
    by_key: dict[bytes, bytes] = {}
    for minute in range(31 * 60):
        now_ms = SUNDAY_MS + minute * MINUTE_MS
        for partition in range(4):
            guard.feed(partition, touches("web", now_ms, 1))
        for key, value in guard.statements(now_ms):
            keys.append(key)
            by_key[key] = value
    lives, counts = [k for k in keys if b"#" not in k], [k for k in keys if b"#" in k]
    assert len(lives) == 31 * 12 and set(lives) == {b"source_heartbeat:web"}
    assert len(counts) == 6 * 4 and b"source_heartbeat:web#3@2026-05-31T00:00:00.000Z" in counts
    compacted = Guard()
    for value in by_key.values():
        compacted.take(parse_fact(value))
    assert sum(compacted._rhythms["web"].totals.values()) == 4 * (30 * 60 + 1)
    told = Guard()
    told.feed(0, touches("web", now_ms, 1))
    told.take(parse_fact(by_key[b"source_heartbeat:web"]))
    assert told.statements(now_ms) == []


def test_history_that_comes_by_today_shows_a_rhythm_and_is_no_silence() -> None:
    guard, now_ms = Guard(), SUNDAY_MS + 21 * DAY_MS
    history = [
        Touch(at_ms, "store", f"h-{at_ms}", "kiosk", now_ms)
        for at_ms in range(SUNDAY_MS, now_ms - 25 * HOUR_MS, HOUR_MS // 60)
    ]
    guard.feed(0, history)
    assert guard.silent(now_ms) == {} == guard.last_seen_ms
    guard.feed(0, touches("store", now_ms, 1))
    assert guard.silent(now_ms + HOUR_MS) == {"store": now_ms}


def test_what_is_stated_of_times_to_come_is_not_believed() -> None:
    guard = Guard()
    heartbeat = {
        "event_id": "x", "source": "web", "type": "source_heartbeat", "occurred_at": "2026-06-01T02:00:00Z",
    }  # fmt: skip
    counts = {"partition": 0, "counted_from": "2026-06-01T00:00:00Z", "counts": [9] * 100}
    guard.take(check_fact({**heartbeat, "properties": counts}))
    guard.take(check_fact({**heartbeat, "properties": {"last_said": "2026-06-01T09:00:00Z"}}))
    assert sum(guard._rhythms["web"].totals.values()) == 27
    assert guard.last_seen_ms == {"web": SUNDAY_MS + 26 * HOUR_MS}


def test_memory_ends_with_the_weeks_that_count() -> None:
    rhythm = SourceRhythm()
    for hour in range(400_000, 410_000):
        rhythm.count(hour % 4, hour, 1)
    assert len(rhythm.totals) <= KEPT_HOURS + WEEK_HOURS + 1
    rhythm.count(0, 400_000, 1)
    assert 400_000 not in rhythm.totals


def test_judging_needs_both_a_rhythm_and_a_last_word() -> None:
    rhythm = SourceRhythm()
    for hour in range(400_000, 400_200):
        rhythm.count(0, hour, 1_000)
    now_ms = 400_200 * HOUR_MS
    assert judge_silence({"web": rhythm}, {"web": now_ms - 600_000, "store": 0}, now_ms, LIMITS) == {
        "web": now_ms - 600_000
    }
    assert judge_silence({"web": rhythm}, {"web": now_ms - 599_999}, now_ms, LIMITS) == {}
    assert (
        judge_silence({"web": rhythm}, {"web": now_ms - 600_000}, now_ms, SilenceSettings(expected_missing=200)) == {}
    )
