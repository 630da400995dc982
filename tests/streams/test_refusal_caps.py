"""Caps on refusals against plain lines; wherever chunks, flushes and restarts fall, the same record is one too many."""

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from schemas.errors import Transient
from schemas.settings import Settings
from sinks.memory import MemoryWriter
from sinks.tables import DEAD_LETTERS
from streams.metrics import Metrics
from streams.records import Arrival, DecodedChunk, Refusal
from streams.refusal_caps import CONSECUTIVE_SETTING, RATIO_SETTING, Caps, Excess, RefusalCount
from streams.refusals import Refusals
from tests.sinks.rows import columns

TOPIC = "touchpoints"


def chunk_of(first: int, verdicts: list[bool]) -> DecodedChunk:
    """Records from an offset on; true ones are refused."""
    chunk = DecodedChunk(TOPIC, 3, first + len(verdicts))
    for offset, is_refused in enumerate(verdicts, first):
        if is_refused:
            chunk.refusals.append(Refusal(offset, "invalid_json", "", b"", b""))
        else:
            chunk.arrivals.append(Arrival(offset, "", cast(Any, None), cast(Any, None)))
    return chunk


def beyond(verdicts: list[bool], caps: Caps) -> set[str]:
    """The caps that the last record of all is beyond."""
    row = next((count for count, verdict in enumerate(reversed(verdicts)) if not verdict), len(verdicts))
    window = verdicts[-caps.window :]
    found = {CONSECUTIVE_SETTING} if caps.consecutive and row > caps.consecutive else set()
    is_much = sum(window) >= caps.least and sum(window) > caps.ratio * len(window)
    return found | ({RATIO_SETTING} if caps.ratio and is_much else set())


def first_too_many(verdicts: list[bool], caps: Caps, start: int = 0) -> int | None:
    """The first record from `start` on with which the count goes beyond a cap."""
    for end in range(start + 1, len(verdicts) + 1):
        if verdicts[end - 1] and beyond(verdicts[:end], caps) - beyond(verdicts[: end - 1], caps):
            return end - 1
    return None


def read(verdicts: list[bool], caps: Caps, start: int, cuts: list[int]) -> Excess | None:
    """What a worker finds that starts at an offset, in chunks that end at the cuts and at the end."""
    former = [(offset, "invalid_json") for offset in range(max(0, start - caps.reach), start) if verdicts[offset]]
    count = RefusalCount(caps, start, former)
    ends = sorted({cut for cut in cuts if start < cut < len(verdicts)} | {len(verdicts)})
    for first, end in zip([start, *ends], ends, strict=False):
        excess = count.take(chunk_of(first, verdicts[first:end]))
        if excess is not None:
            return excess
    return None


CAPS = st.builds(
    Caps,
    ratio=st.sampled_from((0.0, 0.3, 0.5, 0.8)),
    consecutive=st.integers(0, 9),
    window=st.integers(3, 12),
    least=st.integers(1, 5),
)
RUNS = st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=12)
VERDICTS = RUNS.map(lambda runs: [verdict for verdict, length in runs for _ in range(length)])


@given(VERDICTS, CAPS, st.integers(0, 60), st.lists(st.integers(0, 100), max_size=6))
def test_the_same_record_is_too_many_wherever_reading_starts(
    verdicts: list[bool], caps: Caps, start: int, cuts: list[int]
) -> None:
    start = min(start, len(verdicts))
    excess = read(verdicts, caps, start, cuts)
    assert (excess.last_offset if excess else None) == first_too_many(verdicts, caps, start)
    if excess:
        refused = sum(verdicts[excess.first_offset : excess.last_offset + 1])
        assert excess.refused == refused and verdicts[excess.first_offset]


def test_what_stands_between_records_breaks_no_row() -> None:
    # Offsets are left out where a topic holds the marks of transactions.
    caps = Caps(ratio=0, consecutive=3)
    chunk = DecodedChunk(TOPIC, 3, 9)
    chunk.refusals = [Refusal(offset, "invalid_json", "", b"", b"") for offset in (0, 2, 4, 6)]
    excess = RefusalCount(caps, 0).take(chunk)
    assert excess is not None and (excess.first_offset, excess.last_offset, excess.refused) == (0, 6, 4)


def test_the_defaults_let_a_bad_hour_pass_and_stop_a_bad_release() -> None:
    defaults = Caps.of(Settings())
    assert read(([False] * 100 + [True] * 100) * 20, defaults, 0, []) is None
    assert read([True] * 199 + [False] * 2_000 + [True] * 500, defaults, 0, []) is None
    excess = read([False] * 5_000 + [True] * 4_000, defaults, 0, [5_300])
    assert excess is not None and (excess.setting, excess.last_offset) == (CONSECUTIVE_SETTING, 5_500)
    assert excess.describe(TOPIC, 3, 5_300, defaults) == (
        "partition 3 of topic touchpoints: 501 records in a row were refused (offsets 5000 to 5500, most often "
        "invalid_json), and at most 500 in a row may be. Nothing from offset 5300 on was taken. Mend what is wrong "
        "with the source or with this release and start again: these records are then read again. To have them become "
        "dead letters all the same, start with JOURNEYS_DEAD_LETTER_CONSECUTIVE=0 JOURNEYS_DEAD_LETTER_RATIO=0"
    )
    excess = read([True, True, False] * 2_000, defaults, 0, [])
    assert excess is not None and (excess.setting, excess.refused) == (RATIO_SETTING, 200)


def test_how_near_the_caps_a_partition_is() -> None:
    caps = Caps(ratio=0.5, consecutive=8, window=20, least=5)
    count = RefusalCount(caps, 100)
    assert count.used == 0
    count.take(chunk_of(100, [True] * 6))
    assert count.used == 0.75
    count.take(chunk_of(106, [False] * 4))
    assert count.used == 0.6
    count.take(chunk_of(110, [False] * 30))
    assert count.used == 0


class Worker:
    """Refusals of a worker whose dead letters are in memory."""

    def __init__(self, writer: MemoryWriter, **settings: Any) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.refusals = Refusals(cast(Any, None), self.metrics, writer, Settings(**settings))

    def check(self, first: int, verdicts: list[bool]) -> str | None:
        excess = asyncio.run(self.refusals.check(chunk_of(first, verdicts)))
        return None if excess is None else str(excess)


def letters(offsets: range, topic: str = TOPIC) -> list[list[Any]]:
    rows = [{"topic": topic, "partition": 3, "offset": offset, "reason": "naive_time"} for offset in offsets]
    return columns(DEAD_LETTERS, rows)


def test_a_worker_knows_of_the_letters_before_its_first_record_and_of_no_others() -> None:
    writer = MemoryWriter()
    writer.insert(DEAD_LETTERS, letters(range(40, 60)))
    writer.insert(DEAD_LETTERS, letters(range(50), topic="facts"))
    settings = {"dead_letter_consecutive": 12, "dead_letter_ratio": 0}
    assert Worker(writer, **settings).check(40, [True] * 12) is None
    assert "offsets 40 to 52, most often naive_time" in (Worker(writer, **settings).check(50, [True] * 10) or "")
    assert Worker(writer, **settings).check(60, [True] * 12) is None, "twenty before it were let through"
    assert Worker(writer, dead_letter_consecutive=0, dead_letter_ratio=0).check(50, [True] * 10) is None


def test_a_worker_goes_on_counting_until_its_partitions_move() -> None:
    worker = Worker(MemoryWriter(), dead_letter_consecutive=12, dead_letter_ratio=0)
    assert worker.check(0, [False] * 5) is None and worker.check(5, [True] * 12) is None
    assert worker.metrics.registry.get_sample_value(
        "journeys_dead_letter_caps_used", {"topic": TOPIC, "partition": "3"}
    ) == pytest.approx(1)
    worker.refusals.forget()
    assert worker.check(17, [True]) is None, "what was not written is read again by whoever comes next"
    assert worker.check(18, [True] * 12) is not None


def test_without_clickhouse_the_caps_count_from_here() -> None:
    writer = MemoryWriter()
    writer.insert(DEAD_LETTERS, letters(range(40, 50)))
    writer.fail_next(Transient("away"))
    worker = Worker(writer, dead_letter_consecutive=12, dead_letter_ratio=0)
    assert worker.check(50, [True] * 12) is None
    assert worker.check(62, [True]) is not None
