"""Producers send the next version of touchpoints before the workers are upgraded: it waits, and nothing is lost."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from console.alert_desk import read_clock
from console.letter_filters import make_filters
from console.letter_replay import BATCH_LETTERS, Door, Run, Tally, hold_back
from console.letter_store import find_heads, iterate_letters, record_replays
from producers.emitters import KafkaEmitter
from schemas.settings import Settings
from schemas.topics import FACTS, TOUCHPOINTS, TOUCHPOINTS_REKEYED
from tests.integration.conftest import StartPlatform
from tests.integration.ecom import shuffle
from tests.integration.expectations import GAP_ONLY, read_ecom
from tests.integration.harness import Feed, Platform, WorkerProcess, wait_until
from tests.integration.identity import assert_journeys_joined, hide_customers
from tests.integration.upgraded_process import NEXT_VERSION, UPGRADED_VERSIONS

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

UPGRADED = "tests.integration.upgraded_process"
COUNT = 3_000
SHARE = 0.2
STOPPED = 70
ADDED = {"tier": "gold"}
"""What the next version may say more of a touchpoint, under properties."""


def brought_forward(record: Feed) -> Feed:
    """The record as a producer of the next version sends it."""
    body = json.loads(record.value or b"")
    body.update(schema_version=NEXT_VERSION, locale="he-IL", properties={**body["properties"], **ADDED})
    return replace(record, value=json.dumps(body).encode())


def bring_some_forward(records: Sequence[Feed], seed: int) -> list[Feed]:
    chosen = random.Random(seed)
    # What a login says is told by producers of both versions, too.
    return [brought_forward(each) if _has_properties(each) and chosen.random() < SHARE else each for each in records]


def _has_properties(record: Feed) -> bool:
    return "properties" in json.loads(record.value or b"")


def is_next(record: Feed) -> bool:
    return bool(json.loads(record.value or b"").get("schema_version") == NEXT_VERSION)


@pytest.mark.parametrize("is_hidden", [False, True], ids=["visible", "hidden"])
def test_what_came_early_joins_after_the_upgrade(
    start_platform: StartPlatform, tmp_path: Path, seed: int, is_hidden: bool
) -> None:
    visible = read_ecom(tmp_path)[:COUNT]
    sent = bring_some_forward(shuffle(hide_customers(visible) if is_hidden else visible, seed), seed)
    third = len(sent) // 3
    platform = start_platform(**GAP_ONLY)

    former = platform.start_worker()
    platform.send(sent[:third])
    platform.wait_idle()
    assert raw_letters(platform) == sorted(each.value or b"" for each in sent[:third] if is_next(each))

    platform.module = UPGRADED
    wait_shared(former, platform.start_worker())
    platform.send(sent[third : 2 * third])
    platform.wait_idle()
    letters = platform.dead_letter_reasons().total()

    assert former.terminate() == 0
    platform.send(sent[2 * third :])
    platform.wait_idle()
    assert platform.dead_letter_reasons() == {"unknown_version": letters}
    assert 0 < letters < sum(map(is_next, sent))
    assert refusing_topics(platform) == ({TOUCHPOINTS, TOUCHPOINTS_REKEYED} if is_hidden else {TOUCHPOINTS})

    assert_brought_in(platform, visible, sent)


def wait_shared(*workers: WorkerProcess) -> None:
    """Wait until each of two workers has two of the four partitions."""

    def are_shared() -> bool:
        return [worker.metrics().total("partitions_assigned") for worker in workers] == [2, 2]

    wait_until(are_shared, "partitions to be shared")


def assert_brought_in(platform: Platform, visible: Sequence[Feed], sent: Sequence[Feed]) -> None:
    """Replayed by the upgraded release each letter goes once, and all is as if it had been read when it came."""
    letters = platform.dead_letter_reasons().total()
    assert (tally := replay_letters(platform)).is_clean and tally.sent == letters
    for record in platform.read_topic(TOUCHPOINTS):
        platform.note_end(record)
    platform.wait_idle()
    assert (replay_letters(platform).sent, platform.dead_letter_reasons().total()) == (0, letters)
    assert_journeys_joined(platform, visible)
    assert stored_as_next(platform) == {json.loads(each.value or b"")["event_id"] for each in sent if is_next(each)}


def raw_letters(platform: Platform) -> list[bytes]:
    rows = platform.query(f"SELECT base64Encode(raw) FROM journeys.dead_letters FINAL WHERE topic = '{TOUCHPOINTS}'")
    return sorted(base64.b64decode(raw) for (raw,) in rows)


def refusing_topics(platform: Platform) -> set[str]:
    """What an upgraded worker sends on may be refused by one that is not, where it belongs."""
    return {topic for (topic,) in platform.query("SELECT DISTINCT topic FROM journeys.dead_letters")}


def stored_as_next(platform: Platform) -> set[str]:
    """Event ids of what is stored under the next version, with all that only that says."""
    rows = platform.query(
        f"SELECT event_id FROM journeys.touchpoints FINAL WHERE schema_version = {NEXT_VERSION} "
        f"AND JSONExtractString(properties, 'tier') = '{ADDED['tier']}'"
    )
    return {event_id for (event_id,) in rows}


def replay_letters(platform: Platform) -> Tally:
    """What `journeys dead-letters replay` does in a release that reads the next version."""
    filters = make_filters(
        read_clock(), reasons=("unknown_version",), topics=(), status=(), ids=(), key=None, contains=None,
        since=None, until=None,
    )  # fmt: skip
    heads, _ = hold_back(find_heads(platform.writer, filters), False)
    tally, emitter = Tally(), KafkaEmitter(platform.kafka_options)
    door = Door(Settings(), None, (emitter, emitter.to(FACTS)), versions=UPGRADED_VERSIONS)
    with closing(door):
        run = Run(door, lambda sent: record_replays(platform.writer, sent), lambda verdict: None, "dana")
        list(run.replay(iterate_letters(platform.writer, heads, BATCH_LETTERS), tally))
    return tally


def test_a_flood_of_it_stops_the_line_until_the_upgrade(
    start_platform: StartPlatform, tmp_path: Path, seed: int
) -> None:
    visible = shuffle(read_ecom(tmp_path)[:COUNT], seed)
    sent = [*visible[: COUNT // 2], *map(brought_forward, visible[COUNT // 2 :])]
    platform = start_platform(partitions=1, chunk_records="100", **GAP_ONLY)
    platform.send(sent)
    stops = []
    for _ in range(2):
        worker = platform.start_worker()
        assert worker.wait(60) == STOPPED
        assert "unknown_version" in worker.last_log_lines().splitlines()[-1]
        stops.append(platform.committed()[TOUCHPOINTS, 0])
    letters = platform.dead_letter_reasons().total()
    assert COUNT // 2 <= stops[0] == stops[1] < COUNT and letters == stops[1] - COUNT // 2

    platform.module = UPGRADED
    platform.start_worker()
    platform.wait_idle()
    assert platform.dead_letter_reasons().total() == letters
    assert_brought_in(platform, visible, sent)
