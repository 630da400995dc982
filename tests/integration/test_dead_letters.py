"""Refused records are looked at, mended and sent again, each once; and a flood of them stops the worker in time."""

import json
import time
from collections.abc import Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest

from schemas.dead_letter import DeadLetter, LetterId
from schemas.moments import format_epoch_ms
from schemas.topics import DEAD_LETTERS, FACTS, TOUCHPOINTS
from tests.console.running import run_here
from tests.integration.conftest import StartPlatform
from tests.integration.expectations import touchpoint
from tests.integration.harness import Feed, Platform, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

NOW_MS = time.time_ns() // 1_000_000
MEND = """
zone: UTC
rename: {eventId: event_id}
values: {source: {shop: store}}
remove: [properties.debug]
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One with a worker that takes 2,048 bytes. Each test has a customer of its own."""
    directory = tmp_path_factory.mktemp("letters") / "platform"
    with Platform(directory, {"max_touchpoint_bytes": "2048"}, partitions=1) as platform:
        platform.wait_assigned(platform.start_worker())
        yield platform


def stored(platform: Platform, customer: str) -> set[tuple[str, str]]:
    """Source and event id of all touchpoints of a customer."""
    return {place for place, (owner, _) in platform.members().items() if owner == customer}


def ask(platform: Platform, *arguments: str) -> CompletedProcess[str]:
    return run_here("--data-dir", str(platform.directory), "dead-letters", *arguments)


def listed(platform: Platform, *arguments: str) -> dict[str, Any]:
    """The letters that are listed, by id."""
    done = ask(platform, "list", "--json", "--limit", "0", *arguments)
    assert done.returncode == 0, done.stderr
    return {letter["id"]: letter for letter in json.loads(done.stdout)}


def replayed(platform: Platform, *arguments: str) -> dict[str, Any]:
    done = ask(platform, "replay", "--json", *arguments)
    found: dict[str, Any] = json.loads(done.stdout)
    clean = not found["still_refused"] and not found["undelivered"]
    assert (done.returncode, done.stderr) == (0 if clean else 1, ""), done.stderr
    return found


def body(customer: str, event_id: str, **changed: Any) -> bytes:
    found = json.loads(touchpoint(customer, event_id, NOW_MS, "browsed").value or b"")
    return json.dumps({name: value for name, value in {**found, **changed}.items() if value is not None}).encode()


def restocked() -> bytes:
    fact = {"event_id": "f-1", "source": "shop", "type": "restocked", "occurred_at": format_epoch_ms(NOW_MS)}
    return json.dumps({**fact, "properties": {"sku": "K-1"}}).encode()


def test_letters_are_listed_mended_and_replayed_once(platform: Platform) -> None:
    key, moment = b"customer_id:C-1", format_epoch_ms(NOW_MS)
    records = {
        "shop": body("C-1", "e-shop", source="shop"),
        "renamed": body("C-1", "gone", eventId="e-renamed").replace(b'"event_id": "gone", ', b""),
        "naive": body("C-1", "e-naive", occurred_at=moment.removesuffix("Z")),
        "escape": b'{"\x1b[2J\xe2\x80\xae": ',
        "amount": body("C-1", "e-amount", type="order_placed", properties={"currency": "ILS"}),
        "tombstone": None,
    }
    places = platform.send([Feed(key, raw, (("trace", b"t-1"),)) for raw in records.values()])
    ids = {name: str(LetterId(TOUCHPOINTS, *place)) for name, place in zip(records, places, strict=True)}
    (fact_place,) = platform.send([Feed(b"restocked:K-1", restocked())], FACTS)
    ids["fact"] = str(LetterId(FACTS, *fact_place))
    wait_until(lambda: listed(platform).keys() >= set(ids.values()), "letters")
    _look_at_letters(platform, ids)

    mend = platform.directory / "mend.yaml"
    mend.write_text(MEND)
    given = ("--map", str(mend), *ids.values())
    dry = replayed(platform, *given, "--dry-run")
    assert (dry["sent"], dry["still_refused"]) == (4, 3)
    bad = {ids["escape"]: "invalid_json", ids["amount"]: "invalid_property", ids["tombstone"]: "empty_record"}
    assert {each["id"]: each["reason"] for each in dry["letters"] if "sent" not in each} == bad
    assert platform.query("SELECT count() FROM journeys.dead_letter_replays WHERE event_id = 'e-shop'") == [(0,)]
    assert replayed(platform, ids["shop"], "--map", str(mend), "--by", "dana")["sent"] == 1
    assert replayed(platform, *given)["sent"] == 3
    rest = replayed(platform, *given)
    assert (rest["sent"], rest["held_back"], {each["id"] for each in rest["letters"]}) == (0, 4, set(bad))
    rest = replayed(platform, "--key", key.decode(), "--map", str(mend))
    assert (rest["sent"], rest["held_back"], {each["id"] for each in rest["letters"]}) == (0, 0, set(bad))
    _expect_touchpoints(platform, ids)


def test_the_letter_of_a_fact_is_stored_though_nothing_else_comes(platform: Platform) -> None:
    (place,) = platform.send([Feed(b"restocked:K-0", restocked())], FACTS)
    wait_until(lambda: str(LetterId(FACTS, *place)) in listed(platform), "the letter", 30)


def _look_at_letters(platform: Platform, ids: dict[str, str]) -> None:
    letters = listed(platform, "--key", "customer_id:C-1")
    assert letters.keys() == set(ids.values()) - {ids["fact"]}
    assert (letters[ids["shop"]]["reason"], letters[ids["shop"]]["status"]) == ("unknown_source", "open")
    assert letters[ids["shop"]]["headers"] == {"trace": "t-1"}
    assert listed(platform, "--contains", "e-naive").keys() == {ids["naive"]}
    assert listed(platform, "--source-topic", FACTS, "--key", "restocked:K-1").keys() == {ids["fact"]}
    assert listed(platform, "--until", "1h") == {} and listed(platform, "--since", "1h").keys() >= set(ids.values())
    shown = ask(platform, "list").stdout + ask(platform, "show", ids["escape"]).stdout
    assert "\x1b" not in shown and "\u202e" not in shown and r"\x1b[2J\u202e" in shown
    divided = json.loads(ask(platform, "list", "--by", "reason", "--json").stdout)
    assert {row["reason"]: row["letters"] for row in divided}["unknown_source"] == 2


def _expect_touchpoints(platform: Platform, ids: dict[str, str]) -> None:
    wanted = {("store", "e-shop"), ("web", "e-renamed"), ("web", "e-naive")}
    wait_until(lambda: stored(platform, "C-1") == wanted, "the replayed touchpoints")
    wait_until(lambda: platform.query("SELECT event_id FROM analytics.facts") == [("f-1",)], "the fact")
    at_ms = "SELECT DISTINCT toUnixTimestamp64Milli(occurred_at) FROM analytics.touchpoints WHERE customer_id = 'C-1'"
    assert platform.query(at_ms) == [(NOW_MS,)]
    sent = _replays_on_topic(platform, b"customer_id:C-1")
    assert sorted(headers["journeys-replay-of"].decode() for headers, _ in sent) == sorted(
        ids[name] for name in ("shop", "renamed", "naive")
    )
    assert {headers["trace"] for headers, _ in sent} == {b"t-1"}
    shown = ask(platform, "show", ids["shop"]).stdout
    assert "attempt 1 by dana with mend.yaml: to touchpoints under customer_id:C-1, event_id e-shop: stored" in shown


def _replays_on_topic(platform: Platform, key: bytes) -> list[tuple[dict[str, bytes], bytes]]:
    """Headers and value of each record that says that it is a replay."""
    records = [record for record in platform.read_topic(TOUCHPOINTS, 0.5) if record.key == key]
    found = [(dict(record.headers), record.value) for record in records]
    return [each for each in found if "journeys-replay-of" in each[0]]


def test_what_is_refused_again_waits_for_a_second_word(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ("--key", "customer_id:C-2")
    large = body("C-2", "e-large", properties={"note": "x" * 600_000})
    ((_, offset),) = platform.send([Feed(b"customer_id:C-2", large)])
    first = str(LetterId(TOUCHPOINTS, 0, offset))
    wait_until(lambda: listed(platform, *key).keys() == {first}, "the letter")
    # The console lets pass what the worker refuses.
    monkeypatch.setenv("JOURNEYS_MAX_TOUCHPOINT_BYTES", "1000000")
    assert replayed(platform, *key)["sent"] == 1
    wait_until(lambda: listed(platform, *key).keys() not in (set(), {first}), "the second letter")
    ((second, letter),) = listed(platform, *key).items()
    assert (letter["replay_of"], letter["attempt"], letter["status"]) == (first, 1, "refused_again")
    assert listed(platform, "--status", "replayed", *key)[first]["refused_again_as"] == second
    assert f"refused again as {second}: too_large" in ask(platform, "show", first).stdout
    held = replayed(platform, *key)
    assert (held["sent"], held["held_back"]) == (0, 1)

    assert replayed(platform, "--again", *key)["sent"] == 1
    wait_until(lambda: [each["attempt"] for each in listed(platform, *key).values()] == [2], "the third letter")
    assert replayed(platform, "--again", *key, "--dry-run")["sent"] == 1
    sent = _replays_on_topic(platform, b"customer_id:C-2")
    assert [(headers["journeys-replay-of"].decode(), len(value) > 600_000) for headers, value in sent] == [
        (first, True), (second, True),
    ]  # fmt: skip
    told = [DeadLetter.model_validate_json(record.value) for record in platform.read_topic(DEAD_LETTERS, 0.5)]
    assert [(each.replay_of, each.attempt) for each in told if each.raw_truncated] == [
        (None, 0), (first, 1), (second, 2),
    ]  # fmt: skip


def test_a_flood_stops_the_worker_at_the_same_place_until_it_is_let_through(start_platform: StartPlatform) -> None:
    cap, good, bad = 20, 35, 90
    caps = {"dead_letter_consecutive": str(cap), "dead_letter_ratio": "0", "chunk_records": "10"}
    # Nothing is written before the stop itself does it.
    seldom = {"flush_interval": "60s", "backlog_flush_interval": "60s"}
    platform = start_platform(partitions=1, **caps)
    feeds = [touchpoint("C-1", f"e-{number}", NOW_MS + number) for number in range(2 * good)]
    platform.send([*feeds[:good], *[Feed(b"customer_id:C-1", b"flood")] * bad, *feeds[good:]])
    for _ in range(2):
        worker = platform.start_worker(**seldom)
        assert worker.wait(40) == 70
        line = worker.last_log_lines().splitlines()[-1]
        assert (
            f"{cap + 1} records in a row were refused (offsets {good} to {good + cap}, most often invalid_json" in line
        )
        assert "JOURNEYS_DEAD_LETTER_CONSECUTIVE=0" in line and "partition 0 of topic touchpoints" in line
        committed = platform.committed()[TOUCHPOINTS, 0]
        kept = [
            offset for (offset,) in platform.query("SELECT offset FROM journeys.dead_letters FINAL ORDER BY offset")
        ]
        assert kept == list(range(good, committed)) and good < committed <= good + cap
    assert len(platform.members()) == good

    platform.start_worker(dead_letter_consecutive="0")
    platform.wait_idle()
    assert platform.dead_letter_reasons() == {"invalid_json": bad}
    assert {event_id for _, event_id in platform.members()} == {f"e-{number}" for number in range(2 * good)}
