import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from rich.console import Console

from deploy.local.stack import LocalStack
from producers import replay_progress as kept
from producers.client import Client
from producers.emitters import Answered, Emitted, Headers, MemoryEmitter
from producers.mapping import Mapping, load_mapping
from producers.progress_bar import describe, show_progress
from producers.replay import HEADERS, Pace, Position, ReplayOptions, ReplaySummary, replay_file
from producers.topics import create_topics
from schemas.errors import Misconfigured, Transient
from schemas.wire import parse_touchpoint

ROOT = Path(__file__).resolve().parent.parent.parent
ECOM = ROOT / "tests" / "data" / "ecom.csv.gz"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def line(number: int, **changed: Any) -> str:
    occurred_at = (BEGAN + timedelta(seconds=number)).isoformat()
    touchpoint = {
        "event_id": f"e-{number}", "source": "web", "type": "kiosk", "occurred_at": occurred_at,
        "identifiers": {"customer_id": f"C-{number % 5}"},
    }  # fmt: skip
    return json.dumps({**touchpoint, **changed}) + "\n"


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(lines), "utf-8")
    return path


def event_ids(emitter: MemoryEmitter) -> list[str]:
    return [parse_touchpoint(record.value).event_id for record in emitter.records]


def replay(path: Path, emitter: MemoryEmitter, mapping: Mapping | None = None, **options: Any) -> ReplaySummary:
    return replay_file(path, Client(emitter), mapping, ReplayOptions(**options))


def test_facts_and_touchpoints_may_stand_in_one_file(tmp_path: Path) -> None:
    fact = {"type": "restocked", "identifiers": None, "properties": {"sku": "K-1"}}
    path = write(tmp_path / "in.ndjson", line(0), line(1, **fact), line(2), line(3, **fact, source="shop"))
    emitter, facts = MemoryEmitter(), MemoryEmitter()
    summary = replay_file(path, Client(emitter, facts=facts))
    assert event_ids(emitter) == ["e-0", "e-2"] and [record.key for record in facts.records] == [b"restocked:K-1"]
    assert {record.headers for record in facts.records} == {HEADERS}
    assert (summary.delivered, summary.rejected, summary.reasons[0].reason) == (3, 1, "unknown_source")


def test_each_line_is_sent_in_order_with_the_replay_header_and_rejected_ones_are_kept(tmp_path: Path) -> None:
    bad = line(2, identifiers={"customer_id": "unknown"})
    path = write(tmp_path / "in.ndjson", line(0), "{broken\n", bad, "\n", line(3))
    emitter = MemoryEmitter()
    summary = replay(path, emitter)
    assert event_ids(emitter) == ["e-0", "e-3"] and {record.headers for record in emitter.records} == {HEADERS}
    assert (summary.delivered, summary.rejected, summary.line) == (2, 2, 5)
    assert summary.rejected_file == tmp_path / "in.ndjson.rejected.ndjson"
    rejected = [json.loads(row) for row in summary.rejected_file.read_text().splitlines()]
    assert [(row["line"], row["reason"]) for row in rejected] == [(2, "invalid_json"), (3, "placeholder_identifier")]
    assert rejected[0]["row"] == "{broken" and rejected[1]["row"] == json.loads(bad)


def test_a_finished_replay_sends_nothing_again_unless_it_is_told_to(tmp_path: Path) -> None:
    path, emitter = write(tmp_path / "in.ndjson", line(0), "bad\n"), MemoryEmitter()
    replay(path, emitter)
    again = replay(path, emitter)
    assert (again.delivered, again.resumed_after_line, again.rejected, again.rejected_before) == (0, 2, 0, 1)
    assert again.rejected_file == tmp_path / "in.ndjson.rejected.ndjson"
    assert replay(path, emitter, from_start=True).rejected == 1 and event_ids(emitter) == ["e-0", "e-0"]
    assert len((tmp_path / "in.ndjson.rejected.ndjson").read_text().splitlines()) == 1


def test_an_undelivered_touchpoint_stops_the_replay_and_the_next_run_sends_it(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ndjson", *[line(i) if i != 4 else "bad\n" for i in range(20)])

    def refuse_10(record: Emitted) -> str | None:
        return "no space" if b'"e-10"' in record.value else None

    with pytest.raises(
        Transient, match=r"1 of \d+ touchpoints were not delivered; first e-10: no space; lines up to 0"
    ):
        replay(path, MemoryEmitter(refuse_10))
    emitter = MemoryEmitter()
    assert replay(path, emitter).rejected == 1
    assert event_ids(emitter) == [f"e-{i}" for i in range(20) if i != 4]


def test_progress_goes_with_one_state_of_file_and_mapping(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ndjson", line(0))
    replay(path, MemoryEmitter())
    write(path, line(0), line(1))
    with pytest.raises(
        Misconfigured, match=r"the file has changed since its replay got to line 1: run with --from-start"
    ):
        replay(path, MemoryEmitter())
    path = write(
        tmp_path / "in.csv", "user_id,session_id,event,timestamp,platform\n", "u1,s,home,2024-01-01 10:00:00,app\n"
    )
    ecom = load_mapping(ROOT / "producers" / "mappings" / "ecom.yaml")
    replay(path, MemoryEmitter(), ecom)
    with pytest.raises(Misconfigured, match="the mapping has changed"):
        replay(path, MemoryEmitter(), ecom.model_copy(update={"zone": "Asia/Jerusalem"}))


def test_progress_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ndjson", line(0))
    write(tmp_path / "in.ndjson.progress.json", "{")
    with pytest.raises(Misconfigured, match="run with --from-start"):
        replay(path, MemoryEmitter())


def test_an_address_without_a_key_to_hide_it_stops_no_other_row(tmp_path: Path) -> None:
    mail = line(1, identifiers={"email": "dana@example.com"})
    emitter = MemoryEmitter()
    summary = replay(write(tmp_path / "in.ndjson", line(0), mail, line(2)), emitter)
    assert (summary.delivered, summary.rejected, event_ids(emitter)) == (2, 1, ["e-0", "e-2"])
    assert summary.reasons[0].reason == "invalid_identifier" and "KEY" in summary.reasons[0].first_detail


def test_rejected_rows_of_a_run_that_was_cut_short_are_not_doubled(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ndjson", line(0), "bad\n", line(2))
    rejected = write(tmp_path / "in.ndjson.rejected.ndjson", '{"line": 2, "left": "by a killed run"}\n')
    replay(path, MemoryEmitter())
    assert [json.loads(row).get("reason") for row in rejected.read_text().splitlines()] == ["invalid_json"]


def test_a_broken_archive_delivers_what_stands_before_and_says_where(tmp_path: Path) -> None:
    whole = gzip.compress("".join(line(i, properties={"x": f"{i * 7919:x}"}) for i in range(5000)).encode())
    path = tmp_path / "in.ndjson.gz"
    path.write_bytes(whole[: len(whole) // 2])
    emitter = MemoryEmitter()
    with pytest.raises(Misconfigured, match=r"broken after line \d+: .* the lines before are delivered"):
        replay(path, emitter)
    assert 100 < len(emitter.records) < 5000
    progress = json.loads((tmp_path / "in.ndjson.gz.progress.json").read_text())
    assert progress["line"] == progress["delivered"] == len(emitter.records)


def test_two_inputs_of_one_name_keep_their_own_state(tmp_path: Path) -> None:
    emitter, state_dir = MemoryEmitter(), tmp_path / "state"
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        replay(write(tmp_path / folder / "in.ndjson", line(0), "bad\n"), emitter, state_dir=state_dir)
    assert len(emitter.records) == 2 and len(list(state_dir.glob("*.rejected.ndjson"))) == 2
    assert not list((tmp_path / "a").glob("*.progress.json"))


def test_rejected_rows_that_somebody_cleared_leave_no_hole(tmp_path: Path) -> None:
    rejected = tmp_path / "in.ndjson.rejected.ndjson"
    assert kept.append_rejected(rejected, 0, [{"line": 2}]) == 12
    write(rejected, "")
    assert kept.append_rejected(rejected, 12, [{"line": 3}]) == 12
    assert json.loads(rejected.read_text()) == {"line": 3}


def test_standard_input_is_replayed_and_its_rejected_rows_are_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.producers.replaying", "memory", "-"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    text = line(0) + "bad\n" + line(1)
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, input=text, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["0", "3", "2"]
    assert json.loads((tmp_path / "stdin.rejected.ndjson").read_text())["row"] == "bad"
    assert not list(tmp_path.glob("*.progress.json"))


class InterruptedEmitter(MemoryEmitter):
    """Ctrl-C comes while the third record is being taken: `times` of them."""

    times = 1

    def send(self, key: bytes, value: bytes, headers: Headers, answered: Answered) -> None:
        if len(self.records) == 2:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)
        super().send(key, value, headers, answered)


@pytest.mark.no_cover
def test_an_interruption_waits_until_the_record_is_settled(tmp_path: Path) -> None:
    path, emitter = write(tmp_path / "in.ndjson", *map(line, range(10))), InterruptedEmitter()
    with pytest.raises(KeyboardInterrupt):
        replay(path, emitter)
    assert confirmed_line(tmp_path / "in.ndjson.progress.json") == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert replay(path, emitter).delivered == 7
    assert event_ids(emitter) == [f"e-{i}" for i in range(10)]


@pytest.mark.no_cover
def test_who_interrupts_twice_does_not_wait_for_the_record(tmp_path: Path) -> None:
    path, emitter = write(tmp_path / "in.ndjson", *map(line, range(10))), InterruptedEmitter()
    emitter.times = 2
    with pytest.raises(KeyboardInterrupt):
        replay(path, emitter)
    assert confirmed_line(tmp_path / "in.ndjson.progress.json") == 2 == len(emitter.records)


@pytest.mark.no_cover
def test_a_process_that_ignores_interruptions_goes_on_ignoring_them(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert replay(write(tmp_path / "in.ndjson", *map(line, range(10))), InterruptedEmitter()).delivered == 10
    finally:
        signal.signal(signal.SIGINT, before)


# Not traced: an interruption while the tracer holds its lock has the process wait for itself for ever.
@pytest.mark.no_cover
def test_an_interrupted_replay_remembers_what_was_confirmed(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ndjson", *map(line, range(100_000)))
    command = [sys.executable, "-m", "tests.producers.replaying", "memory", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert any("under way" in told for told in running.stderr)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=100)
    assert running.returncode != 0
    assert 10 <= confirmed_line(tmp_path / "in.ndjson.progress.json") < 100_000


@pytest.mark.parametrize(
    ("name", "told"),
    [("none.ndjson", "none.ndjson: cannot be read: No such file"), ("x.csv", "CSV needs a mapping"),
     ("x.txt", "is it CSV or")],
)  # fmt: skip
def test_input_that_cannot_be_replayed_is_told(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        replay(tmp_path / name, MemoryEmitter())


def test_a_pace_keeps_intervals_and_lets_the_past_go_at_once() -> None:
    pace = Pace(60.0)
    at = [{"occurred_at": (BEGAN + timedelta(minutes=m)).isoformat()} for m in (0, 3, -5)]
    assert pace.wait_seconds(at[0], 100.0) == 0.0
    assert pace.wait_seconds(at[1], 101.0) == pytest.approx(2.0)
    assert pace.wait_seconds(at[2], 101.0) < 0
    assert pace.wait_seconds({"occurred_at": "rubbish"}, 101.0) == 0.0 == Pace(None).wait_seconds(at[1], 0.0)


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(Misconfigured, match="give a number above 0"):
        Pace(speed)


def test_the_bar_shows_on_a_terminal_only(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ndjson", *map(line, range(1200)))
    for terminal in (True, False):
        shown = io.StringIO()
        with show_progress("in.ndjson", Console(file=shown, force_terminal=terminal, width=100)) as observe:
            replay_file(path, Client(MemoryEmitter()), None, ReplayOptions(from_start=True), observe)
        assert ("1,200 rows" in shown.getvalue()) is terminal and bool(shown.getvalue()) is terminal
    assert describe(Position(1, 2, 3000, 2), 2.0) == "3,000 rows, 1,500/s, 2 rejected"


def ecom_rows() -> Iterator[dict[str, str]]:
    with gzip.open(ECOM, "rt", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def test_the_shops_click_stream_is_sent_whole_with_its_sessions(tmp_path: Path) -> None:
    emitter = MemoryEmitter()
    mapping = load_mapping(ROOT / "producers" / "mappings" / "ecom.yaml")
    summary = replay(ECOM, emitter, mapping, state_dir=tmp_path)
    assert (summary.delivered, summary.rejected, summary.skipped) == (31_106, 0, 0)
    found = [json.loads(record.value) for record in emitter.records]
    assert len({touchpoint["event_id"] for touchpoint in found}) == 31_106
    for touchpoint, row in zip(found, ecom_rows(), strict=True):
        assert touchpoint["identifiers"] == {"customer_id": row["user_id"]} and touchpoint["type"] == row["event"]
        assert touchpoint["occurred_at"] == row["timestamp"].replace(" ", "T") + ".000Z"
        assert (
            touchpoint["properties"] == {"session_id": row["session_id"]} and touchpoint["channel"] == row["platform"]
        )
    assert Counter(touchpoint["source"] for touchpoint in found) == {"web": 30_829, "support": 277}


def read_topic(servers: str, partitions: int) -> list[str]:
    """Read the event ids of every record; its end offsets understate, so it reads until nothing more comes."""
    consumer = KafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest", consumer_timeout_ms=1500)
    consumer.assign([TopicPartition("touchpoints", number) for number in range(partitions)])
    found = [parse_touchpoint(record.value).event_id for record in consumer]
    consumer.close()
    return found


@pytest.mark.integration
def test_a_replay_that_is_killed_goes_on_where_the_broker_confirmed(tmp_path: Path) -> None:
    path = write(tmp_path / "in.ndjson", *[line(i) if i % 50 != 7 else "bad\n" for i in range(1200)])
    progress_file = tmp_path / "in.ndjson.progress.json"
    with LocalStack(tmp_path / "stack", run_clickhouse=False) as stack:
        create_topics({"bootstrap_servers": stack.kafka}, 2)
        command = [sys.executable, "-m", "tests.producers.replaying", stack.kafka, str(path)]
        confirmed = 0
        for _ in range(2):
            killed = subprocess.Popen(command, cwd=ROOT)
            deadline = time.monotonic() + 80
            while time.monotonic() < deadline and confirmed_line(progress_file) <= confirmed:
                time.sleep(0.02)
            killed.kill()
            killed.wait()
            assert (before := confirmed) < (confirmed := confirmed_line(progress_file)) < 1200, f"stuck at {before}"
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)
        found = read_topic(stack.kafka, 2)
    assert ended.stdout.split()[:2] == [str(confirmed), "1200"]
    assert set(found) == {f"e-{i}" for i in range(1200) if i % 50 != 7}
    rejected = [json.loads(row)["line"] for row in (tmp_path / "in.ndjson.rejected.ndjson").read_text().splitlines()]
    assert rejected == [i + 1 for i in range(1200) if i % 50 == 7]


def confirmed_line(progress_file: Path) -> int:
    return int(json.loads(progress_file.read_text())["line"]) if progress_file.exists() else 0
