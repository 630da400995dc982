"""What a spool promises while the broker is there, away, silent, and when its own disk fails."""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from producers.client import Client
from producers.emitters import Emitted, Refused, Spooled
from producers.spool import Spool
from producers.spool_drain import Timing
from schemas.errors import Misconfigured, Transient
from tests.producers.broker_double import BrokerDouble

QUICK = Timing(answer_seconds=0.2, backoff_seconds=0.01, longest_backoff_seconds=0.05, sync_seconds=0.05)
PATIENCE = 20.0


@contextmanager
def spooling(directory: Path, broker: BrokerDouble, **options: Any) -> Iterator[Spool]:
    spool = Spool(directory, broker.reach, **{"timing": QUICK, "say": lambda _: None, **options})
    try:
        yield spool
    finally:
        spool.close(0.0)


def send(spool: Spool, *values: bytes, key: bytes = b"k") -> list[str | None]:
    answers: list[str | None] = []
    for value in values:
        spool.to("touchpoints").send(key, value, (("h", b"1"),), answers.append)
    return answers


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def test_while_the_broker_answers_nothing_is_spooled_and_nothing_stays(tmp_path: Path) -> None:
    broker = BrokerDouble()
    with spooling(tmp_path, broker) as spool:
        answers = send(spool, *numbered(50))
        spool.flush(PATIENCE)
        assert answers == [None] * 50 and broker.values() == numbered(50)
        topic, record = broker.records[0]
        assert (topic, record.key, record.headers) == ("touchpoints", b"k", (("h", b"1"),))
        assert spool.status().records == 0 and spool.status().oldest_age_seconds == 0.0
    assert not list(tmp_path.glob("*.segment"))


def test_without_a_broker_it_starts_answers_at_once_and_sends_in_order_when_there_is_one(tmp_path: Path) -> None:
    broker = BrokerDouble("down")
    with spooling(tmp_path, broker) as spool:
        answers = send(spool, *numbered(20))
        assert all(isinstance(answer, Spooled) for answer in answers) and len(answers) == 20
        status = spool.status()
        assert status.records == 20 and status.bytes > 20 * 12 and status.fault == "nobody answers"
        broker.mode = "up"
        send(spool, *numbered(20, first=20))
        assert spool.drain(PATIENCE) and spool.status().fault is None
        assert broker.values() == numbered(40)
        late = send(spool, b"40")
        spool.flush(PATIENCE)
        assert late == [None] and broker.values() == numbered(41)


def test_a_broker_that_falls_silent_is_away_and_what_it_had_is_sent_again_in_order(tmp_path: Path) -> None:
    broker = BrokerDouble()
    with spooling(tmp_path, broker) as spool:
        send(spool, b"before")
        spool.flush(PATIENCE)
        broker.mode = "silent"
        answers = send(spool, *numbered(10))
        spool.flush(PATIENCE)
        assert [type(answer) for answer in answers] == [Spooled] * 10
        assert spool.status().fault == "no answer within 0.2 s"
        broker.mode = "up"
        assert spool.drain(PATIENCE) and broker.values() == [b"before", *numbered(10)]
        assert broker.connections > 1


def test_a_flush_that_ends_before_the_answer_says_spooled_and_the_record_is_sent_all_the_same(tmp_path: Path) -> None:
    broker = BrokerDouble("silent")
    patient = Timing(answer_seconds=60.0)
    with spooling(tmp_path, broker, timing=patient) as spool:
        answers = send(spool, b"1")
        assert answers == []
        spool.flush(0.01)
        assert len(answers) == 1 and isinstance(answers[0], Spooled)
    with spooling(tmp_path, BrokerDouble()) as again:
        assert again.drain(PATIENCE)


def test_a_failed_answer_is_tried_again_and_overtaken_by_nothing(tmp_path: Path) -> None:
    failures = iter(["leader is away", "leader is away", None])
    broker = BrokerDouble(judge=lambda record: next(failures, None) if record.value == b"3" else None)
    with spooling(tmp_path, broker) as spool:
        send(spool, *numbered(10))
        assert spool.drain(PATIENCE)
    # What follows may come again after it, but the first of each is in order.
    assert list(dict.fromkeys(broker.values())) == numbered(10)


def test_what_the_broker_refuses_for_good_is_told_to_who_waits_and_else_kept(tmp_path: Path) -> None:
    broker = BrokerDouble(judge=lambda record: Refused("too large") if record.value == b"big" else None)
    with spooling(tmp_path, broker) as spool:
        answers = send(spool, b"1", b"big", b"2")
        spool.flush(PATIENCE)
        assert answers == [None, "too large", None] and spool.status().set_aside == 0
    broker.mode = "down"
    with spooling(tmp_path, broker) as spool:
        send(spool, b"big", b"3")
        broker.mode = "up"
        assert spool.drain(PATIENCE) and spool.status().set_aside == 1
    assert broker.values() == [b"1", b"2", b"3"]
    assert json.loads((tmp_path / "refused.ndjson").read_text()) == {
        "reason": "too large", "topic": "touchpoints", "key": "k", "value": "big",
    }  # fmt: skip


def test_the_next_process_sends_what_the_one_before_left_and_then_its_own(tmp_path: Path) -> None:
    with spooling(tmp_path / "a", BrokerDouble("down")) as spool:
        send(spool, *numbered(5))
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    [segment] = (tmp_path / "b").glob("*.segment")
    with segment.open("ab") as file:
        file.write(b"\0\0\0")
    said: list[str] = []
    broker = BrokerDouble()
    with spooling(tmp_path / "b", broker, say=said.append) as again:
        answers = send(again, *numbered(5, first=5))
        again.flush(PATIENCE)
        assert again.drain(PATIENCE) and answers == [None] * 5
    assert broker.values() == numbered(10) and len(said) == 1 and "cut off after 3 bytes" in said[0]


def test_a_full_spool_refuses_and_takes_again_when_the_broker_has_made_room(tmp_path: Path) -> None:
    broker = BrokerDouble("down")
    with spooling(tmp_path, broker, limit_bytes=20_000) as spool:
        with pytest.raises(Transient, match=r"is full and takes no records: \d+ wait .*JOURNEYS_SPOOL_BYTES"):
            send(spool, *[b"x" * 1000] * 100)
        taken = spool.status().records
        assert 15 <= taken < 20
        broker.mode = "up"
        assert spool.drain(PATIENCE)
        send(spool, b"y")
        assert spool.drain(PATIENCE) and len(broker.records) == taken + 1


def test_damage_under_its_hands_is_told_to_who_waits_and_the_rest_goes_on(tmp_path: Path) -> None:
    broker, said = BrokerDouble(), list[str]()
    asked, go = threading.Event(), threading.Event()

    def judge(record: Emitted) -> str | None:
        asked.set()
        return None if go.wait(PATIENCE) else "late"

    broker.judge = judge
    with spooling(tmp_path, broker, say=said.append) as spool:
        first = send(spool, b"first")
        assert asked.wait(PATIENCE)
        [segment] = tmp_path.glob("*.segment")
        before = segment.stat().st_size
        answers = send(spool, b"second", b"third")
        content = bytearray(segment.read_bytes())
        content[before + 20] ^= 1
        segment.write_bytes(content)
        go.set()
        spool.flush(PATIENCE)
        more = send(spool, b"fourth")
        spool.flush(PATIENCE)
        assert answers == [f"damaged on disk, and set aside in {tmp_path}"] * 2 and first == more == [None]
        assert "2 records are set aside" in said[0] and spool.status().set_aside == 1 and spool.status().records == 0
    assert broker.values() == [b"first", b"fourth"]


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_every_policy_delivers(tmp_path: Path, fsync: str) -> None:
    broker = BrokerDouble()
    with spooling(tmp_path, broker, fsync=fsync) as spool:
        answers = send(spool, *numbered(20))
        spool.flush(PATIENCE)
    assert answers == [None] * 20


def test_nothing_is_taken_after_the_end_and_a_directory_in_use_is_told(tmp_path: Path) -> None:
    with spooling(tmp_path, BrokerDouble()) as spool:
        with pytest.raises(Misconfigured, match=f"in use by process {os.getpid()}"):
            Spool(tmp_path, BrokerDouble().reach)
        spool.close(0.0)
        with pytest.raises(Transient, match="takes no records: closed"):
            send(spool, b"1")


def test_what_is_wrong_with_the_options_is_told_at_the_start_and_leaves_the_directory_free(tmp_path: Path) -> None:
    nowhere = {"bootstrap_servers": "127.0.0.1:1", "bootstrap_timeout_ms": 50, "no_such_option": 1}
    with pytest.raises(Misconfigured, match="no_such_option"):
        Client.connect(nowhere, spool_directory=tmp_path)
    with spooling(tmp_path, BrokerDouble()):
        pass


def test_a_client_tells_delivered_from_spooled_and_leaves_in_peace_with_what_is_spooled(tmp_path: Path) -> None:
    broker, who = BrokerDouble(), {"customer_id": "C-1"}
    with Client.through(Spool(tmp_path, broker.reach, timing=QUICK, say=lambda _: None)) as client:
        client.track("kiosk", source="web", identifiers=who)
        client.state("source_heartbeat", source="web")
        report = client.flush()
        assert (report.delivered, report.spooled, report.undelivered) == (2, 0, [])
        broker.mode = "silent"
        client.track("kiosk", source="web", identifiers=who)
        report = client.flush()
        assert (report.delivered, report.spooled, report.undelivered) == (0, 1, [])
        assert client.spool is not None and client.spool.records == 1 and not client.drain()
    assert sorted(topic for topic, _ in broker.records) == ["facts", "touchpoints"]


def test_a_flush_returns_when_every_sender_has_heard(tmp_path: Path) -> None:
    answers: list[str | None] = []

    def hear(answer: str | None) -> None:
        time.sleep(0.1)
        answers.append(answer)

    with spooling(tmp_path, BrokerDouble()) as spool:
        for _ in range(3):
            spool.to("touchpoints").send(b"k", b"v", (), hear)
        spool.flush(PATIENCE)
        assert answers == [None] * 3


def test_what_is_tracked_while_another_thread_flushes_stands_once_in_the_reports(tmp_path: Path) -> None:
    with Client.through(Spool(tmp_path, BrokerDouble().reach, timing=QUICK)) as client:

        def track() -> None:
            for _ in range(2000):
                client.track("kiosk", source="web", identifiers={"customer_id": "C-1"})

        tracking = threading.Thread(target=track)
        tracking.start()
        reports = []
        while tracking.is_alive():
            reports.append(client.flush(0.0))
        tracking.join()
        reports.append(client.flush())
    assert [report.undelivered for report in reports if report.undelivered] == []
    assert sum(report.delivered + report.spooled for report in reports) == 2000
